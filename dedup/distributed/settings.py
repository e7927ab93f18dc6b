"""What a list depends on, and how its stages are named after it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dedup.policy import INFORMATION
from dedup.records import TRAITS, VERIFIER
from dedup.results import Tier

if TYPE_CHECKING:
    from dedup.distributed.storage import Storage

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
    shards : that the generation and those before it listed; None: whatever is embedded
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
    shards: int | None = None

    @property
    def has_similar(self) -> bool:
        """Whether pairs count that are similar and no more."""
        return Tier.SIMILAR.value in self.tiers

    @property
    def join(self) -> str:
        """J: the folder of the stages that find pairs."""
        lowest = self.threshold if self.has_similar else None
        return f"join/{self.generation:06d}-{_digest(lowest, self.parts, self.recall, VERIFIER)}"

    @property
    def answer(self) -> str:
        """A: what, besides the pairs, the groups of files depend on."""
        return _digest(
            sorted(self.tiers), self.threshold, self.group, self.keep, self.companions,
            VERIFIER, TRAITS,
        )  # fmt: skip

    @property
    def gathered(self) -> str:
        """The stage of the rows of families."""
        return f"{self.join}/gather-{self.answer}"

    @property
    def rounds(self) -> str:
        """The stage that says which chunks were gathered together."""
        return f"{self.join}/rounds-{self.answer}"

    @property
    def groups(self) -> str:
        """The stage of the groups."""
        return f"groups/{self.answer}"


def join_names(storage: Storage) -> list[str]:
    """Name the joins that are there, as `Settings.join` does, the oldest generation first."""
    return sorted({"/".join(entry.key.split("/")[:2]) for entry in storage.list("join")})


def _digest(*values: object) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]
