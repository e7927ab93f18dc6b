"""A flat FAISS index for other programs: rows by ids of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import faiss
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_BLOCK_ROWS = 65536


def flat_with_ids(rows: npt.NDArray[np.float32], ids: npt.NDArray[np.int64]) -> bytes:
    """Make an `IndexIDMap2` over an `IndexFlatIP`, as `faiss.read_index` takes it.

    Parameters
    ----------
    rows : (N, D) float32, unit rows, so that inner products are cosines
    ids : (N,) int64, none twice
    """
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(rows.shape[1]))
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        index.add_with_ids(np.ascontiguousarray(rows[block], np.float32), ids[block])
    return bytes(faiss.serialize_index(index).data)
