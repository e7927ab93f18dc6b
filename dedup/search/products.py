"""The rows of the highest products with each query, exact to fp32, by tiles on every core.

What `faiss.knn` and a flat index give. FAISS multiplies by a BLAS of its own, which on a CPU with
AVX-512 took 4.6 times as long as NumPy's (2,000 by 40,000 rows of 512 values, one thread: 3.0 and
0.67 s); here it only keeps the highest.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import faiss
import numpy as np

from dedup.parallel.workers import cores, one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    import numpy.typing as npt

    Item = TypeVar("Item")
    Result = TypeVar("Result")

    Rows = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

_TILE: Final = 1024  # as in `tiles`: products stay in the cache
_FEWEST_QUERIES: Final = 64  # of a thread
_QUICK: Final = 1 << 23  # multiplications that take as long as threads to start
_FEW: Final = 4  # highest, up to which these are quicker found one after the other


def highest_products(
    queries: Rows, rows: Rows, k: int, less: Rows | None = None
) -> tuple[Rows, Ids]:
    """Find the k rows of the highest products with each query, on every core.

    Parameters
    ----------
    queries : (Q, D) float32
    rows : (N, D) float32, N at least 1
    k : at least 1
    less : (N,) what is taken off the products with each row; None: nothing

    Returns
    -------
    (Q, K) float32 products, highest first, and (Q, K) int64 rows; K is k, or N where that is less.
    Ties come in any order.
    """
    k = min(k, len(rows))
    products, places = (
        np.empty((len(queries), k), np.float32),
        np.empty((len(queries), k), np.int64),
    )
    size = min(_TILE, max(_FEWEST_QUERIES, -(-len(queries) // cores())))
    starts = range(0, len(queries), size)

    def ask(start: int) -> tuple[Rows, Ids]:
        return highest_of_block(queries[start : start + size], rows, k, less)

    with one_blas_thread():
        quick = queries.size * len(rows) <= _QUICK
        found = map(ask, starts) if quick else on_every_core(ask, starts)
        for start, (best, where) in zip(starts, found, strict=True):
            products[start : start + size], places[start : start + size] = best, where
    return products, places


def highest_of_block(
    queries: Rows, rows: Rows, k: int, less: Rows | None = None
) -> tuple[Rows, Ids]:
    """Find what `highest_products` finds, on the calling thread, for some thousand queries."""
    k = min(k, len(rows))
    highest = _highest_few if k <= _FEW else _highest_by_heaps
    return highest(_tiles(queries, rows, less), len(queries), k)


def _tiles(queries: Rows, rows: Rows, less: Rows | None) -> Iterator[tuple[int, Rows]]:
    """Multiply with some rows after the others; gives where they begin, and products to change."""
    for left in range(0, len(rows), _TILE):
        tile = queries @ rows[left : left + _TILE].T
        if less is not None:
            tile -= less[left : left + _TILE]
        yield left, tile


def _highest_few(tiles: Iterable[tuple[int, Rows]], count: int, k: int) -> tuple[Rows, Ids]:
    """Take the highest product of all, then of those that are left: a third of what heaps take."""
    products, places = np.empty((count, 0), np.float32), np.empty((count, 0), np.int64)
    for left, tile in tiles:
        flat, begins = tile.ravel(), np.arange(count) * tile.shape[1]
        taken = min(k, tile.shape[1])
        best, where = np.empty((count, taken), np.float32), np.empty((count, taken), np.int64)
        for place in range(taken):
            where[:, place] = tile.argmax(axis=1)
            at = begins + where[:, place]
            best[:, place] = flat.take(at)
            flat[at] = -np.inf
        where += left
        if not left:
            products, places = best, where
            continue
        products = np.concatenate([products, best], axis=1)
        places = np.concatenate([places, where], axis=1)
        order = np.argsort(-products, axis=1, kind="stable")[:, :k]
        products = np.take_along_axis(products, order, 1)
        places = np.take_along_axis(places, order, 1)
    return products, places


def _highest_by_heaps(tiles: Iterable[tuple[int, Rows]], count: int, k: int) -> tuple[Rows, Ids]:
    faiss.omp_set_num_threads(1)  # of this thread
    products, places = np.empty((count, k), np.float32), np.empty((count, k), np.int64)
    heaps = faiss.float_minheap_array_t()
    heaps.nh, heaps.k = count, k
    heaps.val, heaps.ids = faiss.swig_ptr(products), faiss.swig_ptr(places)
    heaps.heapify()
    for left, tile in tiles:
        add: Any = heaps.addn  # whose stub lacks what the library takes
        add(tile.shape[1], faiss.swig_ptr(tile), left, 0, count)
    heaps.reorder()
    return products, places


def on_every_core(call: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the result of each item, in order; BLAS keeps to the thread that calls it."""
    workers = cores()
    running: deque[Future[Result]] = deque()
    with ExitStack() as stack:
        stack.enter_context(one_blas_thread())
        pool = ThreadPoolExecutor(workers, thread_name_prefix="search")
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        for item in items:
            running.append(pool.submit(call, item))
            if len(running) > 2 * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
