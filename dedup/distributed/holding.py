"""What a collection in object storage holds, counted from its commits, and whether it is whole."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from dedup.answer import Answer, column
from dedup.distributed import commits, embedding, listing
from dedup.distributed.run import META
from dedup.distributed.schemas import ROW_BITS, shard_name
from dedup.distributed.storage import StorageError
from dedup.results import Skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dedup.distributed.commits import Damaged, Done
    from dedup.distributed.run import Run
    from dedup.distributed.storage import Storage
    from dedup.report.integrity import Finding

_COMMITS: Final = "/_done/"
_NAMELESS: Final = re.compile(  # needs no commit
    r"/_done/|^weights/|/_known\.parquet$|^acts/|^join/[^/]+/gone\.npy$"
)


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
    indexed : of these; an image each
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
    indexed: int
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
    for one in commits.committed(storage, embedding.STAGE).values():
        if one.extra["skipped"]:
            table = commits.read(storage, one, ["id", "root", "key", "reason"])
            for row in table.filter(table["reason"].is_valid()).to_pylist():
                if row["id"] not in gone:
                    yield Skip(f"{row['root']}/{row['key']}", row["reason"])


def read_status(run: Run) -> SharedStatus:
    """Count what the commits of a collection tell."""
    storage, pinned = run.storage, run.meta.pinned
    look = _Objects(storage)
    embedded = look.stages.get(embedding.STAGE, {})
    last = listing.latest(storage) or listing.Generation(-1)
    every = listing.shards(storage)
    found = live(storage, embedded)
    totals = {listing.STAGE: last.number + 1, embedding.STAGE: len(every), "keys": len(every)}
    return SharedStatus(
        path=run.store,
        model=f"{pinned.model} ({pinned.weights})" if pinned.model else "none",
        views=pinned.views,
        layers=pinned.stored,
        roots=last.roots,
        generations=last.number + 1,
        files=last.files,
        indexed=found.indexed,
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
    """Compare the objects of a collection with what its commits say; gives how many there are.

    Parameters
    ----------
    deep : whether each is read and its SHA-256 compared, and not its size alone
    """
    storage = run.storage
    stages, parts = _held(storage)
    found = [finding_of(run, one) for _, one in _damaged(storage, stages, parts, report, deep=deep)]
    return found, sum(map(len, _committed(storage, stages).values())) + len(parts)


def finding_of(run: Run, one: Damaged) -> Finding:
    """Name a damaged object."""
    from dedup.report.integrity import Finding

    return Finding("object", f"{run.store}/{one.key}", one.reason)


def damaged(
    storage: Storage, report: Callable[[int, int], None], *, deep: bool
) -> Iterator[tuple[str, Damaged]]:
    """Find objects that are not as they were committed, each with its stage; as `check`."""
    return _damaged(storage, *_held(storage), report, deep=deep)


def _damaged(
    storage: Storage,
    stages: list[str],
    parts: list[Done],
    report: Callable[[int, int], None],
    *,
    deep: bool,
) -> Iterator[tuple[str, Damaged]]:
    for number, stage in enumerate(stages):
        report(number, len(stages))
        for one in commits.verify(storage, stage, contents=deep):
            yield stage, one
    for number, part in enumerate(parts):
        report(len(stages) + number, len(stages) + len(parts))
        if reason := commits.damage(storage, part, contents=deep):
            yield listing.STAGE, commits.Damaged(part.shard, part.key, reason)
    report(len(stages) + len(parts), len(stages) + len(parts))


def _held(storage: Storage) -> tuple[list[str], list[Done]]:
    """List the stages, and what generations consist of."""
    stages = _stages([entry.key for entry in storage.list()])
    try:
        return stages, [part for one in listing.generations(storage) for part in one.parts]
    except StorageError:
        return stages, []  # that a generation cannot be read is found all the same


def _stages(keys: Iterable[str]) -> list[str]:
    return sorted({key.partition(_COMMITS)[0] for key in keys if _COMMITS in key})


def _committed(storage: Storage, stages: Iterable[str]) -> dict[str, dict[str, Done]]:
    """Read the commits of stages, but of those of which one cannot be read."""
    found = {}
    for stage in stages:
        with suppress(StorageError):
            found[stage] = commits.committed(storage, stage)
    return found


class _Objects:
    """The objects of a collection, and what names them.

    Attributes
    ----------
    sizes : of all, by key
    stages : the commits of each stage
    litter : keys that nothing names
    """

    def __init__(self, storage: Storage) -> None:
        self.sizes = {entry.key: entry.size for entry in storage.list()}
        self.stages = {stage: commits.committed(storage, stage) for stage in _stages(self.sizes)}
        named = {done.key for stage in self.stages.values() for done in stage.values()}
        named |= {part.key for one in listing.generations(storage) for part in one.parts}
        self.litter = [
            key
            for key in self.sizes
            if key not in named and key != META and not _NAMELESS.search(key)
        ]
