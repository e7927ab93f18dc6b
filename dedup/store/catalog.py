"""The catalog: the one truth of a collection, in SQLite.

`Catalog` records what indexing found and answers questions about files and images; `gallery` reads
vectors in bulk. Every change happens inside `transaction`, the only commit point, so that a kill at
any moment costs at most the batch in hand. Any thread may use a catalog; each has a connection and
transactions of its own, and so has a forked process.
"""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import CollectionError, DamagedError
from dedup.fingerprint import Fingerprint
from dedup.records import ImageFacts, KnownFile, Root, Settled
from dedup.store.changes import Differences
from dedup.store.connections import Connections
from dedup.store.schema import connect, create, translated, upgrade

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from dedup.records import FileEntry
    from dedup.store.changes import Batch
    from dedup.store.vectors import Packed

_PARAMETERS: Final = 2000  # of one statement, at most


class Catalog:
    """An open catalog. Use `Catalog.open` or `Catalog.create`, and `close` it.

    Attributes
    ----------
    notes : what opening has to say: that an older format was upgraded
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        note = upgrade(store)
        self.notes: tuple[str, ...] = () if note is None else (note,)
        self._connections = Connections(store, partial(connect, store))
        fingerprint = self._meta("fingerprint")
        if fingerprint is None:
            self.close()
            raise DamagedError(store, "its making was interrupted; remove the folder, index again")
        self.fingerprint = Fingerprint.from_json(fingerprint)

    @classmethod
    def create(cls, store: Path, fingerprint: Fingerprint) -> Catalog:
        """Make a collection in the folder `store`, which is made when it is missing."""
        create(store, {"fingerprint": fingerprint.to_json(), "version": "0", "created": _now()})
        return cls(store)

    @classmethod
    def open(cls, store: Path) -> Catalog:
        """Open a collection.

        Raises
        ------
        NoCollectionError, FormatError, DamagedError
        """
        return cls(store)

    def close(self) -> None:
        """Release the database; every later use raises `CollectionError`."""
        self._connections.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """The database, for bulk reads by `dedup.store.gallery`: the calling thread's connection.

        Raises
        ------
        CollectionError : the collection is closed.
        """
        return self._connections.get()

    # -- meta ------------------------------------------------------------------------------------

    def _meta(self, key: str) -> str | None:
        with translated(self.store):
            row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _set_meta(self, key: str, value: str) -> None:
        self.connection.execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value)
        )

    @property
    def version(self) -> int:
        """Rises with every change of the gallery; the index is built for one version."""
        return int(self._meta("version") or 0)

    @property
    def updated(self) -> str | None:
        """When the last run of indexing ended, ISO 8601 in UTC."""
        return self._meta("updated")

    @property
    def weights_path(self) -> str | None:
        """Where the weights file was when the collection was last indexed."""
        return self._meta("weights_path")

    @weights_path.setter
    def weights_path(self, path: str) -> None:
        with self.transaction():
            self._set_meta("weights_path", path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside together, or nothing when an exception passes."""
        with translated(self.store):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the catalog, also while a writer commits."""
        with translated(self.store):
            self.connection.execute("BEGIN")
            try:
                yield
            finally:
                self.connection.execute("ROLLBACK")

    # -- recording ---------------------------------------------------------------------------------

    def add_roots(self, paths: Iterable[bytes]) -> list[Root]:
        """Record folders, or find them recorded; a transaction of its own."""
        with self.transaction():
            self.connection.executemany(
                "INSERT OR IGNORE INTO roots (path) VALUES (?)", [(path,) for path in paths]
            )
        return self.roots()

    def commit(self, batch: Batch) -> None:
        """Record a batch in one transaction, the only commit point of indexing."""
        with self.transaction():
            ids = self._add_images(batch.images, batch.embeddings)
            ids |= self._images_with({digest for *_, digest in batch.files} - ids.keys())
            self._record(
                [
                    (root.id, *_kept(entry), "indexed", ids[digest], None, None)
                    for root, entry, digest in batch.files
                ]
                + [
                    (root.id, *_kept(entry), "skipped", None, reason, tried_with)
                    for root, entry, reason, tried_with in batch.skipped
                ]
            )
            self.connection.executemany(
                "UPDATE files SET state = 'gone' WHERE id = ?", [(file,) for file in batch.gone]
            )
            self.connection.executemany(
                "UPDATE files SET state = 'gone' WHERE root = ? AND path = ?",
                [(root.id, entry.path) for root, entry in batch.vanished],
            )
            self.connection.executemany(
                "UPDATE files SET ctime_ns = ? WHERE id = ?",
                [(ctime_ns, file) for file, ctime_ns in batch.undated],
            )
            if batch.changes_gallery:
                self.gallery_changed()
            for root, settled in batch.settled.items():
                self._set_meta(f"settled {root.id}", json.dumps([self.version, *settled]))
            if batch.ends_run:
                self._set_meta("updated", _now())

    def _add_images(
        self, images: Sequence[ImageFacts], embeddings: Mapping[str, Packed]
    ) -> dict[bytes, int]:
        """Record images and their embeddings; gives the ids that they have or had, by digest."""
        ids = self._images_with([facts.digest for facts in images])
        (last,) = self.connection.execute("SELECT coalesce(max(id), 0) FROM images").fetchone()
        new: list[tuple[Any, ...]] = []
        rows: list[tuple[Any, ...]] = []
        for row, facts in enumerate(images):
            if facts.digest not in ids:
                last += 1
                ids[facts.digest] = last
                new.append((last, *facts))
                rows += [
                    (last, layer, norms[row], vectors[row], checksums[row])
                    for layer, (norms, vectors, checksums) in embeddings.items()
                ]
        self._insert(
            "images (id, digest, format, width, height, frames, trivial, input_digest, damaged,"
            " remark)",
            new,
        )
        self._insert("embeddings (image, layer, norm, vector, checksum)", rows)
        return ids

    def _insert(self, columns: str, rows: list[tuple[Any, ...]], otherwise: str = "") -> None:
        """Insert rows by few statements: between two of them Python's lock changes hands."""
        size = max(1, _PARAMETERS // len(rows[0])) if rows else 1
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            marks = f"({','.join('?' * len(part[0]))})"
            self.connection.execute(
                f"INSERT INTO {columns} VALUES {','.join([marks] * len(part))} {otherwise}",  # noqa: S608 - marks only
                [value for row in part for value in row],
            )

    def _images_with(self, digests: Collection[bytes]) -> dict[bytes, int]:
        ids: dict[bytes, int] = {}
        wanted = list(digests)
        for start in range(0, len(wanted), _PARAMETERS):
            part = wanted[start : start + _PARAMETERS]
            marks = ",".join("?" * len(part))
            ids |= self.connection.execute(
                f"SELECT digest, id FROM images WHERE digest IN ({marks})",  # noqa: S608 - marks only
                part,
            )
        return ids

    def _record(self, rows: list[tuple[Any, ...]]) -> None:
        self._insert(
            "files (root, path, size, mtime_ns, device, inode, ctime_ns, state, image, reason,"
            " tried_with)",
            rows,
            " ON CONFLICT (root, path) DO UPDATE SET size = excluded.size,"
            " mtime_ns = excluded.mtime_ns, device = excluded.device, inode = excluded.inode,"
            " ctime_ns = excluded.ctime_ns,"
            " state = excluded.state, image = excluded.image, reason = excluded.reason,"
            " tried_with = excluded.tried_with",
        )

    def gallery_changed(self) -> None:
        """Make indexes built before this transaction stale."""
        self.connection.execute(
            "UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'version'"
        )

    def remember_pixel_digests(self, digests: Mapping[int, bytes]) -> None:
        """Keep the digests of images decoded in full, by image id; b"" for "has none".

        A transaction of its own. It only saves work, so that a collection which cannot be written
        to now is left as it is.
        """
        with suppress(CollectionError), self.transaction():
            self.connection.executemany(
                "UPDATE images SET pixel_digest = ? WHERE id = ?",
                [(digest, image) for image, digest in digests.items()],
            )

    # -- questions -------------------------------------------------------------------------------

    def roots(self) -> list[Root]:
        """List the indexed folders by path."""
        with translated(self.store):
            rows = self.connection.execute("SELECT id, path, exclude FROM roots ORDER BY path")
            return [
                Root(number, path, tuple(exclude.splitlines())) for number, path, exclude in rows
            ]

    def known_files(self, root: Root) -> Iterator[KnownFile]:
        """Give what is known of the files under a root, gone ones included, by relative path."""
        with translated(self.store):
            rows = self.connection.execute(
                "SELECT path, id, size, mtime_ns, state, tried_with, inode, ctime_ns FROM files"
                " WHERE root = ? ORDER BY path",
                (root.id,),
            )
            yield from map(KnownFile._make, rows)

    def settled(self, root: Root) -> Settled | None:
        """Give what `settle` remembered; None when anything changed since."""
        version, *settled = json.loads(self._meta(f"settled {root.id}") or "[null]")
        return Settled(*settled) if version == self.version else None

    def files_with_inode(self, inode: int) -> list[tuple[Root, bytes]]:
        """List the live files that had this inode when they were recorded."""
        with translated(self.store):
            rows = self.connection.execute(
                "SELECT roots.id, roots.path, files.path FROM files"
                " JOIN roots ON roots.id = files.root"
                " WHERE files.inode = ? AND files.state != 'gone'",
                (inode,),
            )
            return [(Root(number, root), path) for number, root, path in rows]

    def diff(
        self,
        root: Root,
        entries: Iterable[FileEntry],
        decoders: str,
        *,
        keeps_inodes: bool = True,
    ) -> Differences:
        """Compare the files found under a root, sorted by path, with what is known of them.

        Parameters
        ----------
        decoders, keeps_inodes : see `Differences`
        """
        known = self.known_files(root)
        return Differences(known, entries, decoders, keeps_inodes=keeps_inodes)

    def known_contents(self, digests: Collection[bytes]) -> set[bytes]:
        """Say which of some contents, by their SHA-256, have embeddings."""
        with translated(self.store):
            return set(self._images_with(digests))

    def image_with(self, digest: bytes) -> int | None:
        """Find the image with this content."""
        row = self.connection.execute(
            "SELECT id FROM images WHERE digest = ?", (digest,)
        ).fetchone()
        return None if row is None else int(row[0])

    def knows(self, digest: bytes) -> bool:
        """Say whether a content, by its SHA-256, has embeddings."""
        with translated(self.store):
            return self.image_with(digest) is not None

    def image_facts(self, image: int) -> ImageFacts:
        """Read what is kept of an image."""
        row = self.connection.execute(
            "SELECT digest, format, width, height, frames, trivial, input_digest, damaged, remark"
            " FROM images WHERE id = ?",
            (image,),
        ).fetchone()
        facts = ImageFacts(*row)
        return facts._replace(trivial=bool(facts.trivial), damaged=bool(facts.damaged))

    def skips(self) -> list[tuple[bytes, str]]:
        """List skipped files as (absolute path, reason), by path."""
        with translated(self.store):
            rows = self.connection.execute(
                "SELECT CAST(roots.path || X'2F' || files.path AS BLOB) AS whole, files.reason"
                " FROM files"
                " JOIN roots ON roots.id = files.root"
                " WHERE files.state = 'skipped' ORDER BY whole"
            )
            return [(bytes(path), str(reason)) for path, reason in rows]

    def has_images(self) -> bool:
        """Tell whether any image is indexed."""
        with translated(self.store):
            found = self.connection.execute(
                "SELECT EXISTS (SELECT 1 FROM files WHERE state = 'indexed')"
            )
            return bool(found.fetchone()[0])

    def has_files(self) -> bool:
        """Tell whether any file is known, in any state."""
        (found,) = self.connection.execute("SELECT EXISTS (SELECT 1 FROM files)").fetchone()
        return bool(found)

    def files_by_state(self, root: Root | None = None) -> dict[str, int]:
        """Count the files of one root, or of all, by state."""
        where, values = ("", ()) if root is None else (" WHERE root = ?", (root.id,))
        with translated(self.store):
            rows = self.connection.execute(
                f"SELECT state, count(*) FROM files{where} GROUP BY state",  # noqa: S608 - constant
                values,
            )
            return {str(state): int(count) for state, count in rows}


def _kept(entry: FileEntry) -> tuple[bytes, int, int, int, int, int | None]:
    """Give what is kept of a file: not its number of links."""
    return *entry[:5], entry.ctime_ns


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
