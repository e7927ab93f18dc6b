"""Ink over rough ground: a few flat colours, or one mixed evenly into all that lies beneath.

Along the edges of what is drawn over rough ground both images are steep, so that slopes and steps
do not tell whose it is. Its colours do. Two images that each carry something show ink here and
ground there, and neither has few colours; no one mixture makes either of the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.ranks import median
from dedup.proof.residual import mean
from dedup.proof.sides import Shares, opened, rim_of, steep

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_MIN_GAP_LEVELS = 20
_MIN_PIXELS = 100
_MIN_INNER_SHARE = 0.15  # of what differs; thinner strokes are all rim
_INKS, _INK_LEVELS, _INK_BIN_LEVELS = 3, 16, 16
# Pairs with something drawn over both have up to .81 on one side above rough ground
_MIN_INKED_SHARE, _MAX_GROUND_SHARE = 0.9, 0.7
_SPAN_PIXELS, _FLAT_LEVELS = 7, 8.0
_MAX_FLAT_SHARE = 0.25  # of the ground; on plain ground slopes tell
_EDGE_LEVELS, _MIN_EDGED_SHARE = 6.0, 0.8
_MIX_LEVELS = 14
_MIN_MIXED_SHARE = 0.82  # watermarks .86 and more, two of them .74
_MIXED = (0.25, 0.9)  # of the ground, that is left to be seen
_MAX_MIX_SPREAD = 0.12  # between channels
_MIN_GROUND_LEVELS = 10.0  # plain ground fits any mixture
_FIT_ROUNDS = 5


def inked(one: Bytes, two: Bytes, places: Mask) -> Shares | None:
    """Tell on which of two images ink lies, by its colours.

    Parameters
    ----------
    one, two : (H, W, 3) RGB, colours of one mapped onto the other's
    places : (H, W), where they differ

    Returns
    -------
    None where neither, or either, may carry it.
    """
    gap = cv2.absdiff(one, two).max(axis=2) > _MIN_GAP_LEVELS
    mask = opened(np.asarray(gap & places))
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8))
    if inner.sum() < _MIN_INNER_SHARE * mask.sum():
        inner = mask
    at = inner > 0
    if at.sum() < _MIN_PIXELS:
        return None
    values = [each[at].astype(np.float32) for each in (one, two)]
    mixed = [_mixed(values[0], values[1]), _mixed(values[1], values[0])]
    if max(mixed) >= _MIN_MIXED_SHARE:
        return _on_one(mixed, _MIN_MIXED_SHARE)
    few = [_few(each) for each in values]
    if max(few) < _MIN_INKED_SHARE or min(few) > _MAX_GROUND_SHARE:
        return None
    ink, ground = (one, two) if few[0] > few[1] else (two, one)
    if _flat_share(ground, at) > _MAX_FLAT_SHARE or not _is_edged(ink, mask):
        return None
    return _on_one(few, _MIN_INKED_SHARE)


def _on_one(shares: list[float], least: float) -> Shares:
    """Say that all of it is on the image with the larger share."""
    on_one = shares[0] > shares[1]
    limits = (least, 0.0)
    return Shares(shares[0], 0.0, limits) if on_one else Shares(0.0, shares[1], limits)


def _mixed(mine: Floats, ground: Floats) -> float:
    """Give the share of pixels that one mixture of the ground with one colour makes.

    Parameters
    ----------
    mine, ground : (N, 3)
    """
    if float(ground.std(axis=0).mean()) < _MIN_GROUND_LEVELS:
        return 0.0
    left, slopes = np.zeros(len(mine), np.float32), []
    for x, y in zip(ground.T, mine.T, strict=True):
        trust = np.ones(len(x), np.float32)
        slope, off = 0.0, y
        for _ in range(_FIT_ROUNDS):
            total = trust.sum()
            middle, target = (trust @ x) / total, (trust @ y) / total
            apart = trust * (x - middle)
            slope = float(apart @ (y - target)) / (float(apart @ (x - middle)) + float(total))
            off = np.abs(y - target - slope * (x - middle))
            trust = 1 / (1 + (off / max(3.0, 2 * median(off))) ** 4)
        left = np.maximum(left, off)
        slopes.append(slope)
    low, high = _MIXED
    if min(slopes) < low or max(slopes) > high or np.ptp(slopes) > _MAX_MIX_SPREAD:
        return 0.0
    return float((left <= _MIX_LEVELS).mean())


def _few(colours: Floats) -> float:
    """Give the share of pixels that a few colours have.

    Parameters
    ----------
    colours : (N, 3)
    """
    rest = colours
    for _ in range(_INKS):
        if not len(rest):
            break
        bins = (rest / _INK_BIN_LEVELS).astype(np.intp) @ np.array([256, 16, 1])
        common = rest[bins == np.bincount(bins).argmax()].mean(axis=0)
        rest = rest[np.abs(rest - common).max(axis=1) > _INK_LEVELS]
    return 1 - len(rest) / len(colours)


def _is_edged(image: Bytes, mask: Bytes) -> bool:
    """Tell whether an image steps along the rim of places, as one with a hole there does not."""
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)
    return float((steep(grey)[rim_of(mask)] > _EDGE_LEVELS).mean()) >= _MIN_EDGED_SHARE


def _flat_share(ground: Bytes, at: Mask) -> float:
    """Give the share of some pixels around which an image has one colour, of these alone."""
    weight = at.astype(np.float32)
    total = mean(weight, _SPAN_PIXELS) + 1e-6
    spread = np.zeros_like(weight)
    for channel in cv2.split(ground.astype(np.float32)):
        middle = mean(channel * weight, _SPAN_PIXELS) / total
        spread += mean(channel * channel * weight, _SPAN_PIXELS) / total - middle * middle
    return float((spread[at] < 3 * _FLAT_LEVELS**2).mean())
