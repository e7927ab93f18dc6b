"""Parts of one image that are filled with one colour, as rounded corners and blackened faces are.

Such a part tells nothing of whether the rest is the same. That it was filled, and that the other
image is as it was there, is told by its outline, at which the one image ends and the other goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.proof.across import REACH, across, places_on
from dedup.proof.channels import gap_levels, in_commonest, off_levels

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.closely import Laid

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]
    Numbers = npt.NDArray[np.intp]

_GAP_LEVELS = 20
_FLAT_LEVELS = 8  # that compression leaves of one colour, but beside edges
_BIN_LEVELS = 16
MAX_FILLED_SHARE = 0.45  # of what both show
_MIN_SHARE = 0.002
_MIN_FILLED_SHARE = 0.5  # of what differs
_SPECK_PIXELS = 3  # JPEG leaves as much where colours meet, all over a small image
_OPENED_PIXELS, _CLOSED_PIXELS, _MIN_PIECE_PIXELS = 5, 9, 60
_MAX_HOLE_SHARE = 0.05  # of all pieces, of one letter
_ROUGH_LEVELS = 3.0
_SEAM_PIXELS = 11
_DEEP = 3  # pixels from an outline, on either side
_MAX_GOING_ON = 0.25
"""Of what the two differ by just within, the square that the other one makes across the outline, on
average over runs of it: of rounded corners and bars .0 to .1, of another thing in the place of one
.5 and more."""


class Filled(NamedTuple):
    """A part that is filled in one of two images.

    Parameters
    ----------
    mask : (H, W), with a seam
    on : 1 or 2, the one of the two on the raster
    rest : what differs elsewhere, but for specks, against all that does
    """

    mask: Mask
    on: int
    rest: float


def filled(laid: Laid) -> Filled | None:
    """Find what is filled in one of two images; None where nothing is, or the other may be."""
    apart = (gap_levels(laid.one, laid.two) > _GAP_LEVELS) & laid.inside
    count, shown = np.count_nonzero(apart), np.count_nonzero(laid.inside)
    if count < _MIN_SHARE * shown:
        return None
    images = laid.one, laid.two
    flat = [_flat(image, apart) for image in images]
    on = int(np.argmax([np.count_nonzero(pieces) for pieces in flat]))
    mask = _ended(images[on], images[1 - on], flat[on])
    few = np.count_nonzero(mask & apart) < _MIN_FILLED_SHARE * count
    if few or np.count_nonzero(mask) > MAX_FILLED_SHARE * shown:
        return None
    _, holes, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8))
    small = stats[:, cv2.CC_STAT_AREA] <= _MAX_HOLE_SHARE * np.count_nonzero(mask)
    small[0] = False
    seam = np.ones((_SEAM_PIXELS, _SEAM_PIXELS), np.uint8)
    covered = cv2.dilate((mask | small[holes]).astype(np.uint8), seam) > 0
    rest = (apart & ~covered).view(np.uint8)
    solid = cv2.morphologyEx(rest, cv2.MORPH_OPEN, np.ones((_SPECK_PIXELS,) * 2, np.uint8))
    return Filled(covered, 1 + on, float(np.count_nonzero(solid) / count))


def _flat(image: Bytes, apart: Mask) -> Numbers:
    """Give the number of each pixel's piece of the commonest colour of what differs; 0: of none."""
    colours = image[apart]
    common = np.median(colours[in_commonest(colours, _BIN_LEVELS)], axis=0)
    plain = cv2.inRange(off_levels(image, common), 0, _FLAT_LEVELS)
    opened = np.ones((_OPENED_PIXELS, _OPENED_PIXELS), np.uint8)
    plain = cv2.morphologyEx(plain, cv2.MORPH_OPEN, opened)
    closed = np.ones((_CLOSED_PIXELS, _CLOSED_PIXELS), np.uint8)
    differs = cv2.morphologyEx(apart.astype(np.uint8), cv2.MORPH_CLOSE, closed)
    both = np.asarray(cv2.bitwise_and(plain, differs), np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(both)
    large = stats[:, cv2.CC_STAT_AREA] >= _MIN_PIECE_PIXELS
    large[0] = False
    return np.where(large[labels], labels, 0)


def _ended(image: Bytes, other: Bytes, pieces: Numbers) -> Mask:
    """Mark the pieces at whose outlines an image ends and the other goes on."""
    places = places_on((pieces > 0).astype(np.uint8))
    if places is None:
        return np.zeros(pieces.shape, np.bool_)
    across_image, across_other = (
        values[:, REACH + _DEEP] - values[:, REACH - _DEEP]
        for values in (
            across(each.astype(np.float32), places.at, places.normal) for each in (image, other)
        )
    )
    gap = across_image - across_other
    x, y = places.at.astype(np.intp).T
    own = pieces[y, x]
    plain = (np.abs(gap).max(axis=1) > _GAP_LEVELS) & (own > 0)
    count = int(pieces.max()) + 1
    made, whole = (
        _squares(each[plain], places.run[plain], own[plain], count) for each in (across_other, gap)
    )
    ends = (whole > 0) & (made <= _MAX_GOING_ON * whole)
    # What is as plain there may be filled as well, with the colour of what is around.
    ends &= _spread(other, pieces, count) >= _ROUGH_LEVELS
    return np.asarray(ends[pieces])


def _spread(image: Bytes, pieces: Numbers, count: int) -> Floats:
    """Give the spread of light within each piece."""
    at = pieces > 0
    own, light = pieces[at], image[at].astype(np.float64).mean(axis=1)
    many = np.maximum(np.bincount(own, minlength=count), 1)
    first, second = (np.bincount(own, light**power, count) / many for power in (1, 2))
    return np.asarray(np.sqrt(np.maximum(second - first * first, 0)), np.float32)


def _squares(steps: Floats, run: Numbers, piece: Numbers, count: int) -> Floats:
    """Sum up for each piece the squares of means over runs, each as often as it has places."""
    _, first, run, length = np.unique(
        run, return_index=True, return_inverse=True, return_counts=True
    )
    sums = (np.bincount(run, channel, len(length)) for channel in steps.T)
    squares = sum(total * total for total in sums) / np.maximum(length, 1)
    return np.asarray(np.bincount(piece[first], squares, count), np.float32)
