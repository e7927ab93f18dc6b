"""The self-join through cells, for collections whose exact join would take minutes.

k-means divides the space. Each row has a home, the cell nearest to it, is compared with the rows at
home there, and asks those of its few next cells. Pairs of rows of which neither asks the home of
the other are missed: how many, is measured against the exact answer for a sample of rows, and as
many cells are asked as that requires.

`train`, `labels` and `pairs_of_cell` are pure functions of arrays. The join of one machine
(`divide`, `propose_within`) runs on them, and so can the tasks of any other engine, which see one
cell at a time: train on a sample, label blocks of rows, group rows by all of their cells, and pair
each cell by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.search.kmeans import find_centres
from dedup.search.pairs import Pairs, place_among_equals
from dedup.search.products import highest_products, on_every_core
from dedup.search.short import directions, shortened
from dedup.search.similarity import MARGIN, inclusive, pair_similarities, unit_rows
from dedup.search.tiles import TILE, Proposed, found_in, places_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]
    Labels = npt.NDArray[np.int32]
    Ids = npt.NDArray[np.int64]

_ROWS_PER_CELL: Final = 500  # with more, comparing takes longer; with fewer, labelling does
_TRAINING_ROWS_PER_CELL: Final = 64
_TRAINING_ROUNDS: Final = 10
OVERLAPS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16)  # cells of a row
_MAX_MISSED_SHARE: Final = 0.0005  # of pairs; half of what is promised
_MIN_MISSES: Final = 3  # that are not chance alone
_SAMPLE_ROWS: Final = 4000  # whose exact pairs are found
_SAMPLE_NEIGHBOURS: Final = 50  # pairs of a sampled row that count
_TILE: Final = (
    384  # of a cell, of which larger ones compute more twice: 1024 takes 1.4 times as long
)
_FEW: Final = 1e-3  # of products that are worth another look: more costs what short rows save
_SHORT: Final = 128  # values of rows that are divided: more divide no better (decision 0005)
_BLOCK_ROWS: Final = 65536
_PAIRS_AT_ONCE: Final = 4096  # whose cells a cache holds
_SEED: Final = 0


def train(sample: Rows, cells: int, seed: int = _SEED) -> Rows:
    """Find the centres of cells by spherical k-means.

    Parameters
    ----------
    sample : (S, D) float32, unit rows; all of them are used, some 64 for each cell are enough
    cells : C, from 1 to S
    seed : equal seeds and samples give equal centres

    Returns
    -------
    (C, D) float32, unit rows
    """
    if not 1 <= cells <= len(sample):
        raise ValueError(f"{len(sample)} rows cannot be divided into {cells} cells")
    sample = np.ascontiguousarray(sample, np.float32)
    return find_centres(sample, cells, _TRAINING_ROUNDS, seed, spherical=True)


def labels(rows: Rows, centroids: Rows, overlap: int) -> Labels:
    """Find the cells of each row. What a row gets does not depend on the other rows.

    Parameters
    ----------
    rows : (N, D) float32, unit rows
    centroids : (C, D) float32, from `train`
    overlap : M, cells of a row, from 1 to C

    Returns
    -------
    (N, M) int32, the cells of the highest products with each row, highest first
    """
    if not 1 <= overlap <= len(centroids):
        raise ValueError(f"a row cannot be in {overlap} of {len(centroids)} cells")
    centroids = np.ascontiguousarray(centroids, np.float32)
    return highest_products(rows, centroids, overlap)[1].astype(np.int32)


def pairs_of_cell(
    rows: Rows,
    ids: Ids,
    threshold: float,
    *,
    cell: int = 0,
    labels: Labels | None = None,
) -> Pairs:
    """Find the pairs of one cell that are at least as similar as a threshold.

    Parameters
    ----------
    rows : (R, D) float32, unit rows of the cell
    ids : (R,) int64, names of the rows over all cells, none twice
    threshold : cosine in [-1, 1], inclusive
    cell, labels : the number of this cell, and (R, M) the cells of each row. With them, a pair that
        shares several cells is returned for the lowest of these only, so that the pairs of all
        cells together hold none twice. Without them, all pairs are returned

    Returns
    -------
    By rising (first, second), which are ids, first < second. The similarity is that of
    `similarity.pair_similarities`.
    """
    limit = np.float32(threshold - MARGIN)
    rows = np.ascontiguousarray(rows, np.float32)
    parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
    for top in range(0, len(rows), _TILE):
        for left in range(top, len(rows), _TILE):
            products = rows[top : top + _TILE] @ rows[left : left + _TILE].T
            tile = found_in(products, limit, top, left)
            one, two = tile.first, tile.second
            if labels is not None:
                mine = lowest_shared(labels, one, two) == cell
                one, two = one[mine], two[mine]
            similarity = pair_similarities(rows, rows, one, two)
            keep = similarity >= inclusive(threshold)
            parts.append((ids[one[keep]], ids[two[keep]], similarity[keep]))
    left_ids, right_ids, similarity = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    return Pairs.joined(
        [Pairs(np.minimum(left_ids, right_ids), np.maximum(left_ids, right_ids), similarity)]
    )


def lowest_shared(
    labels: Labels, first: npt.NDArray[np.integer], second: npt.NDArray[np.integer]
) -> Labels:
    """(P,) the lowest cell that both rows of a pair are in."""
    lowest = np.full(len(first), np.iinfo(np.int32).max, np.int32)
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        block = slice(start, start + _PAIRS_AT_ONCE)
        # A row a cell, so that comparing and joining run along pairs, of which there are many.
        mine, theirs = (np.ascontiguousarray(labels[each[block]].T) for each in (first, second))
        for cells in mine:
            np.minimum(lowest[block], cells, out=lowest[block], where=(theirs == cells).any(axis=0))
    return lowest


# -- the join of one machine -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cells:
    """A division of the rows, and what it is worth.

    Attributes
    ----------
    labels : (N, M) int32, the cells of each row, nearest first
    count : number of cells
    recall : share of the pairs of sampled rows that are compared; 1 where there was no pair
    pairs : how many pairs that was measured on
    products : how many products of two rows comparing within cells takes
    """

    labels: Labels
    count: int
    recall: float
    pairs: int
    products: float


def divide(vectors: Rows, threshold: float, k: int | None) -> Cells:
    """Divide rows into cells, with as much overlap as it takes to find the sample's pairs.

    Parameters
    ----------
    vectors : (N, D) float32, rows of unit L2 norm; N at least 1
    threshold : lowest similarity of the pairs that count
    k : only the k nearest of a row count; None: all
    """
    count = max(1, len(vectors) // _ROWS_PER_CELL)
    deepest = min(OVERLAPS[-1], count)
    near = nearest_cells(vectors, count, _TRAINING_ROWS_PER_CELL, deepest)
    first, second = _sample_pairs(vectors, threshold, k or _SAMPLE_NEIGHBOURS)
    overlaps = [overlap for overlap in OVERLAPS if overlap <= deepest]
    misses = [1 - _recall(near[:, :overlap], first, second) for overlap in overlaps]
    overlap = choose_overlap(overlaps, misses, len(first))
    chosen = np.ascontiguousarray(near[:, :overlap])
    homes = np.bincount(chosen[:, 0], minlength=count).astype(float)
    asking = np.bincount(chosen[:, 1:].ravel(), minlength=count)
    return Cells(
        chosen,
        count,
        _recall(chosen, first, second),
        len(first),
        float((homes * (homes / 2 + asking)).sum()),
    )


def nearest_cells(vectors: Rows, cells: int, training_rows: int, overlap: int) -> Labels:
    """Find cells of rows, and which of them are nearest to each row; long rows are made short.

    Parameters
    ----------
    vectors : (N, D) float32, unit rows
    cells : C, from 1 to N
    training_rows : of a cell
    overlap : M, cells of a row, from 1 to C

    Returns
    -------
    (N, M) int32, nearest first
    """
    some = np.random.default_rng(_SEED).permutation(len(vectors))[: cells * training_rows]
    sample = vectors[np.sort(some)]
    onto = directions(sample, _SHORT)
    if onto is None:
        return labels(vectors, train(sample, cells), overlap)
    centres = train(unit_rows(sample @ onto), cells)
    near = np.empty((len(vectors), overlap), np.int32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        near[block] = labels(vectors[block] @ onto, centres, overlap)
    return near


def _sample_pairs(vectors: Rows, threshold: float, k: int) -> tuple[Ids, Ids]:
    """Find the pairs of a sample of rows, exactly: (P,) rows of the sample, (P,) other rows."""
    rng = np.random.default_rng(_SEED + 1)
    rows = np.sort(rng.permutation(len(vectors))[:_SAMPLE_ROWS])
    onto = directions(vectors[rows], _SHORT)
    if onto is not None:
        asked = shortened(vectors[rows], onto)
        half = len(asked) // 2
        tile = asked[:half][:TILE] @ asked[half:][:TILE].T
        if np.count_nonzero(tile >= np.float32(threshold)) <= _FEW * tile.size:
            return _few_pairs(vectors, rows, asked, onto, threshold, k)
    nearest = min(k + 1, len(vectors))
    similarity, others = highest_products(vectors[rows], vectors, nearest)
    keep = (similarity >= threshold) & (others != rows[:, None])
    number, column = np.nonzero(keep)
    return rows[number], others[number, column].astype(np.int64)


def _few_pairs(
    vectors: Rows, rows: Ids, asked: Rows, onto: Rows, threshold: float, k: int
) -> tuple[Ids, Ids]:
    """Find what `_sample_pairs` gives, where short products leave few pairs to be looked at.

    Parameters
    ----------
    rows, asked : (S,) the sample, rising, and (S, M) the same made short
    """
    limit = np.float32(threshold - MARGIN)

    def search(start: int) -> Pairs:
        block = vectors[start : start + TILE]
        short = shortened(block, onto)
        found = [
            places_in(asked[top : top + TILE] @ short.T, limit)
            for top in range(0, len(asked), TILE)
        ]
        first = np.concatenate([one + top * TILE for top, (one, _) in enumerate(found)])
        second = np.concatenate([other for _, other in found]) + start
        similarity = pair_similarities(vectors, vectors, rows[first], second)
        keep = (similarity >= inclusive(threshold)) & (rows[first] != second)
        return Pairs(rows[first[keep]], second[keep], similarity[keep])

    every = Pairs.joined(list(on_every_core(search, range(0, len(vectors), TILE))))
    order = np.lexsort((every.second, -every.similarity, every.first))
    order = order[place_among_equals(every.first[order]) < k]
    return every.first[order].astype(np.int64), every.second[order].astype(np.int64)


def choose_overlap(
    overlaps: list[int], misses: list[float], pairs: int, missed: float = _MAX_MISSED_SHARE
) -> int:
    """Choose the least overlap that can be trusted to miss no more than wanted.

    Parameters
    ----------
    overlaps : that can be chosen, rising
    misses : share of the sample's pairs that each of them misses
    pairs : of the sample
    missed : share of all pairs that may be missed

    Notes
    -----
    Where there are pairs enough, those that are missed tell: n of them are n + 2√n + 3 at most, as
    far as chance goes (to one in forty; for none, one in twenty). Of 21,407 pairs of drawn rows 8
    cells missed 82, and so no more than .5 %; until this was told, 16 were taken for any promise.

    A few hundred pairs without a miss do not prove less than one miss in two thousand. Misses fall
    by about the same factor with every further cell, so that the misses of small overlaps predict
    the rest: 200 cells of 100,000 rows of 256 values missed .242, .049, .012 and .002 with 1 to 4
    cells.
    """
    if not pairs:
        return overlaps[0]
    counts = [round(miss * pairs) for miss in misses]
    for overlap, count in zip(overlaps, counts, strict=True):
        if count + 2 * count**0.5 + 3 <= missed * pairs:
            return overlap
    seen = [number for number, miss in enumerate(misses) if miss * pairs >= _MIN_MISSES]
    clear = next((number for number, miss in enumerate(misses) if miss == 0), len(overlaps) - 1)
    if len(seen) < 2:  # noqa: PLR2004 - a line takes two points
        return overlaps[min(clear + 1, len(overlaps) - 1)]
    slope, height = np.polyfit(
        [overlaps[number] for number in seen],
        np.log([misses[number] for number in seen]),
        1,
        w=np.sqrt([misses[number] * pairs for number in seen]),  # as sure as their number
    )
    for overlap in overlaps[clear:]:
        if height + slope * overlap <= np.log(missed):
            return overlap
    return overlaps[-1]


def _recall(near: Labels, first: Ids, second: Ids) -> float:
    """Give the share of pairs of which either row asks the home of the other; 1 of none."""
    if not len(first):
        return 1.0
    one, two = near[first], near[second]
    found = (one == two[:, :1]).any(axis=1) | (two == one[:, :1]).any(axis=1)
    return float(found.mean())


def share_in_a_cell(one: Labels, two: Labels) -> float:
    """Give the share of P pairs of rows that have a cell in common; 1 of none.

    Parameters
    ----------
    one, two : (P, M) int32, the cells of either row of each pair
    """
    if not len(one):
        return 1.0
    return float((one[:, :, None] == two[:, None, :]).any(axis=(1, 2)).mean())


def propose_within(
    vectors: Rows,
    cells: Cells,
    threshold: float,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Proposed]:
    """Compare the rows of each cell, its home, and with them the rows that ask there.

    Asking takes a row's other nearest cells, one home each: comparing all that share a cell takes
    the square of the overlap, and finds few pairs more. A pair that is found twice comes once.

    Parameters are those of `dedup.search.tiles.propose`; `progress` counts cells. Every pair
    reaches the threshold, and its product is its similarity.
    """
    near, home = cells.labels, cells.labels[:, 0]
    homes, home_ends = _by_cell(home, cells.count)
    askers, ask_ends = _by_cell(near[:, 1:].ravel(), cells.count)
    limit, wide = np.float32(threshold - MARGIN), max(1, near.shape[1] - 1)

    def search(cell: int) -> Proposed:
        at_home = homes[home_ends[cell] : home_ends[cell + 1]]
        asking = askers[ask_ends[cell] : ask_ends[cell + 1]] // wide
        own = vectors[at_home]
        found = pairs_of_cell(own, at_home, threshold)
        parts = [found]
        for top in range(0, len(asking), TILE):
            some = asking[top : top + TILE]
            one, two = places_in(vectors[some] @ own.T, limit)
            first, second = some[one], at_home[two]
            # Where each asks the home of the other, the pair counts in the lower of these.
            twice = (near[second] == home[first][:, None]).any(axis=1)
            mine = ~twice | (cell < home[first])
            first, second = first[mine], second[mine]
            similarity = pair_similarities(vectors, vectors, first, second)
            keep = similarity >= inclusive(threshold)
            first, second = first[keep], second[keep]
            parts.append(
                Pairs(np.minimum(first, second), np.maximum(first, second), similarity[keep])
            )
        every = Pairs.joined(parts)
        return Proposed(
            every.first.astype(np.int32), every.second.astype(np.int32), every.similarity
        )

    for done, found in enumerate(on_every_core(search, range(cells.count)), start=1):
        yield found
        if progress is not None:
            progress(done, cells.count)


def _by_cell(of: Labels, count: int) -> tuple[Ids, Ids]:
    """Sort places by their cell; gives them, and where each cell and what follows all begins."""
    ends = np.append(0, np.bincount(of, minlength=count).cumsum())
    return np.argsort(of, kind="stable"), ends
