"""Whose side a difference is on, by what either image does across its rim.

Across the rim of something drawn, the image that it was drawn on steps by what the two differ
there; the other goes on as it does a few pixels away. Each piece is told as a whole, in all
colours, since over rough ground a few pixels of a rim tell nothing. Where both step more than they
do nearby, both carry something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.proof.channels import gap_levels
from dedup.proof.sides import Shares, opened

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_GAP_LEVELS, _FAINT_LEVELS = 20, 10
_JOINED_PIXELS = 5  # between parts of a piece
_REACH = 2  # pixels around a place of a rim, of which either side is averaged
_AWAY_PIXELS = 8  # to the places that tell what an image does anyway
_MOST_PLACES = 4000
_FEWEST_PLACES = 8  # of a piece
_MIN_GROUND_SHARE = 0.1  # of what is around a place
_NOISE = 12.0  # squared levels, of all channels
# Read off some 450 pairs with something drawn over one of them or over both
_LOOSELY, _AGREEING, _LOOSELY_CLEAN = 0.35, 0.25, 2.2
_SURELY, _SURELY_CLEAN, _SURELY_STEP = 0.25, 1.3, 1.5
_ALONE, _ALONE_CLEAN, _ALONE_STEEPER = 0.2, 1.6, 2.0
_SPLIT, _EVENLY = 0.35, 0.22  # on either side of half a step; words that lost much have .3
_LIMITS, _LOOSE_LIMITS = (0.75, 0.12), (0.7, 0.12)
_MAX_EITHER_SHARE, _MAX_SPLIT_SHARE = 0.2, 0.5


class Rims(NamedTuple):
    """What rims tell.

    Parameters
    ----------
    alone : shares of all rims, by the image that alone steps there
    agreeing : the same of what may be so, where something else tells it as well
    both : whether either image surely carries something
    evenly : whether each makes about half of what they differ by, as two things do
    """

    alone: Shares
    agreeing: Shares
    both: bool
    evenly: bool = False


def by_rims(one: Bytes, two: Bytes, places: Mask) -> Rims | None:
    """Tell whose pieces are by their rims.

    Parameters
    ----------
    one, two : (H, W, 3) RGB, colours of one mapped onto the other's
    places : (H, W), where they differ

    Returns
    -------
    None where there are no rims to speak of.
    """
    found = _steps(one, two, places)
    if found is None:
        return None
    own, first, second = found
    counts = np.bincount(own)
    known = np.flatnonzero(counts >= _FEWEST_PLACES)
    if not known.size:
        return None

    def averaged(values: Floats) -> Doubles:
        return np.asarray(np.bincount(own, values, len(counts))[known] / counts[known])

    gap = first.step - second.step
    # Of what the two differ by, the part that the first makes: the second makes the rest.
    part = averaged((first.step * gap).sum(axis=1)) / (averaged((gap * gap).sum(axis=1)) + 1e-6)
    mine, theirs = (
        averaged((each.step**2).sum(axis=1)) / (averaged(each.usual) + _NOISE)
        for each in (first, second)
    )
    weight = counts[known] / counts[known].sum()
    sides = ((1 - part, mine, theirs), (part, theirs, mine))

    def shares(most: float, clean: float, step: float, steeper: float) -> tuple[float, float]:
        one, two = (
            float(weight @ ((rest < most) & (other < clean) & (own > step + steeper * other)))
            for rest, own, other in sides
        )
        return one, two

    surely = shares(_SURELY, _SURELY_CLEAN, _SURELY_STEP, 0)
    split = (np.abs(part - 0.5) < _SPLIT) & (np.minimum(mine, theirs) > _SURELY_STEP)
    both = min(surely) > _MAX_EITHER_SHARE or float(weight @ split) > _MAX_SPLIT_SHARE
    even = float(weight @ (split & (np.abs(part - 0.5) < _EVENLY))) > _MAX_SPLIT_SHARE
    agreeing = Shares(*shares(_AGREEING, _LOOSELY_CLEAN, 0, 0), _LOOSE_LIMITS)
    alone = Shares(*shares(_ALONE, _ALONE_CLEAN, 0, _ALONE_STEEPER), _LIMITS)
    if min(shares(_LOOSELY, _LOOSELY_CLEAN, 0, 0)) > _LIMITS[1]:
        alone = Shares(0.0, 0.0, _LIMITS)
    return Rims(alone, agreeing, both, even)


class _Steps(NamedTuple):
    """What one image does across rims.

    Parameters
    ----------
    step : (P, 3) from beyond a place to within
    usual : (P,) squared, what the same takes it to be nearby
    """

    step: Floats
    usual: Floats


def _steps(
    one: Bytes, two: Bytes, places: Mask
) -> tuple[npt.NDArray[np.int32], _Steps, _Steps] | None:
    """Give the piece of each place on a rim, and what both images do there."""
    apart = gap_levels(one, two)
    mask = opened((apart > _GAP_LEVELS) & places)
    joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((_JOINED_PIXELS,) * 2, np.uint8))
    ground = 1 - opened((apart > _FAINT_LEVELS) & places)
    rim = (mask > 0) & (cv2.erode(joined, np.ones((3, 3), np.uint8)) == 0)
    side = (2 * _REACH + 1,) * 2
    rim &= cv2.boxFilter(ground, cv2.CV_32F, side) > _MIN_GROUND_SHARE
    found = np.flatnonzero(rim)
    if not found.size:
        return None
    down, across = np.unravel_index(found[:: -(-len(found) // _MOST_PLACES)], rim.shape)
    _, labels = cv2.connectedComponents(joined)
    within, beyond = (_around(_padded(each), down, across, 0, 0) for each in (mask, ground))
    weights = within / within.sum(axis=1, keepdims=True) - beyond / np.maximum(
        beyond.sum(axis=1, keepdims=True), 1
    )

    def taken(image: Bytes) -> _Steps:
        padded = _padded(image)

        def at(right: int, below: int) -> Floats:
            values = _around(padded, down, across, right, below)
            return np.asarray(np.einsum("pk,pkc->pc", weights, values), np.float32)

        away = [
            (at(right, below) ** 2).sum(axis=1)
            for right, below in (
                (_AWAY_PIXELS, 0), (-_AWAY_PIXELS, 0), (0, _AWAY_PIXELS), (0, -_AWAY_PIXELS)
            )
        ]  # fmt: skip
        return _Steps(at(0, 0), np.asarray(np.mean(away, axis=0), np.float32))

    return np.asarray(labels[down, across], np.int32), taken(one), taken(two)


def _padded(image: Bytes) -> Bytes:
    reach = _REACH + _AWAY_PIXELS
    return np.pad(image, [(reach, reach)] * 2 + [(0, 0)] * (image.ndim - 2), "reflect")


def _around(
    padded: Bytes,
    down: npt.NDArray[np.intp],
    across: npt.NDArray[np.intp],
    right: int,
    below: int,
) -> Floats:
    """Give (P, K) or (P, K, 3) what is around places of an image that are moved so far."""
    reach = _REACH + _AWAY_PIXELS
    offsets = np.arange(-_REACH, _REACH + 1)
    rows = (down + below + reach)[:, None, None] + offsets[:, None]
    columns = (across + right + reach)[:, None, None] + offsets
    taken = padded[rows, columns].astype(np.float32)
    return np.asarray(taken.reshape(len(down), -1, *padded.shape[2:]))
