"""What a collection in object storage holds, counted from its commits, and whether it is whole."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from dedup.answer import Answer, column
from dedup.distributed import commits, embed, listing
from dedup.distributed.run import META
from dedup.distributed.schemas import ROW_BITS, shard_name
from dedup.distributed.storage import MissingObjectError, StorageError
from dedup.report.integrity import Finding
from dedup.results import Skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dedup.distributed.commits import Done
    from dedup.distributed.run import Run
    from dedup.distributed.storage import Storage

_COMMITS: Final = "/_done/"
_WEIGHTS: Final = "weights/"
_THREADS: Final = 8


@dataclass(frozen=True, slots=True)
class StageStatus:
    """A stage of the work.

    Parameters
    ----------
    done : shards that are committed
    total : shards that there are; None where that is known only later
    bytes : of what is committed
    """

    stage: str
    done: int
    total: int | None
    bytes: int


@dataclass(frozen=True, slots=True)
class SharedStatus(Answer[StageStatus]):
    """What a collection in object storage holds, at a glance. Iterates over `stages`.

    Parameters
    ----------
    path : URL
    roots : URLs of the folders that were listed
    files : that were there when last listed
    images : of these, indexed
    pending : of these, not read yet
    skips : how many files were skipped, by reason, most frequent first
    gone : files that were listed once and are not there any more, or were replaced
    bytes_listed : of the files
    bytes_stored : of all objects of the collection
    litter, bytes_litter : objects that no commit names: of attempts that came second or were
        broken off, or of one that is under way
    """

    rows_in: ClassVar[str] = "stages"
    path: str
    model: str
    views: tuple[str, ...]
    layers: tuple[str, ...]
    roots: tuple[str, ...]
    generations: int
    files: int
    images: int
    skipped: int
    pending: int
    gone: int
    skips: dict[str, int] = field(default_factory=dict)
    bytes_listed: int = 0
    bytes_stored: int = 0
    litter: int = 0
    bytes_litter: int = 0
    stages: tuple[StageStatus, ...] = ()
    notes: tuple[str, ...] = field(default=(), metadata=column(None))


@dataclass(frozen=True, slots=True)
class Live:
    """Files that are there, by what became of them."""

    indexed: int
    skips: dict[str, int]

    @property
    def skipped(self) -> int:
        """Files without an embedding."""
        return sum(self.skips.values())


def live(storage: Storage, done: dict[str, Done]) -> Live:
    """Count what became of the files that are still there.

    Parameters
    ----------
    done : the commits of stage "embed"
    """
    indexed = 0
    skips: Counter[str] = Counter()
    for one in done.values():
        indexed += one.rows - one.extra["skipped"]
        skips.update(one.extra["reasons"])
        if others := one.extra["skipped"] - sum(one.extra["reasons"].values()):
            skips["for other reasons"] += others
    gone = listing.gone_ids(storage)
    shards = gone >> ROW_BITS
    for number in np.unique(shards).tolist():
        replaced = done.get(shard_name(number))
        if replaced is None:
            continue
        reasons = commits.read(storage, replaced, ["reason"])["reason"].to_pylist()
        for row in (gone[shards == number] & ((1 << ROW_BITS) - 1)).tolist():
            reason = reasons[row]
            if reason is None:
                indexed -= 1
            else:
                skips[reason if reason in skips else "for other reasons"] -= 1
    order = sorted(skips.items(), key=lambda item: (-item[1], item[0]))
    return Live(indexed, {reason: count for reason, count in order if count > 0})


def read_skips(storage: Storage, done: Iterable[Done]) -> Iterator[Skip]:
    """Give files that were skipped, those that are gone included, by shard."""
    for one in done:
        if one.extra["skipped"]:
            table = commits.read(storage, one, ["root", "key", "reason"])
            for row in table.filter(table["reason"].is_valid()).to_pylist():
                yield Skip(f"{row['root']}/{row['key']}", row["reason"])


def skipped_now(storage: Storage) -> Iterator[Skip]:
    """Give the files that are there and were skipped."""
    gone = set(listing.gone_ids(storage).tolist())
    for one in commits.committed(storage, embed.STAGE).values():
        if one.extra["skipped"]:
            table = commits.read(storage, one, ["id", "root", "key", "reason"])
            for row in table.filter(table["reason"].is_valid()).to_pylist():
                if row["id"] not in gone:
                    yield Skip(f"{row['root']}/{row['key']}", row["reason"])


def read_status(run: Run) -> SharedStatus:
    """Count what the commits of a collection tell."""
    storage, pinned = run.storage, run.meta.pinned
    look = _Objects(storage)
    embedded = look.stages.get(embed.STAGE, {})
    last = listing.latest(storage) or listing.Generation(-1)
    every = listing.shards(storage)
    found = live(storage, embedded)
    totals = {listing.STAGE: last.number + 1, embed.STAGE: len(every)}
    return SharedStatus(
        path=run.store,
        model=f"{pinned.model} ({pinned.weights})" if pinned.model else "none",
        views=pinned.views,
        layers=pinned.stored,
        roots=last.roots,
        generations=last.number + 1,
        files=last.files,
        images=found.indexed,
        skipped=found.skipped,
        pending=max(0, last.files - found.indexed - found.skipped),
        gone=len(listing.gone_ids(storage)),
        skips=found.skips,
        bytes_listed=last.size,
        bytes_stored=sum(look.sizes.values()),
        litter=len(look.litter),
        bytes_litter=sum(look.sizes[key] for key in look.litter),
        stages=tuple(
            StageStatus(
                stage, len(ones), totals.get(stage), sum(one.bytes for one in ones.values())
            )
            for stage, ones in look.stages.items()
        ),
    )


def check(run: Run, report: Callable[[int, int], None], *, deep: bool) -> tuple[list[Finding], int]:
    """Compare the objects of a collection with what its commits say; gives how many were read.

    Parameters
    ----------
    deep : whether each is read and its SHA-256 compared, and not its size alone
    """
    look = _Objects(run.storage)
    findings, read = look.findings, 0
    problem = partial(_problem, run.storage, look.sizes, deep)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="verify") as pool:
        source = iter(look.named)
        while part := [*islice(source, 16 * _THREADS)]:
            for done, words in zip(part, pool.map(problem, part), strict=True):
                read += deep and not words
                if words:
                    findings.append(Finding("object", f"{run.store}/{done.key}", words))
            report(read, len(look.named))
    return findings, read


def _problem(storage: Storage, sizes: dict[str, int], deep: bool, done: Done) -> str:  # noqa: FBT001 - as `partial` gives it
    """Say what is wrong with an object; "" where it is as it was committed."""
    missing = "is named by a commit and is not there"
    size = sizes.get(done.key)
    if size is None:
        return missing
    if size != done.bytes:
        return f"has {size:,} bytes, and was committed with {done.bytes:,}"
    if not deep:
        return ""
    try:
        data = storage.get(done.key).data
    except MissingObjectError:
        return missing
    except StorageError as error:
        return f"cannot be read: {error}"
    return "" if hashlib.sha256(data).hexdigest() == done.sha256 else "is not what was committed"


class _Objects:
    """The objects of a collection, and what names them.

    Attributes
    ----------
    sizes : of all, by key
    stages : the commits of each stage
    named : what commits and generations name
    litter : keys that nothing names
    findings : commits and generations that cannot be read
    """

    def __init__(self, storage: Storage) -> None:
        self.sizes = {entry.key: entry.size for entry in storage.list()}
        self.findings: list[Finding] = []
        names = sorted({key.partition(_COMMITS)[0] for key in self.sizes if _COMMITS in key})
        self.stages: dict[str, dict[str, Done]] = {}
        for stage in names:
            try:
                self.stages[stage] = commits.committed(storage, stage)
            except StorageError as error:
                self.findings.append(Finding("commit", f"{storage.url}/{stage}", str(error)))
        self.named = [done for stage in self.stages.values() for done in stage.values()]
        for done in self.stages.get(listing.STAGE, {}).values():
            try:
                one = listing.Generation.from_json(commits.read_bytes(storage, done))
            except StorageError:
                continue  # which is found for itself
            self.named += [*one.shards, *one.known, *([one.gone] if one.gone else [])]
        self.named = [*{done.key: done for done in self.named}.values()]
        counted = {done.key for done in self.named}
        self.litter = [
            key
            for key in self.sizes
            if key not in counted
            and _COMMITS not in key
            and key != META
            and not key.startswith(_WEIGHTS)
        ]
