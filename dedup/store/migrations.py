"""Upgrade a catalog of an older format.

Each migration leads from one format to the next in one transaction, together with the number of the
new format, after the old catalog has been copied. A process that dies at any moment leaves the old
catalog whole, and the next one that opens it starts again. docs/decisions/0001-migrations.md says
why it is done this way.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from dedup.errors import CollectionError, FormatError
from dedup.store.format_2 import to_2
from dedup.store.format_3 import to_3
from dedup.store.format_4 import to_4
from dedup.store.format_5 import to_5

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)

MAX_WAIT_SECONDS: Final = 600
"""How long to wait for another process that is upgrading the same catalog."""

MAX_MEMORY_BYTES: Final = 1 << 30
"""Of a catalog on read-only media, which is upgraded in memory."""

_PAGES_PER_STEP: Final = 4096  # of a copy; between two steps an interrupt is seen


def _nothing(_: str) -> None:
    """Default of `migrate`'s `reached`."""


def migrate(
    path: Path, connection: sqlite3.Connection, reached: Callable[[str], None] = _nothing
) -> str | None:
    """Upgrade a catalog to the present format.

    Parameters
    ----------
    path : the catalog; the old one is kept next to it as `catalog.format-N.bak`
    connection : to it, with the right to write, in autocommit mode and outside a transaction
    reached : called with "copied" once the old catalog is kept, with "changed" before a migration
        commits

    Returns
    -------
    One sentence that says what was done; None where there was nothing to do, also because another
    process was faster.

    Raises
    ------
    CollectionError : no space for the copy or the new catalog, or another process held the catalog
        for `MAX_WAIT_SECONDS`; the old catalog is unchanged
    FormatError : the format is newer than this version knows
    sqlite3.DatabaseError : the catalog is damaged; unchanged
    """
    first = _format(connection)
    if first == FORMAT:
        return None
    check_format(path.parent, first)
    copy = path.with_name(f"{path.stem}.format-{first}.bak")
    copied = upgraded = False
    with _worded(path, first), _long_wait(connection):
        while True:
            with _transaction(connection):
                # Another process may have upgraded it while this one waited.
                current = _format(connection)
                if current >= FORMAT:
                    break
                if not copied:
                    copy = path.with_name(f"{path.stem}.format-{current}.bak")
                    keep_copy(path, copy)
                    _drop_older(path, copy)
                    copied = True
                    reached("copied")
                _MIGRATIONS[current](connection)
                connection.execute(f"PRAGMA user_version = {current + 1}")
                reached("changed")
            upgraded = True
    check_format(path.parent, current)
    if not upgraded:
        return None
    note = (
        f"Upgraded the collection from format {first} to format {FORMAT}; the old catalog is kept "
        f"as {copy.name}"
    )
    _log.info("%s: %s", path.parent, note)
    return note


def upgraded_in_memory(
    path: Path, connection: sqlite3.Connection, max_bytes: int = MAX_MEMORY_BYTES
) -> sqlite3.Connection:
    """Copy a catalog that cannot be written into memory, and upgrade the copy.

    Parameters
    ----------
    connection : to a catalog of an older format
    max_bytes : of the catalog, at most

    Returns
    -------
    A connection to the copy, which may be used and closed in any thread, but by one at a time.

    Raises
    ------
    CollectionError : the catalog is larger than `max_bytes`
    FormatError : the format is newer than this version knows
    """
    first = _format(connection)
    check_format(path.parent, first)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    if pages * page_bytes > max_bytes:
        raise CollectionError(
            path.parent,
            f"has format {first}, has to be upgraded to format {FORMAT}, and is read-only; at "
            f"{_size(pages * page_bytes)} it is too large to be upgraded in memory. Copy the "
            "folder to a disk that can be written.",
        )
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        connection.backup(memory, pages=_PAGES_PER_STEP, sleep=0)
        for current in range(first, FORMAT):
            with _transaction(memory):
                _MIGRATIONS[current](memory)
                memory.execute(f"PRAGMA user_version = {current + 1}")
        memory.execute("PRAGMA foreign_keys = ON")
        memory.execute("PRAGMA query_only = ON")  # what is written here would be lost
    except BaseException:
        memory.close()
        raise
    return memory


def _format(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def check_format(store: Path, number: int) -> None:
    """Refuse a format that is neither the present one nor one that can be upgraded.

    Raises
    ------
    FormatError
    """
    if number > FORMAT:
        raise FormatError(
            store,
            f"was written by a newer dedup (format {number}, this one knows {FORMAT}). "
            "Upgrade: pip install -U dedup-vision",
        )
    if number != FORMAT and number not in _MIGRATIONS:
        raise FormatError(store, f"has format {number}, which no dedup ever wrote")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # SQLite rolls some errors back itself
            connection.execute("ROLLBACK")


@contextmanager
def _long_wait(connection: sqlite3.Connection) -> Iterator[None]:
    """Wait for a whole upgrade by another process, not only for a batch."""
    (before,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {MAX_WAIT_SECONDS * 1000}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {before}")


@contextmanager
def _worded(path: Path, first: int) -> Iterator[None]:
    """Say what of an error matters here: that the old catalog is whole."""
    unchanged = f"It is unchanged, in format {first}"
    try:
        yield
    except sqlite3.OperationalError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            raise _no_space(path, unchanged, str(error)) from error
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise CollectionError(
                path.parent,
                "cannot be upgraded, as another process kept the catalog busy for "
                f"{MAX_WAIT_SECONDS} s. {unchanged}: try again later.",
            ) from error
        raise
    except OSError as error:
        raise _no_space(path, unchanged, error.strerror or str(error)) from error


def _no_space(path: Path, unchanged: str, reason: str) -> CollectionError:
    needed = path.stat().st_size
    return CollectionError(
        path.parent,
        f"cannot be upgraded: the disk is full or failed ({reason}). {unchanged}: free "
        f"{_size(2 * needed)} and run the same command again.",
    )


def _size(count: int) -> str:
    mega = 1_000_000
    return f"{max(1, -(-count // mega))} MB"


def keep_copy(path: Path, copy: Path) -> None:
    """Copy the catalog as it is, so that the copy appears whole or not at all.

    The caller holds a lock, so that nobody else makes a copy.
    """
    partial = copy.with_name(f"{copy.name}.partial")
    _remove(partial)  # of a process that was killed
    try:
        # A second connection: SQLite makes no copies through one that is writing.
        with closing(_reader(path)) as source, closing(sqlite3.connect(partial)) as target:
            target.execute("PRAGMA synchronous = OFF")  # fsync follows, once
            source.backup(target, pages=_PAGES_PER_STEP, sleep=0)
            target.execute("PRAGMA journal_mode = DELETE")  # one file, without a log
        _sync(partial)
        os.replace(partial, copy)
        _sync(path.parent)
    except BaseException:
        with suppress(OSError):
            _remove(partial)
        raise


def _drop_older(path: Path, copy: Path) -> None:
    for older in path.parent.glob(f"{path.stem}.format-*.bak"):
        if older != copy:
            older.unlink()


def _remove(database: Path) -> None:
    """Remove a database and what SQLite keeps next to it."""
    for found in database.parent.glob(f"{database.name}*"):
        found.unlink()


def _reader(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


_MIGRATIONS: Final = {1: to_2, 2: to_3, 3: to_4, 4: to_5}
"""By the format that each starts from."""

FORMAT: Final = max(_MIGRATIONS) + 1
"""The present one."""
