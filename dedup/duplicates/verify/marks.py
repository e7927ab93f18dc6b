"""Recognise a small mark that either picture carries at the same place: a numeral, a date.

Someone numbers copies of one photograph; a page of the same template has other words in the same
place, too. The mark on a photograph stands alone on ground that is not paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.duplicates.verify.alignment import Raster
    from dedup.duplicates.verify.photometry import Change

    Floats = npt.NDArray[np.float32]

LARGEST = 0.008  # share of the overlap; the numerals of the shared data take up to 0.54 %
_SPREAD = 0.04  # share of the overlap within which the whole mark lies
_INK = 14  # grey levels that count as one ink, smoothed strokes left out
_SOLID = 0.3  # share of a mark's side that has reached the ink
_GROUND = 1.5  # grey levels between neighbours; paper has 0 to 0.4, the photographs 2.8 and more


def marked(raster: Raster, change: Change) -> bool:
    """Tell whether the changed places are one small mark on either picture, in one ink."""
    area = int(raster.inside.sum())
    if not 0 < change.share <= LARGEST:
        return False
    y, x = np.nonzero(change.mask)
    if (np.ptp(y) + 1) * (np.ptp(x) + 1) > _SPREAD * area:
        return False
    gap = raster.one - raster.two
    brighter, darker = change.mask & (gap > 0), change.mask & (gap < 0)
    if min(int(brighter.sum()), int(darker.sum())) < 8:  # noqa: PLR2004 -- one side alone is an overlay
        return False
    mask = change.mask.astype(np.uint8)
    wide = cv2.dilate(mask, np.ones((13, 13), np.uint8))
    ring = np.asarray((wide - cv2.dilate(mask, np.ones((5, 5), np.uint8))) > 0)
    if not _textured(raster.one, ring):
        return False
    sides = (
        (raster.one[brighter], raster.two[darker], 1),
        (raster.one[darker], raster.two[brighter], -1),
    )
    return any(
        _one_ink(first, second, sign) and _apart(raster, ring, first, sign)
        for first, second, sign in sides
    )


def _one_ink(first: Floats, second: Floats, sign: int) -> bool:
    """Tell whether both marks reach one and the same extreme."""
    ends = [float(np.percentile(sign * side, 90)) for side in (first, second)]
    solid = [
        float((sign * side > end - _INK).mean())
        for side, end in zip((first, second), ends, strict=True)
    ]
    return abs(ends[0] - ends[1]) < _INK and min(solid) > _SOLID


def _textured(picture: Floats, ring: npt.NDArray[np.bool_]) -> bool:
    """Tell whether the ground is photographic."""
    across = np.abs(cv2.Sobel(picture, -1, 1, 0, scale=1 / 8))
    down = np.abs(cv2.Sobel(picture, -1, 0, 1, scale=1 / 8))
    return bool(np.median(across[ring] + down[ring]) > _GROUND)


def _apart(raster: Raster, ring: npt.NDArray[np.bool_], side: Floats, sign: int) -> bool:
    """Tell whether the ground around is of another tone than the ink."""
    end = float(np.percentile(sign * side, 90))
    return all(
        float((sign * picture[ring] > end - _INK).mean()) < 0.1  # noqa: PLR2004 -- hardly any
        for picture in (raster.one, raster.two)
    )
