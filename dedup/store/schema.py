"""The tables of the catalog, opening it safely, and SQLite's errors in words.

Paths are BLOBs relative to a root, because file names are bytes. `images` holds one row for each
different content; `files` are the names under which it was found. Foreign keys point from files to
images and from embeddings to images; an image without files keeps its embeddings, so that a file
that comes back costs nothing.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from dedup.errors import CollectionError, DamagedError, NoCollectionError
from dedup.files import not_created
from dedup.store.checksums import checksum_of, register
from dedup.store.connections import check_inherited
from dedup.store.migrations import FORMAT, check_format, migrate, upgraded_in_memory
from dedup.store.trust import (
    MAX_VALUE_BYTES,
    check_objects,
    check_schema,
    definitions,
    foreign,
    without_comments,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CATALOG = "catalog.sqlite"
INDEX = "index.faiss"
_APPLICATION_ID = 0x64656475  # "dedu"
_BUSY_SECONDS = 30.0

REPAIR = "`dedup repair`"

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER) STRICT;
CREATE TABLE roots (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,                 -- absolute, symlinks resolved; or a URL
    exclude TEXT NOT NULL DEFAULT '',          -- patterns by gitignore's rules, one a line
    checksum INTEGER,
    kind TEXT NOT NULL DEFAULT 'folder'        -- what lists and reads its files
) STRICT;
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,               -- SHA-256 of the file
    format TEXT NOT NULL,                      -- "JPEG", "PNG", …
    width INTEGER NOT NULL,                    -- upright
    height INTEGER NOT NULL,
    frames INTEGER NOT NULL,                   -- 1 for stills
    trivial INTEGER NOT NULL,                  -- 1: blank or tiny, never a duplicate by similarity
    input_digest BLOB NOT NULL,                -- XXH3 (128 bits) of the extractor's input
    pixel_digest BLOB,                         -- of the image decoded in full; NULL: not looked
    damaged INTEGER NOT NULL DEFAULT 0,        -- 1: decodes, but parts of it are lost
    remark TEXT,                               -- what was left out, or is wrong with it
    checksum INTEGER
) STRICT;
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    root INTEGER NOT NULL REFERENCES roots (id),
    path BLOB NOT NULL,                        -- relative to the root
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('indexed', 'skipped', 'gone')),
    image INTEGER REFERENCES images (id),      -- NULL when skipped
    reason TEXT,                               -- why it was skipped
    tried_with TEXT,                           -- what could be read then; NULL: try at every run
    ctime_ns INTEGER,                          -- NULL: not known, from before format 3
    checksum INTEGER,
    UNIQUE (root, path)
) STRICT;
CREATE INDEX files_by_image ON files (image);
CREATE INDEX files_by_inode ON files (inode);
CREATE TABLE embeddings (
    id INTEGER PRIMARY KEY,
    image INTEGER NOT NULL REFERENCES images (id),
    layer TEXT NOT NULL,
    norm REAL NOT NULL,                        -- L2; what the extractor gave is norm x vector
    vector BLOB NOT NULL,                      -- unit norm; fp16, of details 4 bits each
    checksum INTEGER NOT NULL,                 -- below 2^32: XXH32 of vector, from before format 3
    UNIQUE (image, layer)
) STRICT;
CREATE TABLE verdicts (                        -- proofs on pairs of images; first < second
    first BLOB NOT NULL,                       -- SHA-256 of the file
    second BLOB NOT NULL,
    verifier TEXT NOT NULL,                    -- the version of the check that said so
    tier TEXT CHECK (tier IN ('resaved', 'near')),  -- NULL: refuted
    derived INTEGER NOT NULL,                  -- 1: first made from second; 2: second from first
    evidence TEXT NOT NULL,                    -- of second as against first
    backwards TEXT NOT NULL,                   -- of first as against second
    checksum INTEGER,
    PRIMARY KEY (first, second)
) STRICT, WITHOUT ROWID;
CREATE TABLE traits (                          -- what an image tells of its history
    image INTEGER PRIMARY KEY REFERENCES images (id),
    version TEXT NOT NULL,                     -- of what was measured
    value TEXT NOT NULL,                       -- JSON
    checksum INTEGER
) STRICT;
CREATE TABLE parts (                           -- local features, by which parts are found
    image INTEGER PRIMARY KEY REFERENCES images (id),
    version TEXT NOT NULL,                     -- of what described them
    value BLOB NOT NULL,
    checksum INTEGER
) STRICT;
CREATE TABLE decisions (                       -- what a person said of a pair; first < second
    first BLOB NOT NULL,                       -- SHA-256 of the file
    second BLOB NOT NULL,
    duplicate INTEGER NOT NULL,                -- 0: "not a duplicate"
    decided TEXT NOT NULL,                     -- ISO 8601 in UTC
    checksum INTEGER,
    PRIMARY KEY (first, second)
) STRICT, WITHOUT ROWID;
CREATE TABLE calibration (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    curve TEXT NOT NULL,                       -- JSON
    transform BLOB,                            -- what embeddings go through before comparison
    checksum INTEGER
) STRICT;
"""

EXPECTED = definitions(filter(str.strip, without_comments(_TABLES).split(";")))
"""What a catalog of this format consists of."""


def create(store: Path, meta: Mapping[str, str]) -> None:
    """Make the folder and a catalog without images in it, whole or not at all.

    Parameters
    ----------
    meta : rows of the table of that name

    Raises
    ------
    CollectionError : the folder holds a catalog already, or cannot be written.
    """
    path = store / CATALOG
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CollectionError(store, not_created(error)) from error
    if path.exists():
        raise CollectionError(store, "there is a collection already")
    new = path.with_name(f"{CATALOG}.{os.getpid()}.new")
    try:
        with translated(store), closing(_connect(new)) as connection:
            # A row of 1,280 values in fp16 leaves a third of a page of 4 kB empty, of 8 kB little.
            connection.execute("PRAGMA page_size = 8192")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(
                f"BEGIN; {_TABLES} PRAGMA application_id = {_APPLICATION_ID};"
                f"PRAGMA user_version = {FORMAT}; COMMIT;"
            )
            connection.executemany(
                "INSERT INTO meta (key, value, checksum) VALUES (?, ?, ?)",
                [(*row, checksum_of("meta", row)) for row in meta.items()],
            )
        _put_in_place(new, path)
    finally:
        for side in ("", "-wal", "-shm"):
            new.with_name(new.name + side).unlink(missing_ok=True)


def _put_in_place(new: Path, path: Path) -> None:
    """Give a whole catalog its name, unless there is one by now."""
    try:
        os.link(new, path)
    except FileExistsError:
        raise CollectionError(path.parent, "there is a collection already") from None
    except OSError:  # a file system without hard links
        try:
            new.rename(path)
        except OSError as error:
            raise CollectionError(path.parent, not_created(error)) from error


def connect(store: Path) -> sqlite3.Connection:
    """Open the catalog of a collection; any thread may close the connection.

    Raises
    ------
    NoCollectionError, FormatError, DamagedError
    """
    connection = _connect_any_format(store)
    with translated(store):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == FORMAT:
            try:
                check_schema(store, connection, EXPECTED)
            except DamagedError:
                connection.close()
                raise
            return connection
        # `upgrade` came first, so that this is a catalog that cannot be written.
        with closing(connection):
            copy = upgraded_in_memory(store / CATALOG, connection)
            register(copy)
            check_schema(store, copy, EXPECTED)
            return copy


def open_damaged(store: Path) -> sqlite3.Connection:
    """Open a catalog to check or repair it: of the present format, and with whatever schema.

    Raises
    ------
    NoCollectionError, FormatError, DamagedError
    """
    upgrade(store)
    return _connect_any_format(store)


def upgrade(store: Path) -> str | None:
    """Upgrade the catalog of a collection where its format is older.

    Returns
    -------
    One sentence that says what was done, or that `connect` gives copies in memory; None where there
    was nothing to do.

    Raises
    ------
    NoCollectionError, FormatError, DamagedError
    CollectionError : the disk is full, or another process keeps the catalog busy; it is unchanged.
    """
    with closing(_connect_any_format(store)) as connection, translated(store):
        path = store / CATALOG
        if _is_writable(path):
            try:
                return migrate(path, connection)
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorname", "") == "SQLITE_ERROR":
                    # Our statements are right for every catalog of that format.
                    raise foreign(store, str(error)) from error
                raise
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == FORMAT:
        return None
    return (
        f"The collection has format {version} and cannot be written: a copy in memory, upgraded to "
        f"format {FORMAT}, is used"
    )


def _connect_any_format(store: Path) -> sqlite3.Connection:
    path = store / CATALOG
    check_inherited(store)
    if not path.is_file():
        raise NoCollectionError(store, "there is no collection here; make one: dedup index FOLDER")
    with translated(store):
        connection = _connect(path)
    try:
        with translated(store):
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION_ID:
            raise DamagedError(
                store,
                f"{CATALOG} is not a catalog of dedup, or not a whole one. Move the folder away "
                "and index again; the images themselves are not touched.",
            )
        check_format(store, version)
        with translated(store):
            check_objects(store, connection)
    except CollectionError:
        connection.close()
        raise
    return connection


def _is_writable(path: Path) -> bool:
    # As the user whom the system asks when SQLite writes, where this can be told.
    effective = os.access in os.supports_effective_ids
    return all(os.access(each, os.W_OK, effective_ids=effective) for each in (path, path.parent))


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _connect(path: Path) -> sqlite3.Connection:
    # A file name is bytes; a URI carries every one of them. mode=rw never makes a file.
    mode = "mode=rw" if path.exists() else "mode=rwc"
    if path.exists() and not _is_writable(path):
        # SQLite reads a log only with the side files of whoever writes it, and makes none here;
        # without a log nobody writes, as on a disk that is mounted read-only.
        mode = "mode=ro" if _has_log(path) else "mode=ro&immutable=1"
    name = _percent_encoded(os.fsencode(path.resolve()))
    connection = sqlite3.connect(
        f"file:{name}?{mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    _guard(connection)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")
    # 16 MB of log: pages of indexes, whose order is random, are written back less often.
    connection.execute("PRAGMA wal_autocheckpoint = 2000")
    return connection


def _guard(connection: sqlite3.Connection) -> None:
    """Let nothing that a file contains run, hang or take all memory."""
    register(connection)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")


def _percent_encoded(path: bytes) -> str:
    safe = b"/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
    return "".join(chr(byte) if byte in safe else f"%{byte:02X}" for byte in path)


@contextmanager
def translated(store: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, with the next step to take."""
    try:
        yield
    except UnicodeDecodeError as error:  # of names in a damaged schema, where SQLite quotes them
        raise foreign(store, "its schema cannot be read") from error
    except sqlite3.ProgrammingError:  # a mistake of ours, not of the file
        raise
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
            raise foreign(store, "a question to it does not end") from error
        raise CollectionError(store, _explained(error)) from error
    except sqlite3.DatabaseError as error:
        raise DamagedError(
            store,
            f"damaged or foreign catalog ({error}). Run {REPAIR}, or move the folder away and "
            "index again; the images themselves are not touched.",
        ) from error


def _explained(error: sqlite3.OperationalError) -> str:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return (
            "the disk is full. What was committed is kept: free some space and run the same "
            "command again."
        )
    if name.startswith("SQLITE_IOERR"):
        return (
            f"the disk failed or is full ({error}). What was committed is kept: look at the disk "
            "and run the same command again."
        )
    if name.startswith("SQLITE_READONLY"):
        return "is read-only. Choose another place with --store, or change its permissions."
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"another process kept the catalog busy for {_BUSY_SECONDS:.0f} s. Try again later."
    if name.startswith("SQLITE_CANTOPEN"):
        return "the catalog cannot be opened. May this user read and write the folder?"
    return f"the catalog cannot be used: {error}"
