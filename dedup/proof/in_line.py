"""Whether what one image has more is a letter or a figure in a line of text that both have.

Words over a photograph are an edit of one of the two. A figure more, or another one, in a line that
stands on both of them on flat ground is another text, as on a page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.channels import off_levels
from dedup.proof.ranks import counted, level_at, median_level

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]
    Numbers = npt.NDArray[np.int32]

_HEIGHTS = (7, 48)  # of letters
_MOST_WIDE = 4.0  # of what differs, in heights of the line
_ASIDE = 2.5  # in such heights, how far the line is looked at
_GROUND_LEVELS, _MIN_GROUND_SHARE = 24, 0.55  # around its median
_MIN_INK_LEVELS, _INK_SHARE, _BARE_SHARE = 90, 0.45, 0.2  # of the strongest ink
_ALIKE, _BASE, _OVER, _GAP = 1.3, 0.15, 0.3, 0.9
"""Of a letter's height: how many times as high the others are, how far off their bases, how far
above or below the letter something may reach and still stand in the line, and how far aside."""

_MOST_LONG = 3.0  # what differs, as against its height
_FEWEST_LETTERS = 2
_MIN_PIXELS, _MIN_SHARE = 5, 0.12  # of a letter
_INK_APART_LEVELS = 60


def in_a_line(one: Bytes, two: Bytes, places: Mask, box: Sequence[int]) -> bool:
    """Tell one piece of what differs.

    Parameters
    ----------
    one, two : (H, W, 3) RGB
    places : (H, W), where they differ
    box : left, top, width and height of the piece
    """
    left, top, width, height = box
    if not _HEIGHTS[0] <= height <= _HEIGHTS[1] + 8 or width > _MOST_WIDE * height + 8:
        return False
    wide = int(_ASIDE * height) + 8
    inner = one[top : top + height, left : left + width, 1]
    other = two[top : top + height, left : left + width, 1]
    if max(int(np.ptp(inner)), int(np.ptp(other))) < _MIN_INK_LEVELS // 2:
        return False
    part = (
        slice(max(0, top - height // 2), top + height + height // 2),
        slice(max(0, left - wide), left + width + wide),
    )
    beyond = ~places[part]
    first = _ink(one[part], beyond)
    second = _ink(two[part], beyond) if first else None
    if first is None or second is None:
        return False
    (mine, bare_one), (theirs, bare_two) = first, second
    own = np.zeros(beyond.shape, np.bool_)
    start = left - part[1].start, top - part[0].start
    own[start[1] : start[1] + height, start[0] : start[0] + width] = True
    own &= places[part]
    more = ((mine & bare_two) | (theirs & bare_one)) & own
    kernel = np.ones((3, 3), np.uint8)
    clear = (mine & (cv2.erode(bare_two.view(np.uint8), kernel) > 0)) | (
        theirs & (cv2.erode(bare_one.view(np.uint8), kernel) > 0)
    )
    if not (clear & own).any() or more.sum() < _MIN_PIXELS:
        return False
    return _stands_in_line(mine & theirs, more, (one[part], two[part]))


def _ink(image: Bytes, beyond: Mask) -> tuple[Mask, Mask] | None:
    """Tell ink from bare ground; None where it is not most of what is around."""
    count = int(np.count_nonzero(beyond))
    if count < 2 * _MIN_PIXELS:
        return None
    ground = [round(median_level(image[..., at], beyond)) for at in range(3)]
    off = off_levels(image, ground)
    if float(np.count_nonzero((off <= _GROUND_LEVELS) & beyond)) / count < _MIN_GROUND_SHARE:
        return None
    strongest = level_at(counted(off), off.size - max(1, off.size // 100))
    if strongest < _MIN_INK_LEVELS:
        return None
    return (
        np.asarray(off >= _INK_SHARE * strongest),
        np.asarray(off <= max(_GROUND_LEVELS, _BARE_SHARE * strongest)),
    )


def _stands_in_line(common: Mask, more: Mask, images: tuple[Bytes, Bytes]) -> bool:
    """Tell whether what is more stands between or beside letters that both have."""
    x, y, wide, tall = cv2.boundingRect(more.view(np.uint8))
    if wide > _MOST_LONG * tall + 3:  # a rule, or the edge of a bar
        return False
    _, _, stats, _ = cv2.connectedComponentsWithStats(common.view(np.uint8), connectivity=8)
    stats = stats[1:]
    stats = stats[(stats[:, 3] >= _HEIGHTS[0]) & (stats[:, 3] <= _HEIGHTS[1])]
    for left, top, width, height, area in stats.tolist():
        gap = max(left - x - wide, x - left - width, 0)
        within = y >= top - _OVER * height and y + tall <= top + (1 + _OVER) * height
        if not within or gap > _GAP * height or wide > _MOST_WIDE * height:
            continue
        beside = np.abs(stats[:, 1] + stats[:, 3] - top - height) <= _BASE * height + 1
        beside &= (stats[:, 3] <= _ALIKE * height) & (stats[:, 3] * _ALIKE >= height)
        if beside.sum() < _FEWEST_LETTERS or more.sum() < _MIN_SHARE * area:
            continue
        ink = [np.median(each[common], axis=0) for each in images]
        own = [np.median(each[more], axis=0) for each in images]
        apart = min(float(np.abs(a - b).max()) for a, b in zip(ink, own, strict=True))
        if apart <= _INK_APART_LEVELS:
            return True
    return False
