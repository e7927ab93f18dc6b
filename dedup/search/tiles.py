"""Proposals of the exact self-join: what may reach a threshold, tile by tile of the upper triangle.

Two ways, neither of which leaves out a pair that reaches the threshold: fp32 products by BLAS, a
tile to each core at a time, and bf16 products by torch, where the hardware has units for them.
`similarity` decides which pairs are in.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from dedup.parallel.hardware import AMPERE, has_amx, sees_gpu
from dedup.parallel.workers import cores, one_blas_thread
from dedup.search.similarity import MARGIN, pair_similarities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    import torch

TILE: Final = 1024
"""Rows and columns of an fp32 tile: 4 MB of products stay in the cache of the core that looks
through them; rates at 512, 1024 and 2048 are in docs/benchmarks.md."""

BF16_TILE: Final = 4096
"""Rows and columns of a bf16 tile: large, because units for bf16 wait for memory first."""

GPU_TILE: Final = 16384
"""The same on a GPU, which waits for the host after each: 1,000,000 rows of 256 values took an H200
5.0 s in tiles of 4096, 2.3 s of 8192, 1.4 s of 16384 and 1.2 s of 32768, which take 2 GB each."""


class TileSizes(NamedTuple):
    """Rows and columns of a tile, in fp32, in bf16 on the host, and on a GPU."""

    fp32: int = TILE
    bf16: int = BF16_TILE
    gpu: int = GPU_TILE


_TILES: Final = TileSizes()

BF16_MARGIN: Final = 0.0125
"""By how much the bf16 product of unit rows may fall short of their similarity.

bf16 keeps 8 bits: rounding changes a value by at most u = 2^-8 of itself. Two rounded factors move
a product by at most 2u + u² of itself, and the absolute products of unit rows add up to at most 1
(Cauchy–Schwarz): 2^-7 + 2^-16. Rounding the sum to bf16 adds at most u (1 + 2^-7 + 2^-16), adding
up in fp32 less than D 2^-24: together below .0123 for D up to 8192."""

_MIN_BF16_PRODUCTS: Final = 3e12  # N² D / 2; with fewer, importing torch takes longer
_MIN_GPU_TILE: Final = 512  # of a GPU whose memory others take


@dataclass(frozen=True, slots=True)
class Proposed:
    """Pairs that may reach the threshold.

    Attributes
    ----------
    first, second : (P,) int32 rows, first < second, no order
    products : (P,) float32, within `MARGIN` of the similarity
    """

    first: npt.NDArray[np.int32]
    second: npt.NDArray[np.int32]
    products: npt.NDArray[np.float32]


def propose(
    vectors: npt.NDArray[np.float32],
    threshold: float,
    progress: Callable[[int, int], None] | None = None,
    *,
    bf16: bool | None = None,
    tiles: TileSizes = _TILES,
) -> Iterator[Proposed]:
    """Go through the upper triangle and propose what may reach the threshold.

    Parameters
    ----------
    vectors : (N, D) float32, rows of unit L2 norm
    threshold : cosine in [-1, 1]
    progress : called with (tiles done, tiles in all)
    bf16 : True or False forces a way; None takes bf16 where that is faster

    Returns
    -------
    Tile by tile, always in the same order; all at least as similar as the threshold, and of others
    none that is more than `MARGIN` below.
    """
    if bf16 is None:
        bf16 = takes_bf16(*vectors.shape)
    return (_by_torch if bf16 else _by_blas)(vectors, threshold, progress, tiles)


def takes_bf16(rows: int, dimension: int) -> bool:
    """Say whether `propose` takes bf16 for so many rows: where the hardware has units for it."""
    if rows * rows * dimension / 2 < _MIN_BF16_PRODUCTS:
        return False
    return has_amx() or (sees_gpu() and _usable_gpu() is not None)


def gpu_seconds(rows: int, dimension: int) -> float | None:
    """Predict how long a GPU takes for `propose`, from a tile worked through now; None: no GPU."""
    import torch

    device = _usable_gpu()
    if device is None:
        return None
    side = min(GPU_TILE, rows)
    try:
        with torch.inference_mode():
            tile = torch.full((side, dimension), dimension**-0.5, device=device).bfloat16()
            fastest = float("inf")
            for _ in range(6):  # the first of them load what they need
                started = time.perf_counter()
                _above(tile @ tile.T, 2.0)
                fastest = min(fastest, time.perf_counter() - started)
    except torch.OutOfMemoryError:
        return None
    return fastest * (rows / side) ** 2 / 2


def _usable_gpu() -> torch.device | None:
    """Find a GPU that multiplies in bf16 and that this build of torch can use."""
    import torch

    if torch.cuda.is_available() and torch.cuda.get_device_capability() >= AMPERE:
        return torch.device("cuda")
    return None


def _corners(rows: int, tile: int) -> list[tuple[int, int]]:
    return [(top, left) for top in range(0, rows, tile) for left in range(top, rows, tile)]


def _by_blas(
    vectors: npt.NDArray[np.float32],
    threshold: float,
    progress: Callable[[int, int], None] | None,
    tiles: TileSizes,
) -> Iterator[Proposed]:
    limit = np.float32(threshold - MARGIN)
    workers = cores()
    tile = tiles.fp32
    # A buffer is used again only when what was found in it has been taken out.
    buffers = deque(np.empty(min(tile, len(vectors)) ** 2, np.float32) for _ in range(2 * workers))

    def search(top: int, left: int, buffer: npt.NDArray[np.float32]) -> Proposed:
        upper, lower = vectors[top : top + tile], vectors[left : left + tile]
        products = buffer[: len(upper) * len(lower)].reshape(len(upper), len(lower))
        np.matmul(upper, lower.T, out=products)
        return found_in(products, limit, top, left)

    corners = _corners(len(vectors), tile)
    done = count(1)
    running: deque[tuple[Future[Proposed], npt.NDArray[np.float32]]] = deque()

    def oldest() -> Proposed:
        future, buffer = running.popleft()
        found = future.result()
        buffers.append(buffer)
        if progress is not None:
            progress(next(done), len(corners))
        return found

    # A tile to each core rather than all cores to a tile: looking through it is parallel too, and
    # a core that is busy elsewhere holds up nobody.
    with ExitStack() as stack:
        stack.enter_context(one_blas_thread())
        pool = ThreadPoolExecutor(workers, thread_name_prefix="join")
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        for top, left in corners:
            if not buffers:
                yield oldest()
            buffer = buffers.popleft()
            running.append((pool.submit(search, top, left, buffer), buffer))
        while running:
            yield oldest()


def found_in(products: npt.NDArray[np.float32], limit: np.float32, top: int, left: int) -> Proposed:
    """Find what reaches a limit in a tile; on the diagonal, only what lies above it.

    Parameters
    ----------
    products : (R, C) of rows from `top` on and columns from `left` on
    """
    rows, columns = places_in(products, limit)
    if top == left:
        above = rows < columns
        rows, columns = rows[above], columns[above]
    return Proposed(
        (rows + top).astype(np.int32), (columns + left).astype(np.int32), products[rows, columns]
    )


def places_in(
    products: npt.NDArray[np.float32], limit: np.float32
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(P,) rows and (P,) columns of what reaches a limit in a tile, by rising row and column."""
    # The highest of each row first: one pass that is quick, and mostly there is nothing more to do.
    promising = np.flatnonzero(products.max(axis=1, initial=-2) >= limit)
    # Flat, which takes a tenth of the time that NumPy takes for places in two dimensions.
    places = np.flatnonzero(products[promising] >= limit)
    rows, columns = np.divmod(places, max(1, products.shape[1]))
    return promising[rows], columns


def _by_torch(
    vectors: npt.NDArray[np.float32],
    threshold: float,
    progress: Callable[[int, int], None] | None,
    tiles: TileSizes,
) -> Iterator[Proposed]:
    import torch

    device = _usable_gpu() or torch.device("cpu")
    # Tiles are compared in bf16, which must not round the limit up.
    nearest = torch.tensor(threshold - MARGIN - BF16_MARGIN, dtype=torch.bfloat16)
    limit = float(torch.nextafter(nearest, torch.tensor(-4.0, dtype=torch.bfloat16)))
    tile = tiles.bf16 if device.type == "cpu" else tiles.gpu
    corners = _corners(len(vectors), tile)
    with ExitStack() as stack:
        if device.type == "cuda":
            # Parts of a sum must not be rounded to bf16: the margin counts one such rounding.
            matmul = torch.backends.cuda.matmul
            stack.callback(
                setattr,
                matmul,
                "allow_bf16_reduced_precision_reduction",
                matmul.allow_bf16_reduced_precision_reduction,
            )
            matmul.allow_bf16_reduced_precision_reduction = False
        try:
            rounded = torch.from_numpy(np.ascontiguousarray(vectors)).to(device, torch.bfloat16)
        except torch.OutOfMemoryError:
            yield from _by_blas(vectors, threshold, progress, tiles)
            return
        for done, (top, left) in enumerate(corners, start=1):
            for pairs in _searched(rounded, top, left, tile, limit):
                yield _settled(vectors, pairs, threshold)
            if progress is not None:
                progress(done, len(corners))


def _searched(
    rounded: torch.Tensor, top: int, left: int, tile: int, limit: float
) -> Iterator[npt.NDArray[np.int64]]:
    """Find the pairs of a tile that reach a limit, in quarters where memory is short.

    Parameters
    ----------
    rounded : (N, D) bf16
    tile : its rows and columns, from `top` and `left` on

    Returns
    -------
    (P, 2) pairs of rows, on the host, at once or in parts.
    """
    import torch

    upper, lower = rounded[top : top + tile], rounded[left : left + tile]
    try:
        with torch.inference_mode():
            pairs: npt.NDArray[np.int64] | None = _above(upper @ lower.T, limit)
    except torch.OutOfMemoryError:
        pairs = None
    if pairs is not None:
        yield pairs + np.array([top, left])
        return
    # Here, and not in the handler, where the error still holds what was taken.
    torch.cuda.empty_cache()
    if tile <= _MIN_GPU_TILE:
        upper, lower = upper.cpu(), lower.cpu()
        yield _above(upper @ lower.T, limit) + np.array([top, left])
        return
    half = tile // 2
    for down in (top, top + half):
        for across in (left, left + half):
            if across + half > down and max(down, across) < len(rounded):
                yield from _searched(rounded, down, across, half, limit)


def _above(products: Any, limit: float) -> npt.NDArray[np.int64]:
    """(P, 2) rows and columns of a tile that reach a limit, on the host."""
    # As in `found_in`, but without leaving the device.
    promising = (products.amax(dim=1) >= limit).nonzero()[:, 0]
    pairs = (products[promising] >= limit).nonzero()
    pairs[:, 0] = promising[pairs[:, 0]]
    found: npt.NDArray[np.int64] = pairs.cpu().numpy()
    return found


def _settled(
    vectors: npt.NDArray[np.float32], pairs: npt.NDArray[np.int64], threshold: float
) -> Proposed:
    rows, columns = pairs[:, 0], pairs[:, 1]
    above = rows < columns
    rows, columns = rows[above], columns[above]
    products = pair_similarities(vectors, vectors, rows, columns)
    keep = products >= np.float32(threshold - MARGIN)
    return Proposed(rows[keep].astype(np.int32), columns[keep].astype(np.int32), products[keep])
