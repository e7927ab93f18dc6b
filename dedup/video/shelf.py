"""What a collection keeps of videos: files beside its catalog, all of which can be made again.

`videos/files.json` says which files there are, `videos/proofs.json` what was found of pairs, and
`videos/<SHA-256>.film` holds what is kept of one content. Each is written whole or not at all, and
begins with a checksum; one that is damaged counts as missing, and the next run makes it anew. The
writer's lock of the collection is held by whoever writes the first and the last.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import xxhash

from dedup.errors import CollectionError
from dedup.files import atomic_write
from dedup.records import FileEntry, IndexedFile
from dedup.results import Skip
from dedup.video import FOLDER
from dedup.video.decode import Facts
from dedup.video.sample import Film

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dedup.store.catalog import Catalog

VERSION: Final = 1
"""Changes with whatever is kept, or how it is made."""

_ENDING: Final = ".film"
_DIGEST_BYTES: Final = 16


class Row(NamedTuple):
    """A video file.

    Parameters
    ----------
    root : id of the indexed folder, to which the path is relative
    digest : SHA-256 in hexadecimal digits; "" where it was not read
    reason : why it was skipped; "" where it was not
    transient : worth another try
    """

    root: int
    entry: FileEntry
    digest: str = ""
    reason: str = ""
    transient: bool = False


class Shelf:
    """The videos of a collection.

    Parameters
    ----------
    proofs : what was found of two contents, by "DIGEST DIGEST": of "videos", the lower first, as
        `Shared`; of "photos" and videos the time and the similarity, or None: not a frame of it.
        "compared" are the videos that were compared with each other, and "looked for" stands for
        the photos and videos when photos were
    """

    def __init__(self, catalog: Catalog) -> None:
        self.folder: Path = catalog.store / FOLDER
        self._catalog = catalog
        made = f"{VERSION} {catalog.fingerprint.to_json()}"
        self._made = hashlib.sha256(made.encode()).hexdigest()
        self.rows = [_row(one) for one in self._read("files.json", [])]
        nothing = {"videos": {}, "photos": {}, "compared": [], "looked for": ""}
        self.proofs: dict[str, Any] = self._read("proofs.json", nothing)

    def files(self) -> list[tuple[Row, IndexedFile]]:
        """List the videos that were read, of roots that there are, by path."""
        roots = {root.id: root.path for root in self._catalog.roots()}
        found = [
            (row, IndexedFile(os.path.join(roots[row.root], row.entry.path), row.root, row.entry))
            for row in self.rows
            if row.digest and row.root in roots
        ]
        return sorted(found, key=lambda one: one[1].path)

    def skipped(self) -> list[Skip]:
        """List the files that could not be read, by path."""
        roots = {root.id: root.path for root in self._catalog.roots()}
        return [
            Skip(os.fsdecode(os.path.join(roots[row.root], row.entry.path)), row.reason)
            for row in self.rows
            if row.reason and row.root in roots
        ]

    def film(self, digest: str) -> Film | None:
        """Give what is kept of a content; None where nothing sound is."""
        arrays = self._arrays(digest)
        if arrays is None:
            return None
        return Film(
            Facts(*json.loads(str(arrays["facts"]))),
            arrays["looks"],
            arrays["sound"],
            bool(arrays["heard"]),
            arrays["times"],
            arrays["rows"].astype(np.float32),
        )

    def contents(self) -> frozenset[str]:
        """List the contents of which something sound is kept."""
        names = sorted(path.name for path in self.folder.glob(f"*{_ENDING}"))
        digests = (name.removesuffix(_ENDING) for name in names)
        return frozenset(digest for digest in digests if self._arrays(digest))

    def _arrays(self, digest: str) -> Any:
        """Open what is kept of a content; an array is read when it is asked for."""
        data = self._sound(f"{digest}{_ENDING}")
        arrays = None if data is None else np.load(io.BytesIO(data), allow_pickle=False)
        return arrays if arrays is not None and str(arrays["made"]) == self._made else None

    def put(self, digest: str, film: Film) -> None:
        """Keep a content."""
        file = io.BytesIO()
        np.savez(
            file,
            made=np.array(self._made),
            facts=np.array(json.dumps(film.facts)),
            looks=film.looks,
            sound=film.sound,
            heard=np.array(film.heard),
            times=film.times,
            rows=film.rows.astype(np.float16),
        )
        self._write(f"{digest}{_ENDING}", file.getvalue())

    def put_rows(self, rows: Iterable[Row]) -> None:
        """Keep which files there are, and remove contents that none of them has."""
        self.rows = sorted(rows, key=lambda row: (row.root, row.entry.path))
        if not self.rows and not self.folder.is_dir():
            return
        self._put("files.json", [_plain(row) for row in self.rows])
        kept = {row.digest for row in self.rows}
        for name in os.listdir(self.folder):
            if name.endswith(_ENDING) and name.removesuffix(_ENDING) not in kept:
                (self.folder / name).unlink(missing_ok=True)

    def put_proofs(self) -> None:
        """Keep what was found of pairs, unless the collection cannot be written to now."""
        with suppress(CollectionError):
            self._put("proofs.json", self.proofs)

    def _read(self, name: str, default: Any) -> Any:
        data = self._sound(name)
        held = {} if data is None else json.loads(data)
        return held["held"] if held.get("made") == self._made else default

    def _put(self, name: str, held: Any) -> None:
        self._write(name, json.dumps({"made": self._made, "held": held}).encode())

    def _sound(self, name: str) -> bytes | None:
        try:
            data = (self.folder / name).read_bytes()
        except OSError:
            return None
        digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        return body if xxhash.xxh3_128(body).digest() == digest else None

    def _write(self, name: str, body: bytes) -> None:
        try:
            self.folder.mkdir(exist_ok=True)
            with atomic_write(self.folder / name) as file:
                file.write(xxhash.xxh3_128(body).digest() + body)
        except OSError as error:
            raise CollectionError(
                self.folder, f"cannot be written: {error.strerror or error}"
            ) from error


def _plain(row: Row) -> list[Any]:
    path = os.fsdecode(row.entry.path)
    return [row.root, [path, *row.entry[1:]], row.digest, row.reason, row.transient]


def _row(value: list[Any]) -> Row:
    root, (path, *entry), *rest = value
    return Row(root, FileEntry(os.fsencode(path), *entry), *rest)
