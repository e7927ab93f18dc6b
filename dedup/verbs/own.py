"""Vectors of the user's own: put into a collection, and asked with."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dedup.arguments import callback_of, count_of, path_of
from dedup.errors import CollectionError, SearchError
from dedup.query import given_queries
from dedup.spec import ModelSpec, Runtime
from dedup.store.lock import writer_lock
from dedup.store.schema import CATALOG
from dedup.vectors import own_vectors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.answer import Progress
    from dedup.query import QueryVectors
    from dedup.report.export import Written
    from dedup.report.neighbours import NeighbourGraph
    from dedup.results import IndexSummary
    from dedup.session import Session
    from dedup.space.space import Space
    from dedup.vectors import OwnVectors


class VectorVerbs:
    """The verbs of a collection of the user's own vectors."""

    _session: Session

    def add_vectors(
        self,
        ids: Iterable[str | int | os.PathLike[str]] | None,
        vectors: Any,
        *,
        root: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> IndexSummary:
        """Add vectors to a collection made by `from_vectors`, whose parameters these are.

        An id that is there already gets its new vector. Nothing is added where one cannot be.

        Raises
        ------
        VectorsError : as `from_vectors`; or vectors of another width.
        CollectionError : the collection was made with a model.
        LockedError : another process is indexing.
        """
        return add_vectors(self._session, ids, vectors, root, progress)

    def neighbours(self, k: int = 10, *, progress: Progress | None = None) -> NeighbourGraph:
        """Find the k nearest others of every file, in any collection, as arrays.

        Large collections are compared within cells; `NeighbourGraph.recall` says what that finds.

        Raises
        ------
        SearchError : the collection is empty.
        """
        return neighbours(self._session, k, progress)

    def export_neighbours(
        self,
        output: str | os.PathLike[str],
        k: int = 10,
        *,
        progress: Progress | None = None,
    ) -> Written:
        """Write `neighbours` to a file: .npz, or .parquet with a row for each pair.

        Raises
        ------
        DedupError : another ending, or the file cannot be written.
        """
        from dedup.report.neighbours import check_output, write

        path = Path(path_of(output, "output"))
        check_output(path)
        return write(self.neighbours(k, progress=progress), path)


def made_from(kind: type[Session], path: Any, ids: Any, rows: Any, root: Any, progress: Any) -> Any:
    """Make a collection of vectors; there is none, nor its folder, where they cannot be taken.

    Returns
    -------
    The session, whose notes say what was done.
    """
    store, report = Path(path_of(path, "path")), callback_of(progress)
    base = _folder(root)
    if (store / CATALOG).exists():
        raise CollectionError(
            store, "there is a collection already. To add vectors to it: Collection.add_vectors"
        )
    own = own_vectors(ids, rows, report=lambda done, of: report("Checking vectors", done, of))
    existed = store.exists()
    session = kind.create(store, ModelSpec(vectors=own.width), Runtime())
    try:
        summary = _taken(session, own, base, report)
    except BaseException:
        session.close()
        _remove(store, whole=not existed)
        raise
    session.notes += summary.notes
    return session


def _remove(store: Path, *, whole: bool) -> None:
    with suppress(OSError):
        for side in ("", "-wal", "-shm"):
            store.joinpath(CATALOG + side).unlink(missing_ok=True)
        if whole:
            for path in store.iterdir():
                path.unlink()
            store.rmdir()


def add_vectors(session: Session, ids: Any, rows: Any, root: Any, progress: Any) -> IndexSummary:
    """Add vectors to a collection of them."""
    report, base = callback_of(progress), _folder(root)
    width = session.catalog.fingerprint.own_width
    if not width:
        raise CollectionError(
            session.path,
            "this collection embeds images itself, and cannot hold vectors of your own beside "
            "that: start another one with --store NEW_FOLDER",
        )
    own = own_vectors(ids, rows, width, lambda done, of: report("Checking vectors", done, of))
    return session.noted(_taken(session, own, base, report))


def _folder(root: Any) -> bytes | None:
    if root is None:
        return None
    path = os.path.realpath(os.fsencode(path_of(root, "root")))
    if not os.path.isdir(path):
        raise CollectionError(os.fsdecode(path), "there is no such folder")
    return path


def _taken(session: Session, own: OwnVectors, base: bytes | None, report: Any) -> IndexSummary:
    from dedup.indexing.own import index_own

    catalog = session.computing()
    with writer_lock(session.path):
        return index_own(catalog, own, base, lambda done, of: report("Indexing", done, of))


def neighbours(session: Session, k: Any, progress: Any) -> NeighbourGraph:
    """Find the nearest others of every file."""
    from dedup.report.neighbours import neighbour_graph

    k, report = count_of(k, "k", 1), callback_of(progress)
    catalog = session.computing(decodes=False)
    if not catalog.has_images():
        raise SearchError(f"{session.path}: the collection is empty; index a folder first")
    return neighbour_graph(
        catalog, session.space(), k, lambda done, of: report("Finding neighbours", done, of)
    )


def asked_with(
    session: Session, space: Space, names: Any, rows: Any, *, read: bool = False
) -> QueryVectors:
    """Check vectors that are asked with.

    Parameters
    ----------
    names : that answers call them by; empty: their numbers
    read : whether those that are names of files are read, for proofs
    """
    pinned = session.catalog.fingerprint
    own = own_vectors(list(names) or None, rows, pinned.own_width or None)
    return given_queries(session.catalog, space, own, read=read)
