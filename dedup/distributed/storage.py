"""Objects by key, below a URL: `s3://`, `gs://`, `az://`, `file://`.

A call that fails in a way that may pass, such as a server that is busy, a connection that is lost
or a body that was cut, is made again for a minute. A `Storage` is small and can be pickled: each
process opens its own connection when it first needs one.
"""

from __future__ import annotations

import os
import random
import time
import uuid
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import unquote

from dedup.distributed.folder import Folder
from dedup.distributed.objects import (
    ChangedObjectError,
    Entry,
    MissingObjectError,
    Object,
    StorageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dedup.distributed.bucket import Bucket

__all__ = [
    "ChangedObjectError",
    "Entry",
    "MissingObjectError",
    "Object",
    "Storage",
    "StorageError",
    "refuse_without_conditional_puts",
]

Result = TypeVar("Result")

SCHEMES: Final = ("s3", "gs", "az", "file")
_PATIENCE: Final = 60.0
_LONGEST_PAUSE: Final = 5.0
_DELETED_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Storage:
    """Objects below a URL.

    Parameters
    ----------
    url : such as "s3://bucket/folder", without a slash at its end
    patience : seconds for which a call is made again
    """

    url: str
    patience: float = _PATIENCE

    @classmethod
    def at(cls, url: str, patience: float = _PATIENCE) -> Storage:
        """Name a place; nothing is asked.

        Raises
        ------
        StorageError : it is no URL of object storage.
        """
        scheme, separator, rest = url.partition("://")
        whole = rest.startswith("/") or scheme != "file"
        if not separator or scheme not in SCHEMES or not rest.strip("/") or not whole:
            known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
            raise StorageError(
                f"{url}: this is no place in object storage; these begin {known} (file:///folder)"
            )
        return cls(url.rstrip("/"), patience)

    def get(self, key: str, if_match: str = "", version: str = "") -> Object:
        """Read an object whole.

        Parameters
        ----------
        if_match : the tag that it has to have; "" for any
        version : which of its versions, the object may be deleted; "" for the one that is there

        Raises
        ------
        ChangedObjectError : it has another tag.
        MissingObjectError, StorageError
        """
        return self._patiently(lambda: self._backend.get(key, if_match, version))

    def get_ranges(self, key: str, starts: list[int], lengths: list[int]) -> list[bytes]:
        """Read stretches of an object."""
        return self._patiently(lambda: self._backend.get_ranges(key, starts, lengths))

    def head(self, key: str) -> Entry:
        """Look at an object without reading it; gives its version, where there is one.

        Raises
        ------
        MissingObjectError, StorageError
        """
        return self._patiently(lambda: self._backend.head(key))

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Write an object, whatever was there."""
        self._patiently(lambda: self._backend.put(key, data))

    def put_new(self, key: str, data: bytes | memoryview) -> bool:
        """Write an object where there is none; False where there is one, which stays as it is.

        Where the one that is there has this content, that counts as written: the answer to an
        earlier try may have been lost. So content that is to win has to be the caller's own.
        """
        return self._patiently(lambda: self._backend.put_new(key, data))

    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        """List the objects below a folder, at any depth, while they are read.

        Parameters
        ----------
        after : only keys behind this one

        Returns
        -------
        By rising key (of code points) on `s3://` and `file://`.
        """
        last, begun, pauses = after, time.monotonic(), _pauses()
        while True:
            try:
                for entry in self._backend.list(prefix, last):
                    yield entry
                    last, begun, pauses = entry.key, time.monotonic(), _pauses()
            except StorageError as error:
                if not error.transient or time.monotonic() - begun > self.patience:
                    raise
                time.sleep(next(pauses))
            else:
                return

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are not there count as deleted."""
        some = list(keys)
        for start in range(0, len(some), _DELETED_AT_ONCE):
            self._patiently(partial(self._backend.delete, some[start : start + _DELETED_AT_ONCE]))

    def label(self, key: str, changes: dict[str, str | None]) -> None:
        """Change the labels of an object, which S3 calls tags; the others stay.

        Parameters
        ----------
        changes : by label its value; None takes it away

        Raises
        ------
        StorageError : this storage has none, or there is no answer.
        """
        self._patiently(lambda: self._backend.label(key, changes))

    def keeps_versions(self) -> bool:
        """Say whether a deleted object can be had again; False where that cannot be asked."""
        return self._patiently(self._backend.keeps_versions)

    @property
    def _backend(self) -> Bucket | Folder:
        # A test, or a long session, may go over to another endpoint.
        return _opened(self.url, self.patience, os.environ.get("AWS_ENDPOINT_URL", ""))

    def _patiently(self, call: Callable[[], Result]) -> Result:
        begun = time.monotonic()
        for pause in _pauses():
            try:
                return call()
            except StorageError as error:
                if not error.transient or time.monotonic() + pause - begun > self.patience:
                    raise
            time.sleep(pause)
        raise AssertionError("there is always another pause")


def refuse_without_conditional_puts(storage: Storage) -> None:
    """Make sure that of two puts of a new object one is refused, which commits rest upon.

    Raises
    ------
    StorageError : both counted, or the storage cannot be written to.
    """
    key = f"_probe/{uuid.uuid4().hex}"
    quick = Storage(storage.url, min(storage.patience, 15.0))
    try:
        quick.put_new(key, b"first")
        if quick.put_new(key, b"second"):
            raise StorageError(
                f"{storage.url}: this storage overwrites an object although it is asked to write "
                "only where there is none (If-None-Match), so that two runs could not be told "
                "apart. Use another, such as S3, GCS, Azure, MinIO or Ceph of 2025, or file://"
            )
    finally:
        quick.delete([key])


def _pauses() -> Iterator[float]:
    """Give how long to wait before another try: longer each time, never in step with others."""
    longest = 0.2
    while True:
        yield random.uniform(longest / 4, longest)  # noqa: S311 - nothing is kept secret by it
        longest = min(2 * longest, _LONGEST_PAUSE)


@lru_cache(32)
def _opened(url: str, patience: float, _endpoint: str) -> Bucket | Folder:
    """Open a storage, once in a process."""
    if url.startswith("file://"):
        return Folder(unquote(url.removeprefix("file://"), errors="surrogateescape"))
    from dedup.distributed.bucket import Bucket

    return Bucket(url, patience)
