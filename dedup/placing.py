"""Which matches of the local features of two images agree on one placing of the one on the other.

A match says by which turn, scale and shift the one image would lie on the other. Matches of a true
part agree on that, and chance ones do not (as weak geometric consistency, Jégou, Douze and Schmid
2008, with the place added).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

REACH: Final = 30
"""Squared distance of two features' codes up to which they match."""

_SCALE_AGREES: Final = 0.6  # octaves
TURN_AGREES: Final = 0.45  # radians
_SHIFT: Final = 0.012  # of the longest side of the first image, at its scale
_DRIFT: Final = 0.1  # of the distance between two features: what scale and direction are off
_GRID: Final = 64
_FINEST_GRID: Final = 255  # places that are kept apart


class Placed(Protocol):
    """Where F features are; as `dedup.descriptors.parts.Parts`."""

    @property
    def x(self) -> Floats: ...  # noqa: D102
    @property
    def y(self) -> Floats: ...  # noqa: D102
    @property
    def scale(self) -> Floats: ...  # noqa: D102
    @property
    def angle(self) -> Floats: ...  # noqa: D102
    @property
    def turned(self) -> Flags: ...  # noqa: D102


class Differences(NamedTuple):
    """By how much each of M matches scales and turns, and whether it mirrors.

    Parameters
    ----------
    scale : (M,) octaves
    turn : (M,) radians, from 0 up to a whole turn
    mirrored : (M,)
    """

    scale: Floats
    turn: Floats
    mirrored: Flags


def differences(one: Placed, first: Numbers, two: Placed, second: Numbers) -> Differences:
    """Compare matched features.

    Parameters
    ----------
    first, second : (M,) the features of `one` and of `two` that match
    """
    mirrored = one.turned[first] != two.turned[second]
    # A mirror across the vertical takes an angle to what it lacks of half a turn.
    angle = np.where(mirrored, np.float32(np.pi) - one.angle[first], one.angle[first])
    turn = np.mod(two.angle[second] - angle, np.float32(2 * np.pi))
    return Differences(two.scale[second] - one.scale[first], turn, mirrored)


def following(one: Placed, first: Numbers, two: Placed, second: Numbers) -> Flags:
    """Tell which matches follow the placing that each of them proposes.

    Parameters
    ----------
    first, second : as in `differences`

    Returns
    -------
    (M, M), a row for each that proposes
    """
    scale, turn, mirrored = differences(one, first, two, second)
    count = len(scale)
    apart = scale[None, :] - scale[:, None]
    agree: Flags = np.abs(apart, out=apart) < _SCALE_AGREES
    turned = turn[None, :] - turn[:, None]
    np.abs(turned, out=turned)
    np.minimum(turned, np.float32(2 * np.pi) - turned, out=turned)
    agree &= turned < TURN_AGREES
    agree &= mirrored[None, :] == mirrored[:, None]
    # Of matches of chance a twentieth turn and scale alike: where they lie is asked of these alone.
    at = np.flatnonzero(agree)
    proposing = at // max(1, count)
    proposed = at - proposing * count
    agree.ravel()[at] = _in_place(
        one, first, two, second, (scale, turn, mirrored), (proposing, proposed)
    )
    return agree


def followers(
    one: Placed, first: Numbers, two: Placed, second: Numbers, begins: Numbers
) -> tuple[Numbers, Numbers]:
    """Tell the same of several pairs of images at once, of which each has a few matches.

    Parameters
    ----------
    first, second : as in `differences`, those of a pair together
    begins : (P,) where those of each pair begin, the first at 0

    Returns
    -------
    Matches that propose a placing, rising, and those of the same pair that follow it.
    """
    found = differences(one, first, two, second)
    counts = np.diff(begins, append=len(first))
    of_each = np.repeat(counts, counts)
    proposing = np.repeat(np.arange(len(first)), of_each)
    within = np.arange(len(proposing)) - np.repeat(of_each.cumsum() - of_each, of_each)
    proposed = np.repeat(np.repeat(begins, counts), of_each) + within
    agree = np.abs(found.scale[proposed] - found.scale[proposing]) < _SCALE_AGREES
    turned = np.abs(found.turn[proposed] - found.turn[proposing])
    agree &= np.minimum(turned, np.float32(2 * np.pi) - turned) < TURN_AGREES
    agree &= found.mirrored[proposed] == found.mirrored[proposing]
    proposing, proposed = proposing[agree], proposed[agree]
    placed = _in_place(one, first, two, second, found, (proposing, proposed))
    return proposing[placed], proposed[placed]


def _in_place(
    one: Placed,
    first: Numbers,
    two: Placed,
    second: Numbers,
    differ: tuple[Floats, Floats, Flags],
    asked: tuple[Numbers, Numbers],
) -> Flags:
    """Tell whether matches lie where others, which turn and scale alike, would place them.

    Parameters
    ----------
    differ : as `differences` gives it
    asked : (A,) matches that propose, and (A,) those that may follow

    Returns
    -------
    (A,)
    """
    scale, turn, mirrored = differ
    proposing, proposed = asked
    factor = np.exp2(scale)
    cos, sin = factor * np.cos(turn), factor * np.sin(turn)
    across = np.where(mirrored, np.float32(-1), np.float32(1)) * one.x[first]
    down, x_two, y_two = one.y[first], two.x[second], two.y[second]
    x = across[proposed] - across[proposing]
    y = down[proposed] - down[proposing]
    cos, sin, factor = cos[proposing], sin[proposing], factor[proposing]
    off_x = x_two[proposing] + cos * x - sin * y - x_two[proposed]
    off_y = y_two[proposing] + sin * x + cos * y - y_two[proposed]
    # Roots and products take a fraction of what hypot and mod take.
    allowed = factor * (_DRIFT * np.sqrt(x * x + y * y) + _SHIFT) + _SHIFT / 2
    return np.asarray(off_x * off_x + off_y * off_y < allowed * allowed)


def spots(placed: Placed, rows: Numbers, finer: float = 1.0) -> int:
    """Count the places of some features, those of one spot once; `finer` as in `spots_of`."""
    # Of so few, a fifth of what sorting takes.
    return len(set(spots_of(placed, rows, finer).tolist()))


def spots_of(placed: Placed, rows: Numbers, finer: float = 1.0) -> Floats:
    """Give (F,) whole numbers, of the spots of a grid that some features are on.

    Parameters
    ----------
    finer : how many times as large the other image shows what both show: in a panel of a sheet
        spots lie as much closer together
    """
    grid = np.float32(min(_FINEST_GRID, _GRID * max(1.0, finer)))
    across, down = (np.rint(each[rows] * grid) for each in (placed.x, placed.y))
    return np.asarray(across * 2 * _FINEST_GRID + down, np.float32)
