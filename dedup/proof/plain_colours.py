"""Drawings in a few plain colours, of which one has another: two flags, or two signs of a set.

A rule that is free enough to follow a filter makes any three colours of any other three. What
people do to the colours of a whole image is less: light, contrast and saturation, one tone, white
balance, or a curve for all channels alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof import cells
from dedup.proof.channels import gap_levels, off_levels

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Doubles = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

_SHRINK, _MIN_SIDE = 4, 96  # at most, and pixels that are left
_FLAT_LEVELS, _MIN_FLAT_SHARE = 10, 0.5  # between neighbours; and of the pixels, that are so flat
_BIN_LEVELS, _NEAR_LEVELS = 16, 20  # of one colour
_MOST, _LEAST_SHARE, _MIN_SHARE = 6, 0.01, 0.97  # colours, the share of each, and of all of them
_SAME_LEVELS, _LEFT_LEVELS = 16, 28  # of colours that were kept, and of what an edit may leave
_EDGED_SHARE = 0.7  # of what is beside a shape, that has other colours in either image
_GAINS = (0.7, 1.4)  # of white balance
_LIGHT = np.array([0.299, 0.587, 0.114])


def other_colours(one: Bytes, two: Bytes, inside: Mask) -> bool:
    """Tell whether a few plain colours of one image are others in the other, by no usual edit.

    Parameters
    ----------
    one, two : (H, W, 3) RGB on one raster
    inside : (H, W), pixels that count
    """
    step = max(1, min(_SHRINK, min(inside.shape) // _MIN_SIDE))
    one, two = (cells.averaged(cells.cut(each, step), step) for each in (one, two))
    within = cells.averaged(cells.cut(inside.view(np.uint8), step), step) > 0
    flat = within & (np.maximum(_slopes(one), _slopes(two)) <= _FLAT_LEVELS)
    if float(flat.sum() / max(1, int(within.sum()))) < _MIN_FLAT_SHARE:
        return False
    found = _colours(np.concatenate([one[flat], two[flat]], axis=1))
    if found is None:
        return False
    kept = np.abs(found[:, :3] - found[:, 3:]).max(axis=1) <= _SAME_LEVELS
    shapes = [_is_shape(one, two, each) for each in found]
    told = kept | np.array(shapes)
    if kept.all() or not (told & ~kept).any():
        return False
    mine, theirs = found[told, :3], found[told, 3:]
    return not (_made(mine, theirs) or _made(theirs, mine))


def _is_shape(one: Bytes, two: Bytes, colours: Doubles) -> bool:
    """Tell whether either image has an edge around what has these (6,) colours.

    Around what was laid over plain ground the other image has none.
    """
    own = (off_levels(one, colours[:3]) <= _NEAR_LEVELS) & (
        off_levels(two, colours[3:]) <= _NEAR_LEVELS
    )
    solid = cv2.morphologyEx(own.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    beside = cv2.dilate(solid, np.ones((9, 9), np.uint8)) > cv2.dilate(
        solid, np.ones((5, 5), np.uint8)
    )
    if not beside.any():
        return False
    levels = zip((one, two), (colours[:3], colours[3:]), strict=True)
    return all(
        float((off_levels(image, level)[beside] > _NEAR_LEVELS).mean()) >= _EDGED_SHARE
        for image, level in levels
    )


def _slopes(image: Bytes) -> Bytes:
    square = np.ones((3, 3), np.uint8)
    return gap_levels(
        np.asarray(cv2.dilate(image, square), np.uint8),
        np.asarray(cv2.erode(image, square), np.uint8),
    )


def _colours(pairs: Bytes) -> Doubles | None:
    """Give the (N, 6) colours that places have in both images; None of one, or of more than few."""
    rest, found = pairs.astype(np.int32), []
    least = _LEAST_SHARE * len(pairs)
    for _ in range(_MOST):
        keys = (rest // _BIN_LEVELS) @ (16 ** np.arange(6))
        names, counts = np.unique(keys, return_counts=True)
        common = np.median(rest[keys == names[counts.argmax()]], axis=0)
        near = np.abs(rest - common).max(axis=1) <= _NEAR_LEVELS
        if np.count_nonzero(near) < least:
            break
        found.append(common)
        rest = rest[~near]
        if len(rest) <= (1 - _MIN_SHARE) * len(pairs):
            return np.array(found) if len(found) > 1 else None
    return None


def _made(mine: Doubles, theirs: Doubles) -> bool:
    """Tell whether a usual edit makes the second (N, 3) colours from the first."""
    light = (mine @ _LIGHT)[:, None].repeat(3, axis=1)
    ones = np.ones_like(mine)
    if _fits([mine, light, ones], theirs):  # light, contrast and saturation
        return True
    grey = float(np.ptp(theirs, axis=1).max()) <= _SAME_LEVELS
    toned = grey or len(mine) > 2  # noqa: PLR2004 -- any two colours are on one line
    if toned and all(_fits([light[:, at], ones[:, at]], theirs[:, at]) for at in range(3)):
        return True
    gains = (mine * theirs).sum(axis=0) / np.maximum((mine * mine).sum(axis=0), 1)
    balanced = float(np.abs(gains * mine - theirs).max()) <= _LEFT_LEVELS
    if balanced and _GAINS[0] <= float(gains.min()) and float(gains.max()) <= _GAINS[1]:
        return True
    # One curve for all channels may fall nowhere, nor rise where nothing is between.
    before, after = mine.ravel(), theirs.ravel()
    apart = before[:, None] - before
    falls = (apart > -_SAME_LEVELS) & (after[:, None] - after < -_LEFT_LEVELS)
    return not falls.any()


def _fits(terms: list[Doubles], wanted: Doubles) -> bool:
    table = np.stack([each.ravel() for each in terms], axis=1)
    weights = np.linalg.lstsq(table, wanted.ravel(), rcond=None)[0]
    return float(np.abs(table @ weights - wanted.ravel()).max()) <= _LEFT_LEVELS
