"""Connections to one database: one for each thread and process, opened when first needed.

Two properties of SQLite decide how they are closed. A connection that is closed while another
thread is inside it ends the process, so that only its own thread closes it, or nobody who could use
it is left. And SQLite remembers in memory which locks a process has on a file, which a fork copies
and the system does not: a child would write without locks, to a log that its parent may delete.
Idle connections of the thread that forks are therefore closed before, and opened again when needed;
where others were open, the child is refused that collection.
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


_STEPS_AT_ONCE: Final = 1_000_000  # of SQLite's machine: about 10 ms
_MAX_STEPS: Final = 20_000
"""Times as many between two uses: minutes, where the questions to a million files take seconds."""


class _Held:
    """The connection of one thread; closed with it at the latest."""

    def __init__(self, store: Path, connection: sqlite3.Connection) -> None:
        self.store = os.path.realpath(store)
        self.connection: sqlite3.Connection | None = connection
        self.thread = threading.get_ident()
        self.process = os.getpid()

    def close(self) -> None:
        if self.connection is not None and self.process == os.getpid():
            self.connection.close()
            self.connection = None

    def __del__(self) -> None:
        self.close()


_open: Final[WeakSet[_Held]] = WeakSet()
_carried: Final[list[_Held]] = []
"""What a fork carries over. A child keeps it for good: it must neither use nor close what is in
here, and a connection that nobody refers to is closed."""

_lock: Final = threading.Lock()
"""Of both; held during a fork, so that the child finds them whole."""


class Connections:
    """Gives every thread and process its own connection.

    Parameters
    ----------
    store : the collection, for errors
    connect : opens a connection that any thread may close, after `check_inherited`
    """

    def __init__(self, store: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self._store = store
        self._connect = connect
        self._own = threading.local()
        self._closed = False

    def get(self) -> sqlite3.Connection:
        """Give the connection of the calling thread.

        Raises
        ------
        CollectionError : the collection is closed, or was in use when this process was forked.
        """
        held: _Held | None = getattr(self._own, "held", None)
        if self._closed:
            if held is not None:
                held.close()
            raise CollectionError(self._store, "the collection is closed")
        if held is None or held.connection is None or held.process != os.getpid():
            connection = self._connect()
            held = self._own.held = _Held(self._store, connection)
            with _lock:
                _open.add(held)
        assert held.connection is not None  # noqa: S101 - for mypy
        _limit_steps(held.connection)
        return held.connection

    def close(self) -> None:
        """Refuse every further use, and close the connection of the calling thread.

        That of another thread is closed at its next use, when it ends, or with this object.
        """
        self._closed = True
        held: _Held | None = getattr(self._own, "held", None)
        if held is not None:
            held.close()


def _limit_steps(connection: sqlite3.Connection) -> None:
    """Interrupt what does not end: a catalog from elsewhere may be made to keep SQLite busy."""
    left = _MAX_STEPS

    def step() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    connection.set_progress_handler(step, _STEPS_AT_ONCE)


def check_inherited(store: Path) -> None:
    """Refuse a collection whose connections this process inherited.

    Raises
    ------
    CollectionError
    """
    name = os.path.realpath(store)
    if any(held.store == name and held.process != os.getpid() for held in _carried):
        raise CollectionError(
            store,
            "was in use when this process was forked, and cannot be used here. Fork while no "
            "other thread uses it and nothing is read or written, or spawn processes instead",
        )


def _before_fork() -> None:
    _lock.acquire()
    for held in list(_open):
        connection = held.connection
        if connection is None:
            continue
        if held.thread == threading.get_ident() and not connection.in_transaction:
            held.close()
        else:
            _carried.append(held)


def _after_fork_in_parent() -> None:
    _carried[:] = [held for held in _carried if held.process != os.getpid()]
    _lock.release()


def _after_fork_in_child() -> None:
    _open.clear()
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
