"""Cells as queries read them: of each class a short code, and its vector where that promises much.

An object holds classes that are at home in some cells, that is, nearest to their centres: of each
cell the ids, then the codes, then the vectors of its classes, so that any of them is read by its
range. Where the cells are, says one table (`places`), which all queries read.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from dedup.distributed.commits import commit, commit_bytes, committed
from dedup.distributed.engine import Named
from dedup.distributed.pieces import Pieces, read_pieces
from dedup.distributed.schemas import PLACES, assign_schema
from dedup.distributed.stages import Given, run_shards

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from dedup.distributed.commits import Done
    from dedup.distributed.engine import Engine
    from dedup.distributed.pieces import Piece
    from dedup.distributed.run import Run

    Codes = npt.NDArray[np.uint8]
    Report = Callable[[str, int, int], None]

_SERVE: Final = Named("serving", "serve")

ID_BYTES: Final = 8
ROWS_OF_OBJECT: Final = 20_000

_MOST_PARTS: Final = 8
"""Generations whose objects a query reads, before all of them are written anew as one."""


def serve(run: Run, division: str, name: str, wanted: tuple[Piece, ...]) -> Done | None:
    """Write classes that are at home in some cells as queries read them; writes `served`.

    Parameters
    ----------
    wanted : pieces of `assign` whose cells are the homes of their classes
    """
    from dedup.distributed.dividing import read_coder, vectors_of

    storage = run.storage
    names = list(run.meta.pinned.compared)
    table = read_pieces(storage, wanted, assign_schema(names))
    table = table.sort_by([("cell", "ascending"), ("class", "ascending")]).combine_chunks()
    count, cell = table.num_rows, table["cell"].to_numpy()
    ids = table["class"].to_numpy().astype("<i8").view(np.uint8).reshape(count, ID_BYTES)
    codes = read_coder(storage, division)[0].codes(vectors_of(run, table))
    vectors = [_bytes(table[f"vector.{name}"]) for name in names]
    whole = np.concatenate(vectors, axis=1)
    sink, places = io.BytesIO(), list[list[int]]()
    for number in np.unique(cell).tolist():
        some = slice(*np.searchsorted(cell, [number, number + 1]).tolist())
        places.append([number, sink.tell(), some.stop - some.start])
        for column in (ids, codes, whole):
            sink.write(column[some].tobytes())
    facts = {"places": places, "widths": [one.shape[1] for one in vectors]}
    return commit_bytes(storage, f"{division}/served", name, sink.getvalue(), "rows", count, facts)


def _bytes(column: pa.ChunkedArray) -> Codes:
    return np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(len(column), -1)


def serve_division(run: Run, engine: Engine, division: str, label: str, report: Report) -> None:
    """Write what no earlier generation has, for queries; all anew once it is in many pieces.

    Parameters
    ----------
    label : of the generation
    """
    storage, stage = run.storage, f"{division}/places"
    made = committed(storage, stage)
    if label in made:
        return
    labels: list[str] = made[max(made)].extra["labels"] if made else []
    if len(labels) >= _MOST_PARTS:
        labels = []
    old = {key for one in labels for key in made[one].extra["keys"]}
    every = committed(storage, f"{division}/assign").values()
    assigned = [done for done in every if done.key not in old]
    found = Pieces(storage, assigned)
    parts = {f"{label}-{number:06d}": part for number, part in enumerate(_parts(found))}
    arguments = Given(
        parts, lambda name: (division, name, sum(map(found.at, parts[name]), start=()))
    )
    words = "Preparing for queries"
    run_shards(engine, run, f"{division}/served", words, _SERVE, arguments, report)
    labels = [*labels, label]
    served = committed(storage, f"{division}/served").values()
    counting = [done for done in served if done.shard.partition("-")[0] in labels]
    rows = [
        {"cell": cell, "start": start, "rows": rows, "key": done.key}
        for done in counting
        for cell, start, rows in done.extra["places"]
    ]
    table = pa.Table.from_pylist(rows, schema=PLACES).sort_by("cell")
    facts = {
        "keys": [done.key for done in assigned], "labels": labels,
        "widths": counting[0].extra["widths"],
    }  # fmt: skip
    commit(storage, stage, label, table, facts)


def _parts(found: Pieces) -> list[list[range]]:
    """Cut the pieces of homes, by rising group of cells, into what one object takes.

    Returns
    -------
    Of each object the places of its pieces.
    """
    parts: list[list[range]] = []
    room = 0
    for number in found.numbers:
        span = range(0) if number % 2 else found.span(number)
        while span:
            ends = np.cumsum(found.rows[span.start : span.stop], dtype=np.int64)
            fits = int(np.searchsorted(ends, room, "right"))
            if fits == 0:  # one piece is taken in any case
                parts.append([])
                fits = max(1, int(np.searchsorted(ends, ROWS_OF_OBJECT, "right")))
                room = ROWS_OF_OBJECT
            parts[-1].append(span[:fits])
            room -= int(ends[fits - 1])
            span = span[fits:]
    return parts
