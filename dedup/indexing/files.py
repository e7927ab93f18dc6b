"""Read files for workers: bytes from the disk, an outcome from the bytes, pixels to a buffer."""

from __future__ import annotations

import os
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.errors import ImageError
from dedup.images.decode import read_file
from dedup.indexing.prefetch import Prefetch
from dedup.indexing.reader import EXCLUSIVE_BYTES, Embeddable, Outcome, Skipped, read_bytes
from dedup.parallel.limits import ItemLimits
from dedup.parallel.workers import exclusive
from dedup.records import is_url
from dedup.sources.opening import elsewhere, entry_of
from dedup.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dedup.indexing.worklist import Job
    from dedup.parallel.shared_buffer import BufferAddress, Slots
    from dedup.preparation import Preparation
    from dedup.records import FileEntry

_IN_SLOT: Final = np.empty((0, 0, 3), np.uint8)


class Reading(NamedTuple):
    """What became of a file, and what it took.

    Parameters
    ----------
    waited_seconds : until the file's bytes were there
    seconds : in all
    in_slot : whether its pixels lie in the slot of the job and not in the outcome
    prefetches : whether several files are read at once, because the disk is slow
    """

    outcome: Outcome
    waited_seconds: float = 0.0
    seconds: float = 0.0
    in_slot: bool = False
    prefetches: bool = False


class FileReader:
    """Reads the files of jobs for a collection, for `Workers`; from any thread.

    Parameters
    ----------
    slots : where pixels go; None: they travel with the outcome
    """

    def __init__(
        self,
        is_known: Callable[[bytes], bool],
        preparation: Preparation,
        slots: Slots | None,
        prefetch: Prefetch,
        limits: ItemLimits | None = None,
    ) -> None:
        self._limits = limits or ItemLimits()
        self._is_known = is_known
        self._preparation = preparation
        self._slots = slots
        self._prefetch = prefetch

    def expect(self, jobs: Sequence[Job]) -> None:
        """Prefetch the files of jobs that come next."""
        self._prefetch.expect(jobs)

    def __call__(self, job: Job) -> Reading:
        """Read a file; `Skipped` when it has changed since it was found."""
        started = time.perf_counter()
        waited = 0.0

        def read(path: bytes) -> bytes:
            nonlocal waited
            asked = time.perf_counter()
            data = self._prefetch.read(path)
            waited = time.perf_counter() - asked
            return data

        outcome = read_path(
            job.path, self._preparation, self._is_known, job.entry.size, read, self._limits
        )
        if not isinstance(outcome, Skipped):
            outcome = _changed(job.path, job.entry) or outcome
        in_slot = False
        if (
            isinstance(outcome, Embeddable)
            and self._slots is not None
            and job.slot is not None
            and self._slots.write(job.slot, outcome.inputs.pixels.data)
        ):
            outcome = outcome._replace(inputs=outcome.inputs._replace(pixels=_IN_SLOT))
            in_slot = True
        seconds = time.perf_counter() - started
        self._prefetch.took(waited, seconds)
        return Reading(outcome, waited, seconds, in_slot, self._prefetch.slow)


@contextmanager
def file_reader(
    store: Path,
    preparation: Preparation,
    address: BufferAddress | None = None,
    read: Callable[[bytes], bytes] = read_file,
    limits: ItemLimits | None = None,
) -> Iterator[FileReader]:
    """Give what reads the files of jobs; for `Workers`.

    Parameters
    ----------
    address : of the buffer that pixels go to
    read : gives the bytes of a file, or raises as `read_file`
    limits : what a file may cost
    """
    slots = None if address is None else address.open()
    with closing(Catalog.open(store)) as catalog, closing(Prefetch(read)) as prefetch:
        try:
            yield FileReader(catalog.knows, preparation, slots, prefetch, limits)
        finally:
            if slots is not None:
                slots.close()


def crashed(_: Job, cause: str) -> Reading:
    """Stand for a file whose reading ended its process.

    Parameters
    ----------
    cause : how that came to be, "" where it is not known
    """
    if cause:
        return Reading(Skipped(f"not read: {cause}", transient=True))
    reason = (
        "reading it ended the process that did so: its decoder failed, or memory ran out; "
        "index again to try once more"
    )
    return Reading(Skipped(reason, transient=True))


def read_path(
    path: bytes,
    preparation: Preparation,
    is_known: Callable[[bytes], bool],
    size: int = 0,
    read: Callable[[bytes], bytes] = read_file,
    limits: ItemLimits | None = None,
) -> Outcome:
    """Read one file and what it holds; parameters and errors as in `read_bytes`.

    Parameters
    ----------
    size : of the file as far as known, bytes; a large one waits for its turn before it is read
    read : gives its bytes, or raises as `read_file`
    """
    if size > EXCLUSIVE_BYTES:
        with exclusive():
            return read_path(path, preparation, is_known, 0, read, limits)
    try:
        data = read(path)
    except ImageError as error:
        return Skipped(error.reason, error.transient, _vanished(path))
    outcome = read_bytes(data, os.fsdecode(path), preparation, is_known, limits)
    if isinstance(outcome, Skipped) and _vanished(path):
        return outcome._replace(vanished=True)
    return outcome


def _vanished(path: bytes) -> bool:
    """Say whether nothing is at a path any more; members and servers are as they were listed."""
    return not os.path.lexists(path) and elsewhere(path) is None


def _changed(path: bytes, entry: FileEntry) -> Skipped | None:
    if is_url(path):
        return None  # a server would be asked twice for every file
    now = entry_of(path)
    if now is None:
        return Skipped("vanished while it was being read", transient=True, vanished=True)
    ctime_ns = now.ctime_ns if entry.ctime_ns is None else entry.ctime_ns
    if (now.size, now.mtime_ns, now.ctime_ns) != (entry.size, entry.mtime_ns, ctime_ns):
        return Skipped("changed while it was being read; index again", transient=True)
    return None
