"""One writer at a time, and the name of who it is.

The lock itself is the operating system's (released when its holder dies, however it dies); a note
next to it says which process holds it, for the error message of the next one. Readers need no lock:
SQLite's write-ahead log lets them read while a writer runs.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from dedup.errors import CollectionError, LockedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = "write.lock"
_HOLDER = "writer.json"


@contextmanager
def writer_lock(store: Path) -> Iterator[None]:
    """Hold the right to write to the collection in the folder `store`.

    Raises
    ------
    LockedError : another process holds it; the text names that process.
    """
    lock = FileLock(store / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise LockedError(store, f"{_holder(store)} Wait for it, or stop it.") from error
    except OSError as error:
        raise CollectionError(store, f"cannot be written to: {error.strerror}") from error
    note = store / _HOLDER
    try:
        with suppress(OSError):  # on a full disk the lock still holds, only its note is missing
            note.write_text(json.dumps(_introduce()), encoding="utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _introduce() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": os.uname().nodename,
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:3]]),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _holder(store: Path) -> str:
    try:
        holder = json.loads((store / _HOLDER).read_text(encoding="utf-8"))
        return (
            f"process {holder['pid']} on {holder['host']} ({holder['command']}) "
            f"has been writing since {holder['since']}."
        )
    except (OSError, ValueError, KeyError, TypeError):
        return "another process is writing."
