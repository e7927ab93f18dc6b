"""The curve of a collection: what a threshold finds there, and how much of it is wrong.

Measured by `calibration`, stored as JSON with the collection, and asked for the threshold of a
wanted precision. Counts belong to a number of images. For another number, false pairs are assumed
to grow with its square, as pairs do, and true pairs in proportion, as copies do.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import exp
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dedup.errors import DedupError
from dedup.space.bounds import ONE_SIDED_90_SIGMAS, proportion_bounds

if TYPE_CHECKING:
    import numpy.typing as npt

_VERSION = 2  # in version 1, `edited` was called "pictures"
_DEFAULT_PRECISION = 0.9

MIN_TRUE_PAIRS_PER_IMAGE = 0.01
"""True pairs per image that a collection is assumed to have when fewer were seen in it. The fewer
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
class FoundShare:
    """The share of copies that are found, with its bounds at 95 %, all in [0, 1]."""

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
    found : per way of editing, the share of copies that are found
    """

    threshold: float
    precision: float
    false_pairs: float
    false_high: float
    true_pairs: float
    true_low: float
    found: dict[str, FoundShare]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The curve of a collection.

    Parameters
    ----------
    images : N, those that can be paired, when it was measured
    edited : how many of them were edited
    checked : how many pairs were proven or refuted, or decided by a person
    seed : what the sample was drawn with
    verifier : the version of the check on pairs
    thresholds : rising to 1
    false_pairs, true_pairs : per threshold, expected pairs at or above it in all N images
    false_spread, true_spread : standard deviations of their logarithms
    recall : per way of editing
    """

    images: int
    edited: int
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
        """Return the lowest threshold from which on a precision is promised.

        Parameters
        ----------
        precision : in (0, 1): the share of the pairs at or above the threshold that are one
            photograph, in any tier, is expected to be at least this
        count : images in the collection now; None: as many as when it was measured

        Raises
        ------
        DedupError : no threshold has that precision.
        """
        if precision <= 0:
            raise ValueError(f"a precision is above 0, got {precision}")
        if precision >= 1:
            raise DedupError(
                "no similarity is certain: a precision of 1 takes a proof on each pair. "
                "Use --tier exact,pixels,resaved,near instead of --precision 1"
            )
        promised = self._promised(count or self.images)
        best = int(np.argmax(promised))
        if promised[best] < precision:
            raise DedupError(
                f"in this collection no similarity promises a precision of {precision:g}; the "
                f"highest promise is {np.floor(promised[best] * 1000) / 1000:g}. Ask for less, or "
                "use --tier exact,pixels,resaved,near, which are proven pair by pair"
            )
        below = np.flatnonzero(promised[:best] < precision)
        return self.thresholds[int(below[-1]) + 1 if len(below) else 0]

    def default_threshold(self, count: int | None = None) -> float:
        """Return the threshold that is used when none is asked for.

        The one that promises nine true pairs in ten, which a person can look through; else the
        surest.
        """
        try:
            return self.threshold_for(_DEFAULT_PRECISION, count)
        except DedupError:
            return self.surest(count)

    def surest(self, count: int | None = None) -> float:
        """Return the threshold of the highest promise, the lowest of several."""
        return self.thresholds[int(np.argmax(self._promised(count or self.images)))]

    def expected_at(self, threshold: float, count: int | None = None) -> Expectation:
        """Say what to expect at a threshold, by the nearest threshold of the curve from above.

        Below the lowest threshold of the curve: what holds there.
        """
        position = int(np.searchsorted(self.thresholds, threshold - 1e-9))
        position = min(position, len(self.thresholds) - 1)
        count = count or self.images
        pairs, images = self._growth(count)
        return Expectation(
            threshold=threshold,
            precision=float(self._promised(count)[position]),
            false_pairs=self.false_pairs[position] * pairs,
            false_high=self.false_pairs[position]
            * pairs
            * exp(ONE_SIDED_90_SIGMAS * self.false_spread[position]),
            true_pairs=self.true_pairs[position] * images,
            true_low=self.true_pairs[position]
            * images
            * exp(-ONE_SIDED_90_SIGMAS * self.true_spread[position]),
            found={
                name: FoundShare(
                    one.found[position] / max(1, one.total),
                    *proportion_bounds(one.found[position], one.total),
                )
                for name, one in self.recall.items()
            },
        )

    def _growth(self, count: int) -> tuple[float, float]:
        """Factors by which false and true pairs grow to `count` images."""
        return count * (count - 1) / (self.images * (self.images - 1)), count / self.images

    def _promised(self, count: int) -> npt.NDArray[np.float64]:
        """Lower bound of the precision per threshold, at 90 %.

        The logarithm of false over true pairs is treated as normal.
        """
        pairs, images = self._growth(count)
        true = np.array(self.true_pairs) * images
        total = max(1, sum(one.total for one in self.recall.values()))
        found = np.sum([one.found for one in self.recall.values()], axis=0) / total
        least = MIN_TRUE_PAIRS_PER_IMAGE * count * found
        spread = np.where(true > least, self.true_spread, 0.0)
        true = np.maximum(true, least)
        odds = np.array(self.false_pairs) * pairs / np.maximum(true, 1e-300)
        odds = odds * np.exp(ONE_SIDED_90_SIGMAS * np.hypot(spread, self.false_spread))
        promised: npt.NDArray[np.float64] = np.where(true > 0, 1 / (1 + odds), 0.0)
        return promised

    def to_json(self) -> str:
        """Serialise; `from_json` returns an equal calibration."""
        return json.dumps({"calibration": _VERSION, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError : not a calibration, or one of a later version.
        """
        fields = json.loads(text)
        version = fields.pop("calibration", None) if isinstance(fields, dict) else None
        if version not in {1, _VERSION}:
            raise ValueError("not a calibration, or one of another version")
        if version == 1 and "pictures" in fields:
            fields["edited"] = fields.pop("pictures")
        try:
            recall = {
                name: Recall(tuple(one["found"]), one["total"])
                for name, one in fields.pop("recall").items()
            }
            return cls(**{name: _frozen(value) for name, value in fields.items()}, recall=recall)
        except (KeyError, TypeError) as error:
            raise ValueError("not a calibration, or one of another version") from error


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
