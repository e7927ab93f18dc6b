"""From a file to what the model needs: read once, digest, decode. Runs in worker threads.

A picture that cannot be read becomes a value with a reason, never an exception that ends a run. The
digest comes from the very buffer that is decoded. Memory is bounded: at most one picture that needs
more than `BIG` is decoded at a time.
"""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dedup.errors import ImageError
from dedup.images.decode import read_file
from dedup.images.header import read_header
from dedup.store.catalog import ImageFacts

if TYPE_CHECKING:
    from collections.abc import Callable

    from dedup.store.catalog import FileFacts
    from dedup.views import Preparation, Prepared

BIG = 64 << 20
"""Bytes that a file and its decoding may take before it has to wait for other big ones."""

_one_big = threading.Lock()


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose content has been seen before."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class Fresh:
    """A picture that needs an embedding."""

    facts: ImageFacts
    picture: Prepared

    @property
    def note(self) -> str | None:
        """What was left out of it, such as further frames."""
        return self.picture.decoded.note


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that gave no picture.

    Parameters
    ----------
    reason : for a person, without the path
    transient : worth another try although the file has not changed
    vanished : it is not there any more
    """

    reason: str
    transient: bool
    vanished: bool = False


Reading = Fresh | Known | Unreadable


def read_scanned(
    root: bytes, file: FileFacts, is_known: Callable[[bytes], bool], preparation: Preparation
) -> Reading:
    """Read a file that a scan found; `Unreadable` when it has changed since.

    Parameters
    ----------
    root : absolute; the file's path is relative to it
    is_known, preparation : see `read_path`
    """
    path = os.path.join(root, file.path)
    reading = read_path(path, is_known, preparation, size=file.size)
    if isinstance(reading, Unreadable):
        return reading
    try:
        now = os.stat(path, follow_symlinks=False)
    except OSError:
        return Unreadable("vanished while it was being read", transient=True, vanished=True)
    if (now.st_size, now.st_mtime_ns) != (file.size, file.mtime_ns):
        return Unreadable("changed while it was being read; index again", transient=True)
    return reading


def read_path(
    path: bytes, is_known: Callable[[bytes], bool], preparation: Preparation, size: int = 0
) -> Reading:
    """Read, digest, decode and describe one file.

    Parameters
    ----------
    is_known : tells whether a digest has an embedding already
    preparation : what is made of its pixels
    size : what the file is known to take, bytes; a big one waits for its turn before it is read
    """
    try:
        if size > BIG:
            with _one_big:
                return _read(path, is_known, preparation, alone=True)
        return _read(path, is_known, preparation, alone=False)
    except ImageError as error:
        return Unreadable(error.reason, error.transient, not os.path.lexists(path))


def _read(
    path: bytes, is_known: Callable[[bytes], bool], preparation: Preparation, *, alone: bool
) -> Reading:
    data = read_file(path)
    digest = hashlib.sha256(data).digest()
    if is_known(digest):
        return Known(digest)
    name = os.fsdecode(path)
    if not alone and preparation.decode_bytes(read_header(data, name)) > BIG:
        with _one_big:
            picture = preparation.prepare(data, name)
    else:
        picture = preparation.prepare(data, name)
    decoded = picture.decoded
    facts = ImageFacts(
        digest=digest,
        format=decoded.header.format,
        width=decoded.header.width,
        height=decoded.header.height,
        frames=decoded.header.frames,
        trivial=decoded.trivial,
        input_digest=picture.input_digest,
    )
    return Fresh(facts, picture)
