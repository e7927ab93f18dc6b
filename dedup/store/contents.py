"""Which contents are embedded already, asked from any thread or process while a run writes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from dedup.store.schema import connect, translated

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


class KnownDigests:
    """Which contents are known: a read-only view, one connection per asking thread."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    def holds(self, digest: bytes) -> bool:
        """Tell whether a content, by its SHA-256, is known."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self._store, shared=True)
            self._local.connection = connection
            self._opened.append(connection)
        with translated(self._store):
            row = connection.execute("SELECT 1 FROM images WHERE digest = ?", (digest,)).fetchone()
        return row is not None

    def close(self) -> None:
        """Release the connections of all threads."""
        for connection in self._opened:
            connection.close()
