"""Where an image has blobs: what stands out from its surroundings at one scale and place.

Peaks of differences of blurs, as in SIFT (Lowe 2004). Every step is a few calls to OpenCV on all
bands of an octave, one below the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np

from dedup.descriptors.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.intp]
    Flags = npt.NDArray[np.bool_]

FEATURES: Final = 300
"""Most blobs an image gets: those with the strongest contrast."""

PER_OCTAVE: Final = 3
"""Scales at which blobs are looked for before the image is halved."""

FINE: Final = (110, 20, 20)
"""Most fine blobs an image gets of blurs of 2, 5.4 and 6.8 of its pixels.

What is finest in an image is as large as the other two in a part of it, of a seventh to a tenth."""

_SIGMA: Final = 1.6  # blur of the finest level, in pixels (Lowe 2004, section 3.3)
_CUT_OFF: Final = 2.5  # of its blur, where a kernel ends: 1 % lies beyond
_CAMERA: Final = 0.5  # blur that any image is taken to have already (ibid.)
_FACTOR: Final = 2 ** (1 / PER_OCTAVE)
_OCTAVES: Final = 4
_SMALLEST: Final = 10  # pixels; an octave with a shorter side is left out
_CONTRAST: Final = np.float32(0.8)  # grey levels between two blurs up to which a blob is noise
_ELONGATED: Final = (
    10.0  # ratio of the two curvatures from which on a blob is an edge (section 4.1)
)
_RIM: Final = 2  # pixels along the border, where derivatives are not to be trusted
_TOPS: Final = 1000  # peaks of a scale of fine blobs that are looked at
_GRID: Final = 8  # cells along either side of an image among which its fine blobs are spread
_THIRD: Final = 3  # pixels to one that is kept for the coarser of the fine blobs

_CONTRAST_BITS: Final = 24  # nine of them whole, as a contrast is at most 255

_SQUARE: Final = np.ones((3, 3), np.uint8)


def _kernel(sigma: float) -> Floats:
    side = 2 * int(np.ceil(_CUT_OFF * sigma)) + 1
    return np.asarray(cv2.getGaussianKernel(side, sigma, cv2.CV_32F), np.float32)


_FIRST: Final = _kernel((_SIGMA**2 - _CAMERA**2) ** 0.5)
_STEPS: Final = [
    _kernel(_SIGMA * _FACTOR**step * (_FACTOR**2 - 1) ** 0.5) for step in range(PER_OCTAVE + 2)
]
"""From each blur of an octave to the next."""

_FINE_SIGMAS: Final = (_SIGMA * _FACTOR, 1.8, 1.8 * _FACTOR)  # each in the pixels of its level
_FINE: Final = _kernel((_FINE_SIGMAS[0] ** 2 - _CAMERA**2) ** 0.5)
_COARSER: Final = [
    _kernel((_FINE_SIGMAS[1] ** 2 - (_FINE_SIGMAS[0] / _THIRD) ** 2) ** 0.5),
    *(_kernel(sigma * (_FACTOR**2 - 1) ** 0.5) for sigma in _FINE_SIGMAS[1:]),
]
"""From the pixels that are kept of the finest blur to the next, and on from each."""

_scratch: Final = Scratch()


@dataclass(frozen=True, slots=True)
class _Pyramid:
    """Every blur at which blobs are looked for, finest first.

    Parameters
    ----------
    blurs : per level, (H, W) float32
    sigmas : per level, its blur in its own pixels
    steps : per level, how many of the image's pixels one of its own spans
    bands : the differences of blurs that peak at blobs, one level after the other
    begins, widths : per level, where it begins in `bands`, and W
    tops : where `bands` peaks above noise, away from the rim, ascending
    """

    blurs: list[Floats]
    sigmas: Floats
    steps: Floats
    bands: Floats
    begins: Numbers
    widths: Numbers
    tops: Numbers


class Blobs(NamedTuple):
    """Places in the pixels of their levels: (F,) each, by level.

    Parameters
    ----------
    blurs : per level, (H, W) float32; good until this thread looks for blobs of this kind again
    sigmas : per level, its blur in its own pixels
    steps : per level, how many of the image's pixels one of its own spans
    """

    blurs: list[Floats]
    sigmas: Floats
    steps: Floats
    level: Numbers
    x: Floats
    y: Floats
    contrast: Floats

    def only(self, kept: Flags) -> Blobs:
        """Keep those that are marked: (F,)."""
        return self._replace(
            level=self.level[kept], x=self.x[kept], y=self.y[kept], contrast=self.contrast[kept]
        )


def joined(kinds: Sequence[Blobs]) -> Blobs:
    """Put blobs of several images into one: their levels are numbered on."""
    begins = np.cumsum([0, *(len(each.blurs) for each in kinds)])
    return Blobs(
        [blur for each in kinds for blur in each.blurs],
        np.concatenate([each.sigmas for each in kinds]),
        np.concatenate([each.steps for each in kinds]),
        np.concatenate([each.level + begin for each, begin in zip(kinds, begins, strict=False)]),
        np.concatenate([each.x for each in kinds]),
        np.concatenate([each.y for each in kinds]),
        np.concatenate([each.contrast for each in kinds]),
    )


def strongest_blobs(grey: Bytes) -> Blobs:
    """Find the blobs of strongest contrast at every scale: `FEATURES`, and ties.

    Parameters
    ----------
    grey : (H, W) uint8
    """
    # Evens out the contrast of the parts of an image.
    even = cv2.createCLAHE(clipLimit=3, tileGridSize=(4, 4)).apply(grey)
    blobs = _placed(_pyramid(_as_float(np.asarray(even, np.uint8))))
    if len(blobs.x) <= FEATURES:
        return blobs
    return blobs.only(blobs.contrast >= np.partition(blobs.contrast, -FEATURES)[-FEATURES])


def fine_blobs(grey: Bytes, most: Sequence[int] = FINE) -> Blobs:
    """Find blobs at three fine scales, those of each spread over the image.

    They are the peaks of one band each, whatever the scales next to it show: half as many blurs,
    and what is small in a large image need not be the strongest there.

    Parameters
    ----------
    grey : (H, W) uint8
    most : of each scale, at most
    """
    blobs = _placed(_fine_pyramid(grey))
    return blobs.only(_spread(blobs, most)) if len(blobs.x) else blobs


def _fine_pyramid(grey: Bytes) -> _Pyramid:
    """Blur, and find where the band of each scale of fine blobs peaks."""
    levels = _fine_blurs(grey)
    begins = np.cumsum([0, *(inner.size for inner, _ in levels)])
    bands, tops = _scratch.take("fine bands", int(begins[-1])), [np.zeros(0, np.intp)]
    limits = _scratch.take("fine limits", grey.size)
    for begin, (inner, outer) in zip(begins.tolist(), levels, strict=False):
        flat = bands[begin:][: inner.size]
        band, limit = flat.reshape(inner.shape), limits[: inner.size].reshape(inner.shape)
        cv2.absdiff(inner, outer, dst=band)
        cv2.dilate(band, _SQUARE, dst=limit)
        found = _tops(band, limit, len(band))
        if len(found) > _TOPS:
            found = np.sort(found[np.argpartition(-flat[found], _TOPS)[:_TOPS]])
        tops.append(begin + found)
    return _Pyramid(
        [inner for inner, _ in levels],
        np.asarray(_FINE_SIGMAS[: len(levels)], np.float32),
        np.asarray((1, _THIRD, _THIRD)[: len(levels)], np.float32),
        bands,
        begins[:-1],
        np.asarray([inner.shape[1] for inner, _ in levels], np.intp),
        np.concatenate(tops),
    )


def _fine_blurs(grey: Bytes) -> list[tuple[Floats, Floats]]:
    """Give the blur of each scale of fine blobs, as far as it is large enough, and the next one."""
    if min(grey.shape) < _SMALLEST:
        return []
    first, second = _scratch.take("fine", 2, *grey.shape)
    _blur(_as_float(grey), _FINE, first)
    _blur(first, _STEPS[1], second)
    kept = first[::_THIRD, ::_THIRD]  # as good as the image resized, in no time
    if min(kept.shape) < _SMALLEST:
        return [(first, second)]
    coarser = _scratch.take("coarser", len(_COARSER) + 1, *kept.shape)
    np.copyto(coarser[0], kept)
    for step, kernel in enumerate(_COARSER):
        _blur(coarser[step], kernel, coarser[step + 1])
    return [(first, second), *pairwise(coarser[1:])]


def _pyramid(image: Floats) -> _Pyramid:
    """Blur step by step, halve, and find where every step peaks."""
    shapes = [image.shape]
    while len(shapes) < _OCTAVES:
        shapes.append(((shapes[-1][0] + 1) // 2, (shapes[-1][1] + 1) // 2))
    shapes = [shape for shape in shapes if min(shape) >= _SMALLEST]
    pixels = sum(height * width for height, width in shapes)
    held = _scratch.take("blurs", (PER_OCTAVE + 3) * pixels)
    bands = _scratch.take("bands", (PER_OCTAVE + 2) * pixels)
    blurs: list[Floats] = []
    tops, begins, at = [np.zeros(0, np.intp)], [], 0
    for height, width in shapes:
        size = height * width
        octave = held[(PER_OCTAVE + 3) * at :][: (PER_OCTAVE + 3) * size]
        octave = octave.reshape(-1, height, width)
        if blurs:
            np.copyto(octave[0], blurs[-1][::2, ::2])
        else:
            _blur(image, _FIRST, octave[0])
        for step, kernel in enumerate(_STEPS):
            _blur(octave[step], kernel, octave[step + 1])
        blurs.extend(octave[1 : PER_OCTAVE + 1])
        begin = (PER_OCTAVE + 2) * at
        steps = bands[begin:][: (PER_OCTAVE + 2) * size].reshape(-1, width)
        tops.append(_peaks(octave, steps) + (begin + size))
        begins += [begin + size * step for step in range(1, PER_OCTAVE + 1)]
        at += size
    sigmas = [_SIGMA * _FACTOR ** (1 + level % PER_OCTAVE) for level in range(len(blurs))]
    return _Pyramid(
        blurs,
        np.asarray(sigmas, np.float32),
        np.exp2(np.arange(len(blurs)) // PER_OCTAVE).astype(np.float32),
        bands,
        np.asarray(begins, np.intp),
        np.asarray([blur.shape[1] for blur in blurs], np.intp),
        np.concatenate(tops),
    )


def _peaks(octave: Floats, steps: Floats) -> Numbers:
    """Fill in the bands of an octave, and find where all but the outer two peak in all directions.

    Parameters
    ----------
    octave : (S + 1, H, W)
    steps : (S * H, W), the differences of each blur and the next

    Returns
    -------
    Places in `steps`, from the second band on.
    """
    _, height, width = octave.shape
    rows = octave.reshape(-1, width)
    cv2.absdiff(rows[:-height], rows[height:], dst=steps)
    pairs, limit = (_scratch.take(name, len(steps), width) for name in ("pairs", "limit"))
    pairs, limit = pairs[height:], limit[2 * height :]
    cv2.max(steps[:-height], steps[height:], dst=pairs)
    cv2.max(pairs[:-height], pairs[height:], dst=limit)
    highest = pairs[height:]
    cv2.dilate(limit, _SQUARE, dst=highest)  # mixes bands in their first and last row: in the rim
    return _tops(steps[height:-height], highest, height)


def _tops(bands: Floats, limit: Floats, height: int) -> Numbers:
    """Give the places where bands reach the limit, above noise; the rim of each band left out."""
    peaks = bands >= limit
    peaks &= bands > _CONTRAST
    each = peaks.reshape(-1, height, peaks.shape[1])
    each[:, :_RIM] = each[:, -_RIM:] = False
    each[:, :, :_RIM] = each[:, :, -_RIM:] = False
    return np.flatnonzero(peaks)


def _as_float(grey: Bytes) -> Floats:
    image: Floats = _scratch.take("image", *grey.shape)
    np.copyto(image, grey)
    return image


def _blur(image: Floats, kernel: Floats, out: Floats) -> None:
    cv2.sepFilter2D(image, -1, kernel, kernel, dst=out)


def _placed(pyramid: _Pyramid) -> Blobs:
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
    return Blobs(
        pyramid.blurs,
        pyramid.sigmas,
        pyramid.steps,
        level[round_],
        np.asarray(x + np.clip(step_x, -0.5, 0.5), np.float32),
        np.asarray(y + np.clip(step_y, -0.5, 0.5), np.float32),
        centre[round_],
    )


def _spread(blobs: Blobs, most: Sequence[int]) -> Flags:
    """Mark of each level the strongest blob of every cell of a grid, the second of each, and so on.

    Parameters
    ----------
    most : of each level, at most
    """
    sides = np.array([blur.shape for blur in blobs.blurs])[blobs.level].T
    row, column = (
        np.minimum((place * (_GRID / side)).astype(np.intp), _GRID - 1)
        for place, side in zip((blobs.y, blobs.x), sides, strict=True)
    )
    cell = (blobs.level * _GRID + row) * _GRID + column
    order = _falling(cell, blobs.contrast)
    rank = np.arange(len(order)) - np.searchsorted(cell[order], cell[order])
    level = blobs.level[order]
    last = order[_falling(level * len(order) + rank, blobs.contrast[order])]
    place = np.arange(len(order)) - np.searchsorted(level, level)
    kept = np.zeros(len(order), np.bool_)
    kept[last[place < np.asarray(most)[level]]] = True
    return kept


def _falling(group: Numbers, contrast: Floats) -> Numbers:
    """Order by group, in each by falling contrast, and equal ones as they come: (F,).

    Sorting numbers that hold all three takes a third of what sorting places takes.
    """
    bits = len(group).bit_length()
    key = group << (_CONTRAST_BITS + bits)
    key -= (contrast * np.float32(1 << (_CONTRAST_BITS - 9))).astype(np.intp) << bits
    key += np.arange(len(group))
    key.sort()
    return key & ((1 << bits) - 1)
