"""The FAISS index over a gallery: nearest neighbours, and everything above a threshold.

The index is a cache: it carries the version of the catalog that it was built from and a checksum
of its own (a damaged FAISS file may load and answer wrongly), and anything that does not fit is
treated as absent. Results are inclusive and ordered, with exact similarities; see `similarity` for
what is compared. A flat index finds everything; `structures` says what an IVF index may miss.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import faiss
import numpy as np

from dedup.errors import CollectionError
from dedup.files import atomic_write, remove_leftovers
from dedup.search.index_file import IndexFacts, seal, whole
from dedup.search.similarity import MARGIN, inclusive, pair_similarities
from dedup.search.structures import MAX_FLAT_ROWS, Built, FlatSearch, build, nearest, within

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    Reader: TypeAlias = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]

_EXTRA_NEIGHBOURS = 16  # fetched, so that ties at the k-th are seen without a second search
_BLOCK_QUERIES = 1024
_BLOCK_PAIRS = 16384
_BY_SIZE = FlatSearch()


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
    vectors : (N, D) float32, rows of unit L2 norm; kept, to compute similarities from
    ids : (N,) int64, what its owner calls the rows; None: by their numbers
    max_flat_rows : more rows than this are searched by IVF
    fp32 : hold that where it is flat: for one search of many queries; such an index is not saved
    how : when a flat index is searched in which way

    Attributes
    ----------
    ids : (N,) int64, what its owner calls the rows
    kind : "flat" or "ivf"
    recall : share of the ten nearest that it finds, on a sample; 1 for flat
    """

    def __init__(
        self,
        vectors: npt.NDArray[np.float32],
        ids: npt.NDArray[np.int64] | None = None,
        *,
        max_flat_rows: int = MAX_FLAT_ROWS,
        fp32: bool = False,
        how: FlatSearch = _BY_SIZE,
    ) -> None:
        vectors = np.ascontiguousarray(vectors, np.float32)
        ids = np.arange(len(vectors)) if ids is None else ids
        built = build(vectors, max_flat_rows=max_flat_rows, fp32=fp32)
        self._use(built, ids, vectors.__getitem__, how)

    def _use(self, built: Built, ids: npt.NDArray[np.int64], rows: Reader, how: FlatSearch) -> None:
        self._faiss, self.kind, self.recall, self._spread = built
        self.ids = ids
        self._rows = rows
        self._how = how

    @property
    def _margin(self) -> float:
        """By how much a proposal may fall below the similarity that it stands for."""
        return self._spread + MARGIN

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
        wide = min(k + _EXTRA_NEIGHBOURS, len(self))
        for start in range(0, len(queries), _BLOCK_QUERIES):
            block = np.ascontiguousarray(queries[start : start + _BLOCK_QUERIES])
            approximate, rows = nearest(self._faiss, block, wide, self._how)
            proposed = [found[found >= 0] for found in rows]  # -1 where fewer were found
            if wide < len(self):
                # The tie at the k-th place may go on beyond what was fetched.
                lowest = approximate[:, k - 1] - 2 * self._margin
                for query in np.flatnonzero((rows[:, -1] >= 0) & (approximate[:, -1] >= lowest)):
                    _, proposed[query] = within(
                        self._faiss, block[query : query + 1], float(lowest[query]), self._how
                    )
            result += self._settled(block, proposed, None, k)
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
        fall short of 1: the radius is lowered by what a proposal may be off, and the similarity
        decides.
        """
        self._check(queries)
        result = []
        for start in range(0, len(queries), _BLOCK_QUERIES):
            block = np.ascontiguousarray(queries[start : start + _BLOCK_QUERIES])
            if not len(self):
                result += [_no_hits() for _ in block]
                continue
            limits, rows = within(self._faiss, block, threshold - self._margin, self._how)
            result += self._settled(block, np.split(rows, limits[1:-1]), threshold, None)
        return result

    def _settled(
        self,
        queries: npt.NDArray[np.float32],
        proposed: list[npt.NDArray[np.int64]],
        threshold: float | None,
        k: int | None,
    ) -> list[Hits]:
        """Compute the similarities of what was proposed for each query, and order it by them."""
        counts = [len(rows) for rows in proposed]
        owners = np.repeat(np.arange(len(queries)), counts)
        everything = np.concatenate(proposed)
        computed = np.empty(len(everything), np.float32)
        for start in range(0, len(everything), _BLOCK_PAIRS):
            part = slice(start, start + _BLOCK_PAIRS)
            rows, columns = np.unique(everything[part], return_inverse=True)
            computed[part] = pair_similarities(queries, self._rows(rows), owners[part], columns)
        result = []
        for rows, similarity in zip(
            proposed, np.split(computed, np.cumsum(counts)[:-1]), strict=True
        ):
            if threshold is not None:
                keep = similarity >= inclusive(threshold)
                rows, similarity = rows[keep], similarity[keep]  # noqa: PLW2901 - what is left
            order = np.lexsort((rows, -similarity))[:k]
            result.append(Hits(rows[order].astype(np.int64), similarity[order]))
        return result

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
        facts = IndexFacts(version, self.kind, self.recall, self._spread, len(self))
        remove_leftovers(path.parent)
        try:
            with atomic_write(path) as file:
                file.writelines(seal(payload, self.ids, facts))
        except OSError as error:
            raise CollectionError(path, f"the index cannot be written: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path, version: int, read: Reader) -> VectorIndex | None:
        """Read an index; None when there is none that is whole and of this version.

        Parameters
        ----------
        read : returns the vectors (P, D) of rows by their ids (P,), rising

        Notes
        -----
        What it searches in stays in the file, which is mapped: writers replace it and never write
        into it.
        """
        before = _identity(path)
        found = whole(path, version)
        if found is None:
            return None
        index = cls.__new__(cls)
        try:
            mapped = faiss.read_index(os.fspath(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError:
            return None  # replaced or removed just now
        if _identity(path) != before:
            return None
        facts, ids = found
        index._use(  # noqa: SLF001 - own class
            Built(mapped, facts.kind, facts.recall, facts.spread),
            ids,
            lambda rows: read(ids[rows]),
            _BY_SIZE,
        )
        return index


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Identify a file, so that one that replaces it is noticed."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _no_hits() -> Hits:
    return Hits(np.empty(0, np.int64), np.empty(0, np.float32))
