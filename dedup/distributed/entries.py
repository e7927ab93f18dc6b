"""The objects below a folder that have names of images, by rising key."""

from __future__ import annotations

import heapq
import os
import pickle
import tempfile
from contextlib import ExitStack
from itertools import islice
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from dedup.distributed.storage import Storage, StorageError
from dedup.errors import SourceError
from dedup.images.passed_over import is_listed
from dedup.images.scan import matcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dedup.distributed.storage import Entry

SCHEMES: Final = ("s3://", "gs://", "az://", "file://")
_FILE: Final = "file://"
_RUN: Final = 100_000  # entries that are sorted at a time
_BATCH: Final = 1000  # of them that are written at a time
_KEPT: Final = -1


class Row(NamedTuple):
    """A file as a listing describes it; the columns are those of `schemas.LISTED`.

    Parameters
    ----------
    id : `schemas.file_id`; -1 before it has one
    """

    root: str
    key: str
    size: int
    mtime_ns: int
    etag: str
    version: str
    id: int = -1


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


def place(url: str) -> str:
    """Check the URL of a folder, and write it without a slash at its end.

    Raises
    ------
    SourceError : it is none of object storage.
    """
    if not url.startswith(SCHEMES):
        raise SourceError(
            f"{url} is not in object storage: name it by a URL ({', '.join(SCHEMES)}), "
            "a folder of this computer as file:///folder"
        )
    return url.rstrip("/")


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
    for entry in in_order(root):
        name = os.fsencode(entry.key)
        if not is_listed(name) or (own is not None and entry.key.startswith(own)):
            continue
        if excluded is None or not excluded(name):
            yield Row(root, entry.key, entry.size, entry.mtime_ns, entry.etag, entry.version)


def in_order(root: str) -> Iterator[Entry]:
    """List all objects of a folder, by rising key.

    Raises
    ------
    SourceError, StorageError
    """
    if root.startswith(_FILE):
        folder = root.removeprefix(_FILE)
        if not os.path.isdir(folder):
            raise SourceError(f"{root}: there is no such folder")
        yield from _sorted(Storage.at(root).list())
        return
    before = ""
    for entry in Storage.at(root).list():
        if entry.key <= before:
            raise StorageError(
                f"{root} lists its keys out of order ({before} before {entry.key}), as directory "
                "buckets do: keep the images in a general-purpose bucket"
            )
        before = entry.key
        yield entry


def _sorted(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Sort by key, in files where there are many."""
    source = iter(entries)
    runs: list[IO[bytes]] = []
    with ExitStack() as stack:
        while run := sorted(islice(source, _RUN)):
            if not runs and len(run) < _RUN:
                yield from run
                return
            file = stack.enter_context(tempfile.TemporaryFile())
            runs.append(file)
            for start in range(0, len(run), _BATCH):
                pickle.dump(run[start : start + _BATCH], file)
            file.seek(0)
        yield from heapq.merge(*map(_read_run, runs))


def _read_run(file: IO[bytes]) -> Iterator[Entry]:
    while True:
        try:
            yield from pickle.load(file)  # noqa: S301 - written just now, by this process
        except EOFError:
            return
