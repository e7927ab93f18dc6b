"""From a join to groups: the tasks that make them, and reading what these wrote."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.distributed.commits import commit, committed, read
from dedup.distributed.cutting import PROVEN_AT_ONCE, Chunk, chunk_names, read_former
from dedup.distributed.engine import Named
from dedup.distributed.families import (
    CHUNKS_PER_BLOCK,
    last_join,
    shards_of_parts,
)
from dedup.distributed.objects import StorageError
from dedup.distributed.pieces import Pieces
from dedup.distributed.schemas import shard_name
from dedup.distributed.sifting import sift_families
from dedup.distributed.stages import Given, run_shards
from dedup.duplicates.tiers import group_of, left_note, unreadable_words
from dedup.results import Duplicate, Group, Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dedup.distributed.commits import Done
    from dedup.distributed.engine import Engine
    from dedup.distributed.run import Run
    from dedup.distributed.settings import Settings
    from dedup.distributed.storage import Storage

    Report = Callable[[str, int, int], None]


_FAMILIES, _GATHER = Named("families", "make_families"), Named("families", "gather")
_PROVE, _GROUP = Named("proving", "prove_pairs"), Named("proving", "group_chunk")


def make_groups(run: Run, engine: Engine, settings: Settings, report: Report) -> bool:
    """Run what is left of the stages after the join; says whether anything was.

    Parameters
    ----------
    report : called with a stage in words, how many of its tasks are done, and of how many
    """
    storage, join = run.storage, settings.join
    families = committed(storage, f"{join}/families").get("0")
    if families is None:
        sift_families(run, engine, join, report)
        words, one = "Joining pairs to families", {"0": (join,)}
        run_shards(engine, run, f"{join}/families", words, _FAMILIES, one, report)
        families = committed(storage, f"{join}/families")["0"]
    names = chunk_names(storage, join)
    there = committed(storage, settings.groups)
    todo = [number for number, name in enumerate(names) if name not in there]
    report("Proving and grouping", len(names) - len(todo), len(names))
    if not todo:
        return False
    rows = _gather(run, engine, settings, todo, report)
    edges = committed(storage, f"{join}/edges")

    def chunk(number: int, known: Sequence[tuple[Done, Done]] = ()) -> Chunk:
        block = edges.get(shard_name(number // CHUNKS_PER_BLOCK))
        return Chunk(number, names[number], rows.of(number), block, tuple(known))

    large = {int(one): pairs for one, pairs in families.extra["large"].items()}
    parts = {
        f"{settings.answer}-{names[number]}-{part:05d}": (settings, chunk(number), part)
        for number in set(todo).intersection(large)
        for part in range(-(-large[number] // PROVEN_AT_ONCE))
    }
    if parts:
        words = "Proving large families"
        run_shards(engine, run, "verdicts", words, _PROVE, parts, report)
    known = _known(storage, settings, names, todo)
    number_of = {name: number for number, name in enumerate(names)}
    given = Given(names, lambda name: (settings, chunk(number_of[name], known[number_of[name]])))
    words = "Proving and grouping"
    run_shards(engine, run, settings.groups, words, _GROUP, given, report)
    return True


def _gather(
    run: Run, engine: Engine, settings: Settings, todo: list[int], report: Report
) -> Pieces:
    """Gather the rows of chunks; gives where those of each are.

    Which chunks are gathered together is written down first: what is left to do may be less, or
    something else, when another run goes on.
    """
    storage, join = run.storage, settings.join
    while True:
        rounds = {
            name: set(read(storage, done)["chunk"].to_pylist())
            for name, done in committed(storage, settings.rounds).items()
        }
        left = sorted(set(todo).difference(*rounds.values()))
        if not left:
            break
        commit(storage, settings.rounds, f"{len(rounds):03d}", pa.table({"chunk": left}))
    shards = shards_of_parts(committed(storage, "embed"))
    given = {
        f"{name}-{part}-{some[0]}": (settings, name, part, some)
        for name, chunks in rounds.items()
        if not chunks.isdisjoint(todo)
        for part in committed(storage, f"{join}/placed")
        for some in shards[int(part)]
    }
    run_shards(engine, run, settings.gathered, "Gathering families", _GATHER, given, report)
    done = committed(storage, settings.gathered)
    return Pieces(storage, (done[name] for name in given))


def _known(
    storage: Storage, settings: Settings, names: list[str], todo: list[int]
) -> dict[int, list[tuple[Done, Done]]]:
    """List what was proven before of chunks: of large families, and by an earlier join."""
    proven = proofs(storage)
    found: dict[int, list[tuple[Done, Done]]] = defaultdict(list)
    number_of = {names[number]: number for number in todo}
    for name, both in proven.items():
        _, digest, *part = name.split("-")
        if part and digest in number_of:
            found[number_of[digest]].append(both)
    before = last_join(storage, settings.join)
    if not before:
        return found
    now, then = read_former(storage, settings.join), read_former(storage, before)
    mine = np.isin(now.chunk, np.array(todo))
    _, one, two = np.intersect1d(now.ids[mine], then.ids, assume_unique=True, return_indices=True)
    chunks = np.stack([now.chunk[mine][one], then.chunk[two]], axis=1)
    for number, old in np.unique(chunks, axis=0).tolist():
        name = f"{settings.answer}-{then.chunks[old]}"
        if name in proven:
            found[number].append(proven[name])
    return found


def proofs(storage: Storage) -> dict[str, tuple[Done, Done]]:
    """Read the commits of verdicts, each with that of what was measured; one alone is no use."""
    verdicts, measured = committed(storage, "verdicts"), committed(storage, "measured")
    return {name: (done, measured[name]) for name, done in verdicts.items() if name in measured}


def _answers(storage: Storage, settings: Settings) -> Iterator[tuple[pa.Table, dict[str, int]]]:
    """Read what there is of each chunk of a list: what its families that count have in it.

    Returns
    -------
    Of each its rows, and how many of its files are `alone` and `gone`.

    Raises
    ------
    StorageError : another list, of a later generation, was quicker: what it left out is not there.
    """
    there, placed = committed(storage, settings.groups), read_former(storage, settings.join)
    both = np.unique(np.stack([placed.chunk, placed.family], axis=1), axis=0)
    ends = np.searchsorted(both[:, 0], np.arange(len(placed.chunks) + 1))
    for number, name in enumerate(placed.chunks):
        done, families = there[name], both[slice(*ends[number : number + 2]), 1]
        if done.extra["families"] < len(families):
            raise StorageError(f"{storage.url} was indexed and listed meanwhile: list it again")
        table = read(storage, done)
        counts = {
            what: int(np.isin(done.extra[what], families).sum()) for what in ("alone", "gone")
        }
        yield table.filter(pc.is_in(table["family"], pa.array(families))), counts


def read_groups(storage: Storage, settings: Settings) -> tuple[list[Group], list[str]]:
    """Read the groups, in the order of one machine, and what a person should know."""
    keyed, counts = list[tuple[Any, Group]](), Counter[str]()
    for number, (table, some) in enumerate(_answers(storage, settings)):
        keyed += _groups(table, number)
        counts.update(some)
    keyed.sort(key=lambda one: one[0])
    notes = left_note(counts["alone"])
    if counts["gone"]:
        notes.append(unreadable_words(counts["gone"], "proven on the images"))
    return [group for _, group in keyed], notes


def _groups(table: Any, chunk: int) -> Iterator[tuple[tuple[Any, ...], Group]]:
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
    duplicates = [
        Duplicate(
            path=row["member"],
            tier=Tier(row["tier"]),
            similarity=row["similarity"],
            bytes=row["bytes"],
            evidence=row["evidence"],
            is_original=row["is_original"],
        )
        for row in members
    ]
    head = members[0]
    return group_of(0, head["keeper"], duplicates, head["min_similarity"], head["kept_because"])


def read_etags(storage: Storage, settings: Settings) -> dict[str, str]:
    """Read the tags of all files in groups, by URL."""
    found: dict[str, str] = {}
    for table, _ in _answers(storage, settings):
        for side in ("keeper", "member"):
            urls, etags = table[side].to_pylist(), table[f"{side}_etag"].to_pylist()
            found.update(zip(urls, etags, strict=True))
    return found
