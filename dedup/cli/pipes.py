"""Output that cannot be written: its reader has left, as `head` does, or the disk is full.

What cannot be written is dropped, and the command goes on: its notes still reach stderr, and its
exit code is that of its work. So `dedup list --fail-on exact | head -1` still exits with 3, and
`dedup apply | head` still says how to take it back. A full disk is an error at the end.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Outlet(io.FileIO):
    """A file descriptor that drops what it cannot write.

    Parameters
    ----------
    failure : why, from the first write that failed; None: all was written
    """

    failure: OSError | None = None

    def write(self, data: ReadableBuffer) -> int:
        """Write bytes, or drop them."""
        if self.failure is None:
            try:
                return super().write(data)
            except OSError as error:
                self.failure = error
        return memoryview(data).nbytes


def never_fail() -> None:
    """Let writes to stdout and stderr drop what cannot be written."""
    sys.stdout, sys.stderr = _unfailing(sys.stdout), _unfailing(sys.stderr)


def reader_is_gone() -> bool:
    """Say whether nobody reads stdout any more; known after a write."""
    return isinstance(_failure(), BrokenPipeError)


def what_failed() -> str | None:
    """Say why stdout lacks something that its reader would have wanted."""
    sys.stdout.flush()
    failure = _failure()
    return None if failure is None or reader_is_gone() else failure.strerror


def _failure() -> OSError | None:
    outlet = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return outlet.failure if isinstance(outlet, Outlet) else None


def _unfailing(stream: TextIO | None) -> TextIO:
    if stream is None:  # it was closed
        return open(os.devnull, "w", encoding="utf-8", errors="surrogateescape")
    if not isinstance(stream, io.TextIOWrapper) or stream.isatty():
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(Outlet(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
