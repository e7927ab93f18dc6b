"""Whether one image holds the whole of the other, frames and fills left out.

A copy is the whole of its original or a part of it, with at most something drawn around it; two
shots of one scene each show what the other does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.alignment import corners
from dedup.proof.geometry import project

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.description import Features

    Doubles = npt.NDArray[np.float64]
    Bytes = npt.NDArray[np.uint8]
    Frame = tuple[int, int, int, int]

_FILL_LEVELS = 4  # grey levels around the commonest one that count as one fill after JPEG
_MIN_FILL_SHARE = 0.6  # share of the outside that one fill takes where words stand on it
_MIN_TWO_FILLS_SHARE = 0.85  # and two fills together, such as a border around filled corners
_BLACK_WHITE_LEVELS = (3, 252)  # black and white that cameras seldom leave
_MIN_EDGE_LEVELS = 10.0  # grey levels between a frame and the image in it
_MIN_ENOUGH_SHARE = 0.98
_MIN_OUTSIDE_SHARE = 0.004  # of the image; less outside than this is inaccuracy


def held_share(one: Features, two: Features, placed: Doubles) -> float:
    """Share in [0, 1] of the better held image that the other shows.

    Parameters
    ----------
    placed : (3, 3), the second's pixels to the first's
    """
    back = np.asarray(np.linalg.inv(placed), np.float64)
    best = 0.0
    # Noise can hide a plain margin in one of the two, so that frames as well as wholes are tried.
    for frames in ((one.frame, two.frame), (one.whole, two.whole)):
        best = max(best, _shown(one, frames, placed))
        if best <= _MIN_ENOUGH_SHARE:
            best = max(best, _shown(two, frames[::-1], back))
        if best > _MIN_ENOUGH_SHARE:
            break
    return best


def _shown(owner: Features, frames: tuple[Frame, Frame], matrix: Doubles) -> float:
    """Share of the owner's frame, the first, that the other's covers, fills left out."""
    left, top, right, bottom = frames[0]
    outline = project(matrix, corners(frames[1])) - (left, top)
    image = owner.grey[top:bottom, left:right]
    inner = np.zeros(image.shape, np.uint8)
    # fillConvexPoly knows 1/16 pixels and fills what the outline touches.
    cv2.fillConvexPoly(inner, np.round(outline * 16).astype(np.int32), 1, cv2.LINE_8, 4)
    outside = inner == 0
    total = int(outside.sum())
    if total <= _MIN_OUTSIDE_SHARE * image.size or _filled(image, outside, inner):
        return 1.0
    return 1 - total / image.size


def _filled(owner: Bytes, outside: npt.NDArray[np.bool_], inner: Bytes) -> bool:
    """Tell whether what lies outside is one fill or two, with words on it at most."""
    # Interpolation blends the fill with the image along the seam.
    seam = cv2.dilate(inner, np.ones((5, 5), np.uint8)) > 0
    far = outside & ~seam
    if not far.any():
        far = outside
    values = owner[far].astype(np.int16)
    level = int(np.bincount(values, minlength=256).argmax())
    rest = values[np.abs(values - level) > _FILL_LEVELS]
    share = 1 - len(rest) / len(values)
    if share < _MIN_FILL_SHARE:
        second = int(np.bincount(rest, minlength=256).argmax())
        share += float((np.abs(rest - second) <= _FILL_LEVELS).sum()) / len(values)
        if share < _MIN_TWO_FILLS_SHARE:
            return False
        return is_edged(owner, outside, inner, (level, second))
    return (
        level <= _BLACK_WHITE_LEVELS[0]
        or level >= _BLACK_WHITE_LEVELS[1]
        or is_edged(owner, outside, inner, (level,))
    )


def is_edged(
    owner: Bytes, outside: npt.NDArray[np.bool_], inner: Bytes, levels: tuple[int, ...]
) -> bool:
    """Tell whether the image differs from the fill along the seam, as skies do not."""
    along = (cv2.erode(inner, np.ones((3, 3), np.uint8)) > 0) & (
        cv2.dilate(outside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    )
    if not along.any():
        return False
    values = owner[along].astype(np.int16)
    off = np.min([np.abs(values - level) for level in levels], axis=0)
    return float((off > _MIN_EDGE_LEVELS).mean()) > 0.5  # noqa: PLR2004 -- most of it
