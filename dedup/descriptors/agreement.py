"""How many parts of two images agree: a first look at a pair, of a millisecond or two.

Each match of two features says by which turn, scale and shift one image would lie on the other.
Chance matches hardly agree on that: of 877 copies, blurred, noisy, cropped to a tenth or pasted on
a page, one had 9 that did and the others 15 or more; of 198 strangers the most had 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.descriptors.parts import Parts

    Numbers = npt.NDArray[np.int64]

FEWEST: Final = 7
"""Parts of a copy that agree."""

TELLING: Final = 24
"""Parts that an image needs for their agreement to tell anything."""

_NEAREST: Final = 2
_REACH: Final = 30.0  # squared distance of codes up to which two features match
_MAX_MATCHES: Final = 128
_SCALE_AGREES: Final = 0.6  # octaves
_TURN_AGREES: Final = 0.45  # radians
_SHIFT: Final = 0.012  # of the longest side of the first, at its scale
_DRIFT: Final = 0.1  # of the distance between two features: what scale and direction are off
_CLOSE: Final = 0.015  # of the longest side, at the coarser scale
_GRID: Final = 64  # features on one of its places count once


def may_agree(one: Parts, two: Parts) -> bool:
    """Tell whether so many parts agree that a proof is worth while, or too few to tell."""
    return min(len(one), len(two)) < TELLING or agreeing(one, two) >= FEWEST


def agreeing(one: Parts, two: Parts) -> int:
    """Count the parts that agree on one placing, those at one spot of either image once."""
    first, second = _matched(one, two)
    if len(first) < FEWEST:
        return len(first)
    mirrored = one.turned[first] != two.turned[second]
    # A mirror across the vertical takes an angle to what it lacks of half a turn.
    angle = np.where(mirrored, np.float32(np.pi) - one.angle[first], one.angle[first])
    turn = np.mod(two.angle[second] - angle, np.float32(2 * np.pi))
    scale = two.scale[second] - one.scale[first]
    factor = np.exp2(scale)[:, None]
    across = np.where(mirrored, np.float32(-1), np.float32(1)) * one.x[first]
    x = across[None, :] - across[:, None]
    y = one.y[first][None, :] - one.y[first][:, None]
    cos, sin = factor * np.cos(turn)[:, None], factor * np.sin(turn)[:, None]
    off_x = two.x[second][:, None] + cos * x - sin * y - two.x[second][None, :]
    off_y = two.y[second][:, None] + sin * x + cos * y - two.y[second][None, :]
    allowed = factor * (_DRIFT * np.hypot(x, y) + _SHIFT) + _SHIFT / 2
    turned = np.abs(np.mod(turn[None, :] - turn[:, None] + np.pi, 2 * np.pi) - np.pi)
    agree = (
        (off_x * off_x + off_y * off_y < allowed * allowed)
        & (np.abs(scale[None, :] - scale[:, None]) < _SCALE_AGREES)
        & (turned < _TURN_AGREES)
        & (mirrored[None, :] == mirrored[:, None])
    )
    best = agree[int(np.argmax(agree.sum(axis=1)))]
    if best.sum() < FEWEST:
        return int(best.sum())
    # One match gives a rough placing; all of them together a close one.
    from_one = np.stack([one.x[first], one.y[first], np.ones(len(first), np.float32)], axis=1)
    to_two = np.stack([two.x[second], two.y[second]], axis=1)
    placing = np.linalg.lstsq(from_one[best], to_two[best], rcond=None)[0]
    off = np.linalg.norm(from_one @ placing - to_two, axis=1)
    size = max(1.0, float(np.abs(np.linalg.det(placing[:2]))) ** 0.5)
    best = off < _CLOSE * size
    return min(_spots(one, first[best]), _spots(two, second[best]))


def _matched(one: Parts, two: Parts) -> tuple[Numbers, Numbers]:
    """Match each feature with the nearest of the other image; the best matches of all."""
    first, second = one.codes.astype(np.float32), two.codes.astype(np.float32)
    squares = (first * first).sum(axis=1)[:, None] + (second * second).sum(axis=1)[None]
    far = squares - 2 * first @ second.T
    near = np.zeros(far.shape, np.bool_)
    for axis in (0, 1):
        if far.shape[axis]:
            kept = min(_NEAREST, far.shape[axis])
            chosen = np.argpartition(far, kept - 1, axis=axis).take(range(kept), axis=axis)
            np.put_along_axis(near, chosen, values=True, axis=axis)
    rows, columns = np.nonzero(near & (far <= _REACH))
    if len(rows) > _MAX_MATCHES:
        best = np.argpartition(far[rows, columns], _MAX_MATCHES - 1)[:_MAX_MATCHES]
        rows, columns = rows[best], columns[best]
    return rows, columns


def _spots(parts: Parts, chosen: Numbers) -> int:
    places = np.rint(parts.x[chosen] * _GRID) * 2 * _GRID + np.rint(parts.y[chosen] * _GRID)
    return len(np.unique(places))
