"""The migration from format 2 to format 3: what is needed to trust a row.

A migration is frozen: it holds its own copies of what it reads and writes, and never imports what
may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_COLUMNS = {
    "meta": ("checksum INTEGER",),
    "roots": ("exclude TEXT NOT NULL DEFAULT ''", "checksum INTEGER"),
    "images": ("damaged INTEGER NOT NULL DEFAULT 0", "remark TEXT", "checksum INTEGER"),
    "files": ("ctime_ns INTEGER", "checksum INTEGER"),
    "verdicts": ("checksum INTEGER",),
    "decisions": ("checksum INTEGER",),
    "calibration": ("checksum INTEGER",),
}


def to_3(connection: sqlite3.Connection) -> None:
    """Add the columns; rows from before have no checksum, and files no time of change."""
    for table, columns in _COLUMNS.items():
        for column in columns:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
