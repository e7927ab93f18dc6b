"""How many parts of two images agree: a first look at a pair, of a millisecond or two.

Matches of chance hardly agree on one placing (`dedup.placing`): of 877 copies, blurred, noisy,
cropped to a tenth or pasted on a page, one had 9 that did and the others 15 or more; of 198
strangers the most had 5. Look-alikes have more, but of what both show these are a small share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup import placing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from dedup.descriptors.parts import Parts

    Bytes = npt.NDArray[np.uint8]
    Flags = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]
    Doubles = npt.NDArray[np.float64]
    Complex = npt.NDArray[np.complex128]

FEWEST: Final = 8
"""Parts of a copy that agree, on any placing of straight lines on straight lines."""

FEW: Final = 5
"""Parts of a small copy that agree on turn, scale and shift, such as a tenth cut out: of 60 such
crops .33 have fewer than `FEWEST`, .18 so many at least, and of 1,200 pairs of strangers .002."""

LEAST_SHARE: Final = 0.09
"""Share that agrees of the parts of an image that the other shows, of the image with fewer: of
2,240 copies, edited, cropped to a tenth or pasted on pages, 2 had less (of three levels; stretched
by 1.4), and half of the look-alikes of which `FEWEST` parts and more agree; that was at .1, of
features of which fewer were fine. Of 24 pages 20 have as much, 22 have .09, and 3 % more others."""

LEAST_OF_FEW: Final = 0.15
"""The same where fewer than `FEWEST` agree: of 163 such look-alikes 2 had more, of 7 copies 4."""

MANY: Final = 12
"""Parts that agree from which on turn, scale and shift have to place them all. Fewer tell these
more closely than six numbers: of 57 tenths with 8 to 15 that agree the corners are off by .009 of
the longest side in place of .014, and of one in ten by more than .020 in place of .041."""

TELLING: Final = 24
"""Parts that an image needs for their agreement to tell anything."""

_REPEATING: Final = 3.0
"""Pairs of like parts for each part, from which on an image repeats: of photographs there are
mostly 1 to 2, of 42 chequered, dotted and tiled ones 12 to 190."""

_REPEATED_WHOLE: Final = 0.15
"""Share of the parts that have one of their kind at the very place: of 38 copies of such images .17
and more; of 430 pairs of photographs that were refuted all have less."""

_REPEATED_SHARE: Final = 0.25
"""The same of what both show, as those lie that agree: of 4 crops to .6 of such images .5 to .9."""

_MAX_MATCHES: Final = 128
_COLLAPSED: Final = 1e-5  # of the area
_CLOSE: Final = 0.015  # of the longest side, at the coarser scale
_SIMILAR_SHARE: Final = 0.75  # of the parts of an affine placing; of a stretched copy fewer follow
_IN_PLACE: Final = 0.012  # of the longest side, at the coarser scale
_SAME_SCALE: Final = 0.5  # octaves
_SEEDS, _PLACINGS, _OTHER_SCALE = 3, 2, 0.5  # matches that place, at most so many times; octaves
_REACH_IN_PLACE: Final = 50
# As `placing.REACH`, of what lies where others place it: of 35 copies that only so are found (on
# sheets of 6 to 20, in galleries, in a corner of another, in viewers) 13 have enough of it, and of
# 430 pairs of photographs that parts refute 3.
_IN_ITS_PLACE: Final = 0.009  # of the longest side, at the coarser scale
_CLOSER: Final = (0.03, 0.015, 0.01)  # one after the other


class Agreement(NamedTuple):
    """By how much two images agree.

    Parameters
    ----------
    spots : parts that agree on one placing, those at one spot of either image once
    matrix : (3, 3), places in the second image to those in the first, both as shares of the longest
        side; None where too few agree
    mirrored : the matrix turns the image over
    """

    spots: int
    matrix: Doubles | None = None
    mirrored: bool = False


class Alike(NamedTuple):
    """M pairs of features, of either image one, whose codes are within `placing.REACH`.

    Parameters
    ----------
    first, second : (M,) which of each image
    near : (M,) their squared distances
    far : (F, G) the squared distances of all
    """

    first: Numbers
    second: Numbers
    near: Floats
    far: Floats


class _Followed(NamedTuple):
    """M matches.

    Parameters
    ----------
    first, second : (M,) which features of each image
    agree : (M, M), a row for each that proposes: which follow the placing that it proposes
    """

    first: Numbers
    second: Numbers
    agree: Flags


def promising(one: Parts, two: Parts) -> Agreement | None:
    """Give how parts agree where a proof is worth while; None where no more do than by chance.

    Of too few parts nothing is said, nor of those that repeat: they agree at no spot.
    """
    if min(len(one), len(two)) < TELLING:
        return Agreement(0)
    alike = _alike(one, two)
    followed = _followed(one, two, alike)
    found = _agreement(one, two, followed)
    if _enough(one, two, found):
        return found
    further = _further(one, two, alike, followed)
    if _enough(one, two, further):
        return further
    return Agreement(0) if _repeat(one, two, alike, found) else None


def _enough(one: Parts, two: Parts, found: Agreement) -> bool:
    if found.spots < FEW or found.matrix is None:
        return found.spots >= FEW
    least = LEAST_SHARE if found.spots >= FEWEST else LEAST_OF_FEW
    return found.spots >= least * _shown(one, two, found.matrix)


def _further(one: Parts, two: Parts, alike: Alike, followed: _Followed) -> Agreement:
    """Count the parts that are alike where three and more matches place them at another scale.

    Of what a sheet shows small hardly any part is among the two nearest of all: letters and leaves
    of the others are nearer. At its place it need not be so near.
    """
    best, placed = Agreement(0), list(_at_other_scales(one, two, followed))
    if not placed:
        return best
    first, second = np.divmod(np.flatnonzero(alike.far <= _REACH_IN_PLACE), len(two))
    differ = placing.differences(one, first, two, second)
    for factor, shift, flipped in placed:
        some = np.flatnonzero(
            (differ.mirrored == flipped)
            & (np.abs(differ.scale - np.float32(np.log2(abs(factor)))) < _SAME_SCALE)
        )
        here, there = _complex(one, first[some], flipped=flipped), _complex(two, second[some])
        off = np.abs(factor * here + shift - there)
        turned = np.abs(np.angle(np.exp(1j * differ.turn[some]) * factor.conjugate()))
        some = some[(off < _IN_ITS_PLACE * max(1.0, abs(factor))) & (turned < placing.TURN_AGREES)]
        whole = np.ones(len(some), np.bool_)
        found = _similar(one, first[some], two, second[some], whole, by_scale=True)
        best = max(best, found, key=lambda each: each.spots)
    return best


def _at_other_scales(
    one: Parts, two: Parts, followed: _Followed
) -> Iterator[tuple[complex, complex, bool]]:
    """Give the factor and the shift of the likeliest placings, and whether they mirror."""
    first, second, agree = followed
    for _ in range(_PLACINGS if len(first) else 0):
        counts = np.count_nonzero(agree, axis=1)
        leader = int(counts.argmax())
        if counts[leader] < _SEEDS:
            return
        members = agree[leader]
        flipped = bool(one.turned[first[leader]] != two.turned[second[leader]])
        fit = _turned(
            _complex(one, first[members], flipped=flipped), _complex(two, second[members])
        )
        if fit is not None and abs(np.log2(abs(fit[0]))) >= _OTHER_SCALE:
            yield *fit, flipped
        agree = agree & ~members


def _shown(one: Parts, two: Parts, matrix: Doubles) -> int:
    """Count the parts that both show, of the image with fewer."""
    shown = (
        _inside(there, placing[:2, :2] @ np.stack([here.x, here.y]) + placing[:2, 2:])
        for here, there, placing in ((two, one, matrix), (one, two, np.linalg.inv(matrix)))
    )
    return max(1, min(shown))


def _repeat(one: Parts, two: Parts, alike: Alike, found: Agreement) -> bool:
    """Tell whether parts that repeat, as of a chequered cloth, lie where the same ones do.

    Of such parts the nearest of another image are any of many. Frame on frame, or as the few lie
    that agree, most of them have one of their kind at their place; of strangers hardly any has.
    """
    if len(alike.near) < _REPEATING * min(len(one), len(two)):
        return False
    if _in_place(one, two, alike, np.eye(3)) >= _REPEATED_WHOLE * max(len(one), len(two)):
        return True
    if found.matrix is None:
        return False
    shown = _shown(one, two, found.matrix)
    least = max(FEWEST, _REPEATED_SHARE * shown)
    return _in_place(one, two, alike, found.matrix) >= least


def _in_place(one: Parts, two: Parts, alike: Alike, matrix: Doubles) -> int:
    """Count the parts of the image with fewer that have one like them at their place."""
    x, y = matrix[:2, :2] @ np.stack([two.x[:], two.y[:]]) + matrix[:2, 2:]
    size = max(_COLLAPSED, float(np.abs(np.linalg.det(matrix[:2, :2])))) ** 0.5
    first, second = alike.first, alike.second
    off_x, off_y = one.x[first] - x[second], one.y[first] - y[second]
    there = off_x * off_x + off_y * off_y < (_IN_PLACE * max(1.0, size)) ** 2
    first, second = first[there], second[there]
    scaled = one.scale[first] - two.scale[second] - np.float32(np.log2(size))
    same = np.abs(scaled) < _SAME_SCALE
    return min(len(np.unique(first[same])), len(np.unique(second[same])))


def _inside(parts: Parts, places: Doubles) -> int:
    """Count the places that are within the box of an image's parts."""
    x, y = places
    across = (x >= parts.x.min()) & (x <= parts.x.max())
    return int((across & (y >= parts.y.min()) & (y <= parts.y.max())).sum())


def agreement(one: Parts, two: Parts) -> Agreement:
    """Count the parts that agree on one placing."""
    return _agreement(one, two, _followed(one, two, _alike(one, two)))


def _followed(one: Parts, two: Parts, alike: Alike) -> _Followed:
    first, second = _matched(alike)
    return _Followed(first, second, placing.following(one, first, two, second))


def _agreement(one: Parts, two: Parts, followed: _Followed) -> Agreement:
    first, second, agree = followed
    if len(first) < FEW:
        return Agreement(len(first))
    best = agree[int(np.argmax(agree.sum(axis=1)))]
    if best.sum() < FEW:
        return Agreement(int(best.sum()))
    found = _affine(one, first, two, second, best)
    similar = _similar(one, first, two, second, best)
    if found.spots < FEWEST:
        # However many they are, they tell less than those that an affine placing has.
        return similar._replace(spots=min(similar.spots, FEWEST - 1))
    least = found.spots * (_SIMILAR_SHARE if found.spots < MANY else 1)
    closer = similar.matrix is not None and similar.spots >= least
    return similar._replace(spots=found.spots) if closer else found


def _affine(one: Parts, first: Numbers, two: Parts, second: Numbers, best: Flags) -> Agreement:
    """Place the matches that one match places, by all of them together."""
    if best.sum() < FEWEST:
        return Agreement(int(best.sum()))
    from_one = np.stack([one.x[first], one.y[first], np.ones(len(first), np.float32)], axis=1)
    to_two = np.stack([two.x[second], two.y[second]], axis=1)
    affinity = np.linalg.lstsq(from_one[best], to_two[best], rcond=None)[0]
    off = np.linalg.norm(from_one @ affinity - to_two, axis=1)
    size = max(1.0, float(np.abs(np.linalg.det(affinity[:2]))) ** 0.5)
    best = off < _CLOSE * size
    spots = min(placing.spots(one, first[best]), placing.spots(two, second[best]))
    return Agreement(spots) if spots < FEWEST else _placed(spots, from_one[best], to_two[best])


def _similar(
    one: Parts, first: Numbers, two: Parts, second: Numbers, best: Flags, *, by_scale: bool = False
) -> Agreement:
    """Place matches by turn, scale and shift alone, which a few of them tell closely enough."""
    mirrored = one.turned[first] != two.turned[second]
    if not best.any():
        return Agreement(0)
    flipped = bool(mirrored[best][0])
    across = -1 if flipped else 1
    here, there = _complex(one, first, flipped=flipped), _complex(two, second)
    for close in _CLOSER:
        placed = _turned(here[best], there[best])
        if placed is None:
            return Agreement(0)
        factor, shift = placed
        off = np.abs(factor * here + shift - there)
        best = (off < close * max(1.0, abs(factor))) & (mirrored == flipped)
        if np.count_nonzero(best) < FEW:
            return Agreement(int(np.count_nonzero(best)))
    grids = (abs(factor), 1 / abs(factor)) if by_scale else (1.0, 1.0)
    spots = min(
        placing.spots(each, rows[best], finer)
        for each, rows, finer in zip((one, two), (first, second), grids, strict=True)
    )
    if spots < FEW:
        return Agreement(spots)
    matrix = np.eye(3)
    matrix[0] = across * factor.real, -factor.imag, shift.real
    matrix[1] = across * factor.imag, factor.real, shift.imag
    return Agreement(spots, np.asarray(np.linalg.inv(matrix), np.float64), flipped)


def _complex(parts: Parts, rows: Numbers, *, flipped: bool = False) -> Complex:
    """Give places as complex numbers, by which turn and scale are one factor."""
    across = np.float32(-1 if flipped else 1)
    return np.asarray(across * parts.x[rows] + 1j * parts.y[rows], np.complex128)


def _turned(here: Complex, there: Complex) -> tuple[complex, complex] | None:
    """Fit the factor and the shift from some places to others; None where these collapse."""
    middle, target = here.mean(), there.mean()
    around = here - middle
    spread = float(np.square(np.abs(around)).sum())
    if spread < _COLLAPSED:
        return None
    factor = complex(np.vdot(around, there - target) / spread)
    return None if abs(factor) ** 2 < _COLLAPSED else (factor, target - factor * middle)


def _placed(spots: int, from_one: Floats, to_two: Floats) -> Agreement:
    affinity = np.linalg.lstsq(from_one.astype(np.float64), to_two.astype(np.float64), rcond=None)[
        0
    ]
    turn = float(np.linalg.det(affinity[:2]))
    if abs(turn) < _COLLAPSED:
        return Agreement(spots)
    matrix = np.eye(3)
    matrix[:2] = affinity.T
    return Agreement(spots, np.asarray(np.linalg.inv(matrix), np.float64), turn < 0)


def _alike(one: Parts, two: Parts) -> Alike:
    # Squared distances by one product, of which each further pass would take as long as a half.
    far = _squared(one.codes, -2, first=False) @ _squared(two.codes, 1, first=True).T
    at = np.flatnonzero(far <= placing.REACH)  # some hundred: sorting these takes less than going
    near = far.ravel()[at]  # over the table again
    rows = at // max(1, len(two))
    return Alike(rows, at - rows * len(two), near, far)


def _matched(alike: Alike) -> tuple[Numbers, Numbers]:
    """Match each feature with the two nearest of the other image; the best matches of all."""
    rows, columns, near, _ = alike
    chosen = _two_least(rows, near) | _two_least(columns, near)
    rows, columns, near = rows[chosen], columns[chosen], near[chosen]
    if len(rows) > _MAX_MATCHES:
        best = np.argpartition(near, _MAX_MATCHES - 1)[:_MAX_MATCHES]
        rows, columns = rows[best], columns[best]
    return rows, columns


def _squared(codes: Bytes, factor: int, *, first: bool) -> Floats:
    """(F, D + 2) codes by a factor, and beside them their squares and ones, of which either first.

    Products of two such tables are squared distances, of whole numbers and so exact.
    """
    rows = np.ones((len(codes), codes.shape[1] + 2), np.float32)
    rows[:, :-2] = codes
    rows[:, -1 - first] = np.einsum("fd,fd->f", rows[:, :-2], rows[:, :-2])
    rows[:, :-2] *= factor
    return rows


def _two_least(groups: Numbers, values: Floats) -> Flags:
    """Mark the two least values of each group; of equal ones the first.

    Parameters
    ----------
    values : whole numbers from 0 to `placing.REACH`
    """
    key = groups * (placing.REACH + 1) + values.astype(np.int64)
    # Sixteen bits, as those of a few hundred groups are, are sorted digit by digit.
    order = np.argsort(key.astype(np.int16) if _fits(key) else key, kind="stable")
    ranked = groups[order]
    least = np.ones(len(order), np.bool_)
    np.not_equal(ranked[1:], ranked[:-1], out=least[1:])
    chosen = np.zeros(len(groups), np.bool_)
    chosen[order[least]] = True
    chosen[order[1:][least[:-1]]] |= ~least[1:][least[:-1]]
    return chosen


def _fits(key: Numbers) -> bool:
    return bool(key.max(initial=0) < 1 << 15)
