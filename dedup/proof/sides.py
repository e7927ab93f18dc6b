"""Whose side a difference is on: what was drawn over one image leaves the other clean beneath.

Along the edge of something drawn, the image that it was drawn on is steep and the other is not.
Where either image has edges of its own, both carry something: other words, another face.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

_MIN_GAP_LEVELS = 20.0
_MIN_PIECE_PIXELS = 6
_STEEPER = 1.6


class Shares(NamedTuple):
    """Of what differs, the shares whose edges only one image has.

    Parameters
    ----------
    area : of all that differs, in pixels
    """

    one: float
    two: float
    area: int


def sides(one: Floats, two: Floats, places: Mask) -> Shares:
    """Sort differences by the image whose edges they follow.

    Parameters
    ----------
    one, two : (H, W) grey, light and colour of one mapped onto the other's
    places : (H, W), where they differ
    """
    mask = ((np.abs(one - two) > _MIN_GAP_LEVELS) & places).astype(np.uint8)
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)), np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if count < 2:  # noqa: PLR2004 -- ground alone
        return Shares(0.0, 0.0, 0)
    kernel = np.ones((3, 3), np.uint8)
    rim = (mask > 0) & (cv2.erode(mask, kernel) == 0)
    steep = [_steep(each)[rim] for each in (one, two)]
    own = labels[rim]
    sums = [np.bincount(own, values, count) for values in steep]
    area = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    area[0] = 0
    area[area < _MIN_PIECE_PIXELS] = 0
    total = area.sum() or 1.0
    first = area[sums[0] > _STEEPER * sums[1]].sum() / total
    second = area[sums[1] > _STEEPER * sums[0]].sum() / total
    return Shares(float(first), float(second), int(area.sum()))


def _steep(image: Floats) -> Floats:
    across = cv2.Sobel(image, -1, 1, 0, scale=1 / 8)
    slope = cv2.magnitude(across, cv2.Sobel(image, -1, 0, 1, scale=1 / 8))
    return np.asarray(cv2.dilate(slope, np.ones((3, 3), np.uint8)), np.float32)
