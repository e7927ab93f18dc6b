"""How well found pairs agree with what is known: precision, recall, µAP, and tier against tier.

Pure counting over pairs of names. A pair of two images that the truth mentions is judged: with the
tier that the truth gives it, or as different when it gives none. Pairs with an image that the truth
does not mention are counted, and not judged. `truth` reads files and finds their names.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

from dedup.answer import Answer, column
from dedup.report.charts import Axis, Line, line_chart
from dedup.results import IMAGE_TIERS, Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

NamePair = tuple[str, str]
FoundPair = tuple[str, str, Tier, float]

PROVEN = Tier.NEAR
"""The loosest tier that means one photograph."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of some images.

    Parameters
    ----------
    images : the ones that are mentioned
    tiers : per pair of them, first < second; pairs that are missing are different images
    """

    images: frozenset[str]
    tiers: Mapping[NamePair, Tier]


@dataclass(frozen=True, slots=True)
class Level:
    """The pairs found in a tier and in all surer ones.

    Parameters
    ----------
    found : those that are judged
    right : of these, one photograph in truth
    precision : None when nothing was found
    recall : None when there is nothing to find
    """

    tier: Tier
    found: int
    right: int
    precision: float | None = field(metadata=column(decimals=4))
    recall: float | None = field(metadata=column(decimals=4))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How found pairs agree with a truth.

    Parameters
    ----------
    images : mentioned in the truth
    judged : pairs of them
    true_pairs : of these, one photograph (tier `near` or a surer one)
    unjudged : pairs found that hold an image which the truth does not mention
    levels : surest first
    confusion : (tier in truth, tier found) to pairs; None for different, and for not found
    average_precision : µAP of all judged pairs, ranked by tier, then by similarity
    average_precision_by_similarity : ranked by similarity alone
    curve : (recall, precision) down the ranking by tier and similarity, after each tie
    """

    images: int
    judged: int
    true_pairs: int
    unjudged: int
    levels: tuple[Level, ...]
    confusion: Mapping[tuple[Tier | None, Tier | None], int]
    average_precision: float | None
    average_precision_by_similarity: float | None
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class EvaluationAnswer(Answer[Level]):
    """An evaluation, and the names in the truth that could not be judged.

    Iterates over the levels of the evaluation.

    Parameters
    ----------
    missing : names that mean no file of the collection, sorted
    ambiguous : names that mean several, sorted
    """

    rows_in: ClassVar[str] = "levels"
    evaluation: Evaluation
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels of the evaluation, surest first."""
        return self.evaluation.levels


def evaluate(truth: Truth, pairs: Iterable[FoundPair]) -> Evaluation:
    """Compare found pairs with what is known.

    Parameters
    ----------
    pairs : (name, name, tier, similarity) in any order; of a pair that comes twice the surer tier
        counts
    """
    found, unjudged = _judged(truth, pairs)
    true_pairs = sum(map(_is_true, truth.tiers.values()))
    ranked = [
        (tier, similarity, _is_true(truth.tiers.get(pair)))
        for pair, (tier, similarity) in found.items()
    ]
    judged = len(truth.images) * (len(truth.images) - 1) // 2
    curve = _curve(ranked, lambda row: (row[0].looseness, -row[1]), true_pairs)
    by_similarity = _curve(ranked, lambda row: (-row[1],), true_pairs)
    return Evaluation(
        images=len(truth.images),
        judged=judged,
        true_pairs=true_pairs,
        unjudged=unjudged,
        levels=tuple(_level(tier, ranked, true_pairs) for tier in IMAGE_TIERS),
        confusion=_confusion(truth, found, judged),
        average_precision=_area(curve) if true_pairs else None,
        average_precision_by_similarity=_area(by_similarity) if true_pairs else None,
        curve=tuple(curve),
    )


def _is_true(tier: Tier | None) -> bool:
    return tier is not None and tier.looseness <= PROVEN.looseness


def _judged(
    truth: Truth, pairs: Iterable[FoundPair]
) -> tuple[dict[NamePair, tuple[Tier, float]], int]:
    found: dict[NamePair, tuple[Tier, float]] = {}
    others: set[NamePair] = set()
    for first, second, tier, similarity in pairs:
        if first == second:
            raise ValueError(f"a pair of {first!r} with itself")
        pair = (first, second) if first < second else (second, first)
        if first not in truth.images or second not in truth.images:
            others.add(pair)
        elif pair not in found or tier.looseness < found[pair][0].looseness:
            found[pair] = tier, similarity
    return found, len(others)


def _level(tier: Tier, ranked: Sequence[tuple[Tier, float, bool]], true_pairs: int) -> Level:
    kept = [right for found, _, right in ranked if found.looseness <= tier.looseness]
    right = sum(kept)
    return Level(
        tier,
        len(kept),
        right,
        right / len(kept) if kept else None,
        right / true_pairs if true_pairs else None,
    )


def _confusion(
    truth: Truth, found: Mapping[NamePair, tuple[Tier, float]], judged: int
) -> dict[tuple[Tier | None, Tier | None], int]:
    counts: Counter[tuple[Tier | None, Tier | None]] = Counter()
    for pair, (tier, _) in found.items():
        counts[truth.tiers.get(pair), tier] += 1
    for pair, known in truth.tiers.items():
        if pair not in found:
            counts[known, None] += 1
    counts[None, None] = judged - sum(counts.values())
    return {
        (known, tier): counts[known, tier]
        for known in (*IMAGE_TIERS, None)
        for tier in (*IMAGE_TIERS, None)
    }


def _curve(
    ranked: Iterable[tuple[Tier, float, bool]],
    rank: Callable[[tuple[Tier, float, bool]], tuple[float, ...]],
    true_pairs: int,
) -> list[tuple[float, float]]:
    """Recall and precision after each rank; pairs that tie count together."""
    points = []
    right = seen = 0
    for _, tied in groupby(sorted(ranked, key=rank), key=rank):
        verdicts = [row[2] for row in tied]
        right += sum(verdicts)
        seen += len(verdicts)
        points.append((right / true_pairs if true_pairs else 0.0, right / seen))
    return points


def _area(curve: Iterable[tuple[float, float]]) -> float:
    """Precision averaged over the true pairs; those that were never found count zero."""
    area, before = 0.0, 0.0
    for recall, precision in curve:
        area += (recall - before) * precision
        before = recall
    return area


def evaluation_chart(evaluation: Evaluation) -> str:
    """Draw precision over recall; gives the text of an SVG file."""
    return line_chart(
        f"Precision over recall of {evaluation.judged:,} pairs",
        Axis("recall", 0.0, 1.0),
        Axis("precision", 0.0, 1.0),
        [Line("tier, then similarity", evaluation.curve)],
    )
