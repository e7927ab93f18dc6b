"""How a run keeps its machine busy: pictures to a forward pass, faster passes, files asked ahead.

All are found out while the run's own first pictures are worked on, so that finding out costs
nothing. None changes what comes out.
"""

from __future__ import annotations

import os
import statistics
from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self

from dedup.images.scan import PEEK_FLAGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dedup.indexing.worklist import Work

_ROUNDS: Final = 4  # batches of a size; the first of them may pay for memory and is left out
_WORTH: Final = 1.03  # what a larger batch has to gain, to be worth its memory
_SHORT: Final = 2  # times the pictures that finding out takes; shorter runs do without it

_LATELY: Final = 16  # batches by which the passes to come are foretold
_WORTH_HASTE: Final = 60.0  # seconds; preparing takes some 20 and a core (measured on one H200)

_LOOK: Final = 64  # files by which the disk is judged
_SLOW: Final = 0.25  # share of the workers' time that a slow disk takes
_FILES_AHEAD: Final = 128
_BYTES_AHEAD: Final = 256 << 20
_ASKERS: Final = 8  # opening a file on another machine waits for an answer, too


class BatchSize:
    """Finds the smallest batch that is as fast as any.

    Parameters
    ----------
    sizes : to choose from, rising; the one in use without a choice is `usual`
    pictures : how many there may be in the run

    Attributes
    ----------
    size : for the next batch
    """

    def __init__(self, sizes: Sequence[int], usual: int, pictures: int) -> None:
        self.size = usual
        self._rates: dict[int, list[float]] = defaultdict(list)
        enough = pictures >= _SHORT * _ROUNDS * sum(sizes)
        self._left = deque(size for size in sizes for _ in range(_ROUNDS)) if enough else deque()
        self._advance()

    def took(self, pictures: int, seconds: float) -> None:
        """Tell how long a batch took; called in the order of the batches."""
        if not self._left or pictures != self._left[0]:
            return
        self._left.popleft()
        self._rates[pictures].append(pictures / seconds)
        if self._left:
            self._advance()
            return
        rates = {size: statistics.median(each[1:]) for size, each in self._rates.items()}
        best = max(rates.values())
        self.size = min(size for size, rate in rates.items() if rate * _WORTH >= best)

    def _advance(self) -> None:
        if self._left:
            self.size = self._left[0]


class Haste:
    """Tells, once, when a run waits so long for passes that faster ones are worth preparing."""

    def __init__(self) -> None:
        self._lately: deque[float] = deque(maxlen=_LATELY)
        self._told = False

    def waited(self, seconds: float, files: int, left: int) -> bool:
        """Take note of a batch.

        Parameters
        ----------
        seconds : that the run did nothing but wait for the pass
        files : of the batch
        left : files still to come

        Returns
        -------
        True when the rest of the run would wait for `_WORTH_HASTE` seconds at least.
        """
        self._lately.append(seconds / max(1, files))
        if self._told or len(self._lately) < _LATELY:
            return False
        self._told = statistics.median(self._lately) * left >= _WORTH_HASTE
        return self._told


class Ahead:
    """Asks the system for files before workers come to them, where the disk keeps these waiting.

    A worker that waits for a disk or another machine does nothing meanwhile; asked for early, many
    files are on their way at once. Where files come from memory or a fast disk, nothing is done.
    A context manager.

    Parameters
    ----------
    work : in the order in which it is worked on

    Attributes
    ----------
    asks : whether the disk was found to be slow
    waited, took : seconds that workers waited for files, and all that they took for them
    """

    def __init__(self, work: Sequence[Work]) -> None:
        self._work = work
        self._passed = 0
        self._next = 0
        self._bytes = 0  # of what was asked for and not passed yet
        self._pool = ThreadPoolExecutor(_ASKERS, thread_name_prefix="ahead")
        self.asks = False
        self.waited = 0.0
        self.took = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def passed(self, waited: float, took: float) -> None:
        """Tell that the next file of the list was read.

        Parameters
        ----------
        waited : seconds until its bytes were there
        took : seconds in all
        """
        if self._passed < self._next:
            self._bytes -= self._work[self._passed].file.size
        self._passed += 1
        self.waited += waited
        self.took += took
        if self._passed == _LOOK:
            slow = self.waited > _SLOW * self.took
            self.asks = slow and hasattr(os, "posix_fadvise")
        if self.asks:
            self._ask()

    def _ask(self) -> None:
        self._next = max(self._next, self._passed)
        end = min(len(self._work), self._passed + _FILES_AHEAD)
        while self._next < end and self._bytes < _BYTES_AHEAD:
            work = self._work[self._next]
            self._bytes += work.file.size
            self._next += 1
            self._pool.submit(_ask_for, work.path)


def _ask_for(path: bytes) -> None:
    try:
        descriptor = os.open(path, PEEK_FLAGS)
    except OSError:
        return  # whoever reads it says why
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
    except OSError:
        return
    finally:
        os.close(descriptor)
