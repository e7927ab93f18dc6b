"""Members of zip and tar archives: listed once, then read one by one.

Nothing is unpacked to the disk. What a member claims and what it costs are bounded before it is
read; names that lead out of the archive are refused; of members of one name the last counts, as
when an archive is unpacked. A process keeps a few archives open.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import posixpath
import struct
import tarfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from dedup.errors import ImageError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUFFIXES: Final = (
    b".zip", b".cbz", b".tar", b".tar.gz", b".tgz", b".tar.bz2", b".tbz2", b".tar.xz", b".txz",
)  # fmt: skip
"""By which a file is taken for an archive, in any case."""

MAX_RATIO: Final = 200
"""How far a member may expand: images are compressed already, and a plain bitmap expands tenfold.
Deflate's own limit is about 1,000."""

_FREE_BYTES: Final = 1 << 20  # below that any ratio will do: a blank bitmap is no bomb
MAX_UNPACKED_BYTES: Final = 1 << 30
"""Of a compressed tar, which has to be unpacked from its beginning to read what is at its end."""

_MAX_HEADER_BYTES: Final = 1 << 20
_MAX_OPEN: Final = 8
_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # whose unpacking can be bounded
_ENCRYPTED: Final = 1
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_OPENERS: Final[dict[bytes, Callable[[IO[bytes]], Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}  # by magic
_DAMAGE: Final = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, struct.error,
    NotImplementedError, RuntimeError, ValueError, OverflowError,
)  # fmt: skip


class Member(NamedTuple):
    """A file in an archive.

    Parameters
    ----------
    size : unpacked, bytes, as the archive says
    refused : why it is not read; "" where it can be
    """

    size: int
    refused: str = ""


class Contents(NamedTuple):
    """What an archive holds.

    Parameters
    ----------
    members : by normalised name
    problems : (name, reason) of what has no place here; "" is the archive itself
    """

    members: dict[bytes, Member]
    problems: list[tuple[str, str]]


class _Opened(Protocol):
    contents: Contents

    def read(self, name: bytes) -> bytes: ...


def is_archive(path: bytes) -> bool:
    """Tell by its name whether a file is an archive."""
    return path.lower().endswith(SUFFIXES)


def split(path: bytes) -> tuple[bytes, bytes] | None:
    """Split the path of a member into the archive and the name in it; None where it is none."""
    outer, inner = os.path.split(path)
    while outer not in (b"", b"/"):
        if os.path.isfile(outer):
            return (outer, inner) if is_archive(outer) else None
        if os.path.lexists(outer):
            return None
        outer, last = os.path.split(outer)
        inner = last + b"/" + inner
    return None


def contents(path: bytes) -> Contents:
    """List an archive.

    Raises
    ------
    SourceError : it is none, or damaged at its beginning.
    OSError : as the system says.
    """
    return _opened(path).contents


def read(path: bytes, name: bytes, limit: int) -> bytes:
    """Read one member.

    Raises
    ------
    ImageError : it is not there, larger than `limit` bytes, expands too far, is encrypted or
        damaged.
    """
    whole = os.fsdecode(os.path.join(path, name))
    try:
        opened = _opened(path)
        member = opened.contents.members.get(name)
        if member is None:
            raise ImageError(whole, "no longer in the archive", transient=True)
        if member.refused:
            raise ImageError(whole, member.refused)
        if member.size > limit:
            raise ImageError(whole, f"too large: a file of {member.size >> 20} MB")
        data = opened.read(name)
    except SourceError as error:
        raise ImageError(whole, str(error), transient=True) from error
    except _DAMAGE as error:
        raise ImageError(whole, f"damaged in the archive ({_words(error)})") from error
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise ImageError(whole, reason, transient=True) from error
    if len(data) != member.size:
        raise ImageError(whole, "truncated in the archive")
    return data


# -- Archives kept open ----------------------------------------------------------------------------

_kept: OrderedDict[tuple[int, bytes], tuple[tuple[int, ...], _Opened]] = OrderedDict()
_lock = threading.Lock()


def _opened(path: bytes) -> _Opened:
    """Open an archive, unless it is open and unchanged; a forked process opens its own."""
    facts = os.stat(path)
    state = facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
    key = os.getpid(), path
    with _lock:
        found = _kept.get(key)
        if found is not None and found[0] == state:
            _kept.move_to_end(key)
            return found[1]
        opened = _open(path)
        _kept[key] = state, opened
        while len(_kept) > _MAX_OPEN:
            _kept.popitem(last=False)
        return opened


def _open(path: bytes) -> _Opened:
    try:
        if path.lower().endswith((b".zip", b".cbz")):
            return _Zip(path)
        return _Tar(path)
    except _DAMAGE as error:
        raise SourceError(
            f"{os.fsdecode(path)}: not a sound archive ({_words(error)}); leave it out, or make it "
            "anew"
        ) from error


def _words(error: BaseException) -> str:
    text = str(error).strip().rstrip(".") or type(error).__name__
    return text[:1].lower() + text[1:120]


def _safe(name: str) -> tuple[bytes | None, str]:
    """Give the normalised name of a member, or why it has none."""
    if "\0" in name:
        return None, "a name with a NUL character in it"
    if name.startswith("/"):
        return None, "an absolute path: members are below their archive"
    if ".." in name.split("/"):
        return None, "a path that leads out of the archive"
    return os.fsencode(posixpath.normpath(name)), ""


class _Zip:
    """An open zip; its own lock makes it good for several threads."""

    def __init__(self, path: bytes) -> None:
        self._file = zipfile.ZipFile(os.fsdecode(path))
        self._infos: dict[bytes, zipfile.ZipInfo] = {}
        self.contents = Contents({}, [])
        for info in self._file.infolist():
            if info.is_dir():
                continue
            name, problem = _safe(info.filename)
            if name is None:
                self.contents.problems.append((info.filename, problem))
                continue
            if name in self._infos:
                self.contents.problems.append(
                    (info.filename, "named twice in the archive; the last one counts")
                )
            self._infos[name] = info
            self.contents.members[name] = Member(info.file_size, _refused(info))

    def read(self, name: bytes) -> bytes:
        info = self._infos[name]
        with self._file.open(info) as file:
            return file.read(info.file_size + 1)  # which unpacks no more than that


def _refused(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & _ENCRYPTED:
        return "encrypted in the archive"
    if info.compress_type not in _METHODS:
        return f"compressed by method {info.compress_type}; only stored and deflated are read"
    if info.file_size > _FREE_BYTES and info.file_size > MAX_RATIO * info.compress_size:
        return f"would expand {info.file_size // max(1, info.compress_size):,}-fold: not read"
    return ""


class _Tar:
    """An open tar. A compressed one is unpacked from the beginning for what is further on."""

    def __init__(self, path: bytes) -> None:
        self._lock = threading.Lock()
        self._raw: IO[bytes] = open(path, "rb", opener=_opener)  # noqa: SIM115 - kept open
        self._file: IO[bytes] = self._raw
        self._places: dict[bytes, tuple[int, int]] = {}
        self.contents = Contents({}, [])
        try:
            opener = _OPENERS.get(self._raw.read(2))
            self._raw.seek(0)
            if opener is not None:
                self._file = opener(self._raw)
            self._list(compressed=opener is not None)
        except BaseException:
            self._close()
            raise

    def _list(self, *, compressed: bool) -> None:
        end = os.fstat(self._raw.fileno()).st_size
        for info in self._infos(compressed=compressed):
            name, problem = _safe(info.name)
            if not info.isreg() or info.issparse():
                continue
            if name is None:
                self.contents.problems.append((info.name, problem))
                continue
            if not compressed and info.offset_data + info.size > end:
                self.contents.problems.append((info.name, "cut off: the archive ends before it"))
                continue
            if name in self._places:
                self.contents.problems.append(
                    (info.name, "named twice in the archive; the last one counts")
                )
            self._places[name] = info.offset_data, info.size
            self.contents.members[name] = Member(info.size)

    def _infos(self, *, compressed: bool) -> Iterator[tarfile.TarInfo]:
        """Give the headers up to the end, or to where the archive is damaged."""
        bound = MAX_UNPACKED_BYTES if compressed else None
        tar = tarfile.TarFile(fileobj=_Bounded(self._file, bound), mode="r")  # type: ignore[arg-type]
        count = 0
        try:
            while (info := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]
                count += 1
                yield info
            self._file.seek(tar.offset)
            if self._file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError("a header that makes no sense")
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError) as error:
            if not count:
                raise tarfile.ReadError(str(error)) from error
            self.contents.problems.append(
                ("", f"damaged or cut off after {count:,} members ({_words(error)})")
            )

    def read(self, name: bytes) -> bytes:
        offset, size = self._places[name]
        if self._file is self._raw:
            return os.pread(self._raw.fileno(), size, offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)

    def _close(self) -> None:
        if self._file is not self._raw:
            self._file.close()
        self._raw.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._close()


class _Bounded:
    """A file of which little is read at a time, and none beyond a bound.

    The reader of headers takes whatever size one claims for a name.
    """

    def __init__(self, file: IO[bytes], bound: int | None) -> None:
        self._file = file
        self._bound = bound
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._file.read(size)

    def seek(self, position: int) -> int:
        if self._bound is not None and position > self._bound:
            raise SourceError(
                f"unpacks to more than {self._bound >> 30} GB: what is compressed as a whole is "
                "read from its beginning each time; decompress it to a .tar first"
            )
        return self._file.seek(position)


def _opener(path: str | bytes, _: int) -> int:
    return os.open(path, _READ)
