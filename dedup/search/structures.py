"""The FAISS structures behind an index: which suits a size, what each costs, and how they search.

They hold fp16: a query reads half of what fp32 takes. Only an index that serves one search of many
queries may hold fp32, into which its rows would have to be converted again. Structures only
propose, and how far a proposal may be off is bounded by `spread`. *Flat* compares a query with
every row and misses nothing within that bound. *IVF* searches some cells only; what it misses of
the ten nearest is measured on a sample when it is built, and it searches more cells until that is
little.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import faiss
import numpy as np

from dedup.parallel.workers import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Proposals: TypeAlias = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
    Ranges: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]

MAX_FLAT_ROWS: Final = 200_000
"""Rows that are still compared one by one: at 1280 values a query reads 0.5 GB, some 25 ms."""

_MIN_RECALL: Final = 0.99  # of the `_RECALL_DEPTH` nearest
_RECALL_DEPTH: Final = 10
_RECALL_QUERIES: Final = 200
_MAX_PROBED_CELLS: Final = 1024
_TRAINING_ROWS_PER_CELL: Final = 40
_SEED: Final = 0
_FP16: Final[Any] = faiss.ScalarQuantizer.QT_fp16


class FlatSearch(NamedTuple):
    """When a flat structure is searched in which way.

    FAISS decodes a row of fp16 for every query that it is compared with, and gives a query one
    thread. Of 100,000 rows of 1280 values, one query takes it 35 ms, and two threads here 19 ms on
    two cores; a range search of 64 queries takes it 4.7 times as long as matrix products of decoded
    blocks do, but the nearest of fewer than some 128 are found sooner without decoding blocks
    (FAISS 1.15.1).

    Parameters
    ----------
    nearest_queries, within_queries : queries from which on blocks are decoded and multiplied
    block_rows : rows of a block
    thread_values : values to compare from which on threads are worth starting, about a millisecond
    threads : None: one for each core
    """

    nearest_queries: int = 128
    within_queries: int = 16
    block_rows: int = 16384
    thread_values: int = 1 << 22
    threads: int | None = None


class Built(NamedTuple):
    """A structure and what is known of it.

    Parameters
    ----------
    index : the FAISS index
    kind : "flat" or "ivf"
    recall : of the ten nearest, on a sample of the rows; 1 for flat
    spread : by how much a product may be off
    """

    index: Any
    kind: str
    recall: float
    spread: float


def build(
    vectors: npt.NDArray[np.float32], *, max_flat_rows: int = MAX_FLAT_ROWS, fp32: bool = False
) -> Built:
    """Build the structure that suits the number of rows.

    Parameters
    ----------
    vectors : (N, D) float32, unit rows
    max_flat_rows : more rows than this take IVF
    fp32 : hold that where it is flat, instead of fp16
    """
    rows, dimension = vectors.shape
    flat = rows <= max(0, max_flat_rows)
    if flat and fp32:
        whole = faiss.IndexFlatIP(dimension)
        whole.add(vectors)
        return Built(whole, "flat", 1.0, 0.0)
    off_by = spread(vectors)
    if flat:
        index = faiss.IndexScalarQuantizer(dimension, _FP16, faiss.METRIC_INNER_PRODUCT)
        index.add(vectors)
        return Built(index, "flat", 1.0, off_by)
    index = _ivf(vectors)
    return Built(index, "ivf", _broaden(index, vectors, off_by), off_by)


def spread(vectors: npt.NDArray[np.float32]) -> float:
    """Measure by how much the product of a unit query and a row held in fp16 may be off.

    At most by the length of what rounding takes from the row (Cauchy and Schwarz).

    Parameters
    ----------
    vectors : (N, D) float32

    Returns
    -------
    The largest over all rows: at most 0.0005, and some 0.0002 at 256 values and more.
    """
    codec = faiss.IndexScalarQuantizer(vectors.shape[1], _FP16, faiss.METRIC_INNER_PRODUCT)
    largest = 0.0
    block_rows = FlatSearch().block_rows
    for start in range(0, len(vectors), block_rows):
        rows = vectors[start : start + block_rows]
        lost = rows - codec.sa_decode(codec.sa_encode(rows))
        largest = max(largest, float(np.einsum("nd,nd->n", lost, lost).max()))
    return float(largest**0.5)


def _ivf(vectors: npt.NDArray[np.float32]) -> Any:
    rows, dimension = vectors.shape
    cells = max(1, int(rows**0.5))
    by_residual = False  # rows themselves are held, not their differences from the cell's centre
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimension),
        dimension,
        cells,
        _FP16,
        faiss.METRIC_INNER_PRODUCT,
        by_residual,
    )
    index.cp.min_points_per_centroid = 1
    index.cp.seed = _SEED
    some = np.random.default_rng(_SEED).permutation(rows)[: cells * _TRAINING_ROWS_PER_CELL]
    index.train(vectors[np.sort(some)])
    index.add(vectors)
    return index


def _broaden(index: Any, vectors: npt.NDArray[np.float32], off_by: float) -> float:
    """Double the cells that are searched until recall suffices; returns the recall."""
    chosen = np.random.default_rng(_SEED + 1).permutation(len(vectors))[:_RECALL_QUERIES]
    queries = vectors[np.sort(chosen)]
    depth = min(_RECALL_DEPTH, len(vectors))
    exact, _ = faiss.knn(queries, vectors, depth, metric=faiss.METRIC_INNER_PRODUCT)
    # By similarity and not by row: which of equal rows is found does not count.
    lowest = exact[:, -1:] - off_by
    probed = 8
    while True:
        index.nprobe = min(probed, index.nlist)
        found, _ = index.search(queries, depth)
        recall = float((found >= lowest).mean())
        if recall >= _MIN_RECALL or probed >= _MAX_PROBED_CELLS:
            return recall
        probed *= 2


def nearest(index: Any, queries: npt.NDArray[np.float32], k: int, how: FlatSearch) -> Proposals:
    """Find the rows of the highest products.

    Parameters
    ----------
    queries : (Q, D) float32
    k : at most the number of rows

    Returns
    -------
    (Q, k) products, falling, and (Q, k) rows; -1 where fewer were found.
    """
    if not isinstance(index, faiss.IndexScalarQuantizer):
        products, rows = index.search(queries, k)
        return products, rows
    if len(queries) >= how.nearest_queries:
        parts = [
            (products, np.where(rows >= 0, rows + start, -1))
            for start, (products, rows) in _by_blocks(
                index, how.block_rows, lambda part: part.search(queries, k)
            )
        ]
    else:
        parts = _by_threads(
            index, len(queries), how, lambda among: index.search(queries, k, params=among)
        )
    products, rows = (np.concatenate(column, axis=1) for column in zip(*parts, strict=True))
    order = np.argsort(np.where(rows >= 0, -products, np.inf), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(products, order, 1), np.take_along_axis(rows, order, 1)


def within(index: Any, queries: npt.NDArray[np.float32], radius: float, how: FlatSearch) -> Ranges:
    """Find what lies above a radius: (Q + 1,) limits, and the rows of all queries in turn."""
    if not isinstance(index, faiss.IndexScalarQuantizer):
        limits, _, rows = index.range_search(queries, radius)
        return limits.astype(np.int64), rows
    if len(queries) >= how.within_queries:
        parts = [
            (limits, rows + start)
            for start, (limits, _, rows) in _by_blocks(
                index, how.block_rows, lambda part: part.range_search(queries, radius)
            )
        ]
    else:
        found = _by_threads(
            index,
            len(queries),
            how,
            lambda among: index.range_search(queries, radius, params=among),
        )
        parts = [(limits, rows) for limits, _, rows in found]
    counts = np.sum([np.diff(limits.astype(np.int64)) for limits, _ in parts], axis=0)
    rows = np.concatenate(
        [
            rows[int(limits[query]) : int(limits[query + 1])]
            for query in range(len(queries))
            for limits, rows in parts
        ]
    )
    return np.concatenate([[0], np.cumsum(counts)]), rows


def _by_blocks(
    index: Any, block_rows: int, search: Callable[[Any], Any]
) -> Iterator[tuple[int, Any]]:
    """Search a flat structure block by block in fp32, where FAISS multiplies matrices."""
    for start in range(0, index.ntotal, block_rows):
        block = faiss.IndexFlatIP(index.d)
        block.add(index.reconstruct_n(start, min(block_rows, index.ntotal - start)))
        yield start, search(block)


def _by_threads(
    index: Any, queries: int, how: FlatSearch, search: Callable[[Any], Any]
) -> list[Any]:
    """Search a flat structure in as many parts as there are threads."""
    values = index.ntotal * index.d * queries
    parts = (how.threads or cores()) if values >= how.thread_values else 1
    if parts == 1:
        return [search(None)]
    ends = np.linspace(0, index.ntotal, parts + 1, dtype=np.int64)

    def one(part: int) -> Any:
        faiss.omp_set_num_threads(1)  # of this thread
        among = faiss.SearchParameters()
        rows = faiss.IDSelectorRange(int(ends[part]), int(ends[part + 1]))
        among.sel = rows  # which does not keep it alive
        return search(among)

    with ThreadPoolExecutor(parts, thread_name_prefix="search") as pool:
        return list(pool.map(one, range(parts)))
