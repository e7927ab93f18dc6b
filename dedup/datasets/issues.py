"""The kinds of things that deserve a look in a data set, and from which score on.

Scores of every kind are lower for the worse, and an image is an issue where its score is below the
threshold. Each kind has a limit that says what is bad anywhere; where half a collection is near
that limit, as the light of photographs taken at night is, only its lowest twentieth counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np

from dedup.answer import Answer, column
from dedup.datasets.mislabelled import DISAGREES

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.results import Skip

_SCORE: Final = column(decimals=4)
_LOWEST: Final = 5  # per cent
_ODDEST: Final = 1
_LEAST_ODD: Final = 100  # images of which one is a hundredth


class Limit(NamedTuple):
    """What is bad anywhere.

    Parameters
    ----------
    score : below which an image is an issue
    usual : where the median of a collection is below this, the kind is usual there
    """

    score: float
    usual: float


CONFLICT, MISLABELLED, OUTLIER = "conflict", "mislabelled", "outlier"
BLANK, BLURRY, DARK, BRIGHT, PLAIN = "blank", "blurry", "dark", "bright", "low_information"
ODD_SIZE, ODD_ASPECT = "odd_size", "odd_aspect"

ISSUES: Final = (
    CONFLICT, MISLABELLED, BLANK, BLURRY, DARK, BRIGHT, PLAIN, ODD_SIZE, ODD_ASPECT, OUTLIER,
)  # fmt: skip
"""In the order in which they are listed."""

OF_LABELS: Final = (CONFLICT, MISLABELLED)
OF_PIXELS: Final = (BLANK, BLURRY, DARK, BRIGHT, PLAIN)

LIMITS: Final = {
    BLANK: Limit(0.05, 0.2),
    BLURRY: Limit(0.42, 0.55),
    DARK: Limit(0.35, 0.6),
    BRIGHT: Limit(0.15, 0.3),
    PLAIN: Limit(0.4, 0.6),
    ODD_SIZE: Limit(0.25, 0.5),
    ODD_ASPECT: Limit(0.35, 0.5),
}
"""Set on 500 photographs of which at most one in a hundred is below a limit, and 100 spoiled ones
(`scripts/bench questions`)."""


@dataclass(frozen=True, slots=True)
class Issue:
    """Something about a file that deserves a look.

    Parameters
    ----------
    issue : one of `dedup.datasets.issues.ISSUES`
    score : the lower the worse; in [0, 1], of "outlier" a similarity
    threshold : what the score is below
    label : of the file; "" where it has none, or labels were not asked for
    other : of "conflict" the label of `match`, of "mislabelled" what the others suggest
    match : of "conflict" the copy with another label, of "mislabelled" the most similar image with
        the label suggested
    evidence : in words
    """

    path: str
    issue: str
    score: float = field(metadata=_SCORE)
    threshold: float = field(metadata=_SCORE)
    label: str = ""
    other: str = ""
    match: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class CheckAnswer(Answer[Issue]):
    """What deserves a look, in the order of `ISSUES`, then by rising score.

    Parameters
    ----------
    checked : files
    skipped : files of which the pixels could not be read now
    """

    rows_in: ClassVar[str] = "issues"
    issues: tuple[Issue, ...]
    checked: int
    skipped: tuple[Skip, ...] = ()
    notes: tuple[str, ...] = ()

    def count(self, issue: str) -> int:
        """Count the files with an issue."""
        return sum(one.issue == issue for one in self.issues)


def threshold_of(issue: str, scores: npt.NDArray[np.float64]) -> float:
    """Give the threshold of a kind of issue in a collection.

    Parameters
    ----------
    scores : of its images; NaN where there is none
    """
    known = scores[~np.isnan(scores)]
    if issue == CONFLICT:
        return 1.0
    if issue == MISLABELLED:
        return DISAGREES
    if not len(known):
        return 0.0
    if issue == OUTLIER:
        enough = len(known) >= _LEAST_ODD
        return float(np.percentile(known, _ODDEST)) if enough else -1.0
    limit = LIMITS[issue]
    if float(np.median(known)) >= limit.usual:
        return limit.score
    return min(limit.score, float(np.percentile(known, _LOWEST)))


def size_scores(
    width: npt.NDArray[np.int32], height: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    """Say how near the side of each image, as a square, is to the median one: the smaller part."""
    side = np.sqrt(width.astype(np.float64) * height)
    middle = float(np.median(side)) if len(side) else 1.0
    return np.asarray(np.minimum(side / middle, middle / side))


def aspect_scores(
    width: npt.NDArray[np.int32], height: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    """Give the shorter side of each image as a share of the longer one."""
    return np.asarray(np.minimum(width, height) / np.maximum(width, height))
