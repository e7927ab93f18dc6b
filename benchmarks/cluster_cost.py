"""What the model of costs says of ten million rows, and sampled cells take: cluster_cost FOLDER.

Takes rows, and 500 centres, from the collection that `scripts/bench cluster --rows 1000000 --keep
FOLDER` left: as many cells as ten million rows have. Runs the tasks that divide on some shards, and
all tasks that compare one cell of the true size, 80,000 rows in pieces as small as 1,221 shards
make them; what they take is scaled to all rows, and to cells of unequal size as the model has it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from cluster import SHARD, Timed
from machine import add_json_option, record

from dedup.distributed import cost
from dedup.distributed.blocks import Blocks, Groups, Limits
from dedup.distributed.collection import SharedCollection
from dedup.distributed.commits import commit, commit_bytes, committed, done_of, read, read_bytes
from dedup.distributed.dividing import Division, assign, exact, vectors_of
from dedup.distributed.engine import Task
from dedup.distributed.pairing import pair_block
from dedup.distributed.pieces import Pieces, commit_pieces
from dedup.distributed.schemas import assign_schema
from dedup.distributed.serving import serve
from dedup.space.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable

    from dedup.distributed.run import Run

ROWS: Final = 10_000_000
OVERLAP: Final = 4
CELL_ROWS: Final = 80_000
SHARDS: Final = 8
MADE: Final = "division/000"
CHECK: Final = "check"


def begin(run: Run) -> None:
    """Copy a division, with four cells for each row."""
    storage = run.storage
    for stage in ("centres", "coder"):
        done = done_of(storage, f"{MADE}/{stage}", "0")
        suffix, data = done.key.rpartition(".")[2], read_bytes(storage, done)
        commit_bytes(storage, f"{CHECK}/{stage}", "0", data, suffix, done.rows, done.extra)
    facts = {"overlap": OVERLAP, "cells_of_group": 1}
    commit(storage, f"{CHECK}/divided", "0", pa.table({}), facts)


def cell(run: Run) -> Groups:
    """Write one cell: the rows that are nearest to its centre."""
    storage, space = run.storage, Division(run.storage, CHECK)
    tables, near = list[pa.Table](), list[Any]()
    names = [f"vector.{name}" for name in run.meta.pinned.compared]
    for done in [*committed(storage, "embed").values()][: 6 * CELL_ROWS // SHARD]:
        table = read(storage, done, ["id", *names])
        tables.append(table)
        near.append(space.centre(vectors_of(run, table)) @ space.centres[1])
    chosen = np.sort(np.argsort(-np.concatenate(near))[:CELL_ROWS])
    table = pa.concat_tables(tables).take(chosen)
    other = np.random.default_rng(4).integers(1, len(space.centres), (CELL_ROWS, OVERLAP - 1))
    cells = np.sort(np.column_stack([np.zeros(CELL_ROWS, np.int64), other]), axis=1)
    columns = [table["id"], np.zeros(CELL_ROWS, np.int32), cells.tolist(), *table.columns[1:]]
    whole = pa.table(columns, schema=assign_schema(list(run.meta.pinned.compared)))
    size = CELL_ROWS * SHARD // ROWS
    parts = ((0, whole.slice(start, size)) for start in range(0, CELL_ROWS, size))
    written = commit_pieces(storage, f"{CHECK}/cell", "0", parts)
    return Groups(storage, [] if written is None else [written])


def timed(engine: Timed, function: Callable[..., Any], *arguments: Any) -> None:
    """Run a task."""
    engine.submit(Task(function, arguments, function.__name__))
    for ended in engine.wait():
        if isinstance(ended.result, BaseException):
            raise ended.result


def check(run: Run) -> list[list[Any]]:
    """Compare the model with what tasks take."""
    begin(run)
    storage, floor = run.storage, Space(run.meta.pinned).near_floors[1]
    (join,) = {"/".join(entry.key.split("/")[:2]) for entry in storage.list("join")}
    reps = Pieces(storage, committed(storage, f"{join}/reps").values())
    with Timed() as engine:
        for shard in [*committed(storage, "embed")][-SHARDS - 1 : -1]:
            timed(engine, exact, run, CHECK, shard, reps.of(int(shard)), floor)
            timed(engine, assign, run, CHECK, shard, reps.of(int(shard)))
        found = Pieces(storage, committed(storage, f"{CHECK}/assign").values())
        homes = [one for number in found.numbers if number % 2 == 0 for one in found.of(number)]
        timed(engine, serve, run, CHECK, "0", tuple(homes))
        rows = sum(one.rows for one in homes)
        wanted = cell(run)
        for block in Blocks(wanted, wanted.keys, "000000").values():
            timed(engine, pair_block, run, CHECK, Limits(floor), block)
    took = {name: sum(each) for name, each in engine.seconds.items()}
    print(took)
    divide = sum(took[name] for name in ("exact", "assign", "serve")) / rows * ROWS
    cells = len(Division(storage, CHECK).centres)
    pair = took["pair_block"] * cells * cost._SKEW  # noqa: SLF001 - the one place it stands in
    values = Division(storage, CHECK).centres.shape[1]
    said = cost.compare_seconds(ROWS, 2 * values, *cost.row_seconds(values))
    return [
        [what, round(one / 3600, 2), round(two / 3600, 2), round(one / two, 2)]
        for what, one, two in zip(("divide", "pair"), said, (divide, pair), strict=True)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    add_json_option(parser)
    options = parser.parse_args()
    url = f"file://{options.folder.resolve()}/store"
    run = SharedCollection.open(url).run
    try:
        rows = check(run)
    finally:
        run.storage.delete([entry.key for entry in run.storage.list(CHECK)])
    for row in rows:
        print(*row)
    if options.json:
        columns = ["stage", "core-hours, model", "core-hours, seen", "model of seen"]
        title = f"The model of costs at {ROWS:,} rows of 256 values, against sampled cells"
        note = f"{OVERLAP} cells a row; {SHARDS} shards and one cell were run, and scaled."
        record("cluster", "cost-10000000", title, columns, rows, statistic="one run", note=note)


if __name__ == "__main__":
    main()
