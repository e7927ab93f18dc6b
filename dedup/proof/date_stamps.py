"""Recognise a small white mark that either image carries at the same place: a numeral, a date.

Someone numbers copies of one photograph; a page of the same template has other words in the same
place, too. The mark on a photograph stands alone on ground that is not paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.alignment import Raster
    from dedup.proof.photometry import Change

    Floats = npt.NDArray[np.float32]

MAX_STAMP_SHARE = 0.012  # share of the overlap; the numerals of the shared data take up to 1 %
_MAX_SPREAD_SHARE = 0.04  # share of the overlap within which the whole mark lies
_MAX_SIDE_RATIO = 3.0  # longest to shortest side; a line of words is longer
_INK_LEVELS = 20  # grey levels that count as one ink, smoothed strokes left out
_MIN_SOLID_SHARE = 0.2  # share of a mark's side that has reached the ink
_MIN_GROUND_LEVELS = 0.8  # grey levels between neighbours in the calmest quarter; paper has 0


def is_date_stamp(raster: Raster, change: Change) -> bool:
    """Tell whether the changed places are one small white mark on either image."""
    area = int(raster.inside.sum())
    if not 0 < change.share <= MAX_STAMP_SHARE:
        return False
    sides = [np.ptp(np.percentile(axis, (3, 97))) + 1 for axis in np.nonzero(change.mask)]
    if sides[0] * sides[1] > _MAX_SPREAD_SHARE * area or max(sides) > _MAX_SIDE_RATIO * min(sides):
        return False
    gap = raster.one - raster.two
    deep = np.percentile(np.abs(gap[change.mask]), 80) / 2  # halos left out
    brighter, darker = change.mask & (gap > deep), change.mask & (gap < -deep)
    if min(int(brighter.sum()), int(darker.sum())) < 8:  # noqa: PLR2004 -- one side alone is an overlay
        return False
    mask = change.mask.astype(np.uint8)
    wide = cv2.dilate(mask, np.ones((13, 13), np.uint8))
    ring = np.asarray((wide - cv2.dilate(mask, np.ones((5, 5), np.uint8))) > 0)
    if not _textured(raster.one, ring):
        return False
    # White marks only: dark ones on light ground are what pages are full of.
    first, second = raster.one[brighter], raster.two[darker]
    return _one_ink(first, second) and _apart(raster, ring, first)


def _one_ink(first: Floats, second: Floats) -> bool:
    """Tell whether both marks reach one and the same extreme."""
    ends = [float(np.percentile(side, 90)) for side in (first, second)]
    solid = [
        float((side > end - _INK_LEVELS).mean())
        for side, end in zip((first, second), ends, strict=True)
    ]
    return abs(ends[0] - ends[1]) < _INK_LEVELS and min(solid) > _MIN_SOLID_SHARE


def _textured(image: Floats, ring: npt.NDArray[np.bool_]) -> bool:
    """Tell whether the ground is photographic, between other letters as well."""
    across = np.abs(cv2.Sobel(image, -1, 1, 0, scale=1 / 8))
    down = np.abs(cv2.Sobel(image, -1, 0, 1, scale=1 / 8))
    return float(np.percentile((across + down)[ring], 25)) > _MIN_GROUND_LEVELS


def _apart(raster: Raster, ring: npt.NDArray[np.bool_], side: Floats) -> bool:
    """Tell whether the ground around is of another tone than the ink."""
    end = float(np.percentile(side, 90))
    return all(
        float((image[ring] > end - _INK_LEVELS).mean()) < 0.1  # noqa: PLR2004 -- hardly any
        for image in (raster.one, raster.two)
    )
