"""Shapes on plain ground, of which two images show another at one place.

A switch that is on, a star that is gold, a light that is red: such a shape stands where the other
image has one as well. The stronger of the two is the steeper along its rim, and a mixture of
colours that is free to change from place to place turns the one into the other. Plain ground tells
them apart: beneath what was drawn over it, it goes on as it is beside it.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.channels import gap_levels
from dedup.proof.ink import few_colours
from dedup.proof.ranks import median_level

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_GAP_LEVELS = 20  # between two images, within a shape
_CORE_PIXELS = 5  # a side; blur and compression change what is narrower
_MIN_SHAPE_PIXELS = 40
_MOST_SHAPES = 40
_BESIDE_PIXELS, _CLEAR_PIXELS = 6, 2  # from a shape, between which its ground is looked at
_FEWEST_PIXELS, _MOST_PIXELS = 12, 1000  # of ground, or of a shape, that tell
_PLAIN_LEVELS = 8
# Of ground: a thing that something was drawn over reaches beyond it
_PLAIN_SHARE, _ALL_PLAIN_SHARE = 0.65, 0.85
_RIM_PIXELS = 3
_OFF_LEVELS = 16  # from the ground
# Of a rim: shapes on both have .55 and more of either off the ground; what was drawn over plain
# ground has 0 beneath it, or what it happens to cross
_BOTH_SHARE, _ON_SHARE, _CROSSED_SHARE = 0.5, 0.7, 0.35
# Blur, noise and watermarks make a shape fainter by less than this; a state is another colour
_APART_LEVELS, _APART_SHARE = 60, 0.6
_MORE_SHARE = 0.35  # of what a shape adds to its ground altogether
_MAX_ALIKE = 0.6
_FEW_SHARE = 0.5  # of a few colours; photographs have more
_BOTH = 3  # of 1 and 2
_EVERYWHERE_LEVELS = 4  # by which half of the pixels differ where the whole was changed


def filled(mask: Bytes) -> Bytes:
    """Fill what is enclosed by the pieces of a mask; (H, W) of 0 and 1."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros_like(mask), contours, -1, 1, cv2.FILLED), np.uint8)


def changed_everywhere(one: Bytes, two: Bytes) -> bool:
    """Tell whether light or colour was changed as a whole."""
    some = gap_levels(np.ascontiguousarray(one[::4, ::4]), np.ascontiguousarray(two[::4, ::4]))
    return median_level(some) > _EVERYWHERE_LEVELS


def other_shapes(one: Bytes, two: Bytes, inside: Mask) -> int:
    """Count shapes of which both images have one at a place, or each one at a place of its own.

    Parameters
    ----------
    one, two : (H, W, 3) RGB on one raster, in one light
    inside : (H, W), where both are
    """
    gap = gap_levels(one, two)
    mask = cv2.bitwise_and(cv2.inRange(gap, _GAP_LEVELS + 1, 255), inside.view(np.uint8) * 255)
    kernel = np.ones((_CORE_PIXELS, _CORE_PIXELS), np.uint8)
    core = cv2.erode(mask, kernel)
    if not core.any():
        return 0
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(core, kernel), connectivity=8)
    faint = cv2.dilate(cv2.inRange(gap, _GAP_LEVELS // 2 + 1, 255), np.ones((3, 3), np.uint8))
    ground = inside & (faint == 0)
    area = stats[1:, cv2.CC_STAT_AREA]
    alone = [0, 0]
    both = 0
    for number in (np.argsort(-area)[:_MOST_SHAPES] + 1).tolist():
        left, top, width, height, pixels = stats[number].tolist()
        if pixels < _MIN_SHAPE_PIXELS:
            break
        part = tuple(
            slice(max(0, start - _BESIDE_PIXELS), start + length + _BESIDE_PIXELS)
            for start, length in ((top, height), (left, width))
        )
        own = (labels[part] == number).view(np.uint8)
        at = _whose(one[part], two[part], gap[part], own, ground[part])
        both += at == _BOTH
        if at in {1, 2}:
            alone[at - 1] += 1
    return both + min(alone)


def _whose(one: Bytes, two: Bytes, gap: Bytes, own: Bytes, ground: Mask) -> int:
    """Say on which of two images a shape is: 1, 2, on either (3), or 0 where that is not known."""
    solid = filled(own)
    near, clear = (
        cv2.dilate(solid, np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
        for reach in (_BESIDE_PIXELS, _CLEAR_PIXELS)
    )
    inmost = cv2.erode(solid, np.ones((2 * _RIM_PIXELS + 1,) * 2, np.uint8), borderValue=0)
    inner = cv2.erode(own, np.ones((3, 3), np.uint8), borderValue=0)
    places = [_some(each) for each in (near & ~clear & ground, (own > 0) & (inmost == 0), inner)]
    if min(map(len, places)) < _FEWEST_PIXELS:
        return 0
    beside, rim, within = places
    apart = float(np.median(gap.ravel()[within]))
    plain, off, strong, few, mass = [], [], [], [], []
    for image in (one, two):
        values = image.reshape(-1, 3)
        around = values[beside].astype(np.int16)
        level = np.median(around, axis=0).astype(np.int16)
        plain.append(float((np.abs(around - level).max(axis=1) <= _PLAIN_LEVELS).mean()))
        off.append(float((np.abs(values[rim] - level).max(axis=1) > _OFF_LEVELS).mean()))
        strong.append(float(np.median(np.abs(values[within] - level).max(axis=1))))
        few.append(few_colours(values[within].astype(np.float32)))
        mass.append(np.array(cv2.mean(image, near.view(np.uint8))[:3]) - level)
    if apart < _APART_LEVELS or min(plain) < _PLAIN_SHARE:
        return 0
    for at, (mine, theirs) in enumerate((off, off[::-1]), 1):
        if mine >= _ON_SHARE and theirs <= _CROSSED_SHARE:
            return at
    states = min(off) >= _BOTH_SHARE and min(few) >= _FEW_SHARE
    states = states and min(plain) >= _ALL_PLAIN_SHARE
    # Blur and resizing spread a shape, and leave as much of it.
    most = max(float(np.abs(each).max()) for each in mass)
    as_much = float(np.abs(mass[0] - mass[1]).max()) < _MORE_SHARE * most
    if states and as_much:
        states = _alike(one[near], two[near]) < _MAX_ALIKE
    return _BOTH if states and apart >= _APART_SHARE * min(strong) else 0


def _alike(one: Bytes, two: Bytes) -> float:
    """Correlate (P, 3) colours, over all channels."""
    mine, theirs = (each - each.mean(axis=0) for each in (one, two))
    spreads = float((mine * mine).sum()) * float((theirs * theirs).sum())
    return float((mine * theirs).sum()) / (sqrt(spreads) + 1)


def _some(places: npt.NDArray[np.generic]) -> npt.NDArray[np.intp]:
    """Give the flat indices of enough places to tell."""
    found = np.flatnonzero(places)
    return found[:: -(-len(found) // _MOST_PIXELS) or 1]
