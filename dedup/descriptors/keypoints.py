"""Local features that survive copying: where an image has blobs, and what lies around each.

The same idea as SIFT (Lowe 2004) at a quarter of OpenCV's cost: no doubled image, and all blobs
are placed and described together by a few calls. Three things are ours: few features over wide
scales, descriptors that a mirrored image shares (`mirror`), and nothing per feature in
Python. What is made of the descriptors is left to `dedup.descriptors.vlad`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Numbers = npt.NDArray[np.intp]

FEATURES: Final = 300
"""Most features an image gets: those with the strongest contrast."""

_SIGMA: Final = 1.6  # blur of the finest level, in pixels (Lowe 2004, section 3.3)
_CAMERA: Final = 0.5  # blur that any image is taken to have already (ibid.)
_PER_OCTAVE: Final = 3  # scales at which blobs are looked for before the image is halved
_OCTAVES: Final = 4
_SMALLEST: Final = 10  # pixels; an octave with a shorter side is left out
_CONTRAST: Final = 0.8  # grey levels between two blurs below which a blob is noise
_ELONGATED: Final = (
    10.0  # ratio of the two curvatures from which on a blob is an edge (section 4.1)
)
_RIM: Final = 2  # pixels along the border, where derivatives are not to be trusted
_PATCH: Final = 16  # samples along the side of a patch
_TURNING: Final = 9.0  # side of the patch that gives the direction, in blurs of its level
_DESCRIBED: Final = 12.0  # side of the patch that is described; 18 was worse: see the card
_DIRECTIONS: Final = 36
_CELLS: Final = 4
_BINS: Final = 8
_CLIPPED: Final = 0.2  # share of a descriptor's norm that one bin may have (section 6.1)
_TINY: Final = 1e-6
_TOPS: Final = 8  # peaks that are looked at for every fine feature that is wanted
_GRID: Final = 8  # cells along either side of an image among which its fine features are spread

_SQUARE: Final = np.ones((3, 3), np.uint8)
_ABOVE_NOISE: Final = np.nextafter(np.float32(_CONTRAST), np.float32(np.inf))
_LINE: Final = np.arange(_PATCH + 2, dtype=np.float32) - np.float32((_PATCH + 1) / 2)


def _window(sigma: float) -> Floats:
    line = _LINE[1:-1] ** 2
    square = line[:, None] + line
    return np.asarray(np.exp(-square / (2 * sigma**2)), np.float32)


def _pooling() -> Floats:
    """(256, 16): each sample's share in each cell, falling linearly and from the centre."""
    places = (np.arange(_PATCH) + 0.5) / _PATCH * _CELLS - 0.5
    share = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(_CELLS)))
    cells = np.einsum("ya,xb,yx->yxab", share, share, _window(_PATCH / 2))
    return np.asarray(cells.reshape(_PATCH**2, _CELLS**2), np.float32)


_POOLING: Final = _pooling()
_TURNING_WINDOW: Final = _window(_PATCH / 6).ravel()


@dataclass(frozen=True, slots=True)
class _Pyramid:
    """Every blur at which blobs are looked for, finest first.

    Parameters
    ----------
    blurs : per level, (H, W) float32
    sigmas : per level, its blur in its own pixels
    bands : the differences of blurs that peak at blobs, one level after the other
    begins, widths : per level, where it begins in `bands`, and W
    tops : where `bands` peaks above noise, away from the rim, ascending
    """

    blurs: list[Floats]
    sigmas: Floats
    bands: Floats
    begins: Numbers
    widths: Numbers
    tops: Numbers


@dataclass(frozen=True, slots=True)
class _Blobs:
    """Places in the pixels of their levels: (F,) each, by level."""

    level: Numbers
    x: Floats
    y: Floats
    contrast: Floats

    def only(self, kept: npt.NDArray[np.bool_]) -> _Blobs:
        return _Blobs(self.level[kept], self.x[kept], self.y[kept], self.contrast[kept])


@dataclass(frozen=True, slots=True)
class Keypoints:
    """F described blobs.

    Parameters
    ----------
    x, y, scale : (F,) place and blur, as shares of the longest side of the image
    angle : (F,) radians
    contrast : (F,) grey levels
    descriptors : (F, 128) RootSIFT rows of unit L2 norm (Arandjelović and Zisserman 2012)
    """

    x: Floats
    y: Floats
    scale: Floats
    angle: Floats
    contrast: Floats
    descriptors: Floats

    def __len__(self) -> int:
        return len(self.x)


def describe(grey: Bytes) -> Floats:
    """Describe the strongest blobs of an image; as `find`, the descriptors alone."""
    return find(grey).descriptors


def find(grey: Bytes) -> Keypoints:
    """Find and describe the strongest blobs of an image at every scale.

    Parameters
    ----------
    grey : (H, W) uint8

    Returns
    -------
    F is at most `FEATURES` and ties; none where there is no texture or a side is shorter than 10
    pixels
    """
    pyramid = _pyramid(_even(grey))
    pixels = np.exp2(np.arange(len(pyramid.blurs)) // _PER_OCTAVE) / max(grey.shape)
    return _described(pyramid, _strongest(_blobs(pyramid)), pixels)


def find_fine(greys: Sequence[Bytes], most: Sequence[int]) -> Keypoints:
    """Find and describe blobs at the finest scale alone, spread over an image of several sizes.

    They are the peaks of one band: what is small in a large image need not be the strongest there.

    Parameters
    ----------
    greys : (H, W) uint8, of any sizes; those with a side below 10 are left out
    most : features of each
    """
    wanted = [each for each in zip(greys, most, strict=True) if min(each[0].shape) >= _SMALLEST]
    if not wanted:
        return _nothing()
    levels = [_finest(*each) for each in wanted]
    begins = np.cumsum([0, *(len(band) for _, band, _ in levels[:-1])], dtype=np.intp)
    pyramid = _Pyramid(
        [blur for blur, _, _ in levels],
        np.full(len(levels), _SIGMA * 2 ** (1 / _PER_OCTAVE), np.float32),
        np.concatenate([band for _, band, _ in levels]),
        begins,
        np.asarray([grey.shape[1] for grey, _ in wanted], np.intp),
        np.concatenate([tops + at for (*_, tops), at in zip(levels, begins, strict=True)]),
    )
    blobs = _blobs(pyramid)
    kept = np.zeros(len(blobs.x), np.bool_)
    for level, (grey, count) in enumerate(wanted):
        own = blobs.level == level
        kept[own] = _spread(blobs.only(own), grey.shape, count)
    return _described(pyramid, blobs.only(kept), 1 / np.array([max(g.shape) for g, _ in wanted]))


def _finest(grey: Bytes, most: int) -> tuple[Floats, Floats, Numbers]:
    """Give the blur of the finest scale, its band and where that peaks, the strongest peaks."""
    factor = 2 ** (1 / _PER_OCTAVE)
    base = _blurred(grey.astype(np.float32), np.sqrt((_SIGMA * factor) ** 2 - _CAMERA**2))
    band = np.asarray(cv2.absdiff(base, _blurred(base, _SIGMA * factor * np.sqrt(factor**2 - 1))))
    limit = np.maximum(cv2.dilate(band, _SQUARE), _ABOVE_NOISE)
    tops = _inside(np.asarray(cv2.compare(band, limit, cv2.CMP_GE)))
    if len(tops) > _TOPS * most:
        strongest = np.argpartition(-band.ravel()[tops], _TOPS * most)[: _TOPS * most]
        tops = tops[np.sort(strongest)]
    return base, np.asarray(band.ravel(), np.float32), tops


def _even(grey: Bytes) -> Floats:
    """Even out the contrast of the parts of an image."""
    return np.asarray(cv2.createCLAHE(clipLimit=3, tileGridSize=(4, 4)).apply(grey), np.float32)


def _nothing() -> Keypoints:
    none = np.zeros(0, np.float32)
    return Keypoints(none, none, none, none, none, np.zeros((0, 128), np.float32))


def _described(pyramid: _Pyramid, blobs: _Blobs, pixels: Doubles) -> Keypoints:
    if not len(blobs.x):
        return _nothing()
    angles = _main_directions(_patches(pyramid, blobs, _TURNING, None))
    descriptors = _histograms(_patches(pyramid, blobs, _DESCRIBED, angles))
    pixel = np.asarray(pixels[blobs.level], np.float32)  # as a share of the longest side
    scale = pyramid.sigmas[blobs.level] * pixel
    return Keypoints(blobs.x * pixel, blobs.y * pixel, scale, angles, blobs.contrast, descriptors)


def _spread(blobs: _Blobs, shape: tuple[int, ...], most: int) -> npt.NDArray[np.bool_]:
    """Mark the strongest blob of every cell of a grid, then the second of each, and so on."""
    row, column = (
        np.minimum((place * (_GRID / side)).astype(np.intp), _GRID - 1)
        for place, side in zip((blobs.y, blobs.x), shape, strict=True)
    )
    cell = row * _GRID + column
    order = np.lexsort((-blobs.contrast, cell))
    begins = np.searchsorted(cell[order], cell[order])
    rank = np.arange(len(order)) - begins
    kept = np.zeros(len(order), np.bool_)
    kept[order[np.lexsort((-blobs.contrast[order], rank))[:most]]] = True
    return kept


def _pyramid(image: Floats) -> _Pyramid:
    """Blur step by step, halve, and find where every step peaks.

    Each level is a few calls to OpenCV on the whole image: other threads run during those, which
    they could not during a thousand small steps in Python.
    """
    factor = 2 ** (1 / _PER_OCTAVE)
    base = _blurred(image, np.sqrt(_SIGMA**2 - _CAMERA**2))
    shapes = [base.shape]
    while len(shapes) < _OCTAVES:
        shapes.append(((shapes[-1][0] + 1) // 2, (shapes[-1][1] + 1) // 2))
    shapes = [shape for shape in shapes if min(shape) >= _SMALLEST for _ in range(_PER_OCTAVE)]
    sizes = np.asarray([height * width for height, width in shapes], np.intp)
    begins = np.cumsum(sizes) - sizes
    bands = np.empty(int(sizes.sum()), np.float32)
    blurs, tops = [], []
    for first in range(0, len(shapes), _PER_OCTAVE):
        octave = [base]
        for step in range(_PER_OCTAVE + 2):
            before = _SIGMA * factor**step
            octave.append(_blurred(octave[-1], before * np.sqrt(factor**2 - 1)))
        inner = bands[begins[first] :][: _PER_OCTAVE * base.size].reshape(-1, *base.shape)
        outer = np.empty((2, *base.shape), np.float32)
        steps = [outer[0], *inner, outer[1]]
        for (one, two), band in zip(pairwise(octave), steps, strict=True):
            cv2.absdiff(one, two, dst=band)
        highest = [cv2.dilate(band, _SQUARE) for band in steps]
        for step in range(1, _PER_OCTAVE + 1):
            limit = cv2.max(cv2.max(highest[step - 1], highest[step + 1]), highest[step])
            np.maximum(limit, _ABOVE_NOISE, out=limit)
            peaks = cv2.compare(steps[step], limit, cv2.CMP_GE)
            tops.append(_inside(np.asarray(peaks)) + begins[first + step - 1])
        blurs += octave[1 : _PER_OCTAVE + 1]
        base = np.ascontiguousarray(octave[_PER_OCTAVE][::2, ::2])
    sigmas = [_SIGMA * factor ** (1 + level % _PER_OCTAVE) for level in range(len(shapes))]
    return _Pyramid(
        blurs,
        np.asarray(sigmas, np.float32),
        bands,
        begins,
        np.asarray([width for _, width in shapes], np.intp),
        np.concatenate([*tops, np.zeros(0, np.intp)]),
    )


def _blurred(image: Floats, sigma: float) -> Floats:
    line = _kernel(float(sigma))
    return np.asarray(cv2.sepFilter2D(image, -1, line, line), np.float32)


@cache
def _kernel(sigma: float) -> Floats:
    side = 2 * int(np.ceil(3 * sigma)) + 1
    return np.asarray(cv2.getGaussianKernel(side, sigma, cv2.CV_32F), np.float32)


def _inside(peaks: Bytes) -> Numbers:
    """Give the places in the flattened image that are not 0, the rim left out, ascending."""
    found: npt.NDArray[np.int32] | None = cv2.findNonZero(peaks[_RIM:-_RIM, _RIM:-_RIM])  # type: ignore[assignment]
    if found is None:
        return np.zeros(0, np.intp)
    x, y = np.asarray(found, np.intp).reshape(-1, 2).T + _RIM
    return np.asarray(y * peaks.shape[1] + x, np.intp)


def _blobs(pyramid: _Pyramid) -> _Blobs:
    """Place the tops between pixels and leave edges out."""
    bands, at = pyramid.bands, pyramid.tops
    level = np.searchsorted(pyramid.begins, at, side="right") - 1
    width = pyramid.widths[level]
    centre = bands[at]
    left, right, above, below = bands[at - 1], bands[at + 1], bands[at - width], bands[at + width]
    across, down = left + right - 2 * centre, above + below - 2 * centre
    falling = bands[at + width + 1] + bands[at - width - 1]
    mixed = falling - bands[at - width + 1] - bands[at + width - 1]
    determinant = across * down - (mixed / 4) ** 2
    ratio = (_ELONGATED + 1) ** 2 / _ELONGATED
    round_ = (determinant > 0) & ((across + down) ** 2 < ratio * determinant)
    # Tops of parabolas through three pixels; round blobs curve down: nothing is divided by 0.
    step_x = (right - left)[round_] / (-2 * across[round_])
    step_y = (below - above)[round_] / (-2 * down[round_])
    y, x = np.divmod((at - pyramid.begins[level])[round_], width[round_])
    return _Blobs(
        level[round_],
        np.asarray(x + np.clip(step_x, -0.5, 0.5), np.float32),
        np.asarray(y + np.clip(step_y, -0.5, 0.5), np.float32),
        centre[round_],
    )


def _strongest(blobs: _Blobs) -> _Blobs:
    """Keep the `FEATURES` of strongest contrast, ties included."""
    if len(blobs.x) <= FEATURES:
        return blobs
    return blobs.only(blobs.contrast >= np.partition(blobs.contrast, -FEATURES)[-FEATURES])


def _patches(pyramid: _Pyramid, blobs: _Blobs, side: float, angles: Floats | None) -> Floats:
    """Sample a square around each blob, turned: (F, 18, 18), one sample more on each side."""
    step = pyramid.sigmas[blobs.level] * np.float32(side / _PATCH)
    angles = np.zeros_like(step) if angles is None else angles
    cos, sin = ((step * turn(angles))[:, None] * _LINE for turn in (np.cos, np.sin))
    # A column's place is one part by its column and one by its row, as is a row's.
    across = (blobs.x[:, None] + cos)[:, None, :] - sin[:, :, None]
    down = (blobs.y[:, None] + sin)[:, None, :] + cos[:, :, None]
    sampled = np.empty(across.shape, np.float32)
    ends = np.searchsorted(blobs.level, np.arange(len(pyramid.blurs) + 1))
    for blur, begin, end in zip(pyramid.blurs, ends, ends[1:], strict=False):
        if begin < end:
            maps = (values[begin:end].reshape(-1, _PATCH + 2) for values in (across, down, sampled))
            columns, rows, target = maps
            cv2.remap(
                blur, columns, rows, cv2.INTER_LINEAR, target, borderMode=cv2.BORDER_REPLICATE
            )
    return sampled


def _gradients(patches: Floats) -> tuple[Floats, Floats]:
    """Magnitudes and angles in [0, 2 pi): two (F, 256)."""
    across = (patches[:, 1:-1, 2:] - patches[:, 1:-1, :-2]).reshape(-1, _PATCH**2)
    down = (patches[:, 2:, 1:-1] - patches[:, :-2, 1:-1]).reshape(-1, _PATCH**2)
    magnitudes, angles = cv2.cartToPolar(across, down)
    return np.asarray(magnitudes, np.float32), np.asarray(angles, np.float32)


def _main_directions(patches: Floats) -> Floats:
    """Find the direction in which most of each patch's gradients point: (F,) radians."""
    magnitudes, angles = _gradients(patches)
    count = len(patches)
    bins = (angles * np.float32(_DIRECTIONS / (2 * np.pi))).astype(np.int32)
    np.minimum(bins, _DIRECTIONS - 1, out=bins)
    bins += _DIRECTIONS * np.arange(count, dtype=np.int32)[:, None]
    weights = (magnitudes * _TURNING_WINDOW).ravel()
    counted = np.bincount(bins.ravel(), weights, count * _DIRECTIONS)
    votes = np.asarray(counted, np.float64).reshape(count, -1)
    for _ in range(2):
        votes = (np.roll(votes, 1, 1) + 2 * votes + np.roll(votes, -1, 1)) / 4
    best, rows = votes.argmax(1), np.arange(count)
    before, top, after = (votes[rows, (best + step) % _DIRECTIONS] for step in (-1, 0, 1))
    between = (after - before) / np.maximum(2 * (2 * top - before - after), _TINY)
    return np.asarray((best + 0.5 + between) * (2 * np.pi / _DIRECTIONS), np.float32)


def _histograms(patches: Floats) -> Floats:
    """Count directions in 4 x 4 cells: (F, 128) RootSIFT rows."""
    magnitudes, angles = _gradients(patches)
    angles *= np.float32(_BINS / (2 * np.pi))
    count = len(patches)
    ramps = np.empty((_BINS, count, _PATCH**2), np.float32)
    for number in range(_BINS):
        # 0 up to the direction of a bin, 1 from that of the next one on.
        ramp = ramps[number]
        np.subtract(angles, np.float32(number), out=ramp)
        np.clip(ramp, 0, 1, out=ramp)
        np.multiply(ramp, magnitudes, out=ramp)
    risen = (ramps.reshape(_BINS * count, -1) @ _POOLING).reshape(_BINS, count, _CELLS**2)
    # A bin's share is 1 at its own direction and falls to 0 at its neighbours': what one ramp has
    # risen by and the next has not. The first bin is on both ends of the scale.
    cells = np.empty_like(risen)
    np.subtract(risen[:-1], risen[1:], out=cells[1:])
    np.subtract(magnitudes @ _POOLING, risen[0] - risen[-1], out=cells[0])
    np.maximum(cells, 0, out=cells)  # of which rounding may take some
    rows = cells.transpose(1, 2, 0).reshape(count, 128)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY)
    np.minimum(rows, _CLIPPED, out=rows)
    rows /= np.maximum(rows.sum(axis=1, keepdims=True), _TINY)
    return np.asarray(np.sqrt(rows), np.float32)
