"""Two badges at one place: plain panels on both images, of either of which the other knows nothing.

Where something was laid over one of two images, the other goes on beneath it as it does beside it.
A badge, a button or a price tag is plain along its outline, in a colour that ends there; where that
is so on both images, either carries one, whichever is the steeper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.channels import gap_levels, off_levels
from dedup.proof.shapes import filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_GAP_LEVELS, _JOINED_PIXELS = 20, 9
_LEAST_PIXELS, _COVERED_SHARE = 200, 0.15  # of a piece; and of what differs by a closer look
_NEAR, _FAR = 2, 7  # pixels from an outline, between which what is beyond it is looked at
_PLAIN_LEVELS = 14  # around the middle of the colours within
_MIN_WITHIN, _MAX_BEYOND = 0.45, 0.15  # shares that have that colour
_REACH_PIXELS, _REACH_SHARE = 4, 0.1  # of a side, within which that colour has to come to all four
_FEWEST_PIXELS = 60
_OTHERWISE, _LEAST_APART = 0.6, 40  # of what either is apart from what is around it; levels
_ALIKE = 0.95  # cosine of the steps from what is around to either; badges have .87 and less


def badges(one: Bytes, two: Bytes, places: Mask) -> int:
    """Count the places that are plain within their outlines on both images, and not beyond.

    Parameters
    ----------
    one, two : (H, W, 3) RGB, colours of one mapped onto the other's
    places : (H, W), where they differ
    """
    mask = cv2.inRange(gap_levels(one, two), _GAP_LEVELS + 1, 255)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((_JOINED_PIXELS,) * 2, np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    covered = np.bincount(labels[places], minlength=len(stats))
    count = 0
    for piece in range(1, len(stats)):
        left, top, width, height, area = stats[piece].tolist()
        if area < _LEAST_PIXELS or covered[piece] < _COVERED_SHARE * area:
            continue
        rows = slice(max(0, top - _FAR), top + height + _FAR)
        columns = slice(max(0, left - _FAR), left + width + _FAR)
        solid = filled((labels[rows, columns] == piece).view(np.uint8))
        count += _is_badge(one[rows, columns], two[rows, columns], solid)
    return count


def _is_badge(one: Bytes, two: Bytes, solid: Bytes) -> bool:
    beyond = _grown(solid, _FAR) - _grown(solid, _NEAR) > 0
    within, whole = solid > 0, cv2.boundingRect(solid)
    if np.count_nonzero(beyond) < _FEWEST_PIXELS:
        return False
    colours = [np.median(image[within], axis=0) for image in (one, two)]
    steps = [
        colour - np.median(image[beyond], axis=0)
        for colour, image in zip(colours, (one, two), strict=True)
    ]
    apart = float(np.abs(colours[0] - colours[1]).max())
    least = min(float(np.abs(step).max()) for step in steps)
    lengths = float(np.linalg.norm(steps[0]) * np.linalg.norm(steps[1]))
    # One thing in two lights differs from what is around it by one colour, more or less of it.
    if apart < max(_LEAST_APART, _OTHERWISE * least) or steps[0] @ steps[1] >= _ALIKE * lengths:
        return False
    for colour, image in zip(colours, (one, two), strict=True):
        plain = off_levels(image, colour) <= _PLAIN_LEVELS
        if plain[beyond].mean() > _MAX_BEYOND or plain[within].mean() < _MIN_WITHIN:
            return False
        if not _as_wide(cv2.boundingRect((plain & within).view(np.uint8)), whole):
            return False
    return True


def _as_wide(part: Sequence[int], whole: Sequence[int]) -> bool:
    """Tell whether a box, by its left, top, width and height, reaches all sides of another."""
    (left, top, width, height), (x, y, wide, tall) = part, whole
    right, below = x + wide - left - width, y + tall - top - height
    reach = max(_REACH_PIXELS, _REACH_SHARE * min(wide, tall))
    return max(left - x, top - y, right, below) <= reach


def _grown(mask: Bytes, pixels: int) -> Bytes:
    return np.asarray(cv2.dilate(mask, np.ones((2 * pixels + 1,) * 2, np.uint8)), np.uint8)
