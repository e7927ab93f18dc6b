"""Whether what one image has more than another is detail that the other one has lost.

A blur takes it everywhere; faces and number plates are blurred, or made of blocks, alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from dedup.proof.ranks import median
from dedup.proof.residual import Limits, equalised, strangeness

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.description import Features
    from dedup.proof.verdict import Verdict

    Floats = npt.NDArray[np.float32]

_SMALL_LIMITS = Limits(floor=8, share=0.4, noise=0, cap=0)
_BLUR_LEFT_SHARE = 0.001  # of what both show; blur leaves nothing, words over it 0.07 and more
_GAP_LEVELS: Final = 10
_JOINED_PIXELS, _FEWEST_PIXELS = 9, 150
_WIDTH: Final = 0.12  # of a side of what differs, over which light is averaged
_MOST_COARSE: Final = 0.35
_LESS_FINE: Final = 0.6
_FLOOR: Final = 0.3
"""What is left of the difference once that is averaged, and fine details of the coarse image there
against those around it and those of the other image. What is drawn over something changes its light
as well, and what lies beneath it has as many details as what lies around that."""


def is_blurred_away(one: Features, two: Features, verdict: Verdict, fine: int) -> bool:
    """Tell whether what one image, 1 or 2, has more is no more than what blur took from the other.

    One filter over all of the sharper one explains that, and explains nothing that is drawn.
    """
    placed = verdict.transform
    if placed is None or not fine or fine == verdict.softer:
        return False
    half = np.diag((0.5, 0.5, 1.0))
    height, width = (max(1, side // 2) for side in one.grey.shape)
    first = cv2.resize(one.grey, (width, height), interpolation=cv2.INTER_AREA)
    small = cv2.resize(two.grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    matrix = half @ placed @ np.linalg.inv(half)
    second = cv2.warpPerspective(small, matrix, (width, height))
    cover = cv2.warpPerspective(np.full(small.shape, 255, np.uint8), matrix, (width, height))
    inside = cv2.erode(cover, np.ones((9, 9), np.uint8), borderValue=0) > 250  # noqa: PLR2004 -- whole
    levels = np.asarray(first, np.float32), np.asarray(second, np.float32)
    soft, sharp = levels if fine == 2 else levels[::-1]  # noqa: PLR2004 -- the second
    made, _ = equalised(sharp, soft, np.asarray(inside))
    strange = strangeness(made, soft, (100, 100), _SMALL_LIMITS)[inside]
    return bool(strange.size) and float((strange > 1).mean()) < _BLUR_LEFT_SHARE


def is_coarsened(one: Features, two: Features, verdict: Verdict, fine: int) -> bool:
    """Tell whether what one image, 1 or 2, has more is detail that the other one has lost there."""
    placed = verdict.transform
    if placed is None:
        return False
    height, width = one.grey.shape
    second = cv2.warpPerspective(two.grey, placed, (width, height), borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpPerspective(np.full_like(two.grey, 255), placed, (width, height))
    edge = np.ones((_JOINED_PIXELS,) * 2, np.uint8)
    inside = cv2.erode(cover, edge, borderValue=0) > 0
    first = one.grey.astype(np.float32)
    gap = first - second
    gap -= median(gap[inside]) if inside.any() else 0
    apart = (cv2.blur(np.abs(gap), (3, 3)) > _GAP_LEVELS) & inside
    mask = cv2.morphologyEx(apart.astype(np.uint8), cv2.MORPH_CLOSE, edge)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, edge)
    there = mask > 0
    around = (cv2.dilate(mask, np.ones((31, 31), np.uint8)) > 0) & ~there & inside
    if min(np.count_nonzero(there), np.count_nonzero(around)) < _FEWEST_PIXELS:
        return False
    weight = mask.astype(np.float32)
    sigma = max(3.0, _WIDTH * float(np.sqrt(np.count_nonzero(there))))
    coarse = cv2.GaussianBlur(gap * weight, (0, 0), sigma) / (
        cv2.GaussianBlur(weight, (0, 0), sigma) + 1e-3
    )
    if np.sqrt((coarse[there] ** 2).mean()) > _MOST_COARSE * np.sqrt((gap[there] ** 2).mean()):
        return False
    details = [_details(each) for each in (first, second.astype(np.float32))]
    rich, poor = details if fine == 1 else details[::-1]
    least = median(poor[there]) + _FLOOR
    return least < _LESS_FINE * (median(rich[there]) + _FLOOR) and least < _LESS_FINE * (
        median(poor[around]) + _FLOOR
    )


def _details(light: Floats) -> Floats:
    return np.asarray(np.abs(cv2.Laplacian(light, cv2.CV_32F)), np.float32)
