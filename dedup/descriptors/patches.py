"""What lies around blobs: the direction of each, and a descriptor in that direction.

As in SIFT (Lowe 2004, sections 5 and 6), for all blobs of an image at a time. The blobs are the
last axis of every array, so that each step goes over long rows: what differs from sample to sample
(its place, its weight, its share in a cell) is one number for a row.
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

_PATCH: Final = 10  # gradients along the side of a patch; 16 found as much in 1.6 times the time
_SAMPLES: Final = _PATCH + 1  # of which those are taken
_TURNING: Final = 9.0  # side of the patch that gives the direction, in blurs of its level
_DESCRIBED: Final = 12.0  # side of the patch that is described; 18 was worse: see the card
_DIRECTIONS: Final = 36
_CELLS: Final = 4
_BINS: Final = 8
_CLIPPED: Final = 0.2  # share of a descriptor's norm that one bin may have (section 6.1)
_TINY: Final = 1e-6
_BLOCK: Final = 16

_LINE: Final = np.arange(_SAMPLES, dtype=np.float32) - np.float32((_SAMPLES - 1) / 2)


def _window(sigma: float) -> Floats:
    line = ((_LINE[1:] + _LINE[:-1]) / 2) ** 2
    square = line[:, None] + line
    return np.asarray(np.exp(-square / (2 * sigma**2)), np.float32)


def _pooling() -> Floats:
    """(16, 100): each sample's share in each cell, falling linearly and from the centre."""
    places = (np.arange(_PATCH) + 0.5) / _PATCH * _CELLS - 0.5
    share = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(_CELLS)))
    cells = np.einsum("ya,xb,yx->abyx", share, share, _window(_PATCH / 2))
    return np.asarray(cells.reshape(_CELLS**2, _PATCH**2), np.float32)


def _smoothing() -> npt.NDArray[np.float64]:
    """(36, 36): what each direction gives to those next to it on the circle, twice a half."""
    circle = np.eye(_DIRECTIONS)
    for _ in range(2):
        circle = (np.roll(circle, 1, 1) + 2 * circle + np.roll(circle, -1, 1)) / 4
    return circle


_POOLING: Final = _pooling()
_HALF: Final = 6 * _PATCH  # samples that have a share in the upper two rows of cells
_UPPER: Final = np.ascontiguousarray(_POOLING[: _CELLS**2 // 2, :_HALF])
_LOWER: Final = np.ascontiguousarray(_POOLING[_CELLS**2 // 2 :, -_HALF:])
_SMOOTHING: Final = _smoothing()
_TURNING_WINDOW: Final = _window(_PATCH / 6).reshape(-1, 1)
_scratch: Final = Scratch()


def describe(blobs: Blobs) -> tuple[Floats, Floats]:
    """Give the direction of each blob, (F,) radians, and its descriptor, (F, 128).

    Descriptors are RootSIFT rows of unit L2 norm (Arandjelović and Zisserman 2012); in memory they
    are columns.
    """
    if not len(blobs.x):
        return np.zeros(0, np.float32), np.zeros((0, _BINS * _CELLS**2), np.float32)
    count = len(blobs.x)
    angles = _main_directions(_patches(blobs, _TURNING, None))[:count]
    return angles, _histograms(_patches(blobs, _DESCRIBED, angles))[:, :count].T


def _patches(blobs: Blobs, side: float, angles: Floats | None) -> Floats:
    """Sample a square around each blob, turned: (11, 11, F), between which are 10 x 10 gradients.

    F is brought to a multiple of 16 by blank ones: products of matrices come in blocks of so many
    columns, and round those of a smaller block in another way.
    """
    step = blobs.sigmas[blobs.level] * np.float32(side / _PATCH)
    angles = np.zeros_like(step) if angles is None else angles
    cos, sin = (_LINE[:, None] * (step * turn(angles)) for turn in (np.cos, np.sin))
    # A column's place is one part by its column and one by its row, as is a row's.
    maps = _scratch.take("maps", 2, _SAMPLES, _SAMPLES, len(step))
    np.subtract(blobs.x + cos, sin[:, None], out=maps[0])
    np.add(blobs.y + sin, cos[:, None], out=maps[1])
    sampled = _scratch.take("sampled", _SAMPLES, _SAMPLES, -(-len(step) // _BLOCK) * _BLOCK)
    sampled[:, :, len(step) :] = 0
    columns, rows, target = (each.reshape(_SAMPLES**2, -1) for each in (*maps, sampled))
    ends = np.searchsorted(blobs.level, np.arange(len(blobs.blurs) + 1)).tolist()
    for blur, begin, end in zip(blobs.blurs, ends, ends[1:], strict=False):
        if begin < end:
            cv2.remap(
                blur,
                columns[:, begin:end],
                rows[:, begin:end],
                cv2.INTER_LINEAR,
                target[:, begin:end],
                borderMode=cv2.BORDER_REPLICATE,
            )
    return sampled


def _gradients(patches: Floats) -> tuple[Floats, Floats]:
    """Magnitudes and angles in [0, 2 pi]: two (100, F)."""
    count = patches.shape[2]
    rows = patches.reshape(_SAMPLES, -1)
    # Between four samples: the differences along both diagonals hold those along the sides.
    falling, rising, across, down = _scratch.take("differences", 4, _PATCH, _PATCH * count)
    cv2.subtract(rows[1:, count:], rows[:-1, :-count], dst=falling)
    cv2.subtract(rows[:-1, count:], rows[1:, :-count], dst=rising)
    cv2.add(falling, rising, dst=across)
    cv2.subtract(falling, rising, dst=down)
    magnitudes, angles = _scratch.take("gradients", 2, _PATCH, _PATCH * count)
    cv2.cartToPolar(across, down, magnitudes, angles)
    return magnitudes.reshape(-1, count), angles.reshape(-1, count)


def _main_directions(patches: Floats) -> Floats:
    """Find the direction in which most of each patch's gradients point: (F,) radians."""
    magnitudes, angles = _gradients(patches)
    count, width = patches.shape[2], _DIRECTIONS + 1  # a whole turn may round to one bin too many
    scaled = _scratch.take("scaled", _PATCH**2, count)
    np.multiply(angles, np.float32(_DIRECTIONS / (2 * np.pi)), out=scaled)
    bins = _scratch.take("bins", _PATCH**2, count, dtype=np.intp)
    np.copyto(bins, scaled, casting="unsafe")
    bins += width * np.arange(count)
    weights = np.multiply(magnitudes, _TURNING_WINDOW, out=scaled)
    counted = np.bincount(bins.ravel(), weights.ravel(), count * width).reshape(count, width)
    counted[:, -2] += counted[:, -1]
    votes = counted[:, :-1] @ _SMOOTHING
    best, rows = votes.argmax(1), np.arange(count)
    before, top, after = (votes[rows, (best + step) % _DIRECTIONS] for step in (-1, 0, 1))
    between = (after - before) / np.maximum(2 * (2 * top - before - after), _TINY)
    return np.asarray((best + 0.5 + between) * (2 * np.pi / _DIRECTIONS), np.float32)


def _histograms(patches: Floats) -> Floats:
    """Count directions in 4 x 4 cells: (128, F), RootSIFT columns."""
    magnitudes, angles = _gradients(patches)
    count = patches.shape[2]
    angles *= np.float32(_BINS / (2 * np.pi))
    ramp = _scratch.take("ramp", _PATCH**2, count)
    risen = _scratch.take("risen", _BINS, _CELLS**2, count)
    for number in range(_BINS):
        # 0 up to the direction of a bin, 1 from that of the next one on.
        np.subtract(angles, np.float32(number), out=ramp)
        cv2.threshold(ramp, 1, 0, cv2.THRESH_TRUNC, dst=ramp)
        cv2.threshold(ramp, 0, 0, cv2.THRESH_TOZERO, dst=ramp)
        np.multiply(ramp, magnitudes, out=ramp)
        _pool(ramp, risen[number])
    # A bin's share is 1 at its own direction and falls to 0 at its neighbours': what one ramp has
    # risen by and the next has not. The first bin is on both ends of the scale.
    cells = np.empty((_CELLS**2, _BINS, count), np.float32)
    np.subtract(risen[:-1], risen[1:], out=cells[:, 1:].transpose(1, 0, 2))
    first = risen[0] - risen[-1]
    np.subtract(_pool(magnitudes, risen[0]), first, out=cells[:, 0])
    values = cells.reshape(-1, count)
    cv2.threshold(values, 0, 0, cv2.THRESH_TOZERO, dst=values)  # of which rounding may take some
    values /= np.maximum(np.sqrt(_added(values * values)), _TINY)
    cv2.threshold(values, _CLIPPED, 0, cv2.THRESH_TRUNC, dst=values)
    values /= np.maximum(_added(values), _TINY)
    return np.sqrt(values, out=values)


def _pool(samples: Floats, out: Floats) -> Floats:
    """Add up what falls into each cell: (100, F) to (16, F).

    In two halves, which leaves out a third of the products: those with nothing.
    """
    np.matmul(_UPPER, samples[:_HALF], out=out[: _CELLS**2 // 2])
    np.matmul(_LOWER, samples[-_HALF:], out=out[_CELLS**2 // 2 :])
    return out


def _added(values: Floats) -> Floats:
    """Add up each column, (128, F) to (F,), in the order in which NumPy adds up a row of 128.

    Descriptors stay the same to the last bit that way.
    """
    sums = values.reshape(16, 8, -1).sum(axis=0)
    sums = sums[0::2] + sums[1::2]
    sums = sums[0::2] + sums[1::2]
    return np.asarray(sums[0] + sums[1])
