"""Reading images again in a task: from object storage, each once, as they were when indexed."""

from __future__ import annotations

import itertools
import os
from collections import OrderedDict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from dedup.distributed.storage import MissingObjectError, Storage
from dedup.errors import ImageError
from dedup.images.decode import MAX_FILE_BYTES
from dedup.sources.remote import read_through

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_MAX_KEPT_BYTES: Final = 512 << 20  # on disk


class Images:
    """Reads the files below a root; the last ones are kept in a folder, as far as it has room.

    Parameters
    ----------
    root : URL
    folder : of this process's own

    Attributes
    ----------
    missing : URLs of files that are not there any more
    """

    def __init__(self, root: str, folder: Path) -> None:
        self._prefix = os.fsencode(root) + b"/"
        self._storage = Storage.at(root)
        self._folder = folder
        self._names = itertools.count()
        self._kept: OrderedDict[bytes, tuple[Path, int]] = OrderedDict()
        self._bytes = 0
        self.missing: set[bytes] = set()

    def read(self, url: bytes) -> bytes:
        """Read a file by its URL.

        Raises
        ------
        ImageError : it is gone, or too large.
        StorageError : there is no answer, which ends the task: it says nothing of the image.
        """
        if (kept := self._kept.get(url)) is not None:
            with suppress(OSError, KeyError):  # another thread has just made room
                self._kept.move_to_end(url)
                return kept[0].read_bytes()
        try:
            data = self._storage.get(os.fsdecode(url.removeprefix(self._prefix))).data
        except MissingObjectError as error:
            self.missing.add(url)
            raise ImageError(os.fsdecode(url), "no such file there", transient=True) from error
        if len(data) > MAX_FILE_BYTES:
            raise ImageError(os.fsdecode(url), f"too large: a file of {len(data) >> 20} MB")
        self._keep(url, data)
        return data

    def _keep(self, url: bytes, data: bytes) -> None:
        path = self._folder / f"{next(self._names)}"
        try:
            path.write_bytes(data)
        except OSError:  # such as of a disk that is full
            path.unlink(missing_ok=True)
            return
        self._kept[url] = path, len(data)
        self._bytes += len(data)
        while self._bytes > _MAX_KEPT_BYTES and len(self._kept) > 1:
            _, (old, size) = self._kept.popitem(last=False)
            self._bytes -= size
            old.unlink(missing_ok=True)


@contextmanager
def reading(roots: Iterable[str], folder: Path) -> Iterator[list[Images]]:
    """Have images below some roots read from object storage; a folder keeps what was read last."""
    found: dict[str, Images] = {}
    for number, root in enumerate(roots):
        place = folder / f"images-{number}"
        place.mkdir()
        found[root] = Images(root, place)
    try:
        for root, images in found.items():
            read_through(os.fsencode(root), images.read)
        yield list(found.values())
    finally:
        for root in found:
            read_through(os.fsencode(root), None)
