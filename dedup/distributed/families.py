"""Which files candidates join, cut into chunks that a task can take; and their rows, by chunk.

A family is what pairs worth looking at join, over however many steps: nothing that is outside of it
can change its groups, so that each is given to the code of one machine as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.distributed.commits import commit, committed, done_of, read
from dedup.distributed.cutting import (
    CHUNK_PAIRS,
    Families,
    digests,
    names_of,
    place,
    read_former,
)
from dedup.distributed.pieces import commit_pieces, cut_by
from dedup.distributed.schemas import (
    CHUNKS,
    EDGES,
    NEAR,
    PARTS,
    PLACED,
    ROW_BITS,
    SIMILAR,
    row_of,
    shard_name,
)
from dedup.distributed.settings import join_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from dedup.distributed.commits import Done
    from dedup.distributed.run import Run
    from dedup.distributed.settings import Settings
    from dedup.distributed.storage import Storage

    Ids = npt.NDArray[np.int64]

CHUNKS_PER_BLOCK: Final = 256
SHARDS_PER_PART: Final = 8
"""Embed shards whose files are placed in one object."""
SHARDS_AT_ONCE: Final = 2
"""Of these, those whose rows one task of `gather` sorts: some 16,000 rows of 9 kB."""

_KINDS: Final = (("best", NEAR), ("reach", SIMILAR), ("votes", PARTS))


class Edges(NamedTuple):
    """Pairs of classes.

    Parameters
    ----------
    kind : (E,) int8, as in `schemas`
    first, second : (E,) int64, classes
    similarity : (E,) float32
    """

    kind: npt.NDArray[np.int8]
    first: Ids
    second: Ids
    similarity: npt.NDArray[np.float32]


_NOTHING: Final = Edges(
    np.empty(0, np.int8), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
)


def components(first: Ids, second: Ids) -> tuple[Ids, Ids]:
    """Find what edges join.

    Returns
    -------
    The (V,) ids that edges have, rising, and (V,) for each the lowest that it is joined to.
    """
    ids, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    one, two = places[: len(first)], places[len(first) :]
    root = np.arange(len(ids))
    while True:
        lowest = np.minimum(root[one], root[two])
        new = root.copy()
        np.minimum.at(new, root[one], lowest)
        np.minimum.at(new, root[two], lowest)
        while not np.array_equal(jumped := new[new], new):
            new = jumped
        if np.array_equal(new, root):
            return ids, ids[root]
        root = new


def make_families(run: Run, join: str) -> Done | None:
    """Cut what candidates join into chunks; one task, in memory of some 100 bytes an edge.

    Writes the stages `edges`, `chunks` and `placed`, and commits `families/0` last.

    Parameters
    ----------
    join : J
    """
    storage = run.storage
    _, edges, copies = read_folded(storage, join)
    edges = _but_refuted(storage, join, edges)
    ids, roots = components(
        np.concatenate([edges.first, copies[0]]), np.concatenate([edges.second, copies[1]])
    )
    heads, of_file = np.unique(roots, return_inverse=True)
    of_edge = of_file[np.searchsorted(ids, edges.first)]
    whole = edges._replace(similarity=edges.similarity.view(np.uint32))
    families = Families(
        heads,
        np.bincount(of_file, minlength=len(heads)),
        np.bincount(of_edge, minlength=len(heads)),
        digests(len(heads), [(of_file, [ids]), (of_edge, whole)]),
    )
    former = done_of(storage, f"{join}/asking", "0").extra["former"]
    chunk, names = place(families, read_former(storage, former))
    names += names_of(join, chunk, families.names, len(names))
    of_chunk = chunk[of_edge]
    sort = np.lexsort((edges.second, edges.first, edges.kind, of_chunk))
    table = pa.table([of_chunk[sort], *(column[sort] for column in edges)], schema=EDGES)
    commit_parts(storage, f"{join}/edges", of_chunk[sort] // CHUNKS_PER_BLOCK, table)
    named = pa.table([np.arange(len(names), dtype=np.int32), names], schema=CHUNKS)
    commit(storage, f"{join}/chunks", "0", named)
    placed = pa.table([ids, chunk[of_file], families.names[of_file]], schema=PLACED)
    commit_parts(storage, f"{join}/placed", (ids >> ROW_BITS) // SHARDS_PER_PART, placed)
    large = np.flatnonzero(families.pairs > CHUNK_PAIRS)
    facts = {
        "chunks": len(names),
        "large": {str(chunk[one]): int(families.pairs[one]) for one in large.tolist()},
        "families": len(heads),
        "files": len(ids),
        "pairs": len(edges.first),
    }
    return commit(storage, f"{join}/families", "0", pa.table({}), facts)


def _edges(storage: Storage, join: str) -> Edges:
    parts: list[Edges] = []
    for stage, kind in _KINDS:
        for done in committed(storage, f"{join}/{stage}").values():
            table = read(storage, done)
            columns = (table[name].to_numpy() for name in ("first", "second", "similarity"))
            parts.append(Edges(np.full(table.num_rows, kind, np.int8), *columns))
    if not parts:
        return _NOTHING
    kinds = np.concatenate([part.kind for part in parts])
    first = np.concatenate([part.first for part in parts])
    second = np.concatenate([part.second for part in parts])
    similarity = np.concatenate([part.similarity for part in parts])
    # A pair comes from the ranges of both its classes.
    order = np.lexsort((second, first, kinds))
    key = np.stack([kinds[order].astype(np.int64), first[order], second[order]])
    new = np.concatenate([[True], (key[:, 1:] != key[:, :-1]).any(axis=0)])[: len(order)]
    kept = order[new]
    return Edges(kinds[kept], first[kept], second[kept], similarity[kept])


def _folded(storage: Storage, join: str) -> tuple[Ids, Ids, Ids]:
    """Read the live files, their images and their classes."""
    tables = [read(storage, done) for done in committed(storage, f"{join}/fold").values()]
    file, image, group = (
        np.concatenate([np.empty(0, np.int64), *(table[name].to_numpy() for table in tables)])
        for name in ("id", "image", "class")
    )
    return file, image, group


def read_folded(storage: Storage, join: str) -> tuple[tuple[Ids, Ids, Ids], Edges, tuple[Ids, Ids]]:
    """Read what a join found.

    Returns
    -------
    The live files, their images and classes; the pairs, in which live files stand for classes; and
    pairs of files that are copies.
    """
    files, images, classes = _folded(storage, join)
    edges = _among(_edges(storage, join), files, classes)
    return (files, images, classes), edges, _copies(files, images, classes)


def _but_refuted(storage: Storage, join: str, edges: Edges) -> Edges:
    """Leave out the pairs to prove that were refuted already (`sifting`)."""
    tables = [read(storage, done) for done in committed(storage, f"{join}/sifted").values()]
    refuted = [table.filter(table["refuted"]) for table in tables]
    if not any(table.num_rows for table in refuted):
        return edges
    pairs = [np.stack([one["first"].to_numpy(), one["second"].to_numpy()], 1) for one in refuted]
    left = ~among(np.stack([edges.first, edges.second], axis=1), np.concatenate(pairs))
    left |= edges.kind == SIMILAR
    return Edges(edges.kind[left], edges.first[left], edges.second[left], edges.similarity[left])


def among(pairs: Ids, others: Ids) -> npt.NDArray[np.bool_]:
    """(P,) whether each pair is among some others.

    Parameters
    ----------
    pairs, others : (P, 2) and (Q, 2)
    """
    both, number = np.unique(np.concatenate([others, pairs]), axis=0, return_inverse=True)
    there = np.zeros(len(both), np.bool_)
    there[number[: len(others)]] = True
    found: npt.NDArray[np.bool_] = there[number[len(others) :]]
    return found


def last_join(storage: Storage, join: str, stage: str = "families", *, alike: bool = False) -> str:
    """Name the last join before one that has ended a stage; "": there is none.

    Parameters
    ----------
    join : as `Settings.join` writes it
    alike : whether it has to be of the same settings
    """
    older = (one for one in reversed(join_names(storage)) if one < join)
    if alike:
        older = (one for one in older if one.partition("-")[2] == join.partition("-")[2])
    return next((one for one in older if committed(storage, f"{one}/{stage}")), "")


def newest_others(storage: Storage, join: str) -> list[str]:
    """Name the joins of the newest generation, but for one, whose families are known."""
    others = [
        one for one in join_names(storage) if one != join and committed(storage, f"{one}/families")
    ]
    return [one for one in others if one.partition("-")[0] == others[-1].partition("-")[0]]


def _live(files: Ids, names: Ids) -> tuple[Ids, Ids]:
    """Give the names that have files, rising, and of each its first file."""
    order = np.lexsort((files, names))
    found, first = np.unique(names[order], return_index=True)
    return found, files[order][first]


def _among(edges: Edges, files: Ids, classes: Ids) -> Edges:
    """Name the classes of edges by live files; edges of classes without one are dropped."""
    names, first = _live(files, classes)
    if not len(names):
        return _NOTHING
    sides = edges.first, edges.second
    places = [np.searchsorted(names, side).clip(max=len(names) - 1) for side in sides]
    there = (names[places[0]] == edges.first) & (names[places[1]] == edges.second)
    one, two = (first[place[there]] for place in places)
    return Edges(
        edges.kind[there], np.minimum(one, two), np.maximum(one, two), edges.similarity[there]
    )


def _copies(files: Ids, images: Ids, classes: Ids) -> tuple[Ids, Ids]:
    """Pair files with the first of their image, and that with the first of its class."""
    first: list[Ids] = []
    second: list[Ids] = []
    for names in (images, classes):
        found, chief = _live(files, names)
        mine = chief[np.searchsorted(found, names)]
        other = files != mine
        first.append(files[other])
        second.append(mine[other])
    return np.concatenate(first), np.concatenate(second)


def commit_parts(
    storage: Storage, stage: str, numbers: npt.NDArray[np.integer], table: pa.Table
) -> None:
    """Commit a table as an object for each number; as `cut_by`."""
    for number, part in cut_by(numbers, table):
        commit(storage, stage, shard_name(number), part)


def shards_of_parts(shards: Iterable[str]) -> dict[int, list[tuple[str, ...]]]:
    """Give the embed shards of each part, some of them for a task."""
    parts: dict[int, list[str]] = {}
    for shard in shards:
        parts.setdefault(int(shard) // SHARDS_PER_PART, []).append(shard)
    return {
        part: [
            tuple(some[start : start + SHARDS_AT_ONCE])
            for start in range(0, len(some), SHARDS_AT_ONCE)
        ]
        for part, some in parts.items()
    }


def gather(
    run: Run, settings: Settings, number: str, part: str, shards: Sequence[str]
) -> Done | None:
    """Sort the rows of some embed shards that are in families by chunk, shard by shard.

    Parameters
    ----------
    number : of the round, which says whose rows are wanted
    part : of `placed`
    shards : of `embed`, some of the part
    """
    storage, join = run.storage, settings.join
    placed = read(storage, done_of(storage, f"{join}/placed", part))
    chunks = read(storage, done_of(storage, settings.rounds, number))["chunk"]
    placed = placed.filter(pc.is_in(placed["chunk"], chunks.cast(pa.int32())))
    ids, of, family = (column.to_numpy() for column in placed.columns)

    def by_chunk() -> Iterator[tuple[int, pa.Table]]:
        for shard in shards:
            mine = ids >> ROW_BITS == int(shard)
            if mine.any():
                order = np.flatnonzero(mine)[np.argsort(of[mine], kind="stable")]
                rows = read(storage, done_of(storage, "embed", shard)).take(
                    row_of(ids[order])
                )  # and the others are let go of
                yield from cut_by(of[order], rows.append_column("family", pa.array(family[order])))

    name = f"{number}-{part}-{shards[0]}"
    return commit_pieces(storage, settings.gathered, name, by_chunk())
