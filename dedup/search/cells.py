"""The self-join through cells, for collections whose exact join would take minutes.

k-means divides the space; each row belongs to its few nearest cells, and rows are compared within
cells only. What two rows that share no cell have in common is missed: how many pairs that is, is
measured against the exact answer for a sample of rows, and the overlap is as large as that asks
for.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import faiss
import numpy as np

from dedup.parallel.workers import cores, one_blas_thread
from dedup.search.similarity import MARGIN
from dedup.search.tiles import TILE, Proposed, found_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

_ROWS_PER_CELL: Final = 500  # with more, comparing takes longer; with fewer, assigning does
_TRAINED_ON: Final = 64  # rows per cell
_OVERLAPS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16)  # cells of a row
_WANTED_MISS: Final = 0.0005  # of pairs; half of what is promised
_SEEN: Final = 3  # misses that are not chance alone
_SAMPLE: Final = 4000  # rows whose exact pairs are known
_DEEPEST: Final = 50  # pairs of a sampled row that count
_AT_ONCE: Final = 65536
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Cells:
    """A division of the rows, and what it is worth.

    Attributes
    ----------
    labels : (N, M) int32, the cells of each row, nearest first
    count : number of cells
    recall : share of the pairs of sampled rows that share a cell; 1 where there was no pair
    pairs : how many pairs that was measured on
    products : how many products of two rows comparing within cells takes
    """

    labels: npt.NDArray[np.int32]
    count: int
    recall: float
    pairs: int
    products: float


def divide(vectors: npt.NDArray[np.float32], threshold: float, k: int | None) -> Cells:
    """Divide rows into cells, with as much overlap as it takes to find the sample's pairs.

    Parameters
    ----------
    vectors : (N, D) float32, rows of unit L2 norm; N at least 1
    threshold : lowest similarity of the pairs that count
    k : only the k nearest of a row count; None: all
    """
    count = max(1, len(vectors) // _ROWS_PER_CELL)
    rng = np.random.default_rng(_SEED)
    some = rng.permutation(len(vectors))[: count * _TRAINED_ON]
    kmeans = faiss.Kmeans(
        vectors.shape[1], count, niter=10, spherical=True, seed=_SEED, min_points_per_centroid=1
    )
    kmeans.train(vectors[np.sort(some)])
    centres = faiss.IndexFlatIP(vectors.shape[1])
    centres.add(np.asarray(kmeans.centroids, np.float32))
    deepest = min(_OVERLAPS[-1], count)
    labels = np.empty((len(vectors), deepest), np.int32)
    for start in range(0, len(vectors), _AT_ONCE):
        part = np.ascontiguousarray(vectors[start : start + _AT_ONCE])
        labels[start : start + _AT_ONCE] = centres.search(part, deepest)[1]
    first, second = _known_pairs(vectors, threshold, k or _DEEPEST)
    overlaps = [overlap for overlap in _OVERLAPS if overlap <= deepest]
    misses = [1 - _recall(labels[:, :overlap], first, second) for overlap in overlaps]
    overlap = _enough(overlaps, misses, len(first))
    chosen = np.ascontiguousarray(labels[:, :overlap])
    sizes = np.bincount(chosen.ravel(), minlength=count).astype(float)
    return Cells(
        chosen,
        count,
        _recall(chosen, first, second),
        len(first),
        float((sizes**2).sum() / 2),
    )


def _known_pairs(
    vectors: npt.NDArray[np.float32], threshold: float, k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find the pairs of a sample of rows, exactly."""
    rng = np.random.default_rng(_SEED + 1)
    rows = np.sort(rng.permutation(len(vectors))[:_SAMPLE])
    nearest = min(k + 1, len(vectors))
    similarity, others = faiss.knn(
        vectors[rows], np.ascontiguousarray(vectors), nearest, metric=faiss.METRIC_INNER_PRODUCT
    )
    keep = (similarity >= threshold) & (others != rows[:, None])
    place, column = np.nonzero(keep)
    return rows[place], others[place, column].astype(np.int64)


def _enough(overlaps: list[int], misses: list[float], pairs: int) -> int:
    """Choose the least overlap that may be trusted to miss no more than wanted.

    A few hundred pairs without a miss do not show one in two thousand. Misses fall by about the
    same factor with every further cell, so that those seen with little overlap foretell the rest:
    200 cells of 100,000 rows of 256 values missed .242, .049, .012 and .002 with 1 to 4 cells.
    """
    if not pairs:
        return overlaps[0]
    seen = [place for place, miss in enumerate(misses) if miss * pairs >= _SEEN]
    clear = next((place for place, miss in enumerate(misses) if miss == 0), len(overlaps) - 1)
    if len(seen) < 2:  # noqa: PLR2004 - a line takes two points
        return overlaps[min(clear + 1, len(overlaps) - 1)]
    slope, height = np.polyfit(
        [overlaps[place] for place in seen],
        np.log([misses[place] for place in seen]),
        1,
        w=np.sqrt([misses[place] * pairs for place in seen]),  # as sure as their number
    )
    for overlap in overlaps[clear:]:
        if height + slope * overlap <= np.log(_WANTED_MISS):
            return overlap
    return overlaps[-1]


def _recall(
    labels: npt.NDArray[np.int32], first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]
) -> float:
    if not len(first):
        return 1.0
    shared = (labels[first][:, :, None] == labels[second][:, None, :]).any(axis=(1, 2))
    return float(shared.mean())


def propose_within(
    vectors: npt.NDArray[np.float32],
    cells: Cells,
    threshold: float,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Proposed]:
    """Give what may reach the threshold of each cell; a pair of several cells comes once.

    Parameters, order and margin are those of `dedup.search.tiles.propose`.
    """
    limit = np.float32(threshold - MARGIN)
    flat = cells.labels.ravel()
    order = np.argsort(flat, kind="stable").astype(np.int64)
    ends = np.cumsum(np.bincount(flat, minlength=cells.count))
    overlap = cells.labels.shape[1]

    def search(cell: int) -> list[Proposed]:
        begin = int(ends[cell - 1]) if cell else 0
        rows = np.sort(order[begin : int(ends[cell])] // overlap)
        members = vectors[rows]
        found = []
        for top in range(0, len(rows), TILE):
            for left in range(top, len(rows), TILE):
                products = members[top : top + TILE] @ members[left : left + TILE].T
                tile = found_in(products, limit, top, left)
                first, second = rows[tile.first], rows[tile.second]
                mine = _lowest_shared(cells.labels, first, second) == cell
                found.append(
                    Proposed(
                        first[mine].astype(np.int32),
                        second[mine].astype(np.int32),
                        tile.products[mine],
                    )
                )
        return found

    workers = cores()
    running: deque[Future[list[Proposed]]] = deque()
    with ExitStack() as stack:
        stack.enter_context(one_blas_thread())
        pool = ThreadPoolExecutor(workers, thread_name_prefix="join")
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        for cell in range(cells.count + workers):
            if cell < cells.count:
                running.append(pool.submit(search, cell))
            if running and (len(running) > workers or cell >= cells.count):
                yield from running.popleft().result()
            if progress is not None:
                progress(min(cell + 1, cells.count), cells.count)
        while running:
            yield from running.popleft().result()


def _lowest_shared(
    labels: npt.NDArray[np.int32], first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]
) -> npt.NDArray[np.int32]:
    """(P,) the lowest cell that both rows of a pair are in."""
    lowest = np.empty(len(first), np.int32)
    for start in range(0, len(first), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        one, two = labels[first[part]], labels[second[part]]
        shared = (one[:, :, None] == two[:, None, :]).any(axis=2)
        lowest[part] = np.where(shared, one, np.iinfo(np.int32).max).min(axis=1)
    return lowest
