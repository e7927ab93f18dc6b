"""The objects below a folder that have names of images, by rising key."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from dedup.distributed.storage import Storage, StorageError
from dedup.images.passed_over import is_listed
from dedup.images.scan import matcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dedup.distributed.storage import Entry

_KEPT: Final = -1


class Row(NamedTuple):
    """A file as a listing describes it; the columns are those of `schemas.LISTED`.

    Parameters
    ----------
    id : `schemas.file_id`; -1 before it has one
    reason : why it cannot be read, "" where it can
    """

    root: str
    key: str
    size: int
    mtime_ns: int
    etag: str
    version: str
    id: int = -1
    reason: str = ""


def kept(root: str) -> Row:
    """Stand for the files of a root that nobody looked at."""
    return Row(root, "", _KEPT, 0, "", "")


def is_kept(row: Row) -> bool:
    """Say whether it is what `kept` gives."""
    return row.size == _KEPT


def is_same(before: Row, now: Row) -> bool:
    """Say whether a file is as it was, as far as a listing tells."""
    if before.size != now.size:
        return False
    if before.etag and now.etag:
        return before.etag == now.etag
    return before.mtime_ns == now.mtime_ns


def listed_below(root: str, store: str, exclude: tuple[str, ...] = ()) -> Iterator[Row]:
    """List what has the name of an image, by rising key; memory does not grow with it.

    Parameters
    ----------
    store : URL of the collection; what is below it is left out
    exclude : patterns of what else is

    Raises
    ------
    StorageError : there is no answer, or keys come out of order.
    """
    own = store.removeprefix(root + "/") + "/" if store.startswith(root + "/") else None
    excluded = matcher(exclude) if exclude else None
    for entry in _in_order(root):
        name = os.fsencode(entry.key)
        if not is_listed(name) or (own is not None and entry.key.startswith(own)):
            continue
        if excluded is None or not excluded(name):
            yield Row(root, *entry[:5], reason=entry.reason)


def _in_order(root: str) -> Iterator[Entry]:
    before = ""
    for entry in Storage.at(root).list():
        if entry.key <= before:
            raise StorageError(
                f"{root} lists its keys out of order ({before} before {entry.key}), as directory "
                "buckets do: keep the images in a general-purpose bucket"
            )
        before = entry.key
        yield entry
