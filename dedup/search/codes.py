"""Short codes of rows, by which a search through many tells the few that it compares exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import faiss
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]
    Codes = npt.NDArray[np.uint8]

CODE_BYTES: Final = 64
"""Of a class. Of a hundred thousand drawn rows of 256 values, the 128 nearest by such codes hold
97 % of the 10 that are nearest, and the 256 nearest 99 %."""

_TRAINING_ROWS: Final = 4096
_ROUNDS: Final = 4
_VALUES: Final = 256  # of a byte of a code


class Coder:
    """Makes codes of raw rows, and finds what is near to a query among them; by parts of rows.

    Parameters
    ----------
    mean : (D,) float32, taken off first
    values : (CODE_BYTES, 256, W) float32, what a byte stands for in each part of a row

    Notes
    -----
    A product quantizer (Jégou, Douze and Schmid 2011). Rows are padded with zeros until their width
    can be divided.
    """

    def __init__(self, mean: Rows, values: Rows) -> None:
        self.mean, self.values = mean, values

    @classmethod
    def trained(cls, rows: Rows, mean: Rows) -> Coder:
        """Learn what bytes stand for.

        Parameters
        ----------
        rows : (S, D) raw rows, at least one
        """
        some = np.random.default_rng(0).permutation(len(rows))[:_TRAINING_ROWS]
        padded = _padded(rows[np.sort(some)] - mean)
        index = _index(padded.shape[1])
        index.pq.cp.niter, index.pq.cp.min_points_per_centroid = _ROUNDS, 1
        index.train(np.resize(padded, (max(len(padded), _VALUES), padded.shape[1])))
        values = faiss.vector_to_array(index.pq.centroids).reshape(CODE_BYTES, _VALUES, -1)
        return cls(mean, values)

    def codes(self, rows: Rows) -> Codes:
        """Make the codes, (N, CODE_BYTES) uint8."""
        found: Codes = self._ready(np.empty((0, CODE_BYTES), np.uint8)).sa_encode(
            _padded(rows - self.mean)
        )
        return found

    def nearest(self, query: Rows, codes: Codes, most: int) -> Ids:
        """Give the places of the codes that are nearest to a row, by falling similarity."""
        index = self._ready(codes)
        found: Ids = index.search(_padded(query[None]), min(most, len(codes)))[1][0]
        return found

    def _ready(self, codes: Codes) -> Any:
        index = _index(CODE_BYTES * self.values.shape[2])
        faiss.copy_array_to_vector(self.values.ravel(), index.pq.centroids)
        faiss.copy_array_to_vector(np.ascontiguousarray(codes).ravel(), index.codes)
        index.is_trained, index.ntotal = True, len(codes)
        return index


def _index(dimension: int) -> Any:
    return faiss.IndexPQ(dimension, CODE_BYTES, 8, faiss.METRIC_INNER_PRODUCT)


def _padded(rows: Rows) -> Rows:
    wide = -(-rows.shape[1] // CODE_BYTES) * CODE_BYTES
    return np.pad(rows, ((0, 0), (0, wide - rows.shape[1]))).astype(np.float32)
