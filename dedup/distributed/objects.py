"""What is said of objects, and what goes wrong with them, whatever keeps them."""

from __future__ import annotations

from typing import NamedTuple

from dedup.errors import DedupError


class StorageError(DedupError):
    """Object storage that gives no answer, or the wrong one.

    Parameters
    ----------
    transient : the same call may do later
    """

    def __init__(self, text: str, *, transient: bool = False) -> None:
        super().__init__(text)
        self.transient = transient


class MissingObjectError(StorageError):
    """There is no such object."""


class ChangedObjectError(StorageError):
    """The object is not the one that was asked for any more."""


class Entry(NamedTuple):
    """An object as a listing describes it.

    Parameters
    ----------
    key : below the URL of the storage
    mtime_ns : when it was put, nanoseconds since 1970
    etag : changes with its content; "" where the storage keeps none
    version : "" where it is not known, as in listings of S3
    reason : why it cannot be read, "" where it can: no request can name such a key
    """

    key: str
    size: int
    mtime_ns: int
    etag: str
    version: str
    reason: str = ""


class Object(NamedTuple):
    """The content of an object, with the tag under which it was read."""

    data: bytes
    etag: str
