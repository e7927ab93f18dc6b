"""The FAISS structures behind an index: which there are, which suits a size, what one costs.

They hold fp16: a query reads half of what fp32 takes. Only what serves one search of many queries
may hold fp32, into which their rows would have to be turned again. They only propose, and by how
much a proposal may be off is bounded by `spread`. Flat compares a query with every row and misses
nothing within that bound. The others look at a part of the rows; what they miss of the ten nearest
is measured on a sample when they are built, and their breadth is raised until little is missed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import faiss
import numpy as np

from dedup.parallel.workers import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Proposals: TypeAlias = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
    Ranges: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]

KINDS: Final = ("auto", "flat", "ivf", "hnsw")
FLAT_UP_TO: Final = 200_000
"""Rows that auto still compares one by one: at 1280 values a query reads 0.5 GB, some 25 ms."""

_WANTED: Final = 0.99  # recall@10
_DEPTH: Final = 10
_SAMPLE: Final = 200
_SEED: Final = 0
_LINKS: Final = 32  # of an HNSW node
_TRAINED_ON: Final = 40  # rows per cell
_WIDEST: Final = 1024
_HALF: Final[Any] = faiss.ScalarQuantizer.QT_fp16
_MANY: Final = 16  # queries from which on one matrix product beats row after row
_ROWS_AT_ONCE: Final = 16384
_WORTH_THREADS: Final = 1 << 22  # values to compare, about a millisecond


def build(
    vectors: npt.NDArray[np.float32], kind: str, *, fp32: bool = False
) -> tuple[Any, str, float, float]:
    """Build a structure over unit rows.

    Parameters
    ----------
    vectors : (N, D) float32
    kind : one of `KINDS`; auto is flat up to `FLAT_UP_TO` rows, then ivf
    fp32 : what a flat one is to hold instead of fp16

    Returns
    -------
    The FAISS index, its kind, its recall@10 on a sample of the rows (1 for flat), and the `spread`.
    """
    rows, dimension = vectors.shape
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if kind == "auto":
        kind = "flat" if rows <= FLAT_UP_TO else "ivf"
    if fp32 and (kind == "flat" or rows == 0):
        whole = faiss.IndexFlatIP(dimension)
        whole.add(vectors)
        return whole, "flat", 1.0, 0.0
    off_by = spread(vectors)
    if kind == "flat" or rows == 0:
        flat = faiss.IndexScalarQuantizer(dimension, _HALF, faiss.METRIC_INNER_PRODUCT)
        flat.add(vectors)
        return flat, "flat", 1.0, off_by
    index = _ivf(vectors) if kind == "ivf" else _hnsw(vectors)
    return index, kind, _broadened(index, vectors, off_by), off_by


def spread(vectors: npt.NDArray[np.float32]) -> float:
    """Measure by how much the product of a unit query and a row held in fp16 may be off.

    That is the length of what rounding takes from the row (Cauchy and Schwarz), at most.

    Parameters
    ----------
    vectors : (N, D) float32

    Returns
    -------
    The largest over all rows: at most 0.0005, and some 0.0002 at 256 values and more.
    """
    codec = faiss.IndexScalarQuantizer(vectors.shape[1], _HALF, faiss.METRIC_INNER_PRODUCT)
    largest = 0.0
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        rows = vectors[start : start + _ROWS_AT_ONCE]
        lost = rows - codec.sa_decode(codec.sa_encode(rows))
        largest = max(largest, float(np.einsum("nd,nd->n", lost, lost).max()))
    return float(largest**0.5)


def _ivf(vectors: npt.NDArray[np.float32]) -> Any:
    rows, dimension = vectors.shape
    cells = max(1, int(rows**0.5))
    by_residual = False  # rows themselves are held, not what they differ by from their cell
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimension),
        dimension,
        cells,
        _HALF,
        faiss.METRIC_INNER_PRODUCT,
        by_residual,
    )
    index.cp.min_points_per_centroid = 1
    index.cp.seed = _SEED
    some = np.random.default_rng(_SEED).permutation(rows)[: cells * _TRAINED_ON]
    index.train(vectors[np.sort(some)])
    index.add(vectors)
    return index


def _hnsw(vectors: npt.NDArray[np.float32]) -> Any:
    index = faiss.IndexHNSWSQ(vectors.shape[1], _HALF, _LINKS, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:1])  # nothing to learn for fp16, which FAISS asks for all the same
    index.add(vectors)
    return index


def _broadened(index: Any, vectors: npt.NDArray[np.float32], off_by: float) -> float:
    """Raise the breadth of a search until recall suffices; gives the recall reached."""
    chosen = np.random.default_rng(_SEED + 1).permutation(len(vectors))[:_SAMPLE]
    queries = vectors[np.sort(chosen)]
    depth = min(_DEPTH, len(vectors))
    exact, _ = faiss.knn(queries, vectors, depth, metric=faiss.METRIC_INNER_PRODUCT)
    # By similarity and not by row: which of equal rows is found does not count.
    least = exact[:, -1:] - off_by
    breadth, recall = 8, 0.0
    while True:
        _set_breadth(index, breadth)
        found, _ = index.search(queries, depth)
        recall = float((found >= least).mean())
        if recall >= _WANTED or breadth >= _WIDEST:
            return recall
        breadth *= 2


def _set_breadth(index: Any, breadth: int) -> None:
    if isinstance(index, faiss.IndexIVF):
        index.nprobe = min(breadth, index.nlist)
    else:
        index.hnsw.efSearch = breadth


def nearest(index: Any, queries: npt.NDArray[np.float32], k: int) -> Proposals:
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
    if len(queries) >= _MANY:
        parts = [
            (products, np.where(rows >= 0, rows + start, -1))
            for start, (products, rows) in _blocks(index, lambda part: part.search(queries, k))
        ]
    else:
        parts = _pieces(index, len(queries), lambda among: index.search(queries, k, params=among))
    products, rows = (np.concatenate(column, axis=1) for column in zip(*parts, strict=True))
    order = np.argsort(np.where(rows >= 0, -products, np.inf), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(products, order, 1), np.take_along_axis(rows, order, 1)


def within(index: Any, queries: npt.NDArray[np.float32], radius: float) -> Ranges:
    """Find what lies above a radius: (Q + 1,) limits and the rows of all queries after each other.

    HNSW's own range search has ignored the radius in some versions; its rows are compared one by
    one instead, as flat does.
    """
    if isinstance(index, faiss.IndexHNSW):
        index = faiss.downcast_index(index.storage)
    if not isinstance(index, faiss.IndexScalarQuantizer):
        limits, _, rows = index.range_search(queries, radius)
        return limits.astype(np.int64), rows
    if len(queries) >= _MANY:
        parts = [
            (limits, rows + start)
            for start, (limits, _, rows) in _blocks(
                index, lambda part: part.range_search(queries, radius)
            )
        ]
    else:
        found = _pieces(
            index, len(queries), lambda among: index.range_search(queries, radius, params=among)
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


def _blocks(index: Any, search: Callable[[Any], Any]) -> Iterator[tuple[int, Any]]:
    """Search a flat structure block by block in fp32, where FAISS multiplies matrices."""
    for start in range(0, index.ntotal, _ROWS_AT_ONCE):
        block = faiss.IndexFlatIP(index.d)
        block.add(index.reconstruct_n(start, min(_ROWS_AT_ONCE, index.ntotal - start)))
        yield start, search(block)


def _pieces(index: Any, queries: int, search: Callable[[Any], Any]) -> list[Any]:
    """Search a flat structure on every core: FAISS itself gives a query one thread."""
    pieces = cores() if index.ntotal * index.d * queries >= _WORTH_THREADS else 1
    ends = np.linspace(0, index.ntotal, pieces + 1, dtype=np.int64)

    def one(piece: int) -> Any:
        faiss.omp_set_num_threads(1)  # of this thread
        among = faiss.SearchParameters()
        rows = faiss.IDSelectorRange(int(ends[piece]), int(ends[piece + 1]))
        among.sel = rows  # which does not keep it alive
        return search(among)

    if pieces == 1:
        return [search(None)]
    with ThreadPoolExecutor(pieces, thread_name_prefix="search") as pool:
        return list(pool.map(one, range(pieces)))
