"""Objects by key, below a URL: `s3://`, `gs://`, `az://`, `file://`, through obstore.

What obstore raises is translated here, and nowhere else. A `Storage` is small and can be pickled:
each process opens its own connection when it first needs one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dedup.errors import DedupError, ExtraMissingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_RETRIES: Final = 8
_RETRY_SECONDS: Final = 60
_LISTED_AT_ONCE: Final = 1000


class StorageError(DedupError):
    """Object storage that gives no answer, or the wrong one."""


class MissingObjectError(StorageError):
    """There is no such object."""


class Entry(NamedTuple):
    """An object as a listing describes it.

    Parameters
    ----------
    key : below the URL of the storage
    mtime_ns : when it was put, nanoseconds since 1970
    etag : changes with its content; "" where the storage keeps none
    version : "" where the bucket keeps no versions
    """

    key: str
    size: int
    mtime_ns: int
    etag: str
    version: str


class Object(NamedTuple):
    """The content of an object, with the tag under which it was read."""

    data: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Storage:
    """Objects below a URL.

    Parameters
    ----------
    url : such as "s3://bucket/folder", without a slash at its end
    """

    url: str

    @classmethod
    def at(cls, url: str) -> Storage:
        """Name a place; nothing is asked."""
        return cls(url.rstrip("/"))

    def get(self, key: str) -> Object:
        """Read an object whole.

        Raises
        ------
        MissingObjectError, StorageError
        """
        import obstore

        with _translated(self.url, key):
            found = obstore.get(_opened(self.url), key)
            data = found.bytes().to_bytes()
            if len(data) != found.meta["size"]:
                raise StorageError(f"{self.url}/{key}: the transfer broke off; try again")
            return Object(data, found.meta["e_tag"] or "")

    def get_ranges(self, key: str, starts: list[int], lengths: list[int]) -> list[bytes]:
        """Read stretches of an object."""
        import obstore

        with _translated(self.url, key):
            found = obstore.get_ranges(_opened(self.url), key, starts=starts, lengths=lengths)
            return [part.to_bytes() for part in found]

    def put(self, key: str, data: bytes) -> None:
        """Write an object, whatever was there."""
        import obstore

        with _translated(self.url, key):
            obstore.put(_opened(self.url), key, data)

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object where there is none; False where there is one, which stays as it is."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with _translated(self.url, key):
            try:
                obstore.put(_opened(self.url), key, data, mode="create")
            except AlreadyExistsError:
                return False
            return True

    def list(self, prefix: str = "", after: str | None = None) -> Iterator[Entry]:
        """List the objects below a folder, in the order in which the storage gives them.

        Parameters
        ----------
        after : only keys behind this one
        """
        import obstore

        with _translated(self.url, prefix):
            pages = obstore.list(
                _opened(self.url), prefix or None, offset=after, chunk_size=_LISTED_AT_ONCE
            )
            for page in pages:
                for one in page:
                    yield Entry(
                        one["path"], one["size"],
                        int(one["last_modified"].timestamp() * 1_000_000) * 1000,
                        one["e_tag"] or "", one["version"] or "",
                    )  # fmt: skip

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are not there count as deleted."""
        import obstore

        some = list(keys)
        if some:
            with _translated(self.url, some[0]):
                obstore.delete(_opened(self.url), some)


class _translated:  # noqa: N801 - reads as a word: with _translated(...)
    """Turns what obstore raises into errors in words."""

    def __init__(self, url: str, key: str) -> None:
        self._name = f"{url}/{key}" if key else url

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        from obstore.exceptions import BaseError, NotFoundError

        if isinstance(error, (NotFoundError, FileNotFoundError)):
            raise MissingObjectError(f"{self._name}: there is no such object") from error
        if isinstance(error, BaseError):
            first = " ".join(str(error).split("\n\n")[0].split())
            raise StorageError(f"{self._name}: no answer ({first[:200]})") from error


@lru_cache(16)
def _opened(url: str) -> Any:
    """Open a storage, once in a process."""
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise ExtraMissingError("object storage", "cluster") from error
    if url.startswith("file://"):
        return from_url(url, mkdir=True)
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "") if url.startswith("s3://") else ""
    options: dict[str, Any] = {
        "retry_config": {
            "max_retries": _RETRIES,
            "retry_timeout": timedelta(seconds=_RETRY_SECONDS),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=5),
                "base": 2,
            },
        }
    }
    if endpoint:
        options["config"] = {"endpoint": endpoint, "virtual_hosted_style_request": False}
        options["client_options"] = {"allow_http": endpoint.startswith("http://")}
    return from_url(url, **options)
