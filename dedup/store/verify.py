"""Check a catalog as a whole: SQLite's own check, the schema, every checksum, every reference.

Works on what `Catalog` refuses to open, as far as SQLite can read it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

from dedup.errors import DamagedError
from dedup.fingerprint import Fingerprint
from dedup.store.checksums import is_sound_embedding, sound
from dedup.store.database import COUNTED
from dedup.store.schema import EXPECTED
from dedup.store.trust import MAX_TEXT_BYTES, check_schema, checked_root, is_inside, whole_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LiveFile = tuple[bytes, int, int, bytes]
"""Absolute path, bytes, mtime in ns, SHA-256."""

_MAX_FINDINGS = 100  # of SQLite's own check
_KEYS = {
    "meta": ("key",),
    "roots": ("id",),
    "images": ("id",),
    "files": ("id",),
    "embeddings": ("id",),
    "verdicts": ("first", "second"),
    "traits": ("image",),
    "parts": ("image",),
    "decisions": ("first", "second"),
    "calibration": ("id",),
}


class Unsound(NamedTuple):
    """Something in a catalog that is not as it was written.

    Parameters
    ----------
    table : "" for the database as a whole
    key : the primary key of the row; () where no row can be named
    path : the file that it is about, or another name; b"" where there is none
    """

    table: str
    key: tuple[Any, ...]
    path: bytes
    detail: str


def check_catalog(store: Path, connection: sqlite3.Connection) -> Iterator[Unsound]:
    """Check everything; what SQLite cannot read is a finding, too."""
    yield from check_structure(store, connection)
    for table in _KEYS:
        try:
            yield from check_table(store, connection, table)
        except sqlite3.DatabaseError as error:
            yield Unsound("", (), table.encode(), f"the table {table} cannot be read: {error}")


def check_structure(store: Path, connection: sqlite3.Connection) -> Iterator[Unsound]:
    """Check the database without its rows' contents: pages, indexes, schema, numbers of rows."""
    try:
        for (text,) in connection.execute(f"PRAGMA integrity_check({_MAX_FINDINGS})"):
            if text != "ok":
                yield Unsound("", (), b"", text)
        check_schema(store, connection, EXPECTED)
        for table, wanted in _counts(connection).items():
            (found,) = connection.execute(f"SELECT count(*) FROM {table} NOT INDEXED").fetchone()  # noqa: S608 - constant
            if found < wanted:
                yield Unsound("", (), b"", f"{wanted - found} rows of the table {table} are gone")
    except sqlite3.DatabaseError as error:
        yield Unsound("", (), b"", str(error))
    except DamagedError as error:
        yield Unsound("", (), b"", error.reason.split(". ")[0])


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    row = connection.execute(
        f"SELECT value FROM meta WHERE key = 'rows' AND {sound('meta')}"  # noqa: S608 - constant
    ).fetchone()
    try:
        return {table: int(json.loads(row[0])[table]) for table in COUNTED} if row else {}
    except (ValueError, KeyError, TypeError):
        return {}


def check_table(store: Path, connection: sqlite3.Connection, table: str) -> Iterator[Unsound]:
    """Check the rows of one table."""
    if table in {"embeddings", "files"}:
        check = _check_embeddings if table == "embeddings" else _check_files
        yield from check(connection)
        return
    key = _KEYS[table]
    name = {"roots": "path", "meta": "key", "images": "digest"}.get(table, key[0])
    rows = connection.execute(
        f"SELECT {', '.join(key)}, {name}, {sound(table)} FROM {table} NOT INDEXED"  # noqa: S608 - constant
    )
    for row in rows:
        if not row[-1]:
            path = _name_of(table, row[-2]) if table != "images" else _a_file(connection, row[0])
            detail = "fails its checksum"
            if table == "decisions":
                detail += f"; it was about {' and '.join(_images(connection, row[: len(key)]))}"
            yield Unsound(table, tuple(row[: len(key)]), path, detail)
        elif table == "roots":
            try:
                checked_root(store, row[-2])
            except DamagedError:
                yield Unsound(table, (row[0],), row[-2], "is no folder")
    if table == "calibration":
        yield from _check_sizes(connection)
    elif table == "meta":
        yield from _check_fingerprint(connection)


def _check_sizes(connection: sqlite3.Connection) -> Iterator[Unsound]:
    for (size,) in connection.execute("SELECT length(curve) FROM calibration"):
        if size > MAX_TEXT_BYTES:
            yield Unsound("calibration", (1,), b"", "is too large")


def _name_of(table: str, value: object) -> bytes:
    if table in {"verdicts", "decisions"} and isinstance(value, bytes):
        return value.hex().encode()
    return value if isinstance(value, bytes) else str(value).encode()


def _images(connection: sqlite3.Connection, digests: Iterable[object]) -> Iterator[str]:
    """Name images by a file, where one is known, else by their SHA-256."""
    for digest in digests:
        row = connection.execute("SELECT id FROM images WHERE digest = ?", (digest,)).fetchone()
        path = _a_file(connection, row[0]) if row else b""
        yield os.fsdecode(path or _name_of("decisions", digest))


def _a_file(connection: sqlite3.Connection, image: int) -> bytes:
    row = connection.execute(
        f"SELECT {whole_path('r', 'f')} FROM files AS f JOIN roots AS r"  # noqa: S608 - constant
        " ON r.id = f.root WHERE f.image = ? AND f.state = 'indexed' LIMIT 1",
        (image,),
    ).fetchone()
    return bytes(row[0]) if row else b""


def _check_fingerprint(connection: sqlite3.Connection) -> Iterator[Unsound]:
    told = connection.execute(
        f"SELECT 1 FROM meta WHERE key = 'fingerprint' AND NOT {sound('meta')}"  # noqa: S608 - constant
    ).fetchone()
    if read_fingerprint(connection) is None and not told:
        yield Unsound("meta", ("fingerprint",), b"fingerprint", "is missing or cannot be read")


def read_fingerprint(connection: sqlite3.Connection) -> Fingerprint | None:
    """Read what the collection was made with; None where that is lost."""
    row = connection.execute(
        f"SELECT value FROM meta WHERE key = 'fingerprint' AND {sound('meta')}"  # noqa: S608 - constant
    ).fetchone()
    try:
        return Fingerprint.from_json(row[0]) if row else None
    except (ValueError, KeyError, TypeError):
        return None


def _check_files(connection: sqlite3.Connection) -> Iterator[Unsound]:
    rows = connection.execute(
        f"SELECT f.id, f.path, {whole_path('r', 'f')}, r.id IS NOT NULL,"  # noqa: S608 - constant
        " f.image IS NULL OR i.id IS NOT NULL, f.image IS NOT NULL OR f.state != 'indexed',"
        f" {sound('files', 'f')} AND f.state IN ('indexed', 'skipped', 'gone')"
        " FROM files AS f NOT INDEXED LEFT JOIN roots AS r ON r.id = f.root"
        " LEFT JOIN images AS i ON i.id = f.image"
    )
    for number, path, whole, has_root, has_image, says_image, is_sound in rows:
        detail = (
            "fails its checksum"
            if not is_sound
            else "belongs to no folder"
            if not has_root
            else "belongs to no image"
            if not (has_image and says_image)
            else "leads out of its folder"
            if not is_inside(path)
            else ""
        )
        if detail:
            yield Unsound("files", (number,), bytes(whole or path), detail)


def _check_embeddings(connection: sqlite3.Connection) -> Iterator[Unsound]:
    rows = connection.execute(
        "SELECT e.id, e.layer, e.norm, e.vector, e.checksum, i.digest, e.image"
        " FROM embeddings AS e NOT INDEXED LEFT JOIN images AS i ON i.id = e.image"
    )
    layers: dict[int, set[str]] = {}
    for number, layer, norm, vector, checksum, digest, image in rows:
        if digest is None:
            yield Unsound("embeddings", (number,), b"", "belongs to no image")
        elif not is_sound_embedding(digest, layer, norm, vector, checksum):
            yield Unsound("embeddings", (number,), _a_file(connection, image), "fails its checksum")
        layers.setdefault(image, set()).add(layer)
    fingerprint = read_fingerprint(connection)
    stored = set() if fingerprint is None else set(fingerprint.stored)
    live = connection.execute("SELECT DISTINCT image FROM files WHERE state = 'indexed'")
    for (image,) in live.fetchall():
        lacking = stored - layers.get(image, set())
        if lacking:
            detail = f"has no embedding {', '.join(sorted(lacking))}"
            yield Unsound("images", (image,), _a_file(connection, image), detail)


def live_files(connection: sqlite3.Connection) -> Iterator[LiveFile]:
    """Give the indexed files whose rows are sound, by path."""
    yield from connection.execute(
        f"SELECT {whole_path('r', 'f')} AS whole, f.size, f.mtime_ns, i.digest"  # noqa: S608 - constant
        " FROM files AS f JOIN roots AS r ON r.id = f.root JOIN images AS i ON i.id = f.image"
        f" WHERE f.state = 'indexed' AND {sound('files', 'f')} AND {sound('roots', 'r')}"
        f" AND {sound('images', 'i')} ORDER BY whole"
    )
