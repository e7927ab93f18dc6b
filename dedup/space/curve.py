"""The curve of a collection: what a threshold finds there, and how much of it is wrong.

Made by `calibrate`, kept as JSON with the collection, and asked for the threshold that keeps a
promise. Counts belong to a number of images; for another number, false pairs are taken to grow
with its square, as pairs do, and true ones with itself, as copies do.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import exp
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dedup.errors import DedupError
from dedup.space.bounds import SURE, share_bounds

if TYPE_CHECKING:
    import numpy.typing as npt

_VERSION = 1
_USUAL = 0.9

PRIOR = 0.01
"""True pairs per image that a collection is taken to have when fewer were seen in it. The fewer
there are, the higher a threshold has to be; with none at all no threshold has a precision."""


@dataclass(frozen=True, slots=True)
class Recall:
    """How many copies of one kind are at least as similar to their original as each threshold.

    Parameters
    ----------
    found : per threshold of the curve
    total : how many were made
    """

    found: tuple[int, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Found:
    """A share of copies that is found, with its bounds at 95 %, all in [0, 1]."""

    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Expectation:
    """What to expect of the pairs at or above a threshold.

    Parameters
    ----------
    threshold : inclusive
    precision : lower bound of the share of true pairs among them
    false_pairs, false_high : expected, and their upper bound
    true_pairs, true_low : expected, and their lower bound
    found : per way of editing, the share of copies that is found
    """

    threshold: float
    precision: float
    false_pairs: float
    false_high: float
    true_pairs: float
    true_low: float
    found: dict[str, Found]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The curve of a collection.

    Parameters
    ----------
    images : N, those that can be paired, when it was measured
    pictures : how many of them were edited
    checked : how many pairs were looked at, or decided by a person
    seed : what the sample was drawn with
    verifier : the version of the check on pairs
    thresholds : rising to 1
    false_pairs, true_pairs : per threshold, expected pairs at or above it in all N images
    false_spread, true_spread : standard deviations of their logarithms
    recall : per way of editing
    """

    images: int
    pictures: int
    checked: int
    seed: int
    verifier: str
    thresholds: tuple[float, ...]
    false_pairs: tuple[float, ...]
    false_spread: tuple[float, ...]
    true_pairs: tuple[float, ...]
    true_spread: tuple[float, ...]
    recall: dict[str, Recall]

    def threshold_for(self, precision: float, count: int | None = None) -> float:
        """Give the lowest threshold that keeps a promise.

        Parameters
        ----------
        precision : in (0, 1): the share of the pairs at or above the threshold that are one
            photograph, in any tier, is expected to be at least this
        count : images in the collection now; None: as many as when it was measured

        Raises
        ------
        DedupError : no threshold promises so much.
        """
        if precision <= 0:
            raise ValueError(f"a precision is above 0, got {precision}")
        if precision >= 1:
            raise DedupError(
                "no similarity is certain: a precision of 1 takes a proof on each pair. "
                "Use --tier exact,pixels,near instead of --precision 1"
            )
        promised = self._promised(count or self.images)
        best = int(np.argmax(promised))
        if promised[best] < precision:
            raise DedupError(
                f"in this collection no similarity promises a precision of {precision:g}; the "
                f"highest promise is {np.floor(promised[best] * 1000) / 1000:g}. Ask for less, or "
                "use --tier exact,pixels,near, which are proven pair by pair"
            )
        below = np.flatnonzero(promised[:best] < precision)
        return self.thresholds[int(below[-1]) + 1 if len(below) else 0]

    def default_threshold(self, count: int | None = None) -> float:
        """Give the threshold that serves unless told otherwise.

        The one that promises nine true pairs of ten, which a person can look through; else the
        surest.
        """
        try:
            return self.threshold_for(_USUAL, count)
        except DedupError:
            return self.surest(count)

    def surest(self, count: int | None = None) -> float:
        """Give the threshold that promises most, the lowest of several."""
        return self.thresholds[int(np.argmax(self._promised(count or self.images)))]

    def expected_at(self, threshold: float, count: int | None = None) -> Expectation:
        """Tell what to expect at a threshold: that of the nearest one of the curve from above.

        Below the curve's lowest threshold, what holds there.
        """
        place = int(np.searchsorted(self.thresholds, threshold - 1e-9))
        place = min(place, len(self.thresholds) - 1)
        count = count or self.images
        pairs, images = self._growth(count)
        return Expectation(
            threshold=threshold,
            precision=float(self._promised(count)[place]),
            false_pairs=self.false_pairs[place] * pairs,
            false_high=self.false_pairs[place] * pairs * exp(SURE * self.false_spread[place]),
            true_pairs=self.true_pairs[place] * images,
            true_low=self.true_pairs[place] * images * exp(-SURE * self.true_spread[place]),
            found={
                name: Found(
                    one.found[place] / max(1, one.total), *share_bounds(one.found[place], one.total)
                )
                for name, one in self.recall.items()
            },
        )

    def _growth(self, count: int) -> tuple[float, float]:
        """By how much false and true pairs grow when there are `count` images."""
        return count * (count - 1) / (self.images * (self.images - 1)), count / self.images

    def _promised(self, count: int) -> npt.NDArray[np.float64]:
        """Lower bound of the precision per threshold, at 90 %.

        The logarithm of false over true pairs is taken for normal.
        """
        pairs, images = self._growth(count)
        true = np.array(self.true_pairs) * images
        total = max(1, sum(one.total for one in self.recall.values()))
        found = np.sum([one.found for one in self.recall.values()], axis=0) / total
        least = PRIOR * count * found
        spread = np.where(true > least, self.true_spread, 0.0)
        true = np.maximum(true, least)
        odds = np.array(self.false_pairs) * pairs / np.maximum(true, 1e-300)
        odds = odds * np.exp(SURE * np.hypot(spread, self.false_spread))
        promised: npt.NDArray[np.float64] = np.where(true > 0, 1 / (1 + odds), 0.0)
        return promised

    def to_json(self) -> str:
        """Write down; `from_json` gives an equal calibration."""
        return json.dumps({"calibration": _VERSION, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError : it is none, or one of another version.
        """
        fields = json.loads(text)
        if not isinstance(fields, dict) or fields.pop("calibration", None) != _VERSION:
            raise ValueError("no calibration, or one of another version")
        recall = {
            name: Recall(tuple(one["found"]), one["total"])
            for name, one in fields.pop("recall").items()
        }
        try:
            return cls(**{name: _frozen(value) for name, value in fields.items()}, recall=recall)
        except TypeError as error:
            raise ValueError("no calibration, or one of another version") from error


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
