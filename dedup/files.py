"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import re
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dedup.errors import DedupError

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEMPORARY = re.compile(r"\.dedup-(\d+)-\d+\.tmp|catalog\.sqlite\.(\d+)\.new(?:-\w+)?")


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write to, which replaces `path` in one step when nothing was raised.

    At any moment, also after a power cut, `path` holds the old content or the new one.

    Raises
    ------
    OSError : the folder is missing, the disk is full, permission.
    """
    # Not named after `path`, whose name may be as long as a name can be.
    temporary = path.with_name(f".dedup-{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)  # the name itself


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Have the system write a folder's names; some systems do not."""
    with suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def not_created(error: OSError) -> str:
    """Say why a folder was not created."""
    if isinstance(error, FileExistsError):
        reason = "a file with that name exists"
    elif isinstance(error, NotADirectoryError):
        reason = "part of its path is a file"
    else:
        reason = (error.strerror or str(error)).lower()
    return f"cannot create the folder: {reason}"


def remove_leftovers(folder: Path) -> None:
    """Remove what `atomic_write` was writing to a folder when its process was killed.

    So too the catalogs that were being made there.
    """
    for path in folder.iterdir():
        of = _TEMPORARY.fullmatch(path.name)
        if of is not None and not _runs(int(of[1] or of[2])):
            with suppress(OSError):
                path.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    return True


def check_folder(path: Path) -> None:
    """Check that the folder of a file to be written is there.

    Raises
    ------
    DedupError
    """
    if not path.parent.is_dir():
        raise DedupError(f"{path}: there is no folder {path.parent}")


@contextmanager
def output_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that a user named for output; as `atomic_write`.

    A symbolic link stays one. What is no file, such as a pipe or a terminal, is written to.

    Raises
    ------
    DedupError : it cannot be written.
    """
    try:
        special = path.exists() and not path.is_file() and not path.is_dir()
        with path.open("wb") if special else atomic_write(Path(os.path.realpath(path))) as file:
            yield file
    except OSError as error:
        raise DedupError(f"{path}: cannot be written: {error.strerror or error}") from error
