"""Which classes of new images are in a collection already: what leaks, class by class."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from dedup.answer import Answer, column
from dedup.results import Tier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dedup.datasets.labels import Label
    from dedup.results import Comparison, Skip


@dataclass(frozen=True, slots=True)
class ClassLeak:
    """How many of the new images of a class are there already.

    Parameters
    ----------
    label : "" for images without one
    images : new ones that could be read; one with several labels counts for each
    found : of them, there already
    share : of them, in [0, 1]
    exact, pixels, resaved, near, similar : of those found, by tier
    """

    label: str
    images: int
    found: int
    share: float = field(metadata=column(decimals=4))
    exact: int = 0
    pixels: int = 0
    resaved: int = 0
    near: int = 0
    similar: int = 0


@dataclass(frozen=True, slots=True)
class ClassesAnswer(Answer[ClassLeak]):
    """Classes of new images, those first of which the largest share is there already.

    Parameters
    ----------
    comparison : of the images
    """

    rows_in: ClassVar[str] = "classes"
    classes: tuple[ClassLeak, ...]
    comparison: Comparison
    skipped: tuple[Skip, ...]
    notes: tuple[str, ...] = ()


def by_class(labels: Mapping[str, Label], comparison: Comparison) -> tuple[ClassLeak, ...]:
    """Count matches by the class of the new image.

    Parameters
    ----------
    labels : of every new image that could be read, by its path as it was given
    """
    images: Counter[str] = Counter()
    tiers: dict[str, Counter[Tier]] = {}
    for every in labels.values():
        images.update(every or ("",))
    for match in comparison:
        for one in labels.get(match.path) or ("",):
            tiers.setdefault(one, Counter())[match.tier] += 1
    rows = []
    for label, count in images.items():
        own = tiers.get(label, Counter())
        found = own.total()
        rows.append(ClassLeak(label, count, found, found / count, *(own[tier] for tier in Tier)))
    return tuple(sorted(rows, key=lambda row: (-row.share, -row.found, row.label)))
