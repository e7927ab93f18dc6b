"""The migration from format 3 to format 4: verdicts with a tier, and what is known of one image.

A migration is frozen: it holds its own copies of what it reads and writes, and never imports what
may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_TABLES = (
    """
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
) STRICT, WITHOUT ROWID
""",
    """
CREATE TABLE traits (                          -- what an image tells of its history
    image INTEGER PRIMARY KEY REFERENCES images (id),
    version TEXT NOT NULL,                     -- of what was measured
    value TEXT NOT NULL,                       -- JSON
    checksum INTEGER
) STRICT
""",
    """
CREATE TABLE parts (                           -- local features, by which parts are found
    image INTEGER PRIMARY KEY REFERENCES images (id),
    version TEXT NOT NULL,                     -- of what described them
    value BLOB NOT NULL,
    checksum INTEGER
) STRICT
""",
)


def to_4(connection: sqlite3.Connection) -> None:
    """Make the tables; what an older check said of pairs is void and not kept."""
    connection.execute("DROP TABLE verdicts")
    for table in _TABLES:
        connection.execute(table)
