"""Read a work list's files on every core, a bounded number ahead of whoever takes them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from dedup.descriptors.vlad import load_details
from dedup.images.decode import read_file
from dedup.indexing.files import Reading, crashed, file_reader
from dedup.parallel.limits import ItemLimits
from dedup.parallel.shared_buffer import SharedBuffer
from dedup.parallel.workers import WORTH_PROCESSES, Workers, cores

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from dedup.indexing.reader import Outcome
    from dedup.indexing.worklist import Job
    from dedup.preparation import Preparation

MAX_PENDING: Final = 2048
"""Images that may wait to be taken where many cores read."""

_PENDING: Final = 512  # the same elsewhere: those are read while the model is loaded, too
_EMBEDDING: Final = 1536  # images that wait for their forward pass, or are in it
_THREAD_CORES: Final = 3  # that threads keep busy with decoding alone
_CHUNK: Final = 8  # files that a worker is handed at a time
_DECODED_CHUNK: Final = 32  # the same where processes do nothing but decode them
_CHUNKS: Final = 3  # that a worker has before it: one in hand, and what comes next


@dataclass(frozen=True, slots=True)
class ReadPolicy:
    """How files are spread over workers.

    Parameters
    ----------
    cores : workers; None: the cores that this process may use
    worth_describing, worth_decoding : images from which on processes pay for their start, with
        details and without
    slots : of the shared buffer; None: as many as can be in use
    read : gives the bytes of a file, or raises as `read_file`
    limits : what one file may cost
    """

    cores: int | None = None
    worth_describing: int = WORTH_PROCESSES
    worth_decoding: int = 1000
    slots: int | None = None
    read: Callable[[bytes], bytes] = read_file
    limits: ItemLimits = field(default_factory=ItemLimits)

    def uses_processes(self, preparation: Preparation, images: int) -> bool:
        """Whether processes pay for their start.

        Describing details is small steps under Python's lock. Decoding is not, but what it takes of
        the lock for each image adds up to one core at some 2,000 images a second.
        """
        if preparation.details:
            return images >= self.worth_describing
        return images >= self.worth_decoding and self._cores > _THREAD_CORES

    def chunk(self, preparation: Preparation, images: int) -> int:
        """Files that a worker is handed at a time.

        Handing over takes some 0.2 ms of Python's lock, however many they are: eight at a time, a
        fifth of it at 8,000 images a second. Few enough for every core to have its part to the
        end, and for no more than `MAX_PENDING` to wait.
        """
        decoded = self.uses_processes(preparation, images) and not preparation.details
        most = min(_DECODED_CHUNK if decoded else _CHUNK, MAX_PENDING // (_CHUNKS * self._cores))
        return max(1, min(most, images // (16 * self._cores)))

    def pending(self, chunk: int) -> int:
        """Images that may wait to be taken."""
        return min(MAX_PENDING, max(_PENDING, _CHUNKS * self._cores * chunk))

    @property
    def _cores(self) -> int:
        return cores() if self.cores is None else self.cores


class ReadAhead:
    """Gives (job, outcome) for every file, in the order of the list; a context manager.

    Where processes read, the pixels of an outcome lie in the slot of its job, to be released; a job
    comes back without a slot where they travel with the outcome.

    Attributes
    ----------
    buffer : where pixels lie that are in a slot
    workers : who reads, such as "2 processes"; "" without work
    waited_seconds, seconds : that workers waited for the bytes of files, and all that they took
    prefetches : whether the disk was found to be slow, so that workers read several files at once
    """

    def __init__(
        self,
        store: Path,
        preparation: Preparation,
        work: Sequence[Job],
        policy: ReadPolicy | None = None,
    ) -> None:
        self._store = store
        self._preparation = preparation
        self._work = work
        self._policy = policy = policy or ReadPolicy()
        self._processes = policy.uses_processes(preparation, len(work))
        self._chunk = policy.chunk(preparation, len(work))
        self._pending = policy.pending(self._chunk)
        slots = 0
        if self._processes:
            slots = self._pending + _EMBEDDING if policy.slots is None else policy.slots
        self.buffer = SharedBuffer(slots, (preparation.height, preparation.width, 3))
        self.workers = ""
        self.waited_seconds = 0.0
        self.seconds = 0.0
        self.prefetches = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.buffer.close()

    def outcomes(self) -> Generator[tuple[Job, Outcome]]:
        """Give every file; closing it ends the workers."""
        if not self._work:
            return
        if self._preparation.details:
            load_details()  # here, so that a damaged vocabulary is found before anything is read
        policy = self._policy
        begin = partial(
            file_reader,
            self._store,
            self._preparation,
            self.buffer.address,
            policy.read,
            policy.limits,
        )
        workers: Workers[Job, Reading] = Workers(
            begin, processes=self._processes, lost=crashed, limits=policy.limits
        )
        self.workers = workers.description
        in_hand: deque[Job] = deque()

        def jobs() -> Iterator[Job]:
            for job in self._work:
                in_hand.append(job._replace(slot=self.buffer.take()))
                yield in_hand[-1]

        with workers:
            for reading in workers.run(jobs(), self._pending, self._chunk):
                self.waited_seconds += reading.waited_seconds
                self.seconds += reading.seconds
                self.prefetches |= reading.prefetches
                job = in_hand.popleft()
                if not reading.in_slot:
                    self.buffer.release(job.slot)
                    job = job._replace(slot=None)
                yield job, reading.outcome
