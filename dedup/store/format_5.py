"""The migration from format 4 to format 5: roots that are no folders.

A migration is frozen: it holds its own copies of what it reads and writes, and never imports what
may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    import sqlite3


def to_5(connection: sqlite3.Connection) -> None:
    """Say of every root that it is a folder; a row that was damaged stays so."""
    connection.execute("ALTER TABLE roots ADD COLUMN kind TEXT NOT NULL DEFAULT 'folder'")
    rows = connection.execute(
        "SELECT id, path, CAST(exclude AS BLOB), checksum FROM roots WHERE checksum IS NOT NULL"
    ).fetchall()
    connection.executemany(
        "UPDATE roots SET checksum = ? WHERE id = ?",
        [
            (_checksum(b"roots", *covered, b"folder"), covered[0])
            for *covered, checksum in rows
            if checksum == _checksum(b"roots", *covered)
        ],
    )


def _checksum(*values: bytes | float | None) -> int:
    return xxhash.xxh3_64_intdigest(repr(values).encode()) >> 1
