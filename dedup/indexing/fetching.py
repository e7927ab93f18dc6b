"""Files of slow disks, several at once: one worker that reads them in turn waits for each.

A disk of another machine answers a request in milliseconds, whatever is asked for, and many at a
time. Where reading is found to wait, the files that a worker was handed are read beside; where it
is not, nothing is done, since threads cost more than files in memory.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from dedup.images.decode import read_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from dedup.indexing.worklist import Work

_LOOK: Final = 32  # files by which the disk is judged
_SLOW: Final = 0.25  # share of the time that a slow disk takes
_AT_ONCE: Final = 8
_ROOM: Final = 32 << 20  # bytes that a worker is handed beside; large files take their time anyway


class Fetching:
    """Reads files for the workers of a process; from any of its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._coming: dict[bytes, Future[bytes]] = {}
        self._files = 0
        self._waited = 0.0
        self._took = 0.0

    @property
    def slow(self) -> bool:
        """Whether the disk was found to keep workers waiting; for good."""
        return self._pool is not None

    def expect(self, works: Sequence[Work]) -> None:
        """Begin to read files that will be asked for soon, where that is worth it."""
        if self._pool is None:
            return
        room = _ROOM
        for work in works:
            if work.file.size <= room:
                room -= work.file.size
                self._coming[work.path] = self._pool.submit(read_file, work.path)

    def read(self, path: bytes) -> bytes:
        """Read a file.

        Raises
        ------
        ImageError : as `read_file`
        """
        coming = self._coming.pop(path, None)
        return read_file(path) if coming is None else coming.result()

    def passed(self, waited: float, took: float) -> None:
        """Tell how long a worker waited for a file's bytes, of all that it took for it, seconds."""
        with self._lock:
            self._files += 1
            self._waited += waited
            self._took += took
            if self._files == _LOOK and self._waited > _SLOW * self._took:
                self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch")

    def close(self) -> None:
        """Let go of what nobody asked for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._coming.clear()
