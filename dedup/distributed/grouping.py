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
    newest_others,
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
    Both = tuple[Done, Done]  # of verdicts, and of what was measured


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

    def chunk(number: int, known: Sequence[Both] = ()) -> Chunk:
        block = edges.get(shard_name(number // CHUNKS_PER_BLOCK))
        return Chunk(number, names[number], rows.of(number), block, tuple(known))

    large = {int(one): pairs for one, pairs in families.extra["large"].items()}
    proven = _Proven(storage, settings)
    parts = {
        f"{settings.answer}-{names[number]}-{part:05d}": (settings, chunk(number), part)
        for number in set(todo).intersection(large)
        for part in range(-(-large[number] // PROVEN_AT_ONCE))
        if not proven.of(names[number])
    }
    if parts:
        words = "Proving large families"
        run_shards(engine, run, "verdicts", words, _PROVE, parts, report)
        proven = _Proven(storage, settings)
    known = _known(storage, join, names, todo, proven)
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


class _Proven:
    """What was proven before, by chunk, for this list or for one that asked otherwise."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._answer = settings.answer
        self._whole: dict[str, dict[str, Both]] = defaultdict(dict)
        self._parts: dict[str, list[Both]] = defaultdict(list)
        for name, both in proofs(storage).items():
            answer, chunk, *part = name.split("-")
            if part:
                self._parts[chunk].append(both)
            else:
                self._whole[chunk][answer] = both

    def of(self, chunk: str) -> list[Both]:
        """Give what was proven of a chunk as a whole: for this list alone, if there is any."""
        found = self._whole.get(chunk, {})
        return [found[self._answer]] if self._answer in found else [*found.values()]

    def parts_of(self, chunk: str) -> list[Both]:
        """Give what was proven of a large family by tasks of its own."""
        return self._parts.get(chunk, [])


def _known(
    storage: Storage, join: str, names: list[str], todo: list[int], proven: _Proven
) -> dict[int, list[Both]]:
    """List what was proven before of chunks, or by other joins of what they were made of."""
    found = {number: proven.of(names[number]) for number in todo}
    for number in todo:
        found[number] = found[number] or proven.parts_of(names[number])
    new = [number for number, some in found.items() if not some]
    others = newest_others(storage, join) if new else []
    now = read_former(storage, join if others else "")
    mine = np.isin(now.chunk, new)
    for then in (read_former(storage, other) for other in others):
        _, one, two = np.intersect1d(
            now.ids[mine], then.ids, assume_unique=True, return_indices=True
        )
        chunks = np.stack([now.chunk[mine][one], then.chunk[two]], axis=1)
        for number, old in np.unique(chunks, axis=0).tolist():
            found[number] += proven.of(then.chunks[old])
    return found


def proofs(storage: Storage) -> dict[str, Both]:
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
        notes.append(unreadable_words(counts["gone"], "compared"))
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
