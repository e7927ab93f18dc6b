"""Which images share a part, by votes of their local features.

Every feature asks for the nearest features of other images, and matches of a true part agree
on one placing (`dedup.placing`). Work is bounded for each feature (`NEAREST` matches) and for each
image (`_MAX_CHECKED` others that are looked at, `most` that are given), so that thousands of
screenshots of one app cost no more than others.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from itertools import product
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from dedup.placing import REACH, differences, followers, spots_of
from dedup.search.matching import Division, matches, near_codes
from dedup.search.pairs import MIXING, first_of_equals, place_among_equals
from dedup.search.products import on_every_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Numbers = npt.NDArray[np.int64]
    Places = npt.NDArray[np.int32]
    Flags = npt.NDArray[np.bool_]

NEAREST: Final = 8
"""Features of other images that one feature is matched with."""

FEWEST_VOTES: Final = 4
"""Features that have to agree, on either side."""

_MAX_CHECKED: Final = 40
_COMPARED: Final = 1 << 17  # pairs of matches at once, and those of one pair of images
_TURN: Final = np.pi / 4
_MAX_MATCHES: Final = 256  # of a pair that are looked at
_BUCKET_BITS: Final = 20
_RANGE: Final = 1 << 15  # features


@dataclass(frozen=True, slots=True)
class LocalFeatures:
    """The features of N images, F in all.

    Parameters
    ----------
    owner : (F,) int32, the image of each, rising
    codes : (F, D) uint8
    x, y : (F,) as shares of the longest side
    scale : (F,) binary logarithm of the size
    angle : (F,) radians
    turned : (F,) which side of the mirror the code shows
    """

    owner: Places
    codes: npt.NDArray[np.uint8]
    x: Floats
    y: Floats
    scale: Floats
    angle: Floats
    turned: Flags

    def __len__(self) -> int:
        return len(self.owner)


@dataclass(frozen=True, slots=True)
class _Matches:
    """Pairs of features, the one of the lower image first, each once.

    Parameters
    ----------
    pair : (M,) int64, which pair of images
    one, two : (M,) int64, the features
    weight : (M,) below 1 where a feature matches several images
    """

    pair: Numbers
    one: Numbers
    two: Numbers
    weight: Floats

    def at(self, chosen: Numbers | Flags) -> _Matches:
        return _Matches(self.pair[chosen], self.one[chosen], self.two[chosen], self.weight[chosen])


@dataclass(frozen=True, slots=True)
class Asked:
    """What the features of some images leave for those of images that come later.

    Parameters
    ----------
    division : the cells in which features ask
    near : (F, M) whole, the cells of each feature
    reach : (F,) uint8, squared distance of the farthest that it is matched with; what comes later
        is matched with it where it is no farther
    """

    division: Division
    near: npt.NDArray[np.integer]
    reach: npt.NDArray[np.uint8]


def sharing_parts(
    features: LocalFeatures,
    most: int,
    *,
    first_new: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[tuple[int, int]]:
    """Pair images that seem to share a part.

    Parameters
    ----------
    most : pairs that an image brings in; of those it is brought into there may be more
    first_new : when given, only pairs of an image from this number on with one below it

    Returns
    -------
    The lower image first, sorted.
    """
    return _paired(features, _matched(features, first_new, progress), most)


def sharing_more(
    features: LocalFeatures, most: int, known: Asked | None = None
) -> tuple[list[tuple[int, int]], Asked]:
    """Pair images that came later with all there are, as `sharing_parts`, in work for them alone.

    Parameters
    ----------
    known : of the features that come first; None: all are new

    Returns
    -------
    The pairs of which an image is new; and of all features what the next ones need.
    """
    codes, start = features.codes, 0 if known is None else len(known.reach)
    if known is not None and start == len(codes):
        return [], known
    reach = np.full(len(codes), REACH, np.uint8)
    if not len(codes):
        nothing = Division(*(np.empty((0, 0), np.float32),) * 2, np.empty(0, np.int64))
        return [], Asked(nothing, np.empty((0, 0), np.int32), reach)
    division = Division.of(codes) if known is None else known.division
    near = division.nearest(codes, start)
    if known is not None:
        near, reach[:start] = np.concatenate([known.near, near]), known.reach
    every = range(len(codes))
    new, old = every[start:], every[:start]
    farthest = reach.copy()

    def found() -> Iterator[tuple[Places, Places]]:
        for side, count in (((new, every), NEAREST + 1), ((old, new), NEAREST)):  # new are in both
            for part in matches(codes, division, near, side, reach, count):
                yield part.one, part.two
                last = np.flatnonzero(place_among_equals(part.one) == count - 1)
                farthest[part.one[last]] = part.apart[last]

    with tempfile.TemporaryFile() as file:
        pairs = _paired(features, _agreeing(features, found(), file), most)
    return pairs, Asked(division, near, farthest)


def _paired(features: LocalFeatures, matches: _Matches, most: int) -> list[tuple[int, int]]:
    """Pair images by the votes of their matches."""
    ranked: dict[int, list[tuple[float, int, int]]] = {}
    for (one, two), vote in _votes(features, matches).items():
        ranked.setdefault(one, []).append((-vote, one, two))
        ranked.setdefault(two, []).append((-vote, one, two))
    return sorted({pair[1:] for found in ranked.values() for pair in sorted(found)[:most]})


def _matched(
    features: LocalFeatures, first_new: int | None, progress: Callable[[int, int], None]
) -> _Matches:
    """Match features with the nearest of other images."""
    every = range(len(features))
    sides = [(every, every)]
    if first_new is not None:
        split = int(np.searchsorted(features.owner, first_new))
        sides = [(every[split:], every[:split]), (every[:split], every[split:])]
    nearest = NEAREST + (first_new is None)  # itself
    return _agreeing(features, near_codes(features.codes, sides, REACH, nearest, progress))


def _agreeing(
    features: LocalFeatures,
    found: Iterable[tuple[Places, Places]],
    file: IO[bytes] | None = None,
) -> _Matches:
    """Collect the matches of pairs of images of which enough agree on turn and scale.

    Parameters
    ----------
    found : features that asked and what they found, in parts
    file : keeps what was found, which is more than all else of very many images
    """
    ranges = _Ranges(features, file)
    for asked in found:
        ranges.add(*asked)
    often = np.zeros(len(features), np.int32)
    kept: list[Numbers] = [np.empty(0, np.int64)]
    for every, agreeing in on_every_core(ranges.settle, range(len(ranges))):
        for side in np.divmod(every, len(features)):
            np.add.at(often, side, np.int32(1))
        kept.append(agreeing)
    one, two = np.divmod(np.concatenate(kept), max(1, len(features)))
    weight = 1 / np.sqrt(often[one] * often[two])
    return _Matches(_pair(features, one, two), one, two, weight.astype(np.float32))


class _Ranges:
    """What features found in other images, by ranges of the lower image.

    Kept in six bytes each, in memory or in a file, until all matches of a range are there; then
    nearly all are left out, which pairs of images have by chance, before those of the next range
    are looked at.
    """

    def __init__(self, features: LocalFeatures, file: IO[bytes] | None = None) -> None:
        self._features, self._file = features, file
        firsts = np.flatnonzero(np.diff(features.owner, prepend=-1))
        places = np.searchsorted(firsts, np.arange(0, len(features), _RANGE), "right") - 1
        self._begins = firsts[np.unique(places)]
        longest = np.diff(self._begins, append=len(features)).max(initial=0)
        low = np.uint16 if longest <= 1 << 16 else np.uint32
        self._kind = np.dtype([("low", low), ("high", np.int32)])
        self._found: list[list[tuple[int, int] | npt.NDArray[Any]]] = [[] for _ in self._begins]

    def __len__(self) -> int:
        return len(self._found)

    def add(self, one: Places, two: Places) -> None:
        """Take what features found, in any order; a match may come more than once."""
        other = self._features.owner[one] != self._features.owner[two]
        key = np.minimum(one, two)[other] * np.int64(len(self._features))
        key += np.maximum(one, two)[other]
        low, high = np.divmod(_distinct(key), len(self._features))
        ends = np.searchsorted(low, self._begins).tolist()
        for found, first, begin, end in zip(
            self._found, self._begins.tolist(), ends, [*ends[1:], len(low)], strict=True
        ):
            if begin < end:
                part = np.empty(end - begin, self._kind)
                part["low"], part["high"] = low[begin:end] - first, high[begin:end]
                found.append(part if self._file is None else self._written(self._file, part))

    def _written(self, file: IO[bytes], part: npt.NDArray[Any]) -> tuple[int, int]:
        place = file.tell()
        file.write(part.data)
        file.flush()
        return place, part.nbytes

    def _read(self, part: tuple[int, int] | npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self._file is None or isinstance(part, np.ndarray):
            return np.asarray(part)
        return np.frombuffer(os.pread(self._file.fileno(), part[1], part[0]), self._kind)

    def settle(self, number: int) -> tuple[Numbers, Numbers]:
        """Give all matches of a range, and those that agree, and forget them.

        A match is the number of its lower feature times that of features, and its higher one.
        """
        found, self._found[number] = self._found[number], []
        count, first = len(self._features), self._begins[number]
        parts = (self._read(part) for part in found)
        keys = [(part["low"] + first) * count + part["high"] for part in parts]
        every = _distinct(np.concatenate([np.empty(0, np.int64), *keys]))
        kept = every[_frequent(_pair(self._features, *np.divmod(every, count)))]
        return every, kept[self._agree(kept)]

    def _agree(self, key: Numbers) -> Flags:
        """Mark the matches of pairs of images of which enough agree on turn and scale."""
        features = self._features
        one, two = np.divmod(key, len(features))
        pair = _pair(features, one, two)
        scale, turn, mirrored = differences(features, one, features, two)
        enough = np.zeros(len(key), np.bool_)
        for halves in product((0.0, 0.5), repeat=2):
            octave = np.floor(scale + halves[0]).astype(np.int64) + 16
            eighth = np.floor(turn / _TURN + halves[1]).astype(np.int64) % 8
            enough |= _frequent(((pair * 32 + octave) * 8 + eighth) * 2 + mirrored)
        return enough


def _distinct(key: Numbers) -> Numbers:
    """Sort, and give each once; sorting millions is quicker than hashing them."""
    key.sort()
    return key[first_of_equals(key)]


def _pair(features: LocalFeatures, one: Numbers, two: Numbers) -> Numbers:
    """Give the pair of images of each match a number."""
    images = int(features.owner[-1]) + 1 if len(features) else 0
    return features.owner[one] * np.int64(images) + features.owner[two]


def _frequent(keys: Numbers) -> Flags:
    """Mark the keys that are there `FEWEST_VOTES` times at least."""
    # Counted by buckets first, which is quicker than sorting them all.
    bits = min(_BUCKET_BITS, max(1, len(keys).bit_length()))
    bucket = ((keys.astype(np.uint64) * MIXING) >> np.uint64(64 - bits)).astype(np.int64)
    frequent = np.asarray(np.bincount(bucket)[bucket] >= FEWEST_VOTES)
    _, place, often = np.unique(keys[frequent], return_inverse=True, return_counts=True)
    frequent[frequent] = often[place] >= FEWEST_VOTES
    return frequent


def _votes(features: LocalFeatures, matches: _Matches) -> dict[tuple[int, int], float]:
    """Count, for each pair of images, the matches that agree on one placing as well."""
    order = np.argsort(matches.pair, kind="stable")
    sorted_pairs = matches.pair[order]
    begins = np.flatnonzero(np.diff(sorted_pairs, prepend=-1))
    ends = np.append(begins[1:], len(order))
    chosen = _most_matched(features, matches, order, begins, ends)
    begins, sizes = begins[chosen], np.minimum(ends[chosen] - begins[chosen], _MAX_MATCHES)
    work = np.cumsum(sizes * sizes) // _COMPARED

    def count(part: Numbers) -> list[tuple[tuple[int, int], float]]:
        rows = np.repeat(begins[part], sizes[part])
        rows += place_among_equals(rows)
        some, first = matches.at(order[rows]), order[begins[part]]
        images = (features.owner[side[first]].tolist() for side in (matches.one, matches.two))
        votes = _agreed(features, some, np.cumsum(sizes[part]) - sizes[part])
        return list(zip(zip(*images, strict=True), votes.tolist(), strict=True))

    parts = np.split(np.arange(len(work)), np.flatnonzero(np.diff(work)) + 1)
    counted = on_every_core(count, parts if len(work) else [])
    return {pair: vote for found in counted for pair, vote in found if vote}


def _most_matched(
    features: LocalFeatures, matches: _Matches, order: Numbers, begins: Numbers, ends: Numbers
) -> Numbers:
    """Choose the pairs that are among the `_MAX_CHECKED` most matched of either image."""
    counts = ends - begins
    kept = np.zeros(len(begins), np.bool_)
    for side in (matches.one, matches.two):
        image = features.owner[side[order[begins]]] if len(begins) else begins
        ranking = np.lexsort((-counts, image))
        rank = np.arange(len(ranking)) - np.searchsorted(image[ranking], image[ranking])
        kept[ranking[rank < _MAX_CHECKED]] = True
    return np.flatnonzero(kept)


def _agreed(features: LocalFeatures, matches: _Matches, begins: Numbers) -> Doubles:
    """Sum the weights of the matches that agree with the one most agree with; 0: too few do.

    Parameters
    ----------
    matches : those of a pair together
    begins : (P,) where those of each pair begin

    Returns
    -------
    (P,) of each pair
    """
    one, two, weight = matches.one, matches.two, matches.weight
    proposing, followed = followers(features, one, features, two, begins)
    votes = np.bincount(proposing, weight[followed], len(one))
    most = np.maximum.reduceat(votes, begins)
    of = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(one)))
    best = np.flatnonzero(votes == most[of])
    chosen = np.zeros(len(one), np.bool_)
    chosen[best[first_of_equals(of[best])]] = True
    agree = followed[chosen[proposing]]
    enough = np.ones(len(begins), np.bool_)
    for side in (one, two):
        spots = spots_of(features, side[agree]).astype(np.int32).view(np.uint32)
        distinct = np.bincount(np.unique(of[agree] << 32 | spots) >> 32, minlength=len(begins))
        enough &= distinct >= FEWEST_VOTES
    return np.where(enough, most, 0.0)
