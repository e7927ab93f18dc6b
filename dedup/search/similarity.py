"""One definition of similarity, which every search here ends with.

FAISS and BLAS add up a dot product in an order that depends on shapes and processors, so that two
identical rows may differ in the seventh decimal, and a cosine of 1 may read 0.99999994. Searches
therefore only propose with fp32 products, a margin below what was asked for; what is reported and
compared with a threshold is computed here, pair by pair, in double precision, and rounded to
`DECIMALS`. Equal images thus have equal similarities, and a threshold is inclusive by meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

DECIMALS = 6
MARGIN = 1e-5
"""By how much a proposal may fall below the wanted similarity. The largest error of an fp32 product
of unit rows measured for D up to 8192 was 6e-7 (tests/search/test_similarity.py)."""

_BLOCK_PAIRS = 256  # of 512 values, they stay in the cache: a third quicker than 8192


def unit_rows(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Scale rows to unit L2 norm; rows of zeros stay zeros.

    Parameters
    ----------
    vectors : (N, D)
    """
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))[:, None]
    result: npt.NDArray[np.float32] = np.zeros(vectors.shape, np.float32)
    np.divide(vectors, norms, out=result, where=norms > 0, casting="unsafe")
    return result


def pair_similarities(
    left: npt.NDArray[np.float32],
    right: npt.NDArray[np.float32],
    rows: npt.NDArray[np.integer],
    columns: npt.NDArray[np.integer],
) -> npt.NDArray[np.float32]:
    """Compute the similarity of chosen pairs of unit rows.

    Parameters
    ----------
    left : (Q, D) float32, unit rows
    right : (N, D) float32, unit rows
    rows, columns : (P,) indices into left and right

    Returns
    -------
    (P,) float32 in [-1, 1], rounded to `DECIMALS`
    """
    result = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _BLOCK_PAIRS):
        part = slice(start, start + _BLOCK_PAIRS)
        dots = np.einsum("pd,pd->p", left[rows[part]], right[columns[part]], dtype=np.float64)
        result[part] = np.clip(np.round(dots, DECIMALS), -1.0, 1.0)
    return result


def inclusive(threshold: float) -> np.float32:
    """Return the value that reported similarities are compared with, by ``>=``.

    Rounded like the similarities themselves, so that 0.9 keeps a pair reported as 0.900000.
    """
    return np.float32(round(threshold, DECIMALS))
