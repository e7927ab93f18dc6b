"""Read a work list's files on every core, no more than so many ahead of whoever takes them."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from dedup.descriptors.vlad import load_details
from dedup.indexing.reader import Placed, Timed, file_reader, lost
from dedup.parallel.shared_buffer import Shelf
from dedup.parallel.workers import WORTH_PROCESSES, Workers, cores

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from dedup.indexing.reader import Reading
    from dedup.indexing.worklist import Work
    from dedup.preparation import Preparation

_AHEAD: Final = 512  # pictures that may wait: those are read while the model is loaded, too
MOST_AHEAD: Final = 2048
"""Pictures that may wait where many cores read."""

_WAITING: Final = 1536  # pictures that wait for their pass, or are under way
_WORTH_FOR_CONTENT: Final = 1000  # pictures from which on processes pay for decoding alone
_THREADS_SUFFICE: Final = 3  # cores that threads keep busy with decoding alone
_TOGETHER: Final = 8  # files that a worker reads at a time
_DECODED_TOGETHER: Final = 32  # the same where processes do nothing but decode them
_PARTS: Final = 3  # that a worker has before it: one under way, and what comes next


class Read(NamedTuple):
    """A file that was read.

    Parameters
    ----------
    place : in the shelf, where its pixels lie if not here; to be given back
    """

    work: Work
    reading: Reading
    place: int | None


def pays_processes(wanted: Preparation, pictures: int) -> bool:
    """Tell whether processes pay for their start.

    Describing details is small steps under Python's lock. Decoding is not, but what it takes of
    the lock for each picture adds up to one core at some 2,000 pictures a second.
    """
    if wanted.details:
        return pictures >= WORTH_PROCESSES
    return pictures >= _WORTH_FOR_CONTENT and cores() > _THREADS_SUFFICE


def files_together(wanted: Preparation, pictures: int) -> int:
    """Choose how many files a worker is handed at a time.

    To hand over takes some .2 ms of Python's lock, however many they are: eight at a time, a fifth
    of it at 8,000 pictures a second. Few enough for every core to have its share to the end, and
    for no more than `MOST_AHEAD` to wait.
    """
    many = pays_processes(wanted, pictures) and not wanted.details
    most = min(_DECODED_TOGETHER if many else _TOGETHER, MOST_AHEAD // (_PARTS * cores()))
    return max(1, min(most, pictures // (16 * cores())))


class ReadAhead:
    """Gives what reading gives, in the order of the list; a context manager.

    Processes do it where they pay for their start; what they decode then lies in a shelf.

    Attributes
    ----------
    shelf : where pixels lie that come with a place
    workers : who reads, such as "2 processes"; "" without work
    waited, took : seconds that workers waited for the bytes of files, and all that they took
    fetches : whether the disk was found to be slow, so that workers read several files at once
    """

    def __init__(self, store: Path, wanted: Preparation, work: Sequence[Work]) -> None:
        self._store = store
        self._wanted = wanted
        self._work = work
        self._processes = pays_processes(wanted, len(work))
        self._part = files_together(wanted, len(work))
        self._ahead = min(MOST_AHEAD, max(_AHEAD, _PARTS * cores() * self._part))
        places = self._ahead + _WAITING if self._processes else 0
        self.shelf = Shelf(places, (wanted.height, wanted.width, 3))
        self.workers = ""
        self.waited = 0.0
        self.took = 0.0
        self.fetches = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shelf.close()

    def files(self) -> Generator[Read]:
        """Give every file; closing it ends the workers."""
        if not self._work:
            return
        if self._wanted.details:
            load_details()  # here, so that a damaged vocabulary is told before anything is read
        begin = partial(file_reader, self._store, self._wanted, self.shelf.address)
        workers: Workers[Placed, Timed] = Workers(begin, processes=self._processes, lost=lost)
        self.workers = workers.description
        under_way: deque[Placed] = deque()

        def placed() -> Iterator[Placed]:
            for work in self._work:
                under_way.append(Placed(work, self.shelf.take()))
                yield under_way[-1]

        with workers:
            results = workers.run(placed(), self._ahead, self._part)
            for reading, waited, took, shelved, fetches in results:
                self.waited += waited
                self.took += took
                self.fetches |= fetches
                work, place = under_way.popleft()
                if not shelved:
                    self.shelf.give_back(place)
                    place = None
                yield Read(work, reading, place)
