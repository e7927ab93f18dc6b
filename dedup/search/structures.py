"""The FAISS structures behind an index: which there are, which suits a size, what one costs.

Flat compares a query with every row and is exact. The others look at a part of the rows; what they
miss of the ten nearest is measured on a sample when they are built, and their breadth is raised
until little is missed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import faiss
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

KINDS: Final = ("auto", "flat", "ivf", "hnsw")
FLAT_UP_TO: Final = 200_000
"""Rows that auto still compares one by one: at 1280 values a query reads 1 GB, some 0.1 s."""

_WANTED: Final = 0.99  # recall@10
_DEPTH: Final = 10
_SAMPLE: Final = 200
_SEED: Final = 0
_LINKS: Final = 32  # of an HNSW node
_TRAINED_ON: Final = 40  # rows per cell
_WIDEST: Final = 1024


def build(vectors: npt.NDArray[np.float32], kind: str) -> tuple[Any, str, float]:
    """Build a structure over unit rows.

    Parameters
    ----------
    vectors : (N, D) float32
    kind : one of `KINDS`; auto is flat up to `FLAT_UP_TO` rows, then ivf

    Returns
    -------
    The FAISS index, its kind, and its recall@10 on a sample of the rows (1 for flat).
    """
    rows, dimension = vectors.shape
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if kind == "auto":
        kind = "flat" if rows <= FLAT_UP_TO else "ivf"
    if kind == "flat" or rows == 0:
        flat = faiss.IndexFlatIP(dimension)
        flat.add(vectors)
        return flat, "flat", 1.0
    index = _ivf(vectors) if kind == "ivf" else _hnsw(vectors)
    return index, kind, _broadened(index, vectors)


def _ivf(vectors: npt.NDArray[np.float32]) -> Any:
    rows, dimension = vectors.shape
    cells = max(1, int(rows**0.5))
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(dimension), dimension, cells, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.min_points_per_centroid = 1
    index.cp.seed = _SEED
    some = np.random.default_rng(_SEED).permutation(rows)[: cells * _TRAINED_ON]
    index.train(vectors[np.sort(some)])
    index.add(vectors)
    index.make_direct_map()
    return index


def _hnsw(vectors: npt.NDArray[np.float32]) -> Any:
    index = faiss.IndexHNSWFlat(vectors.shape[1], _LINKS, faiss.METRIC_INNER_PRODUCT)
    index.add(vectors)
    return index


def _broadened(index: Any, vectors: npt.NDArray[np.float32]) -> float:
    """Raise the breadth of a search until recall suffices; gives the recall reached."""
    chosen = np.random.default_rng(_SEED + 1).permutation(len(vectors))[:_SAMPLE]
    queries = vectors[np.sort(chosen)]
    depth = min(_DEPTH, len(vectors))
    exact, _ = faiss.knn(queries, vectors, depth, metric=faiss.METRIC_INNER_PRODUCT)
    # By similarity and not by row: which of equal rows is found does not count.
    least = exact[:, -1:] - 1e-6  # what fp32 products may differ by
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


def rows_of(index: Any) -> npt.NDArray[np.float32] | None:
    """Give a view of the rows of a structure; None where it holds them in cells."""
    flat = index
    if isinstance(index, faiss.IndexHNSW):
        flat = faiss.downcast_index(index.storage)
    if not isinstance(flat, faiss.IndexFlat):
        return None
    size = flat.ntotal * flat.d
    if not size:
        return np.empty((0, flat.d), np.float32)
    view: npt.NDArray[np.float32] = faiss.rev_swig_ptr(flat.get_xb(), size).reshape(-1, flat.d)
    return view


def within(
    index: Any, queries: npt.NDArray[np.float32], radius: float
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Find what lies above a radius: (Q + 1,) limits and the rows of all queries after each other.

    HNSW's own range search has ignored the radius in some versions; its rows are compared one by
    one instead, as flat does.
    """
    if isinstance(index, faiss.IndexHNSW):
        index = faiss.downcast_index(index.storage)
    limits, _, rows = index.range_search(queries, radius)
    return limits, rows
