"""Ink over rough ground: a few flat colours, or one mixed evenly into all that lies beneath.

Along the edges of what is drawn over rough ground both images are steep, so that slopes and steps
do not tell whose it is. Its colours do. Two images that each carry something show ink here and
ground there, and neither has few colours; no one mixture makes either of the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.channels import gap_levels, in_commonest
from dedup.proof.ranks import median
from dedup.proof.residual import mean
from dedup.proof.sides import Shares, opened, pieces_by_slopes, rim_of, steep

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.sides import Pieces

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
_MIN_PATCH_PIXELS, _MOST_PATCHES = 60, 40
_MAX_PATCH_LEVELS, _PLAINER = 8.0, 2.5
_BESIDE_PIXELS, _UNLIKE_BESIDE = 7, 2.2


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
    mask = opened((gap_levels(one, two) > _MIN_GAP_LEVELS) & places)
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
    few = [few_colours(each) for each in values]
    if max(few) < _MIN_INKED_SHARE or min(few) > _MAX_GROUND_SHARE:
        return None
    ink, ground = (one, two) if few[0] > few[1] else (two, one)
    if _flat_share(ground, at) > _MAX_FLAT_SHARE or not _is_edged(ink, mask):
        return None
    return _on_one(few, _MIN_INKED_SHARE)


def patched(one: Bytes, two: Bytes, greys: tuple[Floats, Floats], places: Mask) -> Shares | None:
    """Tell on which of two images flat patches lie, such as rounded corners, over rough ground.

    The other is there as rough as beside the patch; one with another thing there is not.

    Parameters
    ----------
    one, two, places : as for `inked`
    greys : (H, W) of each, light alone; what slopes in it tell counts as well

    Returns
    -------
    None where that is not all on one of them.
    """
    mask = opened((np.abs(greys[0] - greys[1]) > _MIN_GAP_LEVELS) & places)
    pieces = pieces_by_slopes(*greys, mask, rim_of(mask))
    if pieces is None:
        return None
    beyond = cv2.dilate(mask, np.ones((5, 5), np.uint8)) == 0
    for number in np.argsort(-pieces.area)[:_MOST_PATCHES].tolist():
        if pieces.area[number] < _MIN_PATCH_PIXELS:
            break
        if not (pieces.on_one[number] or pieces.on_two[number]):
            on = _patch_on(one, two, pieces, number, beyond)
            pieces.on_one[number], pieces.on_two[number] = on == 1, on == 2  # noqa: PLR2004
    shares = pieces.shares()
    return shares if shares.drawn else None


def _patch_on(one: Bytes, two: Bytes, pieces: Pieces, number: int, beyond: Mask) -> int:
    """Say on which of two images a piece is a flat patch: 1 or 2; 0 where that is not known.

    Parameters
    ----------
    beyond : (H, W), where the images do not differ
    """
    left, top, width, height = pieces.boxes[number].tolist()
    part = tuple(
        slice(max(0, start - _BESIDE_PIXELS), start + length + _BESIDE_PIXELS)
        for start, length in ((top, height), (left, width))
    )
    own = (pieces.labels[part] == number).astype(np.uint8)
    inner = cv2.erode(own, np.ones((3, 3), np.uint8)) > 0
    around = cv2.dilate(own, np.ones((2 * _BESIDE_PIXELS + 1,) * 2, np.uint8)) > 0
    beside = around & beyond[part]
    if inner.sum() < _MIN_INNER_SHARE * own.sum() or beside.sum() < inner.sum() / 4:
        return 0
    within, next_to = (
        [
            float(np.sqrt(each[part][at].astype(np.float32).var(axis=0).mean()))
            for each in (one, two)
        ]
        for at in (inner, beside)
    )
    for patch, ground in ((0, 1), (1, 0)):
        as_beside = (
            next_to[ground] / _UNLIKE_BESIDE <= within[ground] <= (next_to[ground] * _UNLIKE_BESIDE)
        )
        plainer = within[patch] <= min(_MAX_PATCH_LEVELS, within[ground] / _PLAINER)
        if plainer and as_beside:
            return 1 + patch
    return 0


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


def few_colours(colours: Floats) -> float:
    """Give the share of pixels that a few colours have.

    Parameters
    ----------
    colours : (N, 3)
    """
    rest = colours
    for _ in range(_INKS):
        if not len(rest):
            break
        common = rest[in_commonest(rest, _INK_BIN_LEVELS)].mean(axis=0)
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
