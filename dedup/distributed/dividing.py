"""Dividing classes into overlapping cells, so that pairs are looked for within cells only.

A division serves many generations. Where there are few classes there is one cell, and the pairs
found are those of the exact join.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.distributed.commits import commit, commit_bytes, committed, done_of, read, read_bytes
from dedup.distributed.divisions import (
    ASKING_ROWS,
    READ,
    TRAINING_ROWS,
    cells_of,
)
from dedup.distributed.folding import REPS
from dedup.distributed.pieces import commit_pieces, read_pieces
from dedup.distributed.schemas import assign_schema
from dedup.search.cells import (
    OVERLAPS,
    choose_overlap,
    labels,
    lowest_shared,
    share_in_a_cell,
    train,
)
from dedup.search.codes import Coder
from dedup.search.pairs import place_among_equals
from dedup.search.similarity import unit_rows
from dedup.space.space import Space
from dedup.space.thresholds import CENTRE_FROM_IMAGES
from dedup.store.vectors import unpack_unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from dedup.distributed.commits import Done
    from dedup.distributed.pieces import Piece
    from dedup.distributed.run import Run
    from dedup.distributed.storage import Storage

    Rows = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

ROWS_OF_GROUP: Final = 40_000
"""Rows, each cell of a class counted, that one task of pairing compares: some 0.4 GB."""

ASKED_NEIGHBOURS: Final = 20
PIECE_ROWS: Final = 4096  # of `assign`
_RANKED_AT_ONCE: Final = 1024
_CROWD: Final = 64  # rows of a shard in a cell, from which it is asked how many are near each other
_CROWD_ASKED: Final = 16  # of them
_CROWDED: Final = 0.01  # share of their pairs that is worth telling
_SEED: Final = 0


def vectors_of(run: Run, table: pa.Table) -> Rows:
    """Unpack and fuse the vectors of rows, as one machine compares them before centring."""
    pinned = run.meta.pinned
    return Space(pinned).joined(
        {name: unpack_unit(name, table[f"vector.{name}"].to_pylist()) for name in pinned.compared}
    )


def representatives(run: Run, shard: str, wanted: tuple[Piece, ...]) -> pa.Table:
    """Read the rows of a shard that stand for classes, by rising id.

    Parameters
    ----------
    wanted : the pieces of `reps` for the shard
    """
    names = [f"vector.{name}" for name in run.meta.pinned.compared]
    ids = read_pieces(run.storage, wanted, REPS)["id"]
    table = read(run.storage, done_of(run.storage, "embed", shard), ["id", *names])
    return table.filter(pc.is_in(table["id"], ids)).combine_chunks()


def sample(
    run: Run, division: str, shard: str, wanted: tuple[Piece, ...], share: float
) -> Done | None:
    """Add up the vectors of a shard's classes, and keep a share of them; writes `sample`.

    Parameters
    ----------
    share : from 0 to 1
    """
    table = representatives(run, shard, wanted)
    kept: list[bytes] = []
    if table.num_rows:
        rows = vectors_of(run, table)
        chosen = np.random.default_rng([_SEED, int(shard)]).random(len(rows)) < share
        both = np.vstack([rows[chosen], rows.sum(axis=0, dtype=np.float64)])
        kept = [row.astype("<f8").tobytes() for row in both]
    whole = pa.table({"row": pa.array(kept, pa.binary())})
    return commit(run.storage, f"{division}/sample", shard, whole, {"rows": table.num_rows})


def centres(run: Run, division: str) -> Done | None:
    """Find the mean and the centres of cells.

    Writes `coder` where there are cells, and last `centres`: the mean, then the centres.
    """
    storage, stage = run.storage, f"{division}/sample"
    total, count, rows = np.zeros(0), 0, []
    for done in committed(storage, stage).values():
        table = read(storage, done)
        if not table.num_rows:
            continue
        values = np.stack([np.frombuffer(row, "<f8") for row in table["row"].to_pylist()])
        total = values[-1] if not count else total + values[-1]
        count += done.extra["rows"]
        rows.append(values[:-1].astype(np.float32))
    cells = cells_of(count)
    mean = (total / max(count, 1)).astype(np.float32)
    if count < CENTRE_FROM_IMAGES:
        mean[:] = 0
    found = np.zeros((1, len(mean)), np.float32)
    asking = np.empty((0, len(mean)), np.float32)
    if cells > 1:
        raw = np.concatenate(rows)
        every = unit_rows(raw - mean)
        found = train(every[: cells * TRAINING_ROWS], cells)
        some = np.random.default_rng(_SEED).permutation(len(every))[:ASKING_ROWS]
        asking = every[np.sort(some)]
        data = _coder_bytes(Coder.trained(raw, mean), found)
        commit_bytes(storage, f"{division}/coder", "0", data, "npz", cells)
    table = pa.table({"row": [row.tobytes() for row in (mean, *found, *asking)]})
    facts = {"classes": count, "cells": cells, "asking": len(asking), "centred": bool(mean.any())}
    return commit(storage, f"{division}/centres", "0", table, facts)


def _coder_bytes(coder: Coder, centres: Rows) -> bytes:
    """Write what a query reads first: the coder, and the centres of cells in half precision."""
    sink = io.BytesIO()
    np.savez(sink, mean=coder.mean, values=coder.values, centres=centres.astype(np.float16))
    return sink.getvalue()


def read_coder(storage: Storage, division: str) -> tuple[Coder, Rows]:
    """Read the coder of a division, and the centres of its cells."""
    data = read_bytes(storage, done_of(storage, f"{division}/coder", "0"))
    with np.load(io.BytesIO(data)) as found:
        return Coder(found["mean"], found["values"]), found["centres"].astype(np.float32)


class Division:
    """A division as `centres` wrote it.

    Attributes
    ----------
    mean : (D,) float32; zeros where nothing is taken off
    centres : (C, D) float32
    asking : (S, D) float32, rows whose exact pairs are found
    """

    def __init__(self, storage: Storage, division: str) -> None:
        done = done_of(storage, f"{division}/centres", "0")
        rows = [np.frombuffer(row, np.float32) for row in read(storage, done)["row"].to_pylist()]
        cells: int = done.extra["cells"]
        self.centred: bool = done.extra["centred"]
        self.mean = rows[0]
        self.centres = np.stack(rows[1 : 1 + cells])
        self.asking = np.array(rows[1 + cells :], np.float32)

    def centre(self, rows: Rows) -> Rows:
        """Take off what all have in common; gives unit rows."""
        return unit_rows(rows - self.mean) if self.centred else rows


def exact(
    run: Run, division: str, shard: str, wanted: tuple[Piece, ...], floor: float
) -> Done | None:
    """Find the nearest classes of a shard to the asking rows, and the cells of both.

    Parameters
    ----------
    floor : lowest similarity of a pair that counts
    """
    space = Division(run.storage, division)
    table = representatives(run, shard, wanted)
    asking, similarity = np.empty(0, np.int64), np.empty(0, np.float32)
    cells = np.empty((0, min(OVERLAPS[-1], len(space.centres))), np.int32)
    if table.num_rows:
        rows = space.centre(vectors_of(run, table))
        products = space.asking @ rows.T
        asking, other = np.nonzero((products >= floor) & (products < 1 - 1e-6))
        similarity = products[asking, other]
        order = np.lexsort((other, -similarity, asking))
        order = order[place_among_equals(asking[order]) < ASKED_NEIGHBOURS]
        asking, similarity = asking[order], similarity[order]
        near, at = np.unique(other[order], return_inverse=True)
        if len(near):
            cells = labels(rows[near], space.centres, cells.shape[1])[at]
    schema = pa.schema(
        [("asking", pa.int32()), ("similarity", pa.float32()), ("cells", pa.list_(pa.int32()))]
    )
    columns = [asking.astype(np.int32), similarity, cells.tolist()]
    return commit(run.storage, f"{division}/exact", shard, pa.table(columns, schema=schema))


def divided(run: Run, division: str, recall: float) -> Done | None:
    """Choose in how many cells each class is; writes `divided`, whose facts say what that finds."""
    storage = run.storage
    space = Division(storage, division)
    if len(space.centres) == 1:
        return commit(
            storage, f"{division}/divided", "0", pa.table({}),
            {"overlap": 1, "recall": 1.0, "pairs": 0, "groups": 1, "cells_of_group": 1},
        )  # fmt: skip
    tables = [read(storage, done) for done in committed(storage, f"{division}/exact").values()]
    table = pa.concat_tables(tables).sort_by(
        [("asking", "ascending"), ("similarity", "descending")]
    )
    asking = table["asking"].to_numpy()
    kept = place_among_equals(asking) < ASKED_NEIGHBOURS
    deepest = min(OVERLAPS[-1], len(space.centres))
    others = np.array(table["cells"].to_pylist(), np.int32).reshape(-1, deepest)[kept]
    mine = labels(space.asking, space.centres, deepest)[asking[kept]]
    overlaps = [one for one in OVERLAPS if one <= deepest]
    misses = [1 - share_in_a_cell(mine[:, :one], others[:, :one]) for one in overlaps]
    overlap = choose_overlap(overlaps, misses, int(kept.sum()), 1 - recall)
    count = done_of(storage, f"{division}/centres", "0").extra["classes"]
    ranks = _ranks(space, asking[kept], others[:, 0])
    cells_of_group = max(1, ROWS_OF_GROUP * len(space.centres) // (count * overlap))
    facts = {
        "overlap": overlap, "recall": share_in_a_cell(mine[:, :overlap], others[:, :overlap]),
        "pairs": int(kept.sum()), "groups": -(-len(space.centres) // cells_of_group),
        "cells_of_group": cells_of_group,
        "read": [[cells, float(np.mean(ranks < cells))] for cells in READ if len(ranks)],
    }  # fmt: skip
    return commit(storage, f"{division}/divided", "0", pa.table({}), facts)


def _ranks(space: Division, asking: Ids, home: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Give for each pair how many cells are nearer to the asking row than the other's home.

    Parameters
    ----------
    asking : (P,) rows of `space.asking`
    home : (P,) cells
    """
    found = np.empty(len(asking), np.int64)
    for start in range(0, len(asking), _RANKED_AT_ONCE):
        some = slice(start, start + _RANKED_AT_ONCE)
        products = space.asking[asking[some]] @ space.centres.T
        mine = np.take_along_axis(products, home[some, None].astype(np.int64), axis=1)
        found[some] = np.count_nonzero(products > mine, axis=1)
    return found


def assign(run: Run, division: str, shard: str, wanted: tuple[Piece, ...]) -> Done | None:
    """Put the classes of a shard into their cells.

    Writes `assign`, in pieces by group of cells: twice its number for classes whose nearest cell is
    in it, one more for the others. Facts: how crowded groups are (`_crowds`).
    """
    storage = run.storage
    space, facts = Division(storage, division), done_of(storage, f"{division}/divided", "0").extra
    table = representatives(run, shard, wanted)
    schema = assign_schema(list(run.meta.pinned.compared))
    if not table.num_rows:
        return commit_pieces(storage, f"{division}/assign", shard, [])
    near = np.zeros((table.num_rows, 1), np.int32)
    if len(space.centres) > 1:
        rows = space.centre(vectors_of(run, table))
        near = labels(rows, space.centres, facts["overlap"])
    away = np.ones(near.shape, np.int64)
    away[:, 0] = 0
    row = np.repeat(np.arange(len(near)), near.shape[1])
    group = 2 * (near.ravel() // facts["cells_of_group"]) + away.ravel()
    order = np.lexsort((row, near.ravel(), group))
    row, cell, group = row[order], near.ravel()[order], group[order]
    near = np.sort(near, axis=1)
    told: dict[int, float] = {}
    if len(space.centres) > 1:
        floor = Space(run.meta.pinned).near_floors[space.centred]
        told = _crowds(rows, near, row, cell, facts["cells_of_group"], floor)

    def parts() -> Iterator[tuple[int, pa.Table]]:
        for number in np.unique(group).tolist():
            begin, end = np.searchsorted(group, [number, number + 1]).tolist()
            for start in range(begin, end, PIECE_ROWS):
                some = slice(start, min(end, start + PIECE_ROWS))
                rows = table.take(row[some])
                columns = [rows["id"], cell[some], near[row[some]].tolist(), *rows.columns[1:]]
                yield number, pa.table(columns, schema=schema)

    return commit_pieces(storage, f"{division}/assign", shard, parts(), {"near": told})


def _crowds(
    rows: Rows,
    near: npt.NDArray[np.int32],
    row: Ids,
    cell: npt.NDArray[np.int32],
    cells_of_group: int,
    floor: float,
) -> dict[int, float]:
    """Tell by group of cells what share of its pairs is near and found there, where it is large.

    Some rows of each cell are asked, of a shard in which it has enough of them.

    Parameters
    ----------
    rows, near : (N, D) of the classes of a shard, and (N, M) their cells, rising
    row, cell : (R,) of each place in a cell
    """
    order = np.argsort(cell, kind="stable")
    row, cell = row[order], cell[order]
    found, asked = dict[int, float](), dict[int, int]()
    for number, start, count in zip(
        *(one.tolist() for one in np.unique(cell, return_index=True, return_counts=True)),
        strict=True,
    ):
        if count < _CROWD:
            continue
        mine = row[start : start + count]
        some = mine[:: count // _CROWD_ASKED]
        one, two = np.nonzero(rows[some] @ rows[mine].T >= floor)
        one, two = some[one], mine[two]
        hits = np.count_nonzero((lowest_shared(near, one, two) == number) & (one != two))
        group = number // cells_of_group
        found[group] = found.get(group, 0.0) + hits
        asked[group] = asked.get(group, 0) + len(some) * count
    shares = {group: round(hits / asked[group], 3) for group, hits in found.items()}
    return {group: share for group, share in shares.items() if share >= _CROWDED}
