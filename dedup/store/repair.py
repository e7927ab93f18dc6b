"""Make good what can be made good in a catalog: drop what is damaged, and rebuild the rest.

Whatever indexing finds out again is dropped with all that hangs on it, so that the next run reads
those files anew. The catalog is copied before. A database whose pages or indexes are damaged is
written anew from the rows that can be read, and put in place by SQLite's backup, which readers
that have it open survive.
"""

from __future__ import annotations

import logging
import re
import secrets
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from dedup.errors import CollectionError, DamagedError
from dedup.store.checksums import checksum_of, sound, write_meta
from dedup.store.database import LOST_MODEL, UNBOUND
from dedup.store.migrations import keep_copy
from dedup.store.schema import CATALOG, create, open_damaged, translated
from dedup.store.verify import check_catalog, check_structure, check_table, read_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dedup.fingerprint import Fingerprint
    from dedup.store.catalog import Catalog
    from dedup.store.verify import Unsound

_log = logging.getLogger(__name__)
_DROPPED: Final = "%s: %d damaged rows dropped; the catalog as it was is kept as %s"

COPY: Final = "catalog.repair.bak"
FOUND_AGAIN: Final = ("roots", "images", "files", "embeddings", "verdicts", "traits", "parts")
"""Tables whose rows indexing and listing find out again."""

_TO_READ: Final = "to read again"  # in `meta`, until the files of dropped rows were read
_ORDERS: Final = {
    "verdicts": "first, second", "decisions": "first, second", "meta": "key",
    "traits": "image", "parts": "image",
}  # fmt: skip
_TABLES: Final = (
    "meta", "roots", "images", "files", "embeddings", "verdicts", "traits", "parts", "decisions",
    "calibration",
)  # fmt: skip


def repair_catalog(store: Path) -> list[Unsound]:
    """Repair a catalog; the caller holds the writer's lock.

    Returns
    -------
    What was not sound and is dropped now; none: nothing was changed, and no copy made.

    Raises
    ------
    DamagedError : it cannot be read at all; it is unchanged.

    Notes
    -----
    Where the fingerprint is lost, nobody can say what model embedded the images: all that was
    computed with it is dropped, and the collection is unbound until `bind` gives it another one.
    """
    with translated(store), closing(open_damaged(store)) as connection:
        found = list(check_catalog(store, connection))
        if not found:
            return []
        if _is_unbound(connection) and {one.key for one in found} == {("fingerprint",)}:
            return found  # and leave the copy from before alone
        _keep_copy(store)
        structural = [one for one in found if not one.table]
        if structural:
            _write_anew(store, connection)
            found = structural + list(check_catalog(store, connection))
        connection.execute("BEGIN IMMEDIATE")
        drop(connection, found)
        if read_fingerprint(connection) is None:
            _unbind(connection)
        if any(one.table in ("", "roots", "images", "files", "embeddings") for one in found):
            write_meta(connection, _TO_READ, "1")
        connection.execute("COMMIT")
        _log.warning(_DROPPED, store, len(found), COPY)
        left = list(check_structure(store, connection))
        if left:
            raise DamagedError(store, f"cannot be repaired: {left[0].detail}. Index again")
    return found


def is_to_be_read(store: Path) -> bool:
    """Tell whether files have to be read again, as a repair dropped their rows."""
    with translated(store), closing(open_damaged(store)) as connection:
        row = connection.execute("SELECT 1 FROM meta WHERE key = ?", (_TO_READ,)).fetchone()
        return row is not None


def was_read(store: Path) -> None:
    """Note that the files were read again."""
    with translated(store), closing(open_damaged(store)) as connection:
        connection.execute("DELETE FROM meta WHERE key = ?", (_TO_READ,))


def _is_unbound(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM meta WHERE key = ?", (UNBOUND,)).fetchone() is not None


def _unbind(connection: sqlite3.Connection) -> None:
    """Drop all that a model computed; folders, proofs and decisions know of none."""
    for table in ("embeddings", "traits", "parts", "files", "images", "calibration"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constant
    write_meta(connection, UNBOUND, "1")


def lost_model(store: Path) -> str | None:
    """Say that the model is lost, and what its name may have been; None where it is known."""
    copy = store / COPY
    with translated(store), closing(open_damaged(store)) as connection:
        if not _is_unbound(connection):
            return None
    name = None
    if copy.is_file():
        with closing(sqlite3.connect(copy)) as connection, suppress(sqlite3.DatabaseError):
            connection.text_factory = bytes
            (text,) = connection.execute(
                "SELECT value FROM meta WHERE key = 'fingerprint'"
            ).fetchone() or (b"",)
            name = re.search(rb'"model": "([ -~]{1,80}?)"', text)
    return LOST_MODEL + (f" (it may have been {name[1].decode()})" if name else "")


def bind(store: Path, fingerprint: Fingerprint) -> None:
    """Give a collection a fingerprint where its own is lost; the caller holds the lock."""
    with translated(store), closing(open_damaged(store)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        row = "fingerprint", fingerprint.to_json()
        connection.execute(
            "INSERT INTO meta (key, value, checksum) VALUES (?, ?, ?)",
            (*row, checksum_of("meta", row)),
        )
        connection.execute("DELETE FROM meta WHERE key = ?", (UNBOUND,))
        connection.execute("COMMIT")


def heal(catalog: Catalog) -> list[Unsound]:
    """Drop damaged rows that indexing finds out again, where reading has met some.

    The catalog is copied before; the caller holds the writer's lock.

    Returns
    -------
    What is dropped.
    """
    catalog.roots()  # without which nothing else would be read
    if not (catalog.is_marked or catalog.damage):
        return []
    connection = catalog.connection
    with translated(catalog.store):
        found = [
            one
            for table in FOUND_AGAIN
            for one in check_table(catalog.store, connection, table)
            if one.table in FOUND_AGAIN
        ]
    if found:
        _keep_copy(catalog.store)
        _log.warning(_DROPPED, catalog.store, len(found), COPY)
    with catalog.transaction():
        drop(connection, found)  # rows that are missing, too, make folders be compared in full
        connection.execute("DELETE FROM meta WHERE key = 'damaged'")
    catalog.forget_damage()
    return found


def _keep_copy(store: Path) -> None:
    try:
        with translated(store):
            keep_copy(store / CATALOG, store / COPY)
    except OSError as error:
        raise CollectionError(
            store,
            f"cannot be copied before it is repaired ({error.strerror}). It is unchanged: free "
            "some space and run the same command again.",
        ) from error


def drop(connection: sqlite3.Connection, found: Iterable[Unsound]) -> None:
    """Delete unsound rows and what hangs on them; inside a transaction of the caller's."""
    found = list(found)
    connection.execute("PRAGMA defer_foreign_keys = ON")
    keys: dict[str, list[tuple[object, ...]]] = {table: [] for table in _TABLES}
    for one in found:
        if one.table:
            keys[one.table].append(one.key)
    # An image without all its embeddings is read anew from its files.
    images = [
        connection.execute("SELECT image FROM embeddings WHERE id = ?", key).fetchone()
        for key in keys["embeddings"]
    ]
    keys["images"] += [image for image in images if image is not None]
    version = connection.execute(
        f"SELECT value FROM meta WHERE key = 'version' AND {sound('meta')}"  # noqa: S608 - constant
    ).fetchone()
    for table, rows in keys.items():
        where = " AND ".join(f"{one} = ?" for one in _ORDERS.get(table, "id").split(", "))
        connection.executemany(f"DELETE FROM {table} WHERE {where}", rows)  # noqa: S608 - constant
    connection.execute(
        "DELETE FROM files WHERE root NOT IN (SELECT id FROM roots)"
        " OR (image IS NOT NULL AND image NOT IN (SELECT id FROM images))"
    )
    for table in ("embeddings", "traits", "parts"):
        connection.execute(f"DELETE FROM {table} WHERE image NOT IN (SELECT id FROM images)")  # noqa: S608 - constant
    # Folders are compared in full again, and no index of before is fresh.
    connection.execute("DELETE FROM meta WHERE key GLOB 'settled *' OR key IN ('rows', 'damaged')")
    number = int(version[0]) + 1 if version else 1 + secrets.randbits(40)
    write_meta(connection, "version", str(number))


def _write_anew(store: Path, connection: sqlite3.Connection) -> None:
    """Replace a database by one of the rows that can be read."""
    folder = store / "repair.partial"
    path = folder / CATALOG
    try:
        path.unlink(missing_ok=True)
        create(folder, {})
        with closing(sqlite3.connect(path, isolation_level=None)) as new:
            new.execute("PRAGMA journal_mode = DELETE")
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            new.execute(f"PRAGMA page_size = {size}")
            new.execute("VACUUM")  # SQLite copies only pages of one size over a log
            new.execute("BEGIN")
            for table in _TABLES:
                _copy_rows(connection, new, table)
            new.execute("COMMIT")
            new.backup(connection)
    finally:
        for found in folder.glob("*"):
            found.unlink()
        with suppress(OSError):
            folder.rmdir()


def _copy_rows(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> None:
    """Copy the rows from both ends of a table up to where it cannot be read."""
    columns = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
    listed, marks = ", ".join(columns), ", ".join("?" * len(columns))
    for order in ("ASC", "DESC"):
        terms = ", ".join(f"{one} {order}" for one in _ORDERS.get(table, "id").split(", "))
        if table == "meta":
            terms = f"rowid {order}"
        try:
            rows = old.execute(f"SELECT {listed} FROM {table} NOT INDEXED ORDER BY {terms}")  # noqa: S608 - constant
            for row in rows:
                with suppress(sqlite3.IntegrityError):  # what no constraint of ours allows
                    new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608 - constant
        except sqlite3.DatabaseError:
            continue
        return
