"""What a kind of pair is, and how its pairs are drawn: seeded, each by itself."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hardset.files import Pair, Pixels, Rng
    from hardset.photos import Photographs

PAIRS = 16


class Asked(StrEnum):
    """What a pair has to be called."""

    DIFFERENT = "different"
    RESAVED = "resaved"
    NEAR = "near"
    PART = "part"


class Half(StrEnum):
    """Whether developers may look at a kind's pairs, or only at its rates."""

    WORK = "work"
    MEASURE = "measure"


@dataclass(frozen=True)
class Kind:
    """One way in which pairs come about.

    Parameters
    ----------
    make : gives the two files; of a copy the original first
    photographs : how many it takes; 0: drawn by code alone
    """

    name: str
    family: str
    asked: Asked
    half: Half
    make: Callable[[Rng, Sequence[Pixels]], Pair]
    photographs: int = 0

    def pair(self, number: int, photographs: Photographs | None, seed: int = 0) -> Pair:
        """Draw the pair of a number; the same each time."""
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode()), number])
        if not self.photographs:
            return self.make(rng, ())
        if photographs is None:
            raise ValueError(f"{self.name} needs photographs")
        return self.make(rng, photographs.some(self.name, number, self.photographs, rng))
