"""What acting asks of the system: renames that never overwrite, swaps, digests, whole copies."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
import signal
import stat
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dedup.files import sync_folder
from dedup.mounts import keeps_inodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NOREPLACE: Final = 1
_EXCHANGE: Final = 2
_AT_FDCWD: Final = -100
_FICLONE: Final = 0x40049409
_UNSUPPORTED: Final = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE: Final = 1 << 20
MAX_NAME_BYTES: Final = 255  # of nearly every file system


class RefusedError(Exception):
    """One file is not acted upon; the text says why."""


class Facts(NamedTuple):
    """What tells a file from another one, as far as can be seen without reading it."""

    size: int
    mtime_ns: int
    device: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Facts:
        """Take them from what the system says."""
        return cls(found.st_size, found.st_mtime_ns, found.st_dev, found.st_ino)


def is_same(found: os.stat_result, kept: dict[str, Any], path: str) -> bool:
    """Say whether a file is the one that was there before, perhaps changed.

    Parameters
    ----------
    kept : its facts then, of which the device's number may be another since
    """
    if _keeps_inodes(found.st_dev, os.path.dirname(path)):
        return bool(found.st_ino == kept["inode"])
    return (found.st_size, found.st_mtime_ns) == (kept["size"], kept["mtime_ns"])


_stable: dict[int, bool] = {}


def _keeps_inodes(device: int, folder: str) -> bool:
    if device not in _stable:
        _stable[device] = keeps_inodes(os.fsencode(os.path.realpath(folder)))
    return _stable[device]


def facts_at(path: str) -> dict[str, int]:
    """Give what the catalog keeps of a file."""
    found = os.lstat(path)
    return {**Facts.of(found)._asdict(), "ctime_ns": found.st_ctime_ns}


def look_at(path: str, planned: Facts, name: str, real: set[str]) -> os.stat_result:
    """Look at a file that has to be the one that was planned.

    Parameters
    ----------
    real : folders that were seen just now to be no links, nor below one; found ones are added

    Raises
    ------
    RefusedError
    """
    folder = os.path.dirname(path)
    if folder not in real:
        if os.path.realpath(folder) != folder:
            raise RefusedError(f"{name}: a folder on the way to it is a symbolic link now")
        real.add(folder)
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise RefusedError(f"{name} is gone") from None
    except OSError as error:
        raise RefusedError(f"{name} cannot be looked at: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError(f"{name} is no regular file any more")
    same = (found.st_size, found.st_mtime_ns) == (planned.size, planned.mtime_ns)
    if not same or not is_same(found, planned._asdict(), path):
        raise RefusedError(f"{name} has changed since the plan was made")
    return found


def digest_of(path: str, *, quiet: bool = False) -> tuple[str, os.stat_result]:
    """Hash a file; gives the SHA-256 in hexadecimal digits, and what it was when it was read.

    Parameters
    ----------
    quiet : refuse a file that a program has open for writing

    Raises
    ------
    RefusedError : it changed while it was read, is no file, cannot be read, or is being written.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise RefusedError(f"cannot be read: {error.strerror}") from error
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise RefusedError("is no regular file")
        if quiet and _is_written(descriptor):
            raise RefusedError("is open for writing in another program")
        found = hashlib.sha256()
        while piece := os.read(descriptor, min(before.st_size + 1, _PIECE)):
            found.update(piece)
        digest, after = found.hexdigest(), os.fstat(descriptor)
    except OSError as error:
        raise RefusedError(f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if (Facts.of(before), before.st_ctime_ns) != (Facts.of(after), after.st_ctime_ns):
        raise RefusedError("changed while it was read")
    return digest, after


def check_quiet(path: str, read: os.stat_result) -> None:
    """See, just before a file goes for good, that nobody wrote to it since it was read.

    Parameters
    ----------
    read : what it was then

    Raises
    ------
    RefusedError
    """
    descriptor = os.open(path, _READ)
    try:
        now = os.fstat(descriptor)
        if (Facts.of(now), now.st_ctime_ns) != (Facts.of(read), read.st_ctime_ns):
            raise RefusedError("the file was changed just now")
        if _is_written(descriptor):
            raise RefusedError("the file is open for writing in another program")
    finally:
        os.close(descriptor)


def _is_written(descriptor: int) -> bool:
    """Ask the system for a lease, which it gives only when nobody has the file open for writing."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # which is ignored unless asked for
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


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


def is_there(path: str) -> bool:
    """Say whether anything has this name."""
    return os.path.lexists(path)


def same_inode(first: str, second: str) -> bool:
    """Say whether two names are of one file."""
    try:
        one, two = os.lstat(first), os.lstat(second)
    except OSError:
        return False
    return (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)


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
        with open(source, "rb", opener=_opened) as read, open(target, "xb") as written:
            shutil.copyfileobj(read, written, _PIECE)
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


def _opened(path: str, _: int) -> int:
    return os.open(path, _READ)


def write_new(path: str, data: bytes) -> None:
    """Write a new file, for nobody else to read yet, and sync it."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read_regular(path: str, most: int) -> bytes:
    """Read a file that must be a regular one.

    Raises
    ------
    OSError : it cannot be read.
    ValueError : it is no regular file, or longer than `most`.
    """
    with open(path, "rb", opener=_opened) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError("it is too long")
    return data


def clone(source: str, target: str) -> None:
    """Make a file that shares the blocks of another one, where the file system can."""
    with open(source, "rb", opener=_opened) as read, open(target, "xb") as written:
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


def remove(path: str) -> None:
    """Remove a file of our own, if it is there."""
    with suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def in_words(error: OSError) -> str:
    """Say what the system said."""
    return (error.strerror or str(error)).lower()


def attributes_of(path: str) -> dict[str, str]:
    """Read the extended attributes of a file, values in hexadecimal digits."""
    if not hasattr(os, "listxattr"):
        return {}
    found = {}
    with suppress(OSError):
        for name in os.listxattr(path, follow_symlinks=False):
            with suppress(OSError):
                found[name] = os.getxattr(path, name, follow_symlinks=False).hex()
    return found


def restore_facts(path: str, kept: dict[str, Any]) -> None:
    """Give a file that was made anew the owner, mode, attributes and times of the one before."""
    with suppress(OSError):
        os.chown(path, kept["uid"], kept["gid"])
    os.chmod(path, kept["mode"])
    for name, value in kept["attributes"].items():
        with suppress(OSError):
            os.setxattr(path, name, bytes.fromhex(value))
    os.utime(path, ns=(kept["atime_ns"], kept["mtime_ns"]))
