"""Which images share a part, by votes of their local features.

Every feature asks FAISS for the nearest features of other images, and matches of a true part agree
on one placing (`dedup.placing`). Work is bounded for each feature (`NEAREST` matches) and for each
image (`_MAX_CHECKED` others that are looked at, `most` that are given), so that thousands of
screenshots of one app cost no more than others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import faiss
import numpy as np

from dedup.placing import REACH, differences, following, spots

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

NEAREST: Final = 8
"""Features of other images that one feature is matched with."""

FEWEST_VOTES: Final = 4
"""Features that have to agree, on either side."""

_SEED: Final = 0
_FLAT_FEATURES: Final = 4096  # up to which all are compared with all
_FEATURES_PER_CELL: Final = 320
_MAX_CELLS: Final = 16384
_PROBED: Final = 3
_TRAINING_PER_CELL: Final = 32
_BLOCK: Final = 65536  # features that ask at a time
_PRODUCT: Final = 512  # of them that are compared with all cells at once
_MAX_CHECKED: Final = 40
_TURN: Final = np.pi / 4
_MAX_MATCHES: Final = 256  # of a pair that are looked at
_BUCKET_BITS: Final = 20
_MIXING: Final = np.uint64(
    0x9E3779B97F4A7C15
)  # spreads what is multiplied by it (Fibonacci hashing)


@dataclass(frozen=True, slots=True)
class LocalFeatures:
    """The features of N images, F in all.

    Parameters
    ----------
    owner : (F,) int64, the image of each, rising
    codes : (F, D) uint8
    x, y : (F,) as shares of the longest side
    scale : (F,) binary logarithm of the size
    angle : (F,) radians
    turned : (F,) which side of the mirror the code shows
    """

    owner: Numbers
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
    matches = _matched(features, first_new, progress)
    votes = _votes(features, _agreeing(features, matches))
    ranked: dict[int, list[tuple[float, int, int]]] = {}
    for (one, two), vote in votes.items():
        ranked.setdefault(one, []).append((-vote, one, two))
        ranked.setdefault(two, []).append((-vote, one, two))
    return sorted({pair[1:] for found in ranked.values() for pair in sorted(found)[:most]})


def _matched(
    features: LocalFeatures, first_new: int | None, progress: Callable[[int, int], None]
) -> _Matches:
    """Match features with the nearest of other images."""
    count = len(features)
    everything = np.arange(count)
    sides = [(everything, everything)]
    if first_new is not None:
        split = int(np.searchsorted(features.owner, first_new))
        sides = [(everything[split:], everything[:split]), (everything[:split], everything[split:])]
    total, done = sum(len(asking) for asking, _ in sides), 0
    found: list[tuple[Numbers, Numbers]] = []
    for asking, asked in sides:
        if not len(asking) or not len(asked):
            continue
        index = _index(features.codes[asked])
        for start in range(0, len(asking), _BLOCK):
            block = asking[start : start + _BLOCK]
            queries = features.codes[block].astype(np.float32)
            distances, rows = _nearest(index, queries, NEAREST + (first_new is None))
            query, place = np.nonzero((rows >= 0) & (distances <= REACH))
            one, two = block[query], asked[rows[query, place]]
            other = features.owner[one] != features.owner[two]
            found.append((one[other], two[other]))
            done += len(block)
            progress(done, total)
    if not found:
        none = np.zeros(0, np.int64)
        return _Matches(none, none, none, np.zeros(0, np.float32))
    asking_one, asked_two = (np.concatenate(side) for side in zip(*found, strict=True))
    low, high = np.minimum(asking_one, asked_two), np.maximum(asking_one, asked_two)
    key = np.sort(low * count + high)  # sorting millions is quicker than hashing them
    key = key[np.diff(key, prepend=-1) > 0]
    one, two = np.divmod(key, count)
    often = np.bincount(one, minlength=count) + np.bincount(two, minlength=count)
    weight = 1 / np.sqrt(often[one] * often[two])
    images = int(features.owner[-1]) + 1
    pair = features.owner[one] * images + features.owner[two]
    return _Matches(pair, one, two, weight.astype(np.float32))


def _index(codes: npt.NDArray[np.uint8]) -> Any:
    """Build what finds the nearest codes: by comparing all where they are few, else by cells."""
    rows, dimension = codes.shape
    if rows <= _FLAT_FEATURES:
        flat = faiss.IndexFlatL2(dimension)
        flat.add(codes.astype(np.float32))
        return flat
    cells = min(_MAX_CELLS, rows // _FEATURES_PER_CELL)
    by_residual = False
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatL2(dimension),
        dimension,
        cells,
        faiss.ScalarQuantizer.QT_8bit_direct,
        faiss.METRIC_L2,
        by_residual,
    )
    index.cp.min_points_per_centroid = 1
    index.cp.seed = _SEED
    index.cp.niter = 6
    some = np.random.default_rng(_SEED).permutation(rows)[: cells * _TRAINING_PER_CELL]
    index.train(codes[np.sort(some)].astype(np.float32))
    for start in range(0, rows, _BLOCK):
        index.add(codes[start : start + _BLOCK].astype(np.float32))
    index.nprobe = _PROBED
    return index


def _nearest(index: Any, queries: Floats, count: int) -> tuple[Floats, Numbers]:
    """Search an index of `_index`; gives (Q, count) squared distances and rows, -1 for none."""
    found: tuple[Floats, Numbers]
    if not isinstance(index, faiss.IndexIVF):
        found = index.search(queries, count)
        return found
    # FAISS looks for the cells of many queries in four times as long as a product takes.
    centres = index.quantizer.reconstruct_n(0, index.nlist)
    halves = (centres * centres).sum(axis=1) / 2
    cells = np.empty((len(queries), index.nprobe), np.int64)
    for start in range(0, len(queries), _PRODUCT):
        near = queries[start : start + _PRODUCT] @ centres.T - halves
        each = np.arange(len(near))
        for place in range(index.nprobe):
            cells[start : start + _PRODUCT, place] = best = near.argmax(axis=1)
            near[each, best] = -np.inf
    unused = np.zeros(cells.shape, np.float32)  # distances of cells, by which nothing is chosen
    found = index.search_preassigned(queries, count, cells, unused)
    return found[0], found[1]


def _agreeing(features: LocalFeatures, matches: _Matches) -> _Matches:
    """Keep the matches of pairs of images of which enough agree on turn and scale."""
    # Most pairs have a match or two by chance: without them the rest is a fraction of the work.
    matches = matches.at(_frequent(matches.pair))
    scale, turn, mirrored = differences(features, matches.one, features, matches.two)
    enough = np.zeros(len(matches.pair), np.bool_)
    for half_scale in (0.0, 0.5):
        for half_turn in (0.0, 0.5):
            octave = np.floor(scale + half_scale).astype(np.int64) + 16
            eighth = np.floor(turn / _TURN + half_turn).astype(np.int64) % 8
            enough |= _frequent(((matches.pair * 32 + octave) * 8 + eighth) * 2 + mirrored)
    return matches.at(enough)


def _frequent(keys: Numbers) -> Flags:
    """Mark the keys that are there `FEWEST_VOTES` times at least."""
    # Counted by buckets first, which is quicker than sorting them all.
    bucket = ((keys.astype(np.uint64) * _MIXING) >> np.uint64(64 - _BUCKET_BITS)).astype(np.int64)
    frequent = np.asarray(np.bincount(bucket)[bucket] >= FEWEST_VOTES)
    some = keys[frequent]
    ranked = np.sort(some)
    often = np.searchsorted(ranked, some, "right") - np.searchsorted(ranked, some)
    frequent[frequent] = often >= FEWEST_VOTES
    return frequent


def _votes(features: LocalFeatures, matches: _Matches) -> dict[tuple[int, int], float]:
    """Count, for each pair of images, the matches that agree on one placing as well."""
    order = np.argsort(matches.pair, kind="stable")
    sorted_pairs = matches.pair[order]
    begins = np.flatnonzero(np.diff(sorted_pairs, prepend=-1))
    ends = np.append(begins[1:], len(order))
    chosen = _most_matched(features, matches, order, begins, ends)
    votes: dict[tuple[int, int], float] = {}
    for begin, end in zip(begins[chosen].tolist(), ends[chosen].tolist(), strict=True):
        some = matches.at(order[begin:end][:_MAX_MATCHES])
        vote = _agreed(features, some)
        if vote:
            one, two = int(features.owner[some.one[0]]), int(features.owner[some.two[0]])
            votes[one, two] = vote
    return votes


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


def _agreed(features: LocalFeatures, matches: _Matches) -> float:
    """Sum the weights of the matches that agree with the one most agree with; 0: too few do."""
    one, two = matches.one, matches.two
    agree = following(features, one, features, two)
    best = agree[int(np.argmax(agree @ matches.weight))]
    distinct = min(spots(features, side[best]) for side in (one, two))
    return float(matches.weight[best].sum()) if distinct >= FEWEST_VOTES else 0.0
