"""k-means by NumPy's products; FAISS multiplies by a slower BLAS (`products`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.search.products import highest_products
from dedup.search.similarity import unit_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

_BLOCK_ROWS: Final = 16384


def find_centres(
    sample: Rows, count: int, rounds: int, seed: int, *, spherical: bool = False
) -> Rows:
    """Find the centres of cells.

    Parameters
    ----------
    sample : (S, D) float32; unit rows where it is spherical
    count : C, from 1 to S
    rounds : how often centres move
    seed : equal seeds and samples give equal centres

    Returns
    -------
    (C, D) float32 means; of unit norm where it is spherical
    """
    chosen = np.random.default_rng(seed).permutation(len(sample))[:count]
    centres = unit_rows(sample[chosen]) if spherical else sample[chosen].astype(np.float32)
    for _ in range(rounds):
        products, nearest = nearest_centres(sample, centres, 1)
        sums, counts = _sums(sample, products[:, 0], nearest[:, 0], count)
        if not spherical:
            sums /= counts[:, None]
        centres = unit_rows(sums) if spherical else sums
    return centres


def nearest_centres(rows: Rows, centres: Rows, count: int) -> tuple[Rows, Ids]:
    """Find the centres nearest to each row, in Euclidean distance.

    Returns
    -------
    (R, M) float32, half of what the squared distance falls short of the row's squared norm, highest
    first, and (R, M) int64; M is `count`, or as many as there are
    """
    return highest_products(rows, centres, count, less=half_squares(centres))


def half_squares(rows: Rows) -> Rows:
    """(N,) half of the squared norms."""
    halves: Rows = np.einsum("nd,nd->n", rows, rows) / np.float32(2)
    return halves


def _sums(sample: Rows, products: Rows, nearest: Ids, cells: int) -> tuple[Rows, Ids]:
    """(C, D) sums and (C,) counts; an empty cell takes a row that is far from its own."""
    sums = np.zeros((cells, sample.shape[1]), np.float32)
    empty = np.flatnonzero(np.bincount(nearest, minlength=cells) == 0)
    nearest[np.argsort(products, kind="stable")[: len(empty)]] = empty
    for start in range(0, len(sample), _BLOCK_ROWS):
        of = nearest[start : start + _BLOCK_ROWS]
        order = np.argsort(of, kind="stable")
        begins = np.flatnonzero(np.diff(of[order], prepend=-1))
        block = sample[start : start + _BLOCK_ROWS][order]
        sums[of[order[begins]]] += np.add.reduceat(block, begins)
    return sums, np.maximum(np.bincount(nearest, minlength=cells), 1)
