"""How a run keeps its machine busy: pictures to a forward pass, faster passes, what a change gains.

It is found out while the run's own pictures are worked on, so that finding out costs nothing. None
of it changes what comes out.
"""

from __future__ import annotations

import statistics
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROUNDS: Final = 4  # batches of a size; the first of them may pay for memory and is left out
_WORTH: Final = 1.03  # what a larger batch has to gain, to be worth its memory
_SHORT: Final = 2  # times the pictures that finding out takes; shorter runs do without it

_LATELY: Final = 16  # batches by which the passes to come are foretold
_WORTH_HASTE: Final = 60.0  # seconds; preparing takes some 20 and a core (measured on one H200)

_WINDOW: Final = 4096  # files over which a run's rate is taken
_LOST: Final = 0.8  # of the rate before; less than that is not chance


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


class Gain:
    """Tells when a change made a run slower than it was.

    A trial of something by itself does not say what it is worth beside everything else.
    """

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_WINDOW)
        self._before: float | None = None
        self._to_skip = 0

    def passed(self, at: float) -> None:
        """Take note of a file.

        Parameters
        ----------
        at : seconds, by a clock that only goes on
        """
        if self._to_skip:
            self._to_skip -= 1
            return
        self._times.append(at)

    def changed(self, files: int) -> None:
        """Take note of the change.

        Parameters
        ----------
        files : that were under way, and say nothing of it
        """
        self._before = self._rate()
        self._times.clear()
        self._to_skip = files

    @property
    def lost(self) -> bool:
        """Whether the run has become slower by more than chance; False as long as nobody knows."""
        if self._before is None:
            return False
        now = self._rate()
        return now is not None and now < _LOST * self._before

    def _rate(self) -> float | None:
        """Files a second over a whole window; None until there were so many."""
        if len(self._times) < _WINDOW:
            return None
        return (_WINDOW - 1) / max(self._times[-1] - self._times[0], 1e-9)
