"""The tier of a pair, and its evidence in words: decided and worded here and nowhere else.

`list`, `compare` and `why` collect the facts of a pair in their own ways, and all ask here what
these make of it. A further tier is a line in `_HOLDS`, its words in `evidence`, and what is missing
for it in `missing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from dedup.results import Group, Tier
from dedup.search.similarity import inclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dedup.proof import Verdict
    from dedup.results import Duplicate
    from dedup.store.pairs import StoredVerdict

ALL_TIERS: Final = frozenset(Tier)
PROVEN: Final = frozenset({Tier.RESAVED, Tier.NEAR})
"""The tiers that a proof on the two images decides."""
SURE: Final = ALL_TIERS - {Tier.SIMILAR}
"""The tiers that do not rest on a similarity."""
COPIES: Final = frozenset({Tier.EXACT, Tier.PIXELS, Tier.RESAVED})
"""The tiers in which nothing is lost with a file; edited versions and look-alikes are none."""

CANDIDATES: Final = 20
"""Nearest others of an image that are proven or refuted, as far as they reach the floor: of 1,800
edited copies 99.5 % have their original among them, by content and details together; by details
alone 98.4 %, by `mobilenetv2_100` alone 99.4 % (`scripts/bench quality`, docs/benchmarks.md)."""


def reclaimable(duplicates: Iterable[Duplicate]) -> int:
    """Add up the bytes of what may go without a loss."""
    return sum(one.bytes for one in duplicates if one.tier in COPIES)


def group_of(
    number: int,
    keeper: str,
    duplicates: Iterable[Duplicate],
    min_similarity: float,
    kept_because: str,
) -> Group:
    """Make a group of its keeper and its duplicates, whose tier is the loosest of theirs."""
    members = tuple(duplicates)
    return Group(
        number=number,
        tier=max((one.tier for one in members), key=lambda tier: tier.looseness),
        keeper=keeper,
        min_similarity=min_similarity,
        reclaimable_bytes=reclaimable(members),
        duplicates=members,
        kept_because=kept_because,
    )


def compares_pixels(tiers: frozenset[Tier]) -> bool:
    """Tell whether these tiers take a comparison of pixels.

    A pair never counts in a looser tier than its own, so that what is surer is found out first.
    """
    return _loosest(tiers) >= Tier.PIXELS.looseness


def takes_proof(tiers: frozenset[Tier]) -> bool:
    """Tell whether these tiers take a proof, as `compares_pixels`."""
    return _loosest(tiers) >= Tier.RESAVED.looseness


def _loosest(tiers: frozenset[Tier]) -> int:
    return max((tier.looseness for tier in tiers), default=-1)


class PairFacts(NamedTuple):
    """What is known of a pair of images.

    Parameters
    ----------
    verdict : of the proof; None where the pair was not checked
    alike : the similarity reaches the threshold, see `reaches`
    trivial : one of them is blank or tiny, so that similarity and proof mean nothing
    ignored : a person said that they are no duplicates
    named : one of them is a name with a vector, which cannot be read
    """

    same_bytes: bool = False
    same_pixels: bool = False
    verdict: StoredVerdict | None = None
    alike: bool = False
    trivial: bool = False
    ignored: bool = False
    named: bool = False


class ImageFile(NamedTuple):
    """What evidence says of one side of a pair.

    Parameters
    ----------
    format : "JPEG", "PNG" …
    width, height : upright, pixels
    bytes : size of the file; None where it is gone
    """

    format: str
    width: int
    height: int
    bytes: int | None


_PLAIN: Final = "too small or too plain to prove more than equal pixels"


def _is_proven(verdict: StoredVerdict | None) -> bool:
    return verdict is not None and verdict.tier is not None


def _said(facts: PairFacts) -> Tier | None:
    return facts.verdict.tier if facts.verdict is not None and not facts.trivial else None


_HOLDS: Final[dict[Tier, Callable[[PairFacts], bool]]] = {
    Tier.EXACT: lambda facts: facts.same_bytes,
    Tier.PIXELS: lambda facts: facts.same_pixels,
    Tier.RESAVED: lambda facts: _said(facts) is Tier.RESAVED,
    Tier.NEAR: lambda facts: _said(facts) is Tier.NEAR,
    Tier.SIMILAR: lambda facts: facts.alike and not facts.trivial,
}
"""Per tier whether facts prove it; surest first."""


def decide(facts: PairFacts, tiers: frozenset[Tier] = ALL_TIERS) -> Tier | None:
    """Give the one tier of a pair, the surest that its facts prove.

    Returns
    -------
    None where they prove none, a person ignores the pair, or the tier is not among `tiers`: a pair
    never counts in a looser tier than its own.
    """
    if facts.ignored:
        return None
    for tier, holds in _HOLDS.items():
        if holds(facts):
            return tier if tier in tiers else None
    return None


def reaches(similarity: float, threshold: float) -> bool:
    """Tell whether a similarity is at least the threshold, both rounded as similarities are."""
    return bool(inclusive(similarity) >= inclusive(threshold))


def evidence(tier: Tier | None, facts: PairFacts, kept: ImageFile, other: ImageFile) -> str:
    """Say in words what was found about a pair.

    Parameters
    ----------
    tier : as `decide` gave it, or that of the pair's group
    kept, other : the words are about the other, as against the one that is kept
    """
    found = facts.verdict.evidence if facts.verdict else ""
    container = f"{other.format} instead of {kept.format}" if kept.format != other.format else ""
    match tier:
        case Tier.EXACT:
            return "same bytes"
        case Tier.PIXELS:
            return f"same pixels, {container or 'other compression or metadata'}"
        case Tier.RESAVED | Tier.NEAR:
            size = _size(kept, other)
            encoded = "" if size or container else _encoded(kept, other)
            return _listed(found, size, container, encoded)
        case Tier.SIMILAR:
            if facts.named:
                return "vectors alike, nothing to prove it on"
            refuted = f"looks alike, but {found}" if found else "looks alike, not proven"
            return _listed(refuted, _size(kept, other) or "same size", container)
    return _PLAIN if facts.trivial and _is_proven(facts.verdict) else found


def _size(kept: ImageFile, other: ImageFile) -> str:
    if (kept.width, kept.height) == (other.width, other.height):
        return ""
    return f"{other.width}×{other.height} instead of {kept.width}×{kept.height}"


def _encoded(kept: ImageFile, other: ImageFile) -> str:
    if not kept.bytes or other.bytes is None:
        return ""
    return f"re-encoded, {other.bytes / kept.bytes:.0%} of the file size"


def _listed(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def missing(tier: Tier | None, verdict: Verdict, *, trivial: bool = False) -> str:
    """Say what would have had to differ for a surer tier; "" where there is none.

    Parameters
    ----------
    trivial : as in `PairFacts`
    """
    match tier:
        case Tier.EXACT:
            return ""
        case Tier.PIXELS:
            return "exact: the two files would have to have the same bytes"
        case Tier.RESAVED:
            return "pixels: the two images would have to have the same size and pixels"
        case Tier.NEAR:
            kept = next((check for check in verdict.checks if not check.passed), None)
            why = f"; here {kept.name}: {kept.value:.3g} (limit {kept.limit:g})" if kept else ""
            return f"resaved: one would have to be the whole of the other, unedited{why}"
    failed = next((check for check in verdict.checks if not check.passed), None)
    if failed is None:
        reason = _PLAIN if trivial and verdict.near else verdict.evidence
        return f"near: {reason}"
    side = "at least" if failed.value < failed.limit else "at most"
    return (
        f"near: {failed.name} would have to be {side} {failed.limit:g}, and is {failed.value:.3g}"
    )


ALL_PAIRS: Final = "dedup list --pairs"


def left_note(count: int) -> list[str]:
    """Say how many files are proven against another one and in no group with it."""
    if not count:
        return []
    files = "1 file is" if count == 1 else f"{count:,} files are"
    words = "proven against another one, but in no group with it"
    return [f"{files} {words}; to see all proven pairs: {ALL_PAIRS}"]


def unreadable_words(count: int, purpose: str) -> str:
    """Say that images could not be read again."""
    return (
        f"{count:,} image{'s' if count > 1 else ''} could not be read again to be {purpose} "
        "(moved, changed, or on a drive that is not there)"
    )


def capped_note(count: int) -> str:
    """Say that some images have more near ones than are looked at."""
    return (
        f"{count:,} images have more than {CANDIDATES} look-alikes: the nearest {CANDIDATES} of "
        "each were compared, and further copies are found through those"
    )
