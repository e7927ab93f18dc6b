"""Confidence bounds in closed form: of proportions, of weighted counts, and of a tail.

Nothing here knows images; the sources of the formulas are named where they are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

ONE_SIDED_90_SIGMAS = 1.2816
"""Standard deviations of a one-sided bound at 90 %."""

_TWO_SIDED_95_SIGMAS = 1.96
_SIMILARITY_STEP = 1e-6  # similarities have six decimals
_TAIL_EVENTS = 50
"""Highest false pairs that the tail is fitted to: the exponent is then known to a seventh."""


def proportion_bounds(hits: int, total: int) -> tuple[float, float]:
    """Bound a proportion on both sides at 95 % (Wilson 1927); (0, 1) when nothing was tried."""
    if not total:
        return 0.0, 1.0
    z = _TWO_SIDED_95_SIGMAS
    middle = (hits + z * z / 2) / (total + z * z)
    reach = z / (total + z * z) * sqrt(hits * (total - hits) / total + z * z / 4)
    return max(0.0, middle - reach), min(1.0, middle + reach)


@dataclass(frozen=True, slots=True)
class Counts:
    """Expected numbers of pairs at thresholds, and how well they are known.

    Parameters
    ----------
    expected : (T,)
    spread : (T,) standard deviation of their logarithm
    """

    expected: Floats
    spread: Floats


@dataclass(frozen=True, slots=True)
class Events:
    """Weighted pairs of images, by falling similarity.

    Parameters
    ----------
    similarity, weight : (E,)
    """

    similarity: Floats
    weight: Floats

    def __len__(self) -> int:
        return len(self.similarity)

    def kept(self, keep: npt.NDArray[np.bool_]) -> Self:
        """Return a part of them, in the same order."""
        return type(self)(self.similarity[keep], self.weight[keep])

    def at(self, thresholds: Floats) -> Counts:
        """Sum the weights at or above thresholds; where there are none, a spread of 1.

        The sums are treated as Poisson counts: their variance is the sum of the squared weights.
        """
        # Both are rounded to 6 decimals, but as float32 and float64: half a step of tolerance.
        position = np.searchsorted(-self.similarity, -(thresholds - 5e-7), side="right")
        sums = np.concatenate([[0.0], np.cumsum(self.weight)])[position]
        squares = np.concatenate([[0.0], np.cumsum(self.weight**2)])[position]
        return Counts(sums, np.where(sums > 0, np.sqrt(squares) / np.maximum(sums, 1e-300), 1.0))


@dataclass(frozen=True, slots=True)
class Tail:
    """How the number of false pairs falls towards a similarity of 1.

    Neighbours within a radius grow as a power of it, and squared distance is 2 (1 - similarity), so
    that counts fall as ((1 - s) / (1 - start)) ** exponent, which is 0 at 1; the exponent is half
    the local dimension of the embeddings, and its estimate that of Hill (1975).

    Parameters
    ----------
    start : the similarity at which the tail begins
    count : pairs at or above it
    exponent : of the formula above
    events : the number of independent events that both were estimated from
    """

    start: float
    count: float
    exponent: float
    events: float

    @classmethod
    def fitted(cls, events: Events) -> Self:
        """Fit to the highest of the events; ValueError when there are none."""
        if not len(events):
            raise ValueError("no events to fit a tail to")
        sums, squares = np.cumsum(events.weight), np.cumsum(events.weight**2)
        independent = sums**2 / squares  # Kish (1965)
        enough = np.flatnonzero(independent >= _TAIL_EVENTS)
        last = int(enough[0]) if len(enough) else len(events) - 1
        start = float(events.similarity[last])
        weight, similarity = events.weight[: last + 1], events.similarity[: last + 1]
        logs = np.log((1 - start + _SIMILARITY_STEP) / (1 - similarity + _SIMILARITY_STEP))
        exponent = float(weight.sum() / max(_SIMILARITY_STEP, float(weight @ logs)))
        return cls(start, float(sums[last]), exponent, float(independent[last]))

    def at(self, thresholds: Floats) -> Counts:
        """Extrapolate to thresholds that are at least `start`."""
        left = np.clip(
            (1 - thresholds + _SIMILARITY_STEP) / (1 - self.start + _SIMILARITY_STEP),
            _SIMILARITY_STEP,
            1.0,
        )
        falls = -self.exponent * np.log(left)
        return Counts(self.count * np.exp(-falls), np.sqrt((1 + falls * falls) / self.events))
