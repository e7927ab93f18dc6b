"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from dedup.errors import DedupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write to, which replaces `path` in one step when nothing was raised.

    Whatever happens, `path` holds the old content or the new one, also after a power cut.

    Raises
    ------
    OSError : the folder is missing, the disk is full, permission.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    with suppress(OSError):  # the name itself; some systems do not sync folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def output_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that a user named for output; as `atomic_write`.

    Raises
    ------
    DedupError : it cannot be written.
    """
    try:
        with atomic_write(path) as file:
            yield file
    except OSError as error:
        raise DedupError(f"{path}: cannot be written: {error.strerror or error}") from error
