"""Objects that consist of tables, each to be read by itself: how rows get from task to task.

A task sorts what it has by who wants it and writes one object; whoever wants a piece asks for its
bytes alone. Where each is stands in the commit.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from dedup.distributed.commits import TELLS, commit_bytes
from dedup.distributed.storage import MissingObjectError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from dedup.distributed.commits import Done
    from dedup.distributed.storage import Storage


class Piece(NamedTuple):
    """A table in an object: the first byte, how many bytes, and how many rows."""

    key: str
    start: int
    length: int
    rows: int


def commit_pieces(
    storage: Storage,
    stage: str,
    shard: str,
    tables: Iterable[tuple[int, pa.Table]],
    facts: dict[str, Any] | None = None,
) -> Done | None:
    """Write tables into one object and have it count; as `commits.commit`.

    Parameters
    ----------
    tables : each with the number by which it is asked for; several may have the same
    facts : as `extra` of `commits.commit`
    """
    sink, places, rows = io.BytesIO(), list[list[int]](), 0
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    for number, table in tables:
        start = sink.tell()
        with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
            writer.write_table(table)
        places.append([number, start, sink.tell() - start, table.num_rows])
        rows += table.num_rows
    return commit_bytes(
        storage, stage, shard, sink.getbuffer(), "arrows", rows, {**(facts or {}), "pieces": places}
    )


def cut_by(numbers: npt.NDArray[Any], rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Cut rows by the number that each has; they are sorted by it.

    Parameters
    ----------
    numbers : (R,) rising
    """
    for number in np.unique(numbers).tolist():
        begin, end = np.searchsorted(numbers, [number, number + 1]).tolist()
        yield number, rows.slice(begin, end - begin)


def pieces(commits: Iterable[Done]) -> dict[int, list[Piece]]:
    """List the pieces of some objects by number, in the order of the objects."""
    found: dict[int, list[Piece]] = {}
    for done in commits:
        for number, start, length, rows in done.extra["pieces"]:
            found.setdefault(number, []).append(Piece(done.key, start, length, rows))
    return found


def read_pieces(storage: Storage, wanted: Iterable[Piece], schema: pa.Schema) -> pa.Table:
    """Read pieces as one table.

    Parameters
    ----------
    schema : of the table where there is no piece
    """
    of: dict[str, list[Piece]] = {}
    for piece in wanted:
        of.setdefault(piece.key, []).append(piece)
    options = pa.ipc.IpcReadOptions(use_threads=False)  # as `commits.table_of`
    tables: list[pa.Table] = []
    for key, some in of.items():
        starts, lengths = [one.start for one in some], [one.length for one in some]
        try:
            parts = storage.get_ranges(key, starts, lengths)
        except MissingObjectError as error:
            raise StorageError(f"{storage.url}/{key} is missing; {TELLS}") from error
        tables += [_table(storage, key, data, options) for data in parts]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _table(storage: Storage, key: str, data: bytes, options: pa.ipc.IpcReadOptions) -> pa.Table:
    try:
        return pa.ipc.open_stream(data, options=options).read_all()
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{storage.url}/{key} is not what was committed; {TELLS}") from error
