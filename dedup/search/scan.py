"""Every row compared with a query, block by block: for what no index was built over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.search.similarity import MARGIN, inclusive, pair_similarities

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from dedup.search.index import Hits

    Rows = npt.NDArray[np.float32]

_BLOCK_ROWS: Final = 16384


class Scan:
    """Search in rows that are read as they are needed; exact, as a flat `VectorIndex` is.

    Parameters
    ----------
    ids : (N,) int64, what their owner calls the rows, rising
    read : gives the unit rows of chosen ids

    Attributes
    ----------
    ids : as given
    """

    def __init__(
        self, ids: npt.NDArray[np.int64], read: Callable[[npt.NDArray[np.int64]], Rows]
    ) -> None:
        self.ids = ids
        self._read = read

    def __len__(self) -> int:
        return len(self.ids)

    def neighbours(self, queries: Rows, k: int) -> list[Hits]:
        """Find the k most similar rows of each query; as `VectorIndex.neighbours`."""
        return self._search(queries, k, None)

    def within(self, queries: Rows, threshold: float) -> list[Hits]:
        """Find every row at least as similar as the threshold; as `VectorIndex.within`."""
        return self._search(queries, None, threshold)

    def _search(self, queries: Rows, k: int | None, threshold: float | None) -> list[Hits]:
        from dedup.search.index import Hits  # with FAISS, which reading a collection does without

        found = [Hits(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        for start in range(0, len(self.ids), _BLOCK_ROWS):
            rows = self._read(self.ids[start : start + _BLOCK_ROWS])
            proposed = queries @ rows.T
            for query, similarities in enumerate(proposed):
                floor = -np.inf if threshold is None else threshold - MARGIN
                if k is not None and len(found[query].rows) >= k:
                    floor = float(found[query].similarity[-1]) - MARGIN
                columns = np.flatnonzero(similarities >= floor)
                if k is not None and len(columns) > k:
                    least = np.partition(similarities[columns], -k)[-k] - 2 * MARGIN
                    columns = columns[similarities[columns] >= least]
                exact = pair_similarities(queries, rows, np.full(len(columns), query), columns)
                found[query] = _merged(found[query], columns + start, exact, k, threshold)
        return found


def _merged(
    before: Hits,
    rows: npt.NDArray[np.int64],
    similarity: Rows,
    k: int | None,
    threshold: float | None,
) -> Hits:
    from dedup.search.index import Hits

    rows = np.concatenate([before.rows, rows])
    similarity = np.concatenate([before.similarity, similarity])
    order = np.lexsort((rows, -similarity))
    if threshold is not None:
        order = order[similarity[order] >= inclusive(threshold)]
    order = order[:k]
    return Hits(rows[order], similarity[order])
