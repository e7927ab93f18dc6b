"""What a list depends on, and how its stages are named after it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

from dedup.policy import INFORMATION
from dedup.results import Tier

RECALL: Final = 0.999
"""Share of the exact pairs of a sample that cells have to find."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked of a list.

    Parameters
    ----------
    generation : of the listing
    tiers : as `Collection.duplicates` takes them
    threshold : lowest similarity of the tier `similar`
    group, keep, companions, parts : as `Collection.duplicates` takes them
    recall : as `RECALL`
    """

    generation: int
    threshold: float
    tiers: tuple[str, ...] = (
        Tier.EXACT.value,
        Tier.PIXELS.value,
        Tier.RESAVED.value,
        Tier.NEAR.value,
    )
    group: str = "cover"
    keep: tuple[str, ...] = (INFORMATION,)
    companions: bool = False
    parts: bool = True
    recall: float = RECALL

    @property
    def has_similar(self) -> bool:
        """Whether pairs count that are similar and no more."""
        return Tier.SIMILAR.value in self.tiers

    @property
    def join(self) -> str:
        """J: the folder of the stages that find pairs."""
        lowest = self.threshold if self.has_similar else None
        return f"join/{self.generation:06d}-{_digest(lowest, self.parts, self.recall)}"

    @property
    def answer(self) -> str:
        """A: what tells lists of one join apart."""
        return _digest(
            self.join, sorted(self.tiers), self.threshold, self.group, self.keep, self.companions
        )

    @property
    def groups(self) -> str:
        """The stage of the groups."""
        return f"{self.join}/group-{self.answer}"


def _digest(*values: object) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]
