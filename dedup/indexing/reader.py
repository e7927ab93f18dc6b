"""From a file to what the model needs: read once, digest, decode. Runs in workers.

A picture that cannot be read becomes a value with a reason, never an exception that ends a run. The
digest comes from the very buffer that is decoded. Memory is bounded: at most one picture that needs
more than `BIG` is decoded at a time.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.errors import ImageError
from dedup.images.decode import read_file
from dedup.images.header import open_image
from dedup.indexing.fetching import Fetching
from dedup.parallel.workers import alone
from dedup.store.contents import KnownDigests
from dedup.store.records import ImageFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dedup.indexing.worklist import Work
    from dedup.parallel.shared_buffer import Address, Places
    from dedup.preparation import Inputs, Preparation, Prepared

BIG = 64 << 20
"""Bytes that a file and its decoding may take before it has to wait for other big ones."""

_ELSEWHERE: Final = np.empty((0, 0, 3), np.uint8)


class Known(NamedTuple):
    """A file whose content has been seen before."""

    digest: bytes


class Fresh(NamedTuple):
    """A picture that needs an embedding.

    Parameters
    ----------
    note : what was left out of it, such as further frames
    """

    facts: ImageFacts
    inputs: Inputs
    note: str | None


class Unreadable(NamedTuple):
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


class Timed(NamedTuple):
    """A reading, and what it took.

    Parameters
    ----------
    waited : seconds until the file's bytes were there
    took : seconds in all
    shelved : whether pixels lie in the shelf, at the place for them, and not in the reading
    fetches : whether several files are read at once, because the disk is slow
    """

    reading: Reading
    waited: float
    took: float
    shelved: bool = False
    fetches: bool = False


Reading = Fresh | Known | Unreadable


class Placed(NamedTuple):
    """A file to read.

    Parameters
    ----------
    place : in a shelf, that its pixels may take
    """

    work: Work
    place: int | None


class FileReader:
    """Reads a work list's files for a collection, for `Workers`; from any thread."""

    def __init__(
        self,
        known: Callable[[bytes], bool],
        preparation: Preparation,
        places: Places | None,
        fetching: Fetching,
    ) -> None:
        self._known = known
        self._preparation = preparation
        self._places = places
        self._fetching = fetching

    def expect(self, items: Sequence[Placed]) -> None:
        """Hear what comes next."""
        self._fetching.expect([item.work for item in items])

    def __call__(self, item: Placed) -> Timed:
        """Read a file; its pixels go to its place, if it has one."""
        started = time.perf_counter()
        waited = 0.0

        def read(path: bytes) -> bytes:
            nonlocal waited
            asked = time.perf_counter()
            data = self._fetching.read(path)
            waited = time.perf_counter() - asked
            return data

        reading = self._read_scanned(item.work, read)
        shelved = False
        if self._places is not None and item.place is not None:
            reading, shelved = _shelved(reading, self._places, item.place)
        took = time.perf_counter() - started
        self._fetching.passed(waited, took)
        return Timed(reading, waited, took, shelved, self._fetching.slow)

    def _read_scanned(self, work: Work, read: Callable[[bytes], bytes]) -> Reading:
        """Read a file that a scan found; `Unreadable` when it has changed since."""
        path, file = work.path, work.file
        reading = read_path(path, self._known, self._preparation, file.size, read)
        if isinstance(reading, Unreadable):
            return reading
        try:
            now = os.stat(path, follow_symlinks=False)
        except OSError:
            return Unreadable("vanished while it was being read", transient=True, vanished=True)
        if (now.st_size, now.st_mtime_ns) != (file.size, file.mtime_ns):
            return Unreadable("changed while it was being read; index again", transient=True)
        return reading


@contextmanager
def file_reader(
    store: Path, preparation: Preparation, shelf: Address | None = None
) -> Iterator[FileReader]:
    """Give what reads a work list's files; for `Workers`."""
    places = None if shelf is None else shelf.open()
    with closing(KnownDigests(store)) as known, closing(Fetching()) as fetching:
        try:
            yield FileReader(known.holds, preparation, places, fetching)
        finally:
            if places is not None:
                places.close()


def lost(_: Placed) -> Timed:
    """Stand for a file whose reading brought a process down."""
    reading = Unreadable(
        "reading it ended the process that did so: its decoder failed, or memory ran out; "
        "index again to try once more",
        transient=True,
    )
    return Timed(reading, 0.0, 0.0)


def read_path(
    path: bytes,
    is_known: Callable[[bytes], bool],
    preparation: Preparation,
    size: int = 0,
    read: Callable[[bytes], bytes] = read_file,
) -> Reading:
    """Read, digest, decode and describe one file.

    Parameters
    ----------
    is_known : tells whether a digest has an embedding already
    preparation : what is made of its pixels
    size : what the file is known to take, bytes; a big one waits for its turn before it is read
    read : gives its bytes, or raises as `read_file`
    """
    try:
        if size > BIG:
            with alone():
                return _read(path, is_known, preparation, read, in_turn=True)
        return _read(path, is_known, preparation, read, in_turn=False)
    except ImageError as error:
        return Unreadable(error.reason, error.transient, not os.path.lexists(path))


def _read(
    path: bytes,
    is_known: Callable[[bytes], bool],
    preparation: Preparation,
    read: Callable[[bytes], bytes],
    *,
    in_turn: bool,
) -> Reading:
    data = read(path)
    digest = hashlib.sha256(data).digest()
    if is_known(digest):
        return Known(digest)
    name = os.fsdecode(path)
    opened = open_image(data, name)
    if not in_turn and preparation.decode_bytes(opened[1]) > BIG:
        with alone():
            picture = preparation.prepare(data, name, opened)
    else:
        picture = preparation.prepare(data, name, opened)
    return fresh(digest, picture)


def fresh(digest: bytes, picture: Prepared) -> Fresh:
    """Put together what is kept of a picture that was decoded."""
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
    return Fresh(facts, picture.inputs, decoded.note)


def _shelved(reading: Reading, places: Places, place: int) -> tuple[Reading, bool]:
    """Put pixels to their place, if they fit; the second value tells."""
    if isinstance(reading, Fresh) and places.put(place, reading.inputs.pixels.data):
        return reading._replace(inputs=reading.inputs._replace(pixels=_ELSEWHERE)), True
    return reading, False
