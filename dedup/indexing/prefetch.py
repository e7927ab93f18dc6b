"""Read several files at once from a slow disk.

A disk on another machine answers a request in milliseconds, however small it is, and many at a
time. Where workers are found to wait for it, the files that they are handed together are read in
parallel; elsewhere nothing is done, since threads cost more than files in memory.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from dedup.images.decode import read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from dedup.indexing.worklist import Job

_SAMPLE_FILES: Final = 32  # by which the disk is judged
_SLOW_FRACTION: Final = 0.25  # of the time, from which on a disk is slow
_THREADS: Final = 8
_MAX_BYTES: Final = 32 << 20  # read ahead for a worker; large files take their time anyway


class Prefetch:
    """Reads files for the workers of a process; from any of its threads.

    Parameters
    ----------
    read : gives the bytes of a file, or raises as `read_file`
    max_bytes : to read ahead of those handed over together
    """

    def __init__(
        self, read: Callable[[bytes], bytes] = read_file, max_bytes: int = _MAX_BYTES
    ) -> None:
        self._read = read
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._coming: dict[bytes, Future[bytes]] = {}
        self._files = 0
        self._waited = 0.0
        self._seconds = 0.0

    @property
    def slow(self) -> bool:
        """Whether the disk was found to keep workers waiting; for good."""
        return self._pool is not None

    def expect(self, jobs: Sequence[Job]) -> None:
        """Begin to read files that will be asked for soon, if the disk is slow."""
        if self._pool is None:
            return
        left = self._max_bytes
        for job in jobs:
            if job.entry.size <= left:
                left -= job.entry.size
                self._coming[job.path] = self._pool.submit(self._read, job.path)

    def read(self, path: bytes) -> bytes:
        """Read a file.

        Raises
        ------
        ImageError : as `read_file`
        """
        coming = self._coming.pop(path, None)
        return self._read(path) if coming is None else coming.result()

    def took(self, waited: float, seconds: float) -> None:
        """Note how long a worker waited for a file's bytes, of the seconds it took in all."""
        with self._lock:
            self._files += 1
            self._waited += waited
            self._seconds += seconds
            if self._files == _SAMPLE_FILES and self._waited > _SLOW_FRACTION * self._seconds:
                self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="prefetch")

    def close(self) -> None:
        """Drop what nobody asked for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._coming.clear()
