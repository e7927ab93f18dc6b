"""Pairs of files as rows: what `dedup list --pairs` gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from dedup.answer import Answer, column
from dedup.results import Tier  # noqa: TC001 - tables read the types of fields


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files that hold the same image, or images that look alike.

    Parameters
    ----------
    first : the one that is more worth keeping
    evidence : of the second as against the first, in words
    """

    first: str
    second: str
    tier: Tier
    similarity: float = field(metadata=column(decimals=4))
    evidence: str


@dataclass(frozen=True, slots=True)
class PairsAnswer(Answer[Pair]):
    """Pairs of files, the surest tier first, then by their paths.

    Parameters
    ----------
    threshold : lowest similarity of the tier `similar` that counted, inclusive
    """

    rows_in: ClassVar[str] = "pairs"
    pairs: tuple[Pair, ...]
    threshold: float
    notes: tuple[str, ...] = ()
