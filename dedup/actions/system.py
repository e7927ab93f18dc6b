"""What acting asks of the system about one file: what it is, what it holds, who writes to it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import stat
from contextlib import suppress
from typing import Any, Final, NamedTuple

from dedup.mounts import keeps_inodes

_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
PIECE: Final = 1 << 20


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
            raise RefusedError(f"{name}: a folder in its path is a symbolic link now")
        real.add(folder)
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise RefusedError(f"{name} is gone") from None
    except OSError as error:
        raise RefusedError(f"{name} cannot be looked at: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError(f"{name} is no longer a regular file")
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
            is_folder = stat.S_ISDIR(before.st_mode)
            raise RefusedError("is a folder" if is_folder else "is not a regular file")
        if quiet and _is_written(descriptor):
            raise RefusedError("is open for writing in another program")
        found = hashlib.sha256()
        while piece := os.read(descriptor, min(before.st_size + 1, PIECE)):
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


def opened(path: str, _: int) -> int:
    """Open a regular file to be read; an opener, that follows no link and waits for no pipe."""
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
    ValueError : it is not a regular file, or longer than `most`.
    """
    with open(path, "rb", opener=opened) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError("it is too long")
    return data


def remove(path: str) -> None:
    """Remove a file of our own, if it is there."""
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise


def in_words(error: Exception) -> str:
    """Say why something was not done: what the system said, in lower case, or a reason of ours."""
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error)


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
