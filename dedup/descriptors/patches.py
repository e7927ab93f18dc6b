"""What lies around blobs: the direction of each, and a descriptor in that direction.

As in SIFT (Lowe 2004, sections 5 and 6), for all blobs of an image at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from dedup.descriptors.scratch import Scratch

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.descriptors.blobs import Blobs

    Floats = npt.NDArray[np.float32]

_PATCH: Final = 16  # gradients along the side of a patch
_SAMPLES: Final = _PATCH + 2  # of which those are taken
_TURNING: Final = 9.0  # side of the patch that gives the direction, in blurs of its level
_DESCRIBED: Final = 12.0  # side of the patch that is described; 18 was worse: see the card
_DIRECTIONS: Final = 36
_CELLS: Final = 4
_BINS: Final = 8
_CLIPPED: Final = 0.2  # share of a descriptor's norm that one bin may have (section 6.1)
_TINY: Final = 1e-6

_LINE: Final = np.arange(_SAMPLES, dtype=np.float32) - np.float32((_SAMPLES - 1) / 2)


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


def _smoothing() -> npt.NDArray[np.float64]:
    """(36, 36): what each direction gives to those next to it on the circle, twice a half."""
    circle = np.eye(_DIRECTIONS)
    for _ in range(2):
        circle = (np.roll(circle, 1, 1) + 2 * circle + np.roll(circle, -1, 1)) / 4
    return circle


_POOLING: Final = _pooling()
_SMOOTHING: Final = _smoothing()
_TURNING_WINDOW: Final = _window(_PATCH / 6).ravel()
_scratch: Final = Scratch()


def describe(blobs: Blobs) -> tuple[Floats, Floats]:
    """Give the direction of each blob, (F,) radians, and its descriptor, (F, 128).

    Descriptors are RootSIFT rows of unit L2 norm (Arandjelović and Zisserman 2012).
    """
    if not len(blobs.x):
        return np.zeros(0, np.float32), np.zeros((0, _BINS * _CELLS**2), np.float32)
    angles = _main_directions(_patches(blobs, _TURNING, None))
    return angles, _histograms(_patches(blobs, _DESCRIBED, angles))


def _patches(blobs: Blobs, side: float, angles: Floats | None) -> Floats:
    """Sample a square around each blob, turned: (F, 18, 18), one sample more on each side."""
    step = blobs.sigmas[blobs.level] * np.float32(side / _PATCH)
    angles = np.zeros_like(step) if angles is None else angles
    cos, sin = ((step * turn(angles))[:, None] * _LINE for turn in (np.cos, np.sin))
    # A column's place is one part by its column and one by its row, as is a row's.
    maps = _scratch.take("maps", 2, len(step), _SAMPLES, _SAMPLES)
    np.subtract((blobs.x[:, None] + cos)[:, None, :], sin[:, :, None], out=maps[0])
    np.add((blobs.y[:, None] + sin)[:, None, :], cos[:, :, None], out=maps[1])
    sampled = _scratch.take("sampled", len(step), _SAMPLES, _SAMPLES)
    ends = np.searchsorted(blobs.level, np.arange(len(blobs.blurs) + 1))
    for blur, begin, end in zip(blobs.blurs, ends, ends[1:], strict=False):
        if begin < end:
            columns, rows, target = (
                values[begin:end].reshape(-1, _SAMPLES**2) for values in (*maps, sampled)
            )
            cv2.remap(
                blur, columns, rows, cv2.INTER_LINEAR, target, borderMode=cv2.BORDER_REPLICATE
            )
    return sampled


def _gradients(patches: Floats) -> tuple[Floats, Floats]:
    """Magnitudes and angles in [0, 2 pi]: two (F, 256)."""
    count = len(patches)
    rows = patches.reshape(-1, _SAMPLES)
    across, down = _scratch.take("differences", 2, len(rows), _PATCH)
    # Those at the top and bottom of patches, of which some reach into the next, are left out.
    cv2.subtract(rows[:, 2:], rows[:, :-2], dst=across)
    cv2.subtract(rows[2:, 1:-1], rows[:-2, 1:-1], dst=down[:-2])
    magnitudes, angles = _scratch.take("gradients", 2, count, _PATCH**2)
    cv2.cartToPolar(
        across.reshape(count, -1)[:, _PATCH:-_PATCH],
        down.reshape(count, -1)[:, : -2 * _PATCH],
        magnitudes,
        angles,
    )
    return magnitudes, angles


def _main_directions(patches: Floats) -> Floats:
    """Find the direction in which most of each patch's gradients point: (F,) radians."""
    magnitudes, angles = _gradients(patches)
    count, width = len(patches), _DIRECTIONS + 1  # a whole turn may round to one bin too many
    bins = _scratch.take("bins", count, _PATCH**2, dtype=np.intp)
    np.multiply(angles, np.float32(_DIRECTIONS / (2 * np.pi)), out=bins, casting="unsafe")
    bins += width * np.arange(count)[:, None]
    weights = _scratch.take("weights", count, _PATCH**2, dtype=np.float64)
    np.multiply(magnitudes, _TURNING_WINDOW, out=weights)
    counted = np.bincount(bins.ravel(), weights.ravel(), count * width).reshape(count, width)
    counted[:, -2] += counted[:, -1]
    votes = counted[:, :-1] @ _SMOOTHING
    best, rows = votes.argmax(1), np.arange(count)
    before, top, after = (votes[rows, (best + step) % _DIRECTIONS] for step in (-1, 0, 1))
    between = (after - before) / np.maximum(2 * (2 * top - before - after), _TINY)
    return np.asarray((best + 0.5 + between) * (2 * np.pi / _DIRECTIONS), np.float32)


def _histograms(patches: Floats) -> Floats:
    """Count directions in 4 x 4 cells: (F, 128) RootSIFT rows."""
    magnitudes, angles = _gradients(patches)
    count = len(patches)
    angles *= np.float32(_BINS / (2 * np.pi))
    ramps = _scratch.take("ramps", _BINS, count, _PATCH**2)
    for number, ramp in enumerate(ramps):
        # 0 up to the direction of a bin, 1 from that of the next one on.
        np.subtract(angles, np.float32(number), out=ramp)
        cv2.threshold(ramp, 1, 0, cv2.THRESH_TRUNC, dst=ramp)
        cv2.threshold(ramp, 0, 0, cv2.THRESH_TOZERO, dst=ramp)
        np.multiply(ramp, magnitudes, out=ramp)
    risen = (ramps.reshape(_BINS * count, -1) @ _POOLING).reshape(_BINS, count, -1)
    # A bin's share is 1 at its own direction and falls to 0 at its neighbours': what one ramp has
    # risen by and the next has not. The first bin is on both ends of the scale.
    cells = np.empty((count, _CELLS**2, _BINS), np.float32)
    by_bin = cells.transpose(2, 0, 1)
    np.subtract(risen[:-1], risen[1:], out=by_bin[1:])
    np.subtract(magnitudes @ _POOLING, risen[0] - risen[-1], out=by_bin[0])
    rows = cells.reshape(count, -1)
    np.maximum(rows, 0, out=rows)  # of which rounding may take some
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY)
    np.minimum(rows, _CLIPPED, out=rows)
    rows /= np.maximum(rows.sum(axis=1, keepdims=True), _TINY)
    return np.sqrt(rows, out=rows)
