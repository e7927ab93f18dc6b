"""Take vectors that were given into the catalog, under ids that are files or names.

An id that is a file is read once, so that pairs can be proven and acted on as everywhere; its image
has the vector that came with it. Any other id is a name: its content is the name with its vector,
it is in no proof, and nothing is ever done to it. What is there already costs nothing.
"""

from __future__ import annotations

import hashlib
import os
import time
from stat import S_ISREG
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import xxhash

from dedup.errors import VectorsError
from dedup.fingerprint import VECTORS
from dedup.indexing.readahead import ReadAhead
from dedup.indexing.reader import Embeddable, Known, Skipped
from dedup.indexing.worklist import WorkList
from dedup.preparation import preparation
from dedup.records import (
    INODE_BITS,
    NAME_MARK,
    NAMES,
    FileEntry,
    ImageFacts,
    Kind,
    is_unchanged,
)
from dedup.results import IndexSummary
from dedup.store.changes import Batch
from dedup.store.own import contents_under, replace_vectors, vectors_with
from dedup.store.vectors import Packed, pack
from dedup.vectors import BLOCK_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dedup.records import KnownFile, Root
    from dedup.store.catalog import Catalog
    from dedup.vectors import OwnVectors

_FILES_AT_ONCE: Final = 1024


class _Found(NamedTuple):
    """An id that is a file.

    Parameters
    ----------
    path : absolute, the links of its folder resolved
    """

    row: int
    path: bytes
    entry: os.stat_result


def named(name: bytes, vector: bytes) -> ImageFacts:
    """Give the facts of what is a name with a vector, as it is stored, and no image.

    Equal vectors are one class, as images of equal input are.
    """
    digest = hashlib.sha256(b"name\0" + name + b"\0" + vector).digest()
    return ImageFacts(digest, "", 0, 0, 0, False, xxhash.xxh3_128_digest(vector))


def index_own(
    catalog: Catalog,
    own: OwnVectors,
    folder: bytes | None,
    report: Callable[[int, int], None],
) -> IndexSummary:
    """Add vectors to a collection of them, or replace those that their ids have.

    Parameters
    ----------
    folder : what relative ids are relative to, absolute; ids that are files have to be below it.
        None: the current folder, and files may be anywhere

    Raises
    ------
    VectorsError : an id that cannot be kept, or two that are one file.
    """
    started = time.perf_counter()
    files = _files(own.ids, folder)
    _refuse_paths(own.ids, {found.row for found in files})
    run = _Run(catalog, own, report)
    others = run.take_files(files, folder)
    taken = {found.row for found in files} - others
    run.take_names([row for row in range(len(own)) if row not in taken])
    run.finish(taken, folder or os.fsencode(os.getcwd()))
    return run.summary(len(taken), time.perf_counter() - started)


def _files(ids: Sequence[str], folder: bytes | None) -> list[_Found]:
    base = os.path.realpath(folder or os.fsencode(os.getcwd()))
    folders: dict[bytes, bytes] = {}
    found: dict[bytes, _Found] = {}
    for row, name in enumerate(ids):
        head, tail = os.path.split(os.path.join(base, os.fsencode(name)))
        try:
            entry = os.lstat(os.path.join(head, tail))
        except (OSError, ValueError):
            continue
        if not S_ISREG(entry.st_mode) or not entry.st_size or not tail:
            continue
        if head not in folders:
            folders[head] = os.path.realpath(head)
        path = os.path.join(folders[head], tail)
        if folder is not None and not path.startswith(base.rstrip(b"/") + b"/"):
            raise VectorsError(
                f"id of row {row:,}: the file {name!r} is outside {os.fsdecode(base)}, which ids "
                "are said to be relative to"
            )
        before = found.setdefault(path, _Found(row, path, entry))
        if before.row != row:
            raise VectorsError(
                f"the ids {ids[before.row]!r} and {name!r} are one file: rows {before.row:,} and "
                f"{row:,}"
            )
    return list(found.values())


def _refuse_paths(ids: Sequence[str], files: set[int]) -> None:
    for row, name in enumerate(ids):
        if ".." in name and row not in files and ".." in f"={name}".split("/"):
            raise VectorsError(
                f"id of row {row:,}: {name!r} is no file, and as a name it cannot have a part '..'"
            )


class _Run:
    """One run: what was committed, counted."""

    def __init__(
        self, catalog: Catalog, own: OwnVectors, report: Callable[[int, int], None]
    ) -> None:
        self._catalog, self._own, self._report = catalog, own, report
        self._done = self._new = self._known = self._unchanged = 0
        self._seen: dict[bytes, int] = {}  # of the contents of files, the row that gave the vector
        self._differing = 0
        self._reasons: list[str] = []
        self._replaced = 0

    # -- files -------------------------------------------------------------------------------------

    def take_files(self, files: list[_Found], folder: bytes | None) -> set[int]:
        """Take ids that are files; gives the rows of those that are no images after all."""
        if not files:
            return set()
        roots = self._roots(files, folder)
        known = {
            os.path.join(root.path, one.path): one
            for root in set(roots.values())
            for one in self._catalog.known_files(root)
        }
        work, row_of, others = WorkList(), dict[bytes, int](), set[int]()
        waiting: list[tuple[int, Root, FileEntry, ImageFacts | bytes]] = []
        for found in files:
            root = roots[found.path]
            entry = _entry(root, found)
            before = self._unread(root, entry, known.get(found.path))
            if before is None:
                work.append(root, entry)
                row_of[found.path] = found.row
            else:
                waiting.append((found.row, root, entry, before))
        for start in range(0, len(waiting), _FILES_AT_ONCE):
            self._commit_files(waiting[start : start + _FILES_AT_ONCE], unchanged=True)
        waiting = []
        ahead = ReadAhead(self._catalog.store, preparation(self._catalog), work)
        with ahead as reader:
            for job, outcome in reader.outcomes():
                reader.buffer.release(job.slot)
                row = row_of[job.path]
                match outcome:
                    case Embeddable(facts):
                        waiting.append((row, job.root, job.entry, facts))
                    case Known(digest):
                        waiting.append((row, job.root, job.entry, digest))
                    case Skipped(reason):
                        others.add(row)
                        self._reasons.append(f"{self._own.ids[row]}: {reason}")
                if len(waiting) >= _FILES_AT_ONCE:
                    self._commit_files(waiting)
                    waiting = []
        self._commit_files(waiting)
        return others

    def _roots(self, files: list[_Found], folder: bytes | None) -> dict[bytes, Root]:
        """Give each file the innermost folder that is known, or one new folder for all others."""
        kept = sorted(self._catalog.roots(), key=lambda root: -len(root.path))
        roots: dict[bytes, Root] = {}
        new = []
        for found in files:
            holder = next((root for root in kept if _below(found.path, root.path)), None)
            if holder is None:
                new.append(found.path)
            else:
                roots[found.path] = holder
        if new:
            top = folder or os.path.commonpath([os.path.dirname(path) for path in new])
            top = os.path.realpath(top)
            root = next(root for root in self._catalog.add_roots([top]) if root.path == top)
            roots |= dict.fromkeys(new, root)
        return roots

    def _unread(self, root: Root, entry: FileEntry, known: KnownFile | None) -> bytes | None:
        """Give the content of a file that has not changed since it was read."""
        if known is None or known.state != "indexed":
            return None
        if not is_unchanged(entry, known, keeps_inodes=True):
            return None
        return contents_under(self._catalog, root, [entry.path]).get(entry.path)

    def _commit_files(
        self,
        waiting: Sequence[tuple[int, Root, FileEntry, ImageFacts | bytes]],
        *,
        unchanged: bool = False,
    ) -> None:
        if not waiting:
            return
        packed = self._packed([row for row, *_ in waiting])
        batch, chosen = Batch(), list[int]()
        known: dict[bytes, int] = {}
        for place, (row, root, entry, what) in enumerate(waiting):
            digest = what if isinstance(what, bytes) else what.digest
            before = self._seen.setdefault(digest, row)
            if before != row:
                self._differing += self._vector(before) != packed.vectors[place]
            elif isinstance(what, ImageFacts):
                batch.images.append(what)
                chosen.append(place)
            else:
                known[digest] = place
            if not unchanged:
                batch.files.append((root, entry, digest))
        batch.embeddings = _chosen(packed, chosen)
        if batch.images or batch.files:
            self._catalog.commit(batch)
        stored = vectors_with(self._catalog, known)
        newer = {
            digest: (packed.norms[place], packed.vectors[place])
            for digest, place in known.items()
            if stored.get(digest) != packed.vectors[place]
        }
        if newer:
            with self._catalog.transaction():
                replace_vectors(self._catalog, newer)
        self._replaced += len(newer)
        self._new += len(chosen)
        if unchanged:
            self._unchanged += len(waiting)
        else:
            self._known += len(waiting) - len(chosen)
        self._progress(len(waiting))

    def _vector(self, row: int) -> bytes:
        return self._packed([row]).vectors[0]

    # -- names -------------------------------------------------------------------------------------

    def take_names(self, rows: Sequence[int]) -> None:
        """Take ids that are no files."""
        if not rows:
            return
        roots = self._catalog.add_roots([NAMES], Kind.NAMES)
        root = next(one for one in roots if one.kind is Kind.NAMES)
        for start in range(0, len(rows), BLOCK_ROWS):
            self._commit_names(root, rows[start : start + BLOCK_ROWS])

    def _commit_names(self, root: Root, rows: Sequence[int]) -> None:
        packed = self._packed(rows)
        names = [os.fsencode(self._own.ids[row]) for row in rows]
        facts = [named(*one) for one in zip(names, packed.vectors, strict=True)]
        paths = [NAME_MARK + name for name in names]
        before = contents_under(self._catalog, root, paths)
        chosen = [
            place
            for place, (path, fact) in enumerate(zip(paths, facts, strict=True))
            if before.get(path) != fact.digest
        ]
        if chosen:
            batch = Batch([facts[place] for place in chosen], _chosen(packed, chosen))
            batch.files = [
                (root, FileEntry(paths[place], 0, 0, 0, 0), facts[place].digest) for place in chosen
            ]
            self._catalog.commit(batch)
        self._replaced += sum(paths[place] in before for place in chosen)
        self._new += len(chosen)
        self._unchanged += len(rows) - len(chosen)
        self._progress(len(rows))

    # -- both --------------------------------------------------------------------------------------

    def finish(self, taken: set[int], base: bytes) -> None:
        """Drop what an id was before: a name that is a file now, a file that is none any more."""
        names = [os.fsencode(name) for name in self._own.ids]
        gone: list[tuple[Root, FileEntry]] = []
        for root in self._catalog.roots():
            top = root.path.rstrip(b"/") + b"/"
            if root.kind is Kind.NAMES:
                paths = [NAME_MARK + names[row] for row in sorted(taken)]
            else:
                absolute = (
                    os.path.join(base, name) for row, name in enumerate(names) if row not in taken
                )
                paths = [path.removeprefix(top) for path in absolute if path.startswith(top)]
            gone += [
                (root, FileEntry(path, 0, 0, 0, 0))
                for path in contents_under(self._catalog, root, paths)
            ]
        self._catalog.commit(Batch(vanished=gone, ends_run=True))

    def summary(self, files: int, seconds: float) -> IndexSummary:
        """Say what was done.

        Parameters
        ----------
        files : how many ids are files
        """
        notes, names = list[str](), len(self._own) - files
        if names:
            some = f"{names:,} of {len(self._own):,} ids are" if files else "The ids are"
            notes.append(f"{some} names and no files here: in no proof, and never acted on")
        if self._replaced:
            notes.append(f"{self._replaced:,} vectors took the place of older ones of their ids")
        if self._reasons:
            notes.append(
                f"{len(self._reasons):,} of the names are files that are no images; the first: "
                f"{self._reasons[0]}"
            )
        if self._differing:
            notes.append(
                f"{self._differing:,} files have the bytes of another one and another vector: an "
                "image has one vector, the first that was given"
            )
        return IndexSummary(
            indexed=self._new,
            reused=self._known,
            unchanged=self._unchanged,
            notes=tuple(notes),
            seconds=seconds,
        )

    def _packed(self, rows: Sequence[int]) -> Packed:
        return pack(VECTORS, np.asarray(self._own.rows[np.asarray(rows)], np.float32))

    def _progress(self, count: int) -> None:
        self._done += count
        self._report(self._done, len(self._own))


def _chosen(packed: Packed, places: Sequence[int]) -> dict[str, Packed]:
    return {
        VECTORS: Packed(
            [packed.norms[place] for place in places], [packed.vectors[place] for place in places]
        )
    }


def _below(path: bytes, folder: bytes) -> bool:
    return path.startswith(folder.rstrip(b"/") + b"/")


def _entry(root: Root, found: _Found) -> FileEntry:
    now = found.entry
    return FileEntry(
        found.path.removeprefix(root.path.rstrip(b"/") + b"/"),
        now.st_size,
        now.st_mtime_ns,
        now.st_dev,
        now.st_ino & INODE_BITS,
        now.st_nlink,
        now.st_ctime_ns,
    )
