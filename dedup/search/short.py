"""Short rows: products that cost a fraction, and that are never less than those of the rows.

Rows are turned onto directions in which some of them lie, and one value more holds the length of
what the directions leave out. By Cauchy and Schwarz the product of two short rows is at least that
of the rows, so that what falls below a limit there does so everywhere. Where rows lie about few
directions, as those of one cell do, little else reaches it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]

_LEAST_GAIN: Final = 2
"""Rows that are not this many times as long as short ones are compared as they are."""


def directions(rows: Rows, width: int) -> Rows | None:
    """Find the directions in which some of the rows lie; None where it would not pay.

    Parameters
    ----------
    rows : (N, D) float32, unit rows
    width : S, values of a short row

    Returns
    -------
    (D, S - 1) float32, orthonormal columns; the same for the same rows
    """
    count, dimension = rows.shape
    if dimension < _LEAST_GAIN * width or count < width:
        return None
    some = rows[:: count // (width - 1)][: width - 1]
    found: Rows = np.linalg.qr(some.T)[0]
    return found


def shortened(rows: Rows, onto: Rows) -> Rows:
    """Turn unit rows (N, D) onto `directions`; gives unit rows (N, S)."""
    short = np.empty((len(rows), onto.shape[1] + 1), np.float32)
    np.matmul(rows, onto, out=short[:, :-1])
    kept = np.einsum("nd,nd->n", short[:, :-1], short[:, :-1])
    short[:, -1] = np.sqrt(np.maximum(np.float32(1) - kept, np.float32(0)))
    return short
