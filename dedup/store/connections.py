"""Connections to one database: one for each thread and process, opened when first needed.

SQLite must not be carried across a fork, and one connection serves one thread at a time. A child
process opens its own and leaves those of its parent alone.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from dedup.errors import CollectionError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

_INHERITED: Final[list[_Held]] = []
"""What a child must neither use nor close: kept, so that nothing is closed when it is collected."""


class _Held:
    """A connection that is closed when its thread ends, or before."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.process = os.getpid()

    def close(self) -> None:
        if self.process == os.getpid():
            self.connection.close()

    def __del__(self) -> None:
        if self.process == os.getpid():
            self.connection.close()
        else:
            _INHERITED.append(self)


class Connections:
    """Gives every thread and process its own connection.

    Parameters
    ----------
    store : the collection, for errors
    connect : opens a connection that any thread may close
    """

    def __init__(self, store: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self._store = store
        self._connect = connect
        self._own = threading.local()
        self._lock = threading.Lock()
        self._all: WeakSet[_Held] = WeakSet()
        self._closed = False

    def get(self) -> sqlite3.Connection:
        """Give the connection of the calling thread.

        Raises
        ------
        CollectionError : the collection is closed.
        """
        if self._closed:
            raise CollectionError(self._store, "the collection is closed")
        held: _Held | None = getattr(self._own, "held", None)
        if held is None or held.process != os.getpid():
            if held is not None:
                _INHERITED.append(held)
            held = self._own.held = _Held(self._connect())
            with self._lock:
                self._all.add(held)
        return held.connection

    def close(self) -> None:
        """Close the connections of all threads of this process."""
        self._closed = True
        with self._lock:
            for held in list(self._all):
                held.close()
