"""The FAISS index over a gallery: nearest neighbours, and everything above a threshold.

The index is a cache: it carries the version of the catalog that it was built from and a checksum
of its own (a damaged FAISS file may load and answer wrongly), and anything that does not fit is
treated as absent. Results are inclusive and ordered, with exact similarities; see `similarity` for
what is compared. A flat index finds everything; of the others `structures` says what they miss.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from dedup.errors import CollectionError
from dedup.search.seal import seal, whole
from dedup.search.similarity import MARGIN, inclusive, pair_similarities
from dedup.search.structures import build, rows_of, within

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

_SLACK = 16  # further neighbours fetched, so that ties at the k-th are seen without a second search
_QUERIES_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Hits:
    """The rows found for one query, by falling similarity, ties by rising row.

    Parameters
    ----------
    rows : (K,) int64
    similarity : (K,) float32, in [-1, 1]
    """

    rows: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float32]


class VectorIndex:
    """Search in a gallery of unit vectors.

    Parameters
    ----------
    vectors : (N, D) float32, rows of unit L2 norm
    kind : "flat", "ivf", "hnsw", or "auto", which is flat up to 200,000 rows, then ivf

    Attributes
    ----------
    kind : the structure in use
    recall : share of the ten nearest that it finds, on a sample; 1 for flat
    """

    def __init__(self, vectors: npt.NDArray[np.float32], kind: str = "auto") -> None:
        self._use(*build(np.ascontiguousarray(vectors, np.float32), kind))

    def _use(self, index: Any, kind: str, recall: float) -> None:
        self._faiss, self.kind, self.recall = index, kind, recall
        # A view of the vectors that FAISS holds; it lives as long as self._faiss does.
        self._view = rows_of(index)

    def _rows(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        if self._view is not None:
            return self._view[numbers]
        rows: npt.NDArray[np.float32] = self._faiss.reconstruct_batch(numbers)
        return rows

    @property
    def dimension(self) -> int:
        """D."""
        return int(self._faiss.d)

    def __len__(self) -> int:
        return int(self._faiss.ntotal)

    def neighbours(self, queries: npt.NDArray[np.float32], k: int) -> list[Hits]:
        """Find the k most similar rows of each query.

        Parameters
        ----------
        queries : (Q, D) float32, unit rows
        k : at least 1; more than there are rows gives all rows

        Returns
        -------
        Per query; a query that is in the gallery finds itself. Of rows that tie at the k-th place,
        those with the lowest numbers are kept.
        """
        self._check(queries)
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        k = min(k, len(self))
        if not k:
            return [_no_hits() for _ in queries]
        result = []
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            block = queries[start : start + _QUERIES_AT_ONCE]
            wide = min(k + _SLACK, len(self))
            approximate, rows = self._faiss.search(np.ascontiguousarray(block), wide)
            for position, query in enumerate(block):
                proposed = rows[position]
                kth = float(approximate[position, k - 1])
                # Where fewer than asked for were found, places are filled with -1.
                if (
                    proposed[-1] >= 0
                    and wide < len(self)
                    and approximate[position, -1] >= kth - 2 * MARGIN
                ):
                    # The tie at the k-th place may go on beyond what was fetched.
                    _, proposed = within(self._faiss, query[None], kth - 2 * MARGIN)
                result.append(self._settle(query, proposed[proposed >= 0], None, k))
        return result

    def within(self, queries: npt.NDArray[np.float32], threshold: float) -> list[Hits]:
        """Find every row at least as similar as the threshold.

        Parameters
        ----------
        queries : (Q, D) float32, unit rows
        threshold : cosine in [-1, 1], inclusive

        Notes
        -----
        FAISS keeps only what is strictly above its radius, and its fp32 products of equal rows may
        fall short of 1: the radius is lowered by `MARGIN`, and the exact similarity decides.
        """
        self._check(queries)
        result = []
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            block = np.ascontiguousarray(queries[start : start + _QUERIES_AT_ONCE])
            if not len(self):
                result += [_no_hits() for _ in block]
                continue
            limits, rows = within(self._faiss, block, threshold - MARGIN)
            for position, query in enumerate(block):
                proposed = rows[int(limits[position]) : int(limits[position + 1])]
                result.append(self._settle(query, proposed, threshold, None))
        return result

    def _settle(
        self,
        query: npt.NDArray[np.float32],
        proposed: npt.NDArray[np.int64],
        threshold: float | None,
        k: int | None,
    ) -> Hits:
        similarity = pair_similarities(
            query[None],
            self._rows(proposed),
            np.zeros(len(proposed), np.intp),
            np.arange(len(proposed)),
        )
        if threshold is not None:
            keep = similarity >= inclusive(threshold)
            proposed, similarity = proposed[keep], similarity[keep]
        order = np.lexsort((proposed, -similarity))[:k]
        return Hits(proposed[order].astype(np.int64), similarity[order])

    def _check(self, queries: npt.NDArray[np.float32]) -> None:
        if queries.ndim != 2 or queries.shape[1] != self.dimension:  # noqa: PLR2004 - (Q, D)
            raise ValueError(f"queries have shape {queries.shape}, wanted (Q, {self.dimension})")

    def save(self, path: Path, version: int) -> None:
        """Write the index, replacing an older one in one step.

        Parameters
        ----------
        version : of the catalog whose gallery this is

        Raises
        ------
        CollectionError : it cannot be written; an older file is left as it was.
        """
        payload = faiss.serialize_index(self._faiss)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(payload.data)
                file.write(seal(payload, version, self.kind, self.recall))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise CollectionError(path, f"the index cannot be written: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path, version: int) -> VectorIndex | None:
        """Read an index; None when there is none that is whole and of this version.

        Its vectors stay in the file, which is mapped: writers replace it and never write into it.
        """
        before = _identity(path)
        facts = whole(path, version)
        if facts is None:
            return None
        index = cls.__new__(cls)
        try:
            mapped = faiss.read_index(os.fspath(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError:
            return None  # replaced or removed just now
        if _identity(path) != before:
            return None
        index._use(mapped, facts.kind, facts.recall)  # noqa: SLF001 - own class
        return index


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Tell a file from the one that replaces it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _no_hits() -> Hits:
    return Hits(np.empty(0, np.int64), np.empty(0, np.float32))
