"""From a join to groups: the tasks that make them, and reading what these wrote."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from dedup.distributed.commits import committed, read
from dedup.distributed.families import (
    CHUNKS_PER_BLOCK,
    SHARDS_PER_PART,
    gather,
    make_families,
)
from dedup.distributed.pieces import pieces
from dedup.distributed.proving import PROVEN_AT_ONCE, Chunk, group_chunk, prove_pairs
from dedup.distributed.schemas import shard_name
from dedup.distributed.stages import run_shards
from dedup.duplicates.find import left_note
from dedup.duplicates.pairs import unreadable_words
from dedup.duplicates.tiers import reclaimable
from dedup.results import Duplicate, Group, Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dedup.distributed.commits import Done
    from dedup.distributed.engine import Engine
    from dedup.distributed.run import Run
    from dedup.distributed.settings import Settings
    from dedup.distributed.storage import Storage

    Report = Callable[[str, int, int], None]


def make_groups(run: Run, engine: Engine, settings: Settings, report: Report) -> None:
    """Run what is left of the stages after the join.

    Parameters
    ----------
    report : called with a stage in words, how many of its tasks are done, and of how many
    """
    storage, join = run.storage, settings.join
    families = committed(storage, f"{join}/families").get("0")
    if families is None:
        words, one = "Joining pairs to families", {"0": (join,)}
        run_shards(engine, run, f"{join}/families", words, make_families, one, report)
        families = committed(storage, f"{join}/families")["0"]
    _gather(run, engine, settings, report)
    chunks = _chunks(storage, join, families.extra["chunks"])
    _prove_large(run, engine, settings, chunks, families.extra["large"], report)
    proven = _proven(storage, settings)
    given = {
        f"{chunk.number:07d}": (
            settings, chunk._replace(known=tuple(proven.get(chunk.number, ()))),
        )
        for chunk in chunks
    }  # fmt: skip
    words = "Proving and grouping"
    run_shards(engine, run, settings.groups, words, group_chunk, given, report)


def _gather(run: Run, engine: Engine, settings: Settings, report: Report) -> None:
    storage, join = run.storage, settings.join
    shards: dict[int, list[str]] = defaultdict(list)
    for shard in committed(storage, "embed"):
        shards[int(shard) // SHARDS_PER_PART].append(shard)
    given = {
        part: (join, part, tuple(shards[int(part)]))
        for part in committed(storage, f"{join}/placed")
    }
    run_shards(engine, run, f"{join}/gather", "Gathering families", gather, given, report)


def _chunks(storage: Storage, join: str, count: int) -> list[Chunk]:
    found = pieces(committed(storage, f"{join}/gather").values())
    edges = committed(storage, f"{join}/edges")
    return [
        Chunk(
            number, tuple(found.get(number, ())), edges.get(shard_name(number // CHUNKS_PER_BLOCK))
        )
        for number in range(count)
    ]


def _prove_large(
    run: Run,
    engine: Engine,
    settings: Settings,
    chunks: list[Chunk],
    large: dict[str, int],
    report: Report,
) -> None:
    """Prove the pairs of families that are too large for one task, some at a time."""
    if not large:
        return
    given = {
        f"{settings.answer}-{int(number):07d}-{part:05d}": (settings, chunks[int(number)], part)
        for number, pairs in large.items()
        for part in range(-(-pairs // PROVEN_AT_ONCE))
    }
    run_shards(engine, run, "verdicts", "Proving large families", prove_pairs, given, report)


def _proven(storage: Storage, settings: Settings) -> dict[int, list[tuple[Done, Done]]]:
    """List what was proven of large families, by chunk."""
    found: dict[int, list[tuple[Done, Done]]] = defaultdict(list)
    measured = committed(storage, "measured")
    for name, done in committed(storage, "verdicts").items():
        answer, chunk, *part = name.split("-")
        if answer == settings.answer and part:
            found[int(chunk)].append((done, measured[name]))
    return found


def read_groups(storage: Storage, settings: Settings) -> tuple[list[Group], list[str]]:
    """Read the groups, in the order of one machine, and what a person should know."""
    done = committed(storage, settings.groups)
    keyed = [found for chunk, one in done.items() for found in _groups(read(storage, one), chunk)]
    keyed.sort(key=lambda one: one[0])
    alone = sum(one.extra["alone"] for one in done.values())
    gone = sum(one.extra["gone"] for one in done.values())
    notes = left_note(alone)
    if gone:
        notes.append(unreadable_words(gone, "proven on the images"))
    return [group for _, group in keyed], notes


def _groups(table: Any, chunk: str) -> Iterator[tuple[tuple[Any, ...], Group]]:
    rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pylist():
        rows[row["group"]].append(row)
    for number, members in rows.items():
        head = members[0]
        # As `ranking.rank_files` orders files.
        key = (
            head["damaged"], -head["pixels"], -head["size"], head["mtime_ns"], head["path"],
            chunk, number,
        )  # fmt: skip
        yield key, _group(members)


def _group(rows: Iterable[dict[str, Any]]) -> Group:
    members = list(rows)
    duplicates = tuple(
        Duplicate(
            path=row["member"],
            tier=Tier(row["tier"]),
            similarity=row["similarity"],
            bytes=row["bytes"],
            evidence=row["evidence"],
            is_original=row["is_original"],
        )
        for row in members
    )
    head = members[0]
    return Group(
        number=0,
        tier=max((one.tier for one in duplicates), key=lambda tier: tier.looseness),
        keeper=head["keeper"],
        min_similarity=head["min_similarity"],
        reclaimable_bytes=reclaimable(duplicates),
        duplicates=duplicates,
        kept_because=head["kept_because"],
    )


def read_etags(storage: Storage, settings: Settings) -> dict[str, str]:
    """Read the tags of all files in groups, by URL."""
    found: dict[str, str] = {}
    for done in committed(storage, settings.groups).values():
        table = read(storage, done)
        for side in ("keeper", "member"):
            urls, etags = table[side].to_pylist(), table[f"{side}_etag"].to_pylist()
            found.update(zip(urls, etags, strict=True))
    return found
