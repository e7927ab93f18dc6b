"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def atomic_write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file in one step: whatever happens, `path` holds the old content or the new one.

    Parameters
    ----------
    write : called with a file to write to; what it raises leaves the old content in place

    Raises
    ------
    OSError : the folder is missing, the disk is full, permission.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
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
