"""Reading images again in a task: from object storage, each once, as they were when indexed."""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dedup.distributed.storage import MissingObjectError, Storage
from dedup.errors import ImageError
from dedup.images.decode import MAX_FILE_BYTES
from dedup.sources.remote import read_through

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAX_KEPT_BYTES: Final = 128 << 20


class Images:
    """Reads the files below a root; the last ones are kept.

    Attributes
    ----------
    missing : URLs of files that are not there any more
    """

    def __init__(self, root: str) -> None:
        self._prefix = os.fsencode(root) + b"/"
        self._storage = Storage.at(root)
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0
        self.missing: set[bytes] = set()

    def read(self, url: bytes) -> bytes:
        """Read a file by its URL.

        Raises
        ------
        ImageError : it is gone, or too large.
        StorageError : there is no answer, which ends the task: it says nothing of the image.
        """
        data = self._kept.get(url)
        if data is not None:
            self._kept.move_to_end(url)
            return data
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
        self._kept[url] = data
        self._bytes += len(data)
        while self._bytes > _MAX_KEPT_BYTES and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._bytes -= len(old)


@contextmanager
def reading(roots: Iterable[str]) -> Iterator[list[Images]]:
    """Have images below some roots read from object storage."""
    found = {root: Images(root) for root in roots}
    try:
        for root, images in found.items():
            read_through(os.fsencode(root), images.read)
        yield list(found.values())
    finally:
        for root in found:
            read_through(os.fsencode(root), None)
