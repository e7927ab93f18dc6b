"""How files are renamed, swapped and copied: never over another one, and whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from dedup.actions.system import (
    PIECE,
    RefusedError,
    check_quiet,
    digest_of,
    is_there,
    opened,
    remove,
    restore_facts,
)
from dedup.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NOREPLACE: Final = 1
_EXCHANGE: Final = 2
_AT_FDCWD: Final = -100
_FICLONE: Final = 0x40049409
_UNSUPPORTED: Final = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
MAX_NAME_BYTES: Final = 255  # of nearly every file system


@cache
def _renameat2() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return found


def _rename(source: str, target: str, flags: int) -> None:
    call = _renameat2()
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    names = os.fsencode(source), os.fsencode(target)
    if call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(flags)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), source, None, target)


def rename_exclusive(source: str, target: str) -> None:
    """Rename a file to a name that is free; never overwrites.

    Raises
    ------
    FileExistsError : it is not free.
    OSError : as `os.rename`.
    """
    try:
        _rename(source, target, _NOREPLACE)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    else:
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _UNSUPPORTED | {errno.EPERM, errno.EMLINK}:
            raise
        _rename_to_empty(source, target)
    else:
        os.unlink(source)


def _rename_to_empty(source: str, target: str) -> None:
    """Take a free name with an empty file, then rename to it.

    All that is left on file systems without links whose renames overwrite, such as exFAT in user
    space. What another program writes into the empty file in that moment would be lost.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        os.rename(source, target)
    except BaseException:
        remove(target)
        raise


def exchange(first: str, second: str) -> None:
    """Swap two files in one step."""
    _rename(first, second, _EXCHANGE)


def numbered(path: str, most: int = MAX_NAME_BYTES) -> Iterator[str]:
    """Give a path, then others with numbers before the extension.

    Parameters
    ----------
    most : bytes that a name may have; longer ones are cut before the extension
    """
    folder, name = os.path.split(os.fsencode(path))
    stem, extension = os.path.splitext(name)
    for number in range(1, 1_000_000):
        end = (f" ({number})".encode() if number > 1 else b"") + extension[: most // 2]
        room = most - len(end)
        while room < len(stem) and stem[room] & 0xC0 == 0x80:  # noqa: PLR2004 - inside of a letter
            room -= 1
        yield os.fsdecode(os.path.join(folder, stem[:room] + end))


def free_name(path: str) -> str:
    """Find a name that is free, as `numbered` gives them.

    Raises
    ------
    RefusedError
    """
    for name in numbered(path):
        if not is_there(name):
            return name
    raise RefusedError(f"no name is free for {path}")


def copy_whole(source: str, target: str, digest: str) -> None:
    """Copy a file to a new name, with times, mode and attributes, synced and read again.

    Raises
    ------
    RefusedError : it is not what it should be, at either end.
    OSError : it cannot be written; nothing is left.
    """
    try:
        with open(source, "rb", opener=opened) as read, open(target, "xb") as written:
            shutil.copyfileobj(read, written, PIECE)
            written.flush()
            os.fsync(written.fileno())
        shutil.copystat(source, target, follow_symlinks=False)
        with suppress(OSError):
            os.chown(target, os.stat(source).st_uid, os.stat(source).st_gid)
        if digest_of(target)[0] != digest:
            raise RefusedError("the copy is not what was to be copied")  # noqa: TRY301
        sync_folder(os.path.dirname(target))
    except FileExistsError:
        raise
    except BaseException:
        remove(target)
        raise


def clone(source: str, target: str) -> None:
    """Make a file that shares the blocks of another one, where the file system can."""
    with open(source, "rb", opener=opened) as read, open(target, "xb") as written:
        fcntl.ioctl(written.fileno(), _FICLONE, read.fileno())


def move_whole(
    source: str, target: str, part: str, digest: str, kept: dict[str, Any] | None = None
) -> None:
    """Move a file to a name that is free, across file systems as well.

    Parameters
    ----------
    part : a name beside the target for what is not complete yet
    kept : facts that a copy is to have; None: those of the source

    Raises
    ------
    FileExistsError : the name is not free.
    RefusedError, OSError : nothing was changed.
    """
    try:
        rename_exclusive(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    else:
        return
    remove(part)
    before = os.lstat(source)
    copy_whole(source, part, digest)
    try:
        if kept is not None:
            restore_facts(part, kept)
        check_quiet(source, before)
        rename_exclusive(part, target)
    except BaseException:
        remove(part)
        raise
    sync_folder(os.path.dirname(target))
    os.unlink(source)
