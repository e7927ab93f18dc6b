"""What the proof on a pair says: its checks with their figures, and the verdict.

Types only, so that the check (`verify`) and its wording (`wording`) need not know each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dedup.results import Tier
from dedup.store.pairs import StoredVerdict

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]

NO_COMMON_PARTS = "no common parts found"
"""What is said of a pair that a first look at parts refuted, and of no other."""


@dataclass(frozen=True, slots=True)
class Check:
    """One figure of the proof against its limit.

    Parameters
    ----------
    name : in plain words
    value, limit : in the same unit
    passed : whether the value is on the right side of the limit, itself included
    """

    name: str
    value: float
    limit: float
    passed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What the proof found.

    Parameters
    ----------
    near : the same photograph, edited or saved again
    evidence : in plain words, of the second image as against the first
    checks : in the order they were made; the first that failed ends the list
    overlap : part in [0, 1] of the first and of the second image that both show
    transform : (3, 3), the second's described pixels to the first's; None where none was found
    mirrored : one is the other's mirror image
    rotation : degrees, counter-clockwise as seen, that the second was turned against the first
    scale : described pixels of the first per described pixel of the second
    inliers : local features that agree on the placing; 0 where it was found without them
    residual : median difference in grey levels once light and colour are mapped
    resaved : the whole image, with nothing but its size, format or compression changed
    backwards : as `evidence`, of the first image as against the second
    derived : as in `StoredVerdict`
    drawn : share of the overlap that something drawn covers
    softer : 1 or 2 for the image that is the less sharp at one size, 0 where they are alike
    sharpened : rather than that one blurred, the other one is sharpened; None: either may be so
    """

    near: bool
    evidence: str
    checks: tuple[Check, ...]
    overlap: tuple[float, float] = (0.0, 0.0)
    transform: Doubles | None = None
    mirrored: bool = False
    rotation: float = 0.0
    scale: float = 1.0
    inliers: int = 0
    residual: float = 0.0
    resaved: bool = False
    backwards: str = ""
    derived: int = 0
    drawn: float = 0.0
    softer: int = 0
    sharpened: bool | None = False

    @property
    def tilt(self) -> float:
        """Degrees by which it is off a turn by quarters, at most 45."""
        return abs((self.rotation + 45) % 90 - 45)

    @property
    def stored(self) -> StoredVerdict:
        """What of it is kept in a catalog."""
        tier = Tier.RESAVED if self.resaved else Tier.NEAR if self.near else None
        return StoredVerdict(tier, self.evidence, self.backwards or self.evidence, self.derived)
