"""Objects as files below a folder, for `file://`: written whole, and durable once a call returns.

Names are read as the file system has them, in the order of their keys, which obstore's own store
does not do: it ends a listing at the first control character.
"""

from __future__ import annotations

import os
import stat
import uuid
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dedup.distributed.objects import (
    ChangedObjectError,
    Entry,
    MissingObjectError,
    Object,
    StorageError,
)
from dedup.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Folder:
    """Objects below a folder.

    Parameters
    ----------
    path : of the folder; made when something is first put there
    """

    def __init__(self, path: str) -> None:
        self._path = path.rstrip("/")

    def get(self, key: str, if_match: str, version: str = "") -> Object:
        """Read a file."""
        if version:
            raise MissingObjectError(f"{self._path}/{key}: folders keep no versions")
        with _translated(self._path, key), self._open(key) as file:
            before = _etag(os.fstat(file.fileno()))
            if if_match and before != if_match:
                raise ChangedObjectError(f"{self._path}/{key}: it was changed")
            data = file.read()
            if _etag(os.fstat(file.fileno())) != before:
                raise StorageError(
                    f"{self._path}/{key}: it was written to while it was read", transient=True
                )
            return Object(data, before)

    def get_ranges(self, key: str, starts: list[int], lengths: list[int]) -> list[bytes]:
        """Read stretches of a file."""
        with _translated(self._path, key), self._open(key) as file:
            return [os.pread(file.fileno(), *part) for part in zip(lengths, starts, strict=True)]

    def head(self, key: str) -> Entry:
        """Look at a file."""
        with _translated(self._path, key):
            found = os.stat(self._name(key))
            if not stat.S_ISREG(found.st_mode):
                raise MissingObjectError(f"{self._path}/{key}: there is no such object")
            return Entry(key, found.st_size, found.st_mtime_ns, _etag(found), "")

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Write a file, whatever was there."""
        with _translated(self._path, key), self._written(key, data) as temporary:
            temporary.replace(self._name(key))

    def put_new(self, key: str, data: bytes | memoryview) -> bool:
        """Write a file where there is none."""
        with _translated(self._path, key), self._written(key, data) as temporary:
            try:
                os.link(temporary, self._name(key))
            except FileExistsError:
                return False
            return True

    def list(self, prefix: str, after: str) -> Iterator[Entry]:
        """List the files below a folder, by rising key."""
        with _translated(self._path, prefix):
            inside = prefix.strip("/")
            start = self._name(inside) if inside else self._path + "/"
            if os.path.isdir(start):
                for entry in _walk(os.fsencode(start), f"{inside}/" if inside else ""):
                    if entry.key > after:
                        yield entry

    def delete(self, keys: Sequence[str]) -> None:
        """Remove files."""
        for key in keys:
            with _translated(self._path, key), suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(self._name(key))

    def label(self, key: str, changes: dict[str, str | None]) -> None:
        """Refuse: files have no labels."""
        raise StorageError(
            f"{self._path}/{key}: files have no tags to set {', '.join(changes)}; use move:URL"
        )

    def keeps_versions(self) -> bool:
        """Say no: a file that was removed is gone."""
        return False

    def _name(self, key: str) -> str:
        if ".." in key.split("/"):
            raise StorageError(f"{self._path}/{key}: a key must not lead out of the folder")
        return f"{self._path}/{key}"

    def _open(self, key: str) -> IO[bytes]:
        return open(self._name(key), "rb", buffering=0)

    @contextmanager
    def _written(self, key: str, data: bytes | memoryview) -> Iterator[Path]:
        """Write a file that has not its name yet; removed afterwards."""
        folder = Path(self._name(key)).parent
        made = [*takewhile(lambda one: not one.exists(), (folder, *folder.parents))]
        folder.mkdir(parents=True, exist_ok=True)
        for one in made:  # else what is in it would go with it when the power does
            sync_folder(one.parent)
        temporary = folder / f".dedup-{uuid.uuid4().hex}.tmp"
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(folder)


def _walk(folder: bytes, prefix: str) -> Iterator[Entry]:
    """List a folder; its own folders sort as if a slash ended their names, as keys do."""
    with os.scandir(folder) as found:
        entries = {
            entry.name.decode(errors="backslashreplace")
            + "/" * entry.is_dir(follow_symlinks=False): entry
            for entry in found
        }
    for name, entry in sorted(entries.items()):
        key = prefix + name.rstrip("/")
        if name.endswith("/"):
            yield from _walk(entry.path, key + "/")
            continue
        try:
            facts = entry.stat()
        except OSError:  # removed since, or a link that leads nowhere
            continue
        if stat.S_ISREG(facts.st_mode):
            reason = "" if entry.path.endswith(key.encode()) else "its name is not UTF-8; rename it"
            yield Entry(key, facts.st_size, facts.st_mtime_ns, _etag(facts), "", reason)


def _etag(facts: os.stat_result) -> str:
    return f"{facts.st_ino:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}"


@contextmanager
def _translated(path: str, key: str) -> Iterator[None]:
    name = f"{path}/{key}" if key else path
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise MissingObjectError(f"{name}: there is no such object") from error
    except PermissionError as error:
        raise StorageError(f"{name}: permission denied; ask its owner for access") from error
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise StorageError(f"{name}: {words}") from error
