"""The catalog: the one truth of a collection, in SQLite.

`Catalog` records what indexing found and answers questions about files and images; `gallery` reads
vectors in bulk. Every change happens inside `transaction`, the only commit point, so that a kill at
any moment costs at most the batch in hand. Any thread may use a catalog; each has a connection and
transactions of its own, and so has a forked process.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import CollectionError
from dedup.records import ImageFacts, Kind, KnownFile, Root, Settled
from dedup.store.changes import Differences
from dedup.store.checksums import (
    COVERED,
    checksum_of,
    embedding_checksum,
    is_sound_embedding,
    seal,
    sound,
)
from dedup.store.database import RUNNING, Database
from dedup.store.parts import write_parts
from dedup.store.schema import create, translated
from dedup.store.trust import checked_path, checked_root, whole_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from dedup.fingerprint import Fingerprint
    from dedup.records import FileEntry
    from dedup.store.changes import Batch
    from dedup.store.vectors import Packed

_PARAMETERS: Final = 2000  # of one statement, at most
_FILE_COLUMNS: Final = (
    "root", "path", "size", "mtime_ns", "device", "inode", "ctime_ns", "state", "image",
    "reason", "tried_with",
)  # fmt: skip
_IMAGE_COLUMNS: Final = (
    "id", "digest", "format", "width", "height", "frames", "trivial", "input_digest",
    "damaged", "remark",
)  # fmt: skip
_DEFAULTS: Final[dict[str, Any]] = {"damaged": 0, "exclude": "", "kind": "folder"}  # NULL otherwise
_GONE: Final = "state = 'gone', checksum = " + seal("files", state="'gone'")
_DATED: Final = "ctime_ns = ?1, checksum = " + seal("files", ctime_ns="?1")
_WITH_PIXELS: Final = seal("images", pixel_digest="?1")


class Catalog(Database):
    """An open catalog. Use `Catalog.open` or `Catalog.create`, and `close` it."""

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

    # -- recording ---------------------------------------------------------------------------------

    def add_roots(self, paths: Iterable[bytes], kind: Kind = Kind.FOLDER) -> list[Root]:
        """Record roots of a kind, or find them recorded; a transaction of its own."""
        with self.transaction():
            self.connection.executemany(
                "INSERT OR IGNORE INTO roots (path, kind) VALUES (?, ?)",
                [(path, kind.value) for path in paths],
            )
            self.connection.execute(
                f"UPDATE roots SET checksum = {seal('roots')} WHERE checksum IS NULL"  # noqa: S608 - constant
            )
        return self.roots()

    def commit(self, batch: Batch) -> None:
        """Record a batch in one transaction, the only commit point of indexing."""
        with self.transaction():
            ids = self._add_images(batch.images, batch.embeddings)
            ids |= self._images_with({digest for *_, digest in batch.files} - ids.keys())
            write_parts(
                self.connection, {ids[digest]: parts for digest, parts in batch.parts.items()}
            )
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
                f"UPDATE files SET {_GONE} WHERE id = ?",  # noqa: S608 - constant
                [(file,) for file in batch.gone],
            )
            self.connection.executemany(
                f"UPDATE files SET {_GONE} WHERE root = ? AND path = ?",  # noqa: S608 - constant
                [(root.id, entry.path) for root, entry in batch.vanished],
            )
            self.connection.executemany(
                f"UPDATE files SET {_DATED} WHERE id = ?2 AND {sound('files')}",  # noqa: S608 - constant
                [(ctime_ns, file) for file, ctime_ns in batch.undated],
            )
            if batch.changes_gallery:
                self.gallery_changed()
            for root, settled in batch.settled.items():
                self._set_meta(f"settled {root.id}", json.dumps([self.version, *settled]))
            if batch.ends_run:
                self._set_meta("updated", _now())
                self._set_meta(RUNNING, "")

    def _add_images(
        self, images: Sequence[ImageFacts], embeddings: Mapping[str, Packed]
    ) -> dict[bytes, int]:
        """Record images and their embeddings; gives the ids that they have or had, by digest."""
        ids = self._images_with([facts.digest for facts in images], sound_only=True)
        unsound = self._images_with([facts.digest for facts in images])
        (last,) = self.connection.execute("SELECT coalesce(max(id), 0) FROM images").fetchone()
        new: list[tuple[Any, ...]] = []
        rows: list[tuple[Any, ...]] = []
        for row, facts in enumerate(images):
            if facts.digest not in ids:
                image = unsound.get(facts.digest)
                if image is None:
                    image = last = last + 1
                else:
                    self._forget_image(image)
                ids[facts.digest] = image
                new.append((image, *facts))
                rows += [
                    (
                        image, layer, norms[row], vectors[row],
                        embedding_checksum(facts.digest, layer, norms[row], vectors[row]),
                    )
                    for layer, (norms, vectors) in embeddings.items()
                ]  # fmt: skip
        self._insert("images", _IMAGE_COLUMNS, new)
        self._insert("embeddings", ("image", "layer", "norm", "vector", "checksum"), rows)
        return ids

    def _forget_image(self, image: int) -> None:
        """Make room for a damaged image to be recorded again; its files refer to it meanwhile."""
        self.connection.execute("PRAGMA defer_foreign_keys = ON")  # until the end of this commit
        for table in ("embeddings", "traits", "parts"):
            self.connection.execute(f"DELETE FROM {table} WHERE image = ?", (image,))  # noqa: S608 - constant
        self.connection.execute("DELETE FROM images WHERE id = ?", (image,))

    def _insert(
        self, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]], otherwise: str = ""
    ) -> None:
        """Insert rows by few statements: between two of them Python's lock changes hands.

        Rows get their checksum; columns that are not given have their defaults.
        """
        if table in COVERED:
            at = [columns.index(one) if one in columns else None for one in COVERED[table]]
            fill = [_DEFAULTS.get(one) for one in COVERED[table]]
            rows = [
                (
                    *row,
                    checksum_of(
                        table,
                        (
                            default if place is None else row[place]
                            for place, default in zip(at, fill, strict=True)
                        ),
                    ),
                )
                for row in rows
            ]
            columns = (*columns, "checksum")
        size = max(1, _PARAMETERS // len(columns))
        marks = f"({','.join('?' * len(columns))})"
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            self.connection.execute(
                f"INSERT INTO {table} ({','.join(columns)})"  # noqa: S608 - constants and marks
                f" VALUES {','.join([marks] * len(part))} {otherwise}",
                [value for row in part for value in row],
            )

    def _images_with(
        self, digests: Collection[bytes], *, sound_only: bool = False
    ) -> dict[bytes, int]:
        """Find images by content; `sound_only`: those that are whole, with all their embeddings."""
        ids: dict[bytes, int] = {}
        wanted = list(digests)
        for start in range(0, len(wanted), _PARAMETERS):
            part = wanted[start : start + _PARAMETERS]
            marks = ",".join("?" * len(part))
            ids |= self.connection.execute(
                f"SELECT digest, id FROM images WHERE digest IN ({marks})"  # noqa: S608 - marks only
                + (f" AND {sound('images')}" if sound_only else ""),
                part,
            )
        if sound_only:
            ids = {digest: image for digest, image in ids.items() if self._is_whole(digest, image)}
        return ids

    def _is_whole(self, digest: bytes, image: int) -> bool:
        rows = self.connection.execute(
            "SELECT layer, norm, vector, checksum FROM embeddings WHERE image = ?", (image,)
        ).fetchall()
        return all(is_sound_embedding(digest, *row) for row in rows)

    def _record(self, rows: list[tuple[Any, ...]]) -> None:
        updates = [f"{one} = excluded.{one}" for one in (*_FILE_COLUMNS[2:], "checksum")]
        self._insert(
            "files",
            _FILE_COLUMNS,
            rows,
            f" ON CONFLICT (root, path) DO UPDATE SET {', '.join(updates)}",
        )

    def remember_pixel_digests(self, digests: Mapping[int, bytes]) -> None:
        """Keep the digests of images decoded in full, by image id; b"" for "has none".

        A transaction of its own. It only saves work, so that a collection which cannot be written
        to now is left as it is.
        """
        with suppress(CollectionError), self.transaction():
            self.connection.executemany(
                f"UPDATE images SET pixel_digest = ?1, checksum = {_WITH_PIXELS} WHERE id = ?2",  # noqa: S608 - constant
                [(digest, image) for image, digest in digests.items()],
            )

    # -- questions -------------------------------------------------------------------------------

    def roots(self) -> list[Root]:
        """List the indexed folders by path, damaged rows left out."""
        with translated(self.store):
            rows = self.connection.execute(
                f"SELECT id, path, exclude, kind, {sound('roots')} FROM roots ORDER BY path"  # noqa: S608 - constant
            ).fetchall()
        if unsound := sum(not row[-1] for row in rows):
            self.found_damaged("roots", unsound)
        return [
            Root(number, checked_root(self.store, path), tuple(exclude.splitlines()), Kind(kind))
            for number, path, exclude, kind, is_sound in rows
            if is_sound and kind in set(Kind)
        ]

    def known_files(self, root: Root) -> Iterator[KnownFile]:
        """Give what is known of the files under a root, gone ones included, by relative path.

        Damaged rows are left out, so that their files are read again.
        """
        unsound = 0
        with translated(self.store):
            rows = self.connection.execute(
                "SELECT path, id, size, mtime_ns, state, tried_with, inode, ctime_ns,"  # noqa: S608 - constant
                f" {sound('files')} FROM files WHERE root = ? ORDER BY path",
                (root.id,),
            )
            for *known, is_sound in rows:
                if is_sound:
                    yield KnownFile._make(known)
                else:
                    unsound += 1
        if unsound:
            self.found_damaged("files", unsound)

    def settled(self, root: Root) -> Settled | None:
        """Give what `settle` remembered; None when anything changed since."""
        try:
            version, *settled = json.loads(self._meta(f"settled {root.id}") or "[null]")
            return Settled(*settled) if version == self.version else None
        except (ValueError, TypeError):  # damaged: compared in full
            return None

    def files_with_inode(self, inode: int) -> list[tuple[Root, bytes]]:
        """List the live files that had this inode when they were recorded."""
        with translated(self.store):
            rows = self.connection.execute(
                "SELECT roots.id, roots.path, files.path FROM files"
                " JOIN roots ON roots.id = files.root"
                " WHERE files.inode = ? AND files.state != 'gone'",
                (inode,),
            )
            return [
                (Root(number, checked_root(self.store, root)), checked_path(self.store, path))
                for number, root, path in rows
            ]

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
        """Say which of some contents, by their SHA-256, have embeddings that are sound."""
        with translated(self.store):
            return set(self._images_with(digests, sound_only=True))

    def image_with(self, digest: bytes) -> int | None:
        """Find the image with this content."""
        row = self.connection.execute(
            "SELECT id FROM images WHERE digest = ?", (digest,)
        ).fetchone()
        return None if row is None else int(row[0])

    def knows(self, digest: bytes) -> bool:
        """Say whether a content, by its SHA-256, has embeddings."""
        return bool(self.known_contents([digest]))

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
                f"SELECT {whole_path('roots', 'files')} AS whole, files.reason"  # noqa: S608 - constant
                " FROM files"
                " JOIN roots ON roots.id = files.root"
                f" WHERE files.state = 'skipped' AND {sound('files', 'files')} ORDER BY whole"
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
        """Count the files of one root, or of all, by state; damaged rows are left out."""
        where, values = ("", ()) if root is None else (" AND root = ?", (root.id,))
        with translated(self.store):
            rows = self.connection.execute(
                f"SELECT state, count(*) FROM files WHERE {sound('files')}{where} GROUP BY state",  # noqa: S608 - constant
                values,
            )
            return {str(state): int(count) for state, count in rows}


def _kept(entry: FileEntry) -> tuple[bytes, int, int, int, int, int | None]:
    """Give what is kept of a file: not its number of links."""
    return *entry[:5], entry.ctime_ns


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
