"""The values that cross between floors and reach the user: what was found, and how sure it is.

Everything here is frozen and knows nothing of databases, models or terminals. Paths are ``str`` in
Python's file-system encoding: names that are not UTF-8 hold surrogate escapes, so that
``os.fsencode`` gives back the very bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Tier(StrEnum):
    """How sure it is that two images are the same picture, surest first."""

    EXACT = "exact"
    PIXELS = "pixels"
    NEAR = "near"
    SIMILAR = "similar"

    @property
    def looseness(self) -> int:
        """0 for the surest tier, rising."""
        return _LOOSENESS[self]


_LOOSENESS = {tier: position for position, tier in enumerate(Tier)}


class Grouping(StrEnum):
    """How pairs become groups."""

    COVER = "cover"
    CLIQUE = "clique"
    COMPONENT = "component"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One row of the answer to a query.

    Parameters
    ----------
    query : the query image
    rank : from 1, by falling similarity, ties by the order of indexing
    path : an indexed image; a query that is indexed finds itself
    similarity : cosine in [-1, 1]
    """

    query: str
    rank: int
    path: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A member of a group that is not its keeper.

    Parameters
    ----------
    tier, similarity : of the pair that it forms with the keeper
    bytes : size of the file
    evidence : what was found, in words
    """

    path: str
    tier: Tier
    similarity: float
    bytes: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Group:
    """Images that are the same picture, or look alike.

    Parameters
    ----------
    number : from 1, in the order of the list
    tier : of the loosest member
    min_similarity : lowest similarity between any two members, in [-1, 1]
    reclaimable_bytes : of all duplicates together
    duplicates : in keep order
    """

    number: int
    tier: Tier
    keeper: str
    min_similarity: float
    reclaimable_bytes: int
    duplicates: tuple[Duplicate, ...]


@dataclass(frozen=True, slots=True)
class Skip:
    """A file that could not be read as a picture, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """Neighbours of every query image that could be read, and the images that could not."""

    neighbours: tuple[Neighbour, ...]
    skipped: tuple[Skip, ...]


@dataclass(frozen=True, slots=True)
class DuplicatesAnswer:
    """Duplicate groups, and what a person should know about them, one sentence each."""

    groups: tuple[Group, ...]
    threshold: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stages:
    """Where a run of indexing spent its time; what overlaps counts where it was waited for.

    Parameters
    ----------
    workers : what read and described, such as "2 processes"
    batch : pictures per forward pass
    reading : seconds that all else waited for pictures
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
class IndexSummary:
    """What one run of indexing did; the first five add up to the files that were found.

    Parameters
    ----------
    indexed : new embeddings computed
    reused : new or changed files whose content was known: renames and copies
    unchanged : not even read
    skipped : could not be read in this run
    still_skipped : skipped before and unchanged since, not tried again
    gone : files that are no longer there
    hard_links : further names of files already counted
    new_skips : the `skipped`, with their reasons, in path order
    notes : whatever else a person should know, one sentence each
    seconds : wall time of the run
    stages : None where nothing had to be read
    """

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

    @property
    def found(self) -> int:
        """Files with the look of a picture."""
        return self.indexed + self.reused + self.unchanged + self.skipped + self.still_skipped


@dataclass(frozen=True, slots=True)
class RootStatus:
    """One indexed folder."""

    path: str
    files: int
    present: bool


@dataclass(frozen=True, slots=True)
class Status:
    """The story of a collection at a glance.

    Parameters
    ----------
    files : indexed files that were there at the last look
    images : of these, different contents
    views : "content", "details" or both
    layers : what is stored of each image; details are among them where they are a view
    skips : how many files were skipped, by reason, most frequent first
    updated : when the last run ended, ISO 8601 in UTC
    index : the FAISS index: "fresh", "stale" or "none" (it is rebuilt when needed)
    index_kind, index_recall : "flat" or "ivf", and the share of the ten nearest that it
        finds, measured on a sample; None without an index
    """

    path: str
    model: str
    views: tuple[str, ...]
    layers: tuple[str, ...]
    dimensions: dict[str, int]
    roots: tuple[RootStatus, ...]
    files: int
    images: int
    trivial: int
    gone: int
    skipped: int
    skips: dict[str, int] = field(default_factory=dict)
    bytes_indexed: int = 0
    bytes_catalog: int = 0
    updated: str | None = None
    index: str = "none"
    index_kind: str | None = None
    index_recall: float | None = None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check on a pair; `value` and `limit` in the same unit, None where it is yes or no."""

    name: str
    value: float | None
    limit: float | None
    passed: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why two files are, or are not, the same picture.

    Parameters
    ----------
    tier : None when they are not even similar, or nobody could tell without a model
    similarity : cosine in [-1, 1]; None without a collection
    threshold : lowest similarity of tier `similar`; None without a collection
    checks : in the order they were made; the proof ends at the first that failed
    missing : what would have had to differ for a surer tier; "" when there is none
    ignored : a person said that they are no duplicates
    """

    first: str
    second: str
    tier: Tier | None
    similarity: float | None
    threshold: float | None
    evidence: str
    checks: tuple[CheckResult, ...]
    missing: str
    ignored: bool


@dataclass(frozen=True, slots=True)
class Match:
    """One of the new images, and what it matches among the old ones.

    Parameters
    ----------
    path : of the new image
    match : of the old one, the surest and then most similar
    """

    path: str
    tier: Tier
    match: str
    similarity: float
    evidence: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """New images that are there already, surest tier and highest similarity first.

    Parameters
    ----------
    compared : new images that could be read
    notes : what a person should know, one sentence each
    """

    matches: tuple[Match, ...]
    compared: int
    skipped: tuple[Skip, ...]
    notes: tuple[str, ...] = ()
