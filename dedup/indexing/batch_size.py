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
_FEW: Final = 512  # the same where they take so long:
_LONG: Final = 3.0  # seconds
_KEPT: Final = 1.05  # of the rate before: what a change has to come to, to be kept
_PATIENCE: Final = 10.0  # seconds after which it has to come to half of that rate at least


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

    @property
    def found(self) -> bool:
        """Whether `size` stays as it is for the rest of the run."""
        return not self._left

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
    """Tells what a change is worth to a run.

    A trial of something by itself does not say what it is worth beside everything else.

    Attributes
    ----------
    before, after : files a second; None as long as nobody knows
    """

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_WINDOW)
        self._to_skip = 0
        self._since = 0  # files
        self._changed: float | None = None
        self._now = 0.0
        self.before: float | None = None
        self.after: float | None = None

    def passed(self, at: float) -> None:
        """Take note of a file.

        Parameters
        ----------
        at : seconds, by a clock that only goes on
        """
        self._now = at
        self._since += 1
        if self._to_skip:
            self._to_skip -= 1
            return
        self._times.append(at)

    def foresee(self) -> bool:
        """Take the rate as what it is before a change; False as long as nobody knows it."""
        self.before = self._rate()
        return self.before is not None

    def changed(self, files: int) -> None:
        """Take note of the change.

        Parameters
        ----------
        files : that were under way, and say nothing of it unless they take very long
        """
        self._times.clear()
        self._to_skip = files
        self._since = 0
        self._changed = self._now

    def kept(self) -> bool | None:
        """Tell whether the change made the run faster by more than chance; None: nobody knows."""
        if self.before is None or self._changed is None:
            return None
        self.after = self._rate()
        taken = self._now - self._changed
        if self.after is None and taken >= _PATIENCE and self._since < self.before * taken / 2:
            self.after = self._since / taken
        return None if self.after is None else self.after >= _KEPT * self.before

    def _rate(self) -> float | None:
        """Files a second over a whole window; None until there were so many."""
        times = self._times
        if len(times) < 2:  # noqa: PLR2004
            return None
        seconds = max(times[-1] - times[0], 1e-9)
        if len(times) < _WINDOW and (len(times) < _FEW or seconds < _LONG):
            return None
        return (len(times) - 1) / seconds
