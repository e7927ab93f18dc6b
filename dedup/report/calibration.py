"""What a calibration means: the promises that thresholds keep, and the curve as a chart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from dedup.answer import Answer, column
from dedup.errors import DedupError
from dedup.report.charts import Axis, Line, line_chart

if TYPE_CHECKING:
    from dedup.space.curve import Calibration

PRECISIONS: Final = (0.8, 0.9, 0.95, 0.99, 0.999)
"""Those that an answer lists, as far as they can be promised."""


@dataclass(frozen=True, slots=True)
class FoundShare:
    """The share of copies that a threshold finds, with its bounds at 95 %, all in [0, 1]."""

    share: float = field(metadata=column(decimals=4))
    low: float = field(metadata=column(decimals=4))
    high: float = field(metadata=column(decimals=4))


@dataclass(frozen=True, slots=True)
class Promise:
    """What to expect of the pairs at or above a threshold.

    Parameters
    ----------
    precision : the wanted one that this threshold keeps; None where not even the lowest listed
        can be promised
    threshold : inclusive
    promised : lower bound of the share of true pairs
    false_pairs, false_high : expected, and their upper bound
    true_pairs, true_low : expected, and their lower bound
    found : per way of editing
    """

    precision: float | None
    threshold: float = field(metadata=column(decimals=4))
    promised: float = field(metadata=column(decimals=4))
    false_pairs: float = field(metadata=column(decimals=2))
    false_high: float = field(metadata=column(decimals=2))
    true_pairs: float = field(metadata=column(decimals=2))
    true_low: float = field(metadata=column(decimals=2))
    found: dict[str, FoundShare]


@dataclass(frozen=True, slots=True)
class CalibrationAnswer(Answer[Promise]):
    """What similarities are worth in one collection.

    Parameters
    ----------
    promises : by rising precision; where none can be promised, the surest threshold alone
    images : in the collection
    edited : images that were edited
    checked : pairs that were checked
    """

    rows_in: ClassVar[str] = "promises"
    promises: tuple[Promise, ...]
    images: int
    edited: int
    checked: int
    notes: tuple[str, ...] = ()


def calibration_answer(calibration: Calibration) -> CalibrationAnswer:
    """List the promises that a calibration makes."""
    promises = []
    for precision in PRECISIONS:
        try:
            threshold = calibration.threshold_for(precision)
        except DedupError:
            break
        promises.append(_promise(calibration, precision, threshold))
    notes: tuple[str, ...] = ()
    if not promises:
        promises = [_promise(calibration, None, calibration.surest())]
        text = (
            f"No similarity promises a precision of even {PRECISIONS[0]:g} here: use the tiers "
            "exact, pixels, resaved and near, which are proven."
        )
        notes = (text,)
    return CalibrationAnswer(
        tuple(promises), calibration.images, calibration.edited, calibration.checked, notes
    )


def _promise(calibration: Calibration, precision: float | None, threshold: float) -> Promise:
    level = calibration.expected_at(threshold)
    return Promise(
        precision=precision,
        threshold=level.threshold,
        promised=level.precision,
        false_pairs=level.false_pairs,
        false_high=level.false_high,
        true_pairs=level.true_pairs,
        true_low=level.true_low,
        found={
            way: FoundShare(found.share, found.low, found.high)
            for way, found in level.found.items()
        },
    )


def calibration_chart(calibration: Calibration) -> str:
    """Draw what each threshold promises and finds; gives the text of an SVG file."""
    expected = [(at, calibration.expected_at(at)) for at in calibration.thresholds]
    lines = [Line("promised precision", [(at, one.precision) for at, one in expected], dashed=True)]
    lines += [
        Line(way, [(at, one.found[way].share) for at, one in expected])
        for way in calibration.recall
    ]
    return line_chart(
        f"What a similarity finds among {calibration.images:,} images",
        Axis("threshold", calibration.thresholds[0], 1.0),
        Axis("share of the copies found", 0.0, 1.0),
        lines,
    )
