"""Files by URL, through fsspec: `s3://`, `http://` and whatever else has a file system there.

Each file system raises errors of its own; they are translated here, and nowhere else.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from dedup.errors import ExtraMissingError, ImageError, SourceError
from dedup.records import INODE_BITS, FileEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_ASKED_AT_ONCE: Final = 16  # files whose size and time the server is asked for

_readers: dict[bytes, Callable[[bytes], bytes]] = {}  # by the folder that is read through it


class Named(NamedTuple):
    """A URL, told apart.

    Parameters
    ----------
    root : "scheme://server" of a file, the folder itself of a folder
    name : of the file, relative to the root; None: it is a folder
    """

    root: bytes
    name: bytes | None


def look_at(url: str) -> Named:
    """Say whether a URL is a file or a folder.

    Raises
    ------
    SourceError : there is neither, or no answer.
    ExtraMissingError : fsspec, or what it needs for this scheme, is not installed.
    """
    system, path = _system(url)
    try:
        whole = system.unstrip_protocol(path)
        if _is_web(url):  # a server of pages knows no folders; a slash says that one is meant
            folder = urlsplit(url).path.endswith("/") or not urlsplit(url).path
            there = True  # which its listing, or being asked for, will tell
        else:
            folder = system.isdir(path)
            there = folder or system.exists(path)
    except Exception as error:  # whatever the file system raises
        raise _failed(url, error) from error
    if not there:
        raise SourceError(f"{url}: there is no such file or folder")
    return Named(_bytes(whole.rstrip("/")), None) if folder else split(_bytes(whole))


def canonical(url: str) -> bytes:
    """Write a URL as its file system does; nothing is asked.

    Raises
    ------
    SourceError, ExtraMissingError : as `look_at`.
    """
    system, path = _system(url)
    return _bytes(system.unstrip_protocol(path))


def split(url: bytes) -> Named:
    """Split the URL of a file into its server and its name there."""
    scheme, _, rest = url.partition(b"://")
    server, slash, name = rest.partition(b"/")
    return Named(scheme + b"://" + server + (b"" if server else slash), name.lstrip(b"/"))


def reach(root: bytes) -> tuple[Any, str]:
    """See that a folder can be listed; gives its file system, and the folder in it.

    Raises
    ------
    SourceError, ExtraMissingError : as `look_at`.
    """
    url = os.fsdecode(root)
    system, path = _system(url + "/" if _is_web(url) else url)
    try:
        system.invalidate_cache()
        system.ls(path, detail=False)  # which says what is wrong, where `find` finds nothing
    except Exception as error:  # whatever the file system raises
        raise _failed(url, error) from error
    return system, path


def listed(root: bytes) -> list[FileEntry]:
    """List the files below a folder, by path.

    Raises
    ------
    SourceError, ExtraMissingError : as `look_at`.
    """
    url = os.fsdecode(root)
    system, path = reach(root)
    try:
        found: dict[str, dict[str, Any]] = system.find(path, detail=True)
        infos = {_bytes(system.unstrip_protocol(name)): info for name, info in found.items()}
    except Exception as error:  # whatever the file system raises
        raise _failed(url, error) from error
    prefix = root + b"/"
    below = {
        name.removeprefix(prefix): one
        for name, one in infos.items()
        if name[: len(prefix)] == prefix
    }
    vague = [name for name, one in below.items() if not _is_enough(one)]
    asked = dict(zip(vague, asked_for(root, vague), strict=True))
    entries = [asked[name] if name in asked else _entry(name, one) for name, one in below.items()]
    return sorted((one for one in entries if one is not None), key=lambda one: one.path)


def asked_for(root: bytes, names: Sequence[bytes]) -> list[FileEntry | None]:
    """Ask for size and time of each file; None for one that is not there.

    Raises
    ------
    SourceError : there is no answer.
    """
    if not names:
        return []
    system, _ = _system(os.fsdecode(root))
    system.invalidate_cache()

    def ask(name: bytes) -> FileEntry | None:
        url = os.fsdecode(os.path.join(root, name))
        try:
            return _entry(name, system.info(url))
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever the file system raises
            raise _failed(url, error) from error

    with ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="ask") as pool:
        return list(pool.map(ask, names))


def read_through(folder: bytes, reader: Callable[[bytes], bytes] | None) -> None:
    """Have files below a folder read by a function from now on, and not by fsspec.

    Parameters
    ----------
    reader : takes the URL of a file; raises ImageError as `read` does. None: fsspec reads again
    """
    if reader is None:
        _readers.pop(folder, None)
    else:
        _readers[folder] = reader


def read(url: bytes, limit: int) -> bytes:
    """Read a file, of at most `limit` bytes.

    Raises
    ------
    ImageError : it is larger; or, transient, there is no such file or no answer.
    """
    name = os.fsdecode(url)
    given = next((_readers[one] for one in _readers if url.startswith(one + b"/")), None)
    if given is not None:
        return given(url)
    try:
        system, path = _system(name)
        with system.open(path, "rb", cache_type="none") as file:
            data: bytes = file.read(limit + 1)
    except FileNotFoundError as error:
        raise ImageError(name, "no such file there, or no answer", transient=True) from error
    except ExtraMissingError as error:
        raise ImageError(name, str(error), transient=True) from error
    except Exception as error:  # whatever the file system raises
        raise ImageError(name, _words(error), transient=True) from error
    if len(data) > limit:
        raise ImageError(name, f"too large: a file of more than {limit >> 20} MB")
    return data


def _system(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ExtraMissingError("reading URLs", "remote") from error
    try:
        system, path = url_to_fs(url)
    except ImportError as error:
        scheme = url.partition("://")[0]
        raise SourceError(f"{url}: {error}; to read {scheme}:// install what it names") from error
    except ValueError as error:
        raise SourceError(f"{url}: {error}") from error
    return system, path


def _is_web(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _is_enough(info: dict[str, Any]) -> bool:
    return info.get("size") is not None and _time(info) is not None


def _entry(name: bytes, info: dict[str, Any]) -> FileEntry | None:
    if info.get("type", "file") != "file":
        return None
    return FileEntry(name, int(info.get("size") or 0), _time(info) or 0, 0, 0)


def _time(info: dict[str, Any]) -> int | None:
    """Give what changes with a file: its time in nanoseconds, else its tag as a number."""
    for key in ("LastModified", "last_modified", "mtime", "updated", "Last-Modified", "created"):
        value = info.get(key)
        if isinstance(value, str):
            try:
                value = parsedate_to_datetime(value)
            except ValueError:
                continue
        if isinstance(value, datetime):
            return int(value.replace(tzinfo=value.tzinfo or UTC).timestamp() * 1e9)
        if isinstance(value, int | float):
            return int(value * 1e9)
    tag = info.get("ETag") or info.get("etag") or info.get("Content-MD5")
    if tag:
        return (
            int.from_bytes(hashlib.blake2b(str(tag).encode(), digest_size=8).digest()) & INODE_BITS
        )
    return None


def _bytes(name: str | Iterable[str]) -> bytes:
    return os.fsencode(str(name))


def _failed(url: str, error: Exception) -> SourceError:
    return SourceError(f"{url}: {_words(error)}; nothing was changed. Is the network there?")


def _words(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"no answer ({text[:200]})"
