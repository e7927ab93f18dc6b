"""The graph of nearest neighbours: for every row the k rows that are most similar to it.

Small galleries are compared row by row. In large ones each row is compared with the rows of the
cells nearest to it (`cells`), as many of them as it takes to find what a sample's exact neighbours
are; the share that is missed is measured, and told. `similarity` has the last word on each pair.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.parallel.workers import cores
from dedup.search.cells import nearest_cells
from dedup.search.products import highest_of_block, highest_products, on_every_core
from dedup.search.similarity import pair_similarities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

MAX_EXACT_PRODUCTS: Final = 4e12
"""N² D up to which all rows are compared with all: about half a minute on two cores."""

_EXTRA: Final = 2  # fetched beyond k: fp32 products may order ties otherwise than similarities
_ROWS_PER_CELL: Final = 500
_TRAINING_ROWS_PER_CELL: Final = 40
_OVERLAPS: Final = (1, 2, 3, 4, 6, 8, 12, 16)  # cells that a row is compared with
_MIN_RECALL: Final = 0.99
_SAMPLE_ROWS: Final = 1000
_BLOCK_ROWS: Final = 1024
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class NearestRows:
    """The k most similar others of N rows, by falling similarity, ties by rising row.

    Parameters
    ----------
    rows : (N, k) int32; -1 where there are no more
    similarity : (N, k) float32, in [-1, 1]; -2 where there are no more
    recall : share of the neighbours of sampled rows that were found; 1 where all were compared
    """

    rows: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float32]
    recall: float = 1.0


class _Part(NamedTuple):
    """What was found for some rows: (R,) rows, (R, K) other rows, (R, K) products."""

    rows: Ids
    others: Ids
    products: Rows


def nearest_rows(
    vectors: Rows,
    k: int,
    *,
    exact: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NearestRows:
    """Find the k most similar other rows of every row.

    Parameters
    ----------
    vectors : (N, D) float32, rows of unit L2 norm
    k : at least 1
    exact : whether all are compared with all; None: where that is quick
    progress : called with (rows done, N)
    """
    count, dimension = vectors.shape
    fetched = min(k + _EXTRA, max(count - 1, 0))
    if exact is None:
        exact = float(count) ** 2 * dimension <= MAX_EXACT_PRODUCTS
    best = _Best(count, fetched)
    recall = 1.0
    if exact or count < 2 * _ROWS_PER_CELL:
        parts = _by_blocks(vectors, fetched)
    else:
        parts, recall = _by_cells(vectors, k, fetched)
    for done, part in parts:
        best.add(part)
        if progress is not None:
            progress(done, count)
    return _settled(vectors, best, k, recall)


class _Best:
    """The best found so far of every row."""

    def __init__(self, count: int, k: int) -> None:
        self.others = np.full((count, k), -1, np.int32)
        self.products = np.full((count, k), -2, np.float32)

    def add(self, part: _Part) -> None:
        others = np.concatenate([self.others[part.rows], part.others], axis=1)
        products = np.concatenate([self.products[part.rows], part.products], axis=1)
        products[others == part.rows[:, None]] = -2  # itself
        k = self.others.shape[1]
        order = np.argpartition(-products, k - 1, axis=1)[:, :k] if k else np.empty((0, 0), int)
        if k:
            self.others[part.rows] = np.take_along_axis(others, order, 1)
            self.products[part.rows] = np.take_along_axis(products, order, 1)


def _settled(vectors: Rows, best: _Best, k: int, recall: float) -> NearestRows:
    """Put what was found in the order of its similarities, block by block."""
    count, fetched = best.others.shape
    kept = min(k, fetched)
    rows = np.full((count, k), -1, np.int32)
    similarity = np.full((count, k), -2, np.float32)

    def settle(start: int) -> None:
        block = slice(start, min(start + _BLOCK_ROWS, count))
        others = best.others[block]
        found = best.products[block] > -2  # noqa: PLR2004 - of none
        owner, _ = np.nonzero(found)
        exact = np.full(others.shape, -2, np.float32)
        exact[found] = pair_similarities(vectors[block], vectors, owner, others[found])
        order = np.lexsort((others, -exact), axis=1)[:, :kept]
        similarity[block, :kept] = np.take_along_axis(exact, order, 1)
        chosen = np.take_along_axis(others, order, 1)
        rows[block, :kept] = np.where(similarity[block, :kept] < -1, -1, chosen)

    with ThreadPoolExecutor(cores(), thread_name_prefix="graph") as pool:
        list(pool.map(settle, range(0, count if kept else 0, _BLOCK_ROWS)))
    return NearestRows(rows, similarity, recall)


def _by_blocks(vectors: Rows, fetched: int) -> Iterator[tuple[int, _Part]]:
    """Compare all rows with all."""

    def search(start: int) -> _Part:
        ids = np.arange(start, min(start + _BLOCK_ROWS, len(vectors)))
        products, others = highest_of_block(vectors[start : ids[-1] + 1], vectors, fetched + 1)
        return _Part(ids, others, products)

    for part in on_every_core(search, range(0, len(vectors), _BLOCK_ROWS)):
        yield int(part.rows[-1]) + 1, part


# -- by cells --------------------------------------------------------------------------------------


def _by_cells(vectors: Rows, k: int, fetched: int) -> tuple[Iterator[tuple[int, _Part]], float]:
    """Compare each row with the rows of its nearest cells; says what share that finds."""
    cells = len(vectors) // _ROWS_PER_CELL
    deepest = min(_OVERLAPS[-1], cells)
    near = nearest_cells(vectors, cells, _TRAINING_ROWS_PER_CELL, deepest)
    rng = np.random.default_rng(_SEED)
    sample = np.sort(rng.permutation(len(vectors))[:_SAMPLE_ROWS])
    _, others = highest_products(vectors[sample], vectors, k + 1)
    real = others != sample[:, None]
    owner, place = np.nonzero(real)
    homes = near[others[owner, place], 0]
    overlap, recall = deepest, 0.0
    for each in (one for one in _OVERLAPS if one <= deepest):
        recall = float((near[sample[owner], :each] == homes[:, None]).any(axis=1).mean())
        if recall >= _MIN_RECALL:
            overlap = each
            break
    chosen = np.ascontiguousarray(near[:, :overlap])
    return _cell_by_cell(vectors, chosen, cells, fetched), recall


def _cell_by_cell(
    vectors: Rows, near: npt.NDArray[np.int32], cells: int, fetched: int
) -> Iterator[tuple[int, _Part]]:
    homes = np.argsort(near[:, 0], kind="stable")
    home_ends = np.cumsum(np.bincount(near[:, 0], minlength=cells))
    flat = near.ravel()
    askers = np.argsort(flat, kind="stable")
    ask_ends = np.cumsum(np.bincount(flat, minlength=cells))
    overlap = near.shape[1]

    def search(cell: int) -> _Part | None:
        home = homes[home_ends[cell - 1] if cell else 0 : home_ends[cell]]
        asking = askers[ask_ends[cell - 1] if cell else 0 : ask_ends[cell]] // overlap
        if not len(home) or not len(asking):
            return None
        products, places = highest_of_block(vectors[asking], vectors[home], fetched + 1)
        return _Part(asking, home[places], products)

    asked = 0
    for part in on_every_core(search, range(cells)):
        if part is not None:
            asked += len(part.rows)
            yield asked // overlap, part
