"""The values that reach the user: rows, and the answers that hold them.

An answer iterates over its rows, has a length, and carries `notes`: what a person should know about
it, one sentence each. Everything here is frozen and knows nothing of databases, models or
terminals. Paths are ``str`` in Python's file-system encoding: names that are not UTF-8 hold
surrogate escapes, so that ``os.fsencode`` gives back the very bytes.

Fields are the keys of the JSON lines that the commands print, in the same order; `column` says
where the two differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final

from dedup.answer import Answer, Shown, column

_HIDDEN: Final = column(None)
_SIMILARITY: Final = column(decimals=4)


class Tier(StrEnum):
    """How sure it is that two files hold the same image, surest first; and what shares a film."""

    EXACT = "exact"
    PIXELS = "pixels"
    RESAVED = "resaved"
    NEAR = "near"
    SIMILAR = "similar"
    VIDEO = "video"

    @property
    def looseness(self) -> int:
        """0 for the surest tier, rising."""
        return _LOOSENESS[self]


_LOOSENESS = {tier: position for position, tier in enumerate(Tier)}
IMAGE_TIERS: Final = tuple(tier for tier in Tier if tier is not Tier.VIDEO)
"""Those of pairs of images."""


class Grouping(StrEnum):
    """How pairs become groups."""

    COVER = "cover"
    CLIQUE = "clique"
    COMPONENT = "component"


@dataclass(frozen=True, slots=True)
class Neighbour(Shown):
    """One row of the answer to a query.

    Parameters
    ----------
    query : the query image
    rank : from 1, by falling similarity, ties by the order of indexing
    path : an indexed image; a query that is indexed finds itself
    similarity : cosine in [-1, 1]
    tier : what is known of the two by now; None: nothing, since `query` proves nothing. In tables
        and Python only
    """

    query: str
    rank: int
    path: str
    similarity: float = field(metadata=_SIMILARITY)
    tier: Tier | None = field(default=None, metadata=column(None), repr=False)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A member of a group that is not its keeper.

    Parameters
    ----------
    tier, similarity : of the pair that it forms with the keeper
    bytes : size of the file
    evidence : what was found, in words
    is_original : whether a proof says that the keeper was made from it
    """

    path: str
    tier: Tier
    similarity: float = field(metadata=_SIMILARITY)
    bytes: int
    evidence: str
    is_original: bool = field(default=False, metadata=_HIDDEN)


@dataclass(frozen=True, slots=True)
class Group(Shown):
    """Files that hold the same image, or images that look alike.

    Parameters
    ----------
    number : from 1, in the order of the list
    tier : of the loosest member
    min_similarity : lowest similarity between any two members, in [-1, 1]
    reclaimable_bytes : of the copies together: `exact`, `pixels` and `resaved`
    duplicates : in keep order
    kept_because : why the keeper stays, in words
    """

    number: int = field(metadata=column("group"))
    tier: Tier
    keeper: str
    min_similarity: float = field(metadata=_SIMILARITY)
    reclaimable_bytes: int
    duplicates: tuple[Duplicate, ...]
    kept_because: str = field(default="", metadata=_HIDDEN)

    @property
    def paths(self) -> tuple[str, ...]:
        """All files, the keeper first."""
        return (self.keeper, *(one.path for one in self.duplicates))


@dataclass(frozen=True, slots=True)
class Skip:
    """A file that could not be read as an image, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class QueryAnswer(Shown, Answer[Neighbour]):
    """Neighbours of every query image that could be read, and the images that could not."""

    rows_in: ClassVar[str] = "neighbours"
    neighbours: tuple[Neighbour, ...]
    skipped: tuple[Skip, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DuplicatesAnswer(Shown, Answer[Group]):
    """Duplicate groups.

    Parameters
    ----------
    threshold : lowest similarity of the tier `similar` that counted, inclusive
    """

    rows_in: ClassVar[str] = "groups"
    groups: tuple[Group, ...]
    threshold: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stages:
    """Where a run of indexing spent its time; work in parallel counts where it was waited for.

    Parameters
    ----------
    workers : what read and described, such as "2 processes"
    batch : images per forward pass
    reading : seconds that all else waited for images
    loading : seconds of loading the model
    embedding, storing : seconds that all else waited for embeddings, and for the catalog
    disk : share of the workers' time, 0 to 1, in which they waited for the bytes of files
    fetches : whether the disk was slow enough for workers to read several files at once
    """

    workers: str
    batch: int
    reading: float = 0.0
    loading: float = 0.0
    embedding: float = 0.0
    storing: float = 0.0
    disk: float = 0.0
    fetches: bool = False

    @property
    def slowest(self) -> str:
        """The stage that the others waited for longest."""
        stages = ("reading", "loading", "embedding", "storing")
        return max(stages, key=lambda name: float(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class IndexSummary(Answer[Skip]):
    """What a run did; the first five add up to what was found. Iterates over `new_skips`.

    Parameters
    ----------
    indexed : new embeddings computed
    reused : new or changed files whose content was known: renames and copies
    unchanged : not even read
    skipped : could not be read in this run
    still_skipped : skipped before and unchanged since, not tried again
    gone : files that are no longer there, and whose contents did not come in under other names
    hard_links : further names of files already counted
    new_skips : the `skipped`, with their reasons, in path order; then files that were asked for by
        name and are not indexed, although this run did not read them
    seconds : wall time of the run
    stages : None where nothing had to be read
    passed_over : what was not listed although a person may expect it, counted by kind
    """

    rows_in: ClassVar[str] = "new_skips"
    indexed: int = 0
    reused: int = 0
    unchanged: int = 0
    skipped: int = 0
    still_skipped: int = 0
    gone: int = 0
    hard_links: int = 0
    new_skips: tuple[Skip, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    stages: Stages | None = None
    passed_over: dict[str, int] = field(default_factory=dict)

    @property
    def found(self) -> int:
        """Files that look like images by their names."""
        return self.indexed + self.reused + self.unchanged + self.skipped + self.still_skipped


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check on a pair; `value` and `limit` in the same unit, None where it is yes or no."""

    name: str
    value: float | None
    limit: float | None
    passed: bool


@dataclass(frozen=True, slots=True)
class Explanation(Answer[CheckResult]):
    """Why two files do, or do not, hold the same image. Iterates over `checks`.

    Parameters
    ----------
    tier : None when they are not even similar, or when that takes a model that is not there
    similarity : cosine in [-1, 1]; None without a collection
    threshold : lowest similarity of tier `similar`; None without a collection
    missing : what would have to differ for a surer tier; "" when there is none
    ignored : the pair was marked as not a duplicate
    checks : in the order they were made; the proof ends at the first that failed
    remarks : on the two, where there are any: that parts are damaged, or what was left out
    companions : one is a raw image and the other the JPEG or HEIC developed from it, by their names
    """

    rows_in: ClassVar[str] = "checks"
    first: str
    second: str
    tier: Tier | None
    similarity: float | None = field(metadata=_SIMILARITY)
    threshold: float | None
    evidence: str
    ignored: bool
    missing: str
    checks: tuple[CheckResult, ...]
    remarks: tuple[str, ...] = ()
    companions: bool = False
    notes: tuple[str, ...] = field(default=(), metadata=_HIDDEN)


@dataclass(frozen=True, slots=True)
class Match(Shown):
    """One of the new images, and the indexed one that it matches.

    Parameters
    ----------
    path : of the new image
    match : of the indexed one: the surest tier, then the most similar
    note : that the indexed one is on a drive that is not there now; "" otherwise
    """

    path: str
    tier: Tier
    match: str
    similarity: float = field(metadata=_SIMILARITY)
    evidence: str = field(metadata=_HIDDEN)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comparison(Shown, Answer[Match]):
    """New images that are there already, surest tier and highest similarity first.

    Parameters
    ----------
    compared : new images that could be read
    """

    rows_in: ClassVar[str] = "matches"
    matches: tuple[Match, ...]
    compared: int
    skipped: tuple[Skip, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchAnswer(Answer[Match]):
    """What one look at watched folders found: new files that are there already.

    Parameters
    ----------
    summary : of the run of indexing
    """

    rows_in: ClassVar[str] = "matches"
    matches: tuple[Match, ...]
    summary: IndexSummary
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SkippedAnswer(Answer[Skip]):
    """All files that could not be read, by path."""

    rows_in: ClassVar[str] = "skips"
    skips: tuple[Skip, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DecidedPair:
    """What was decided about two images.

    Parameters
    ----------
    first, second : SHA-256 of the two files, hexadecimal, the lower first
    duplicate : False for "not a duplicate"
    decided : when, ISO 8601 in UTC
    """

    first: str
    second: str
    duplicate: bool
    decided: str


@dataclass(frozen=True, slots=True)
class DecisionsAnswer(Answer[DecidedPair]):
    """Decisions about pairs, by content."""

    rows_in: ClassVar[str] = "pairs"
    pairs: tuple[DecidedPair, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a model that can be hooked.

    Parameters
    ----------
    name : dotted name, or ``prediction`` for the model's own output
    type : class of the module
    shape : of its output for one image at the model's input size; None where it did not run or
        gave no tensor
    """

    name: str = field(metadata=column("layer"))
    type: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class LayersAnswer(Answer[Layer]):
    """The layers of a model, in the order in which they are defined.

    Parameters
    ----------
    model : its name, "" where a collection uses none
    """

    rows_in: ClassVar[str] = "layers"
    model: str
    layers: tuple[Layer, ...]
    notes: tuple[str, ...] = ()
