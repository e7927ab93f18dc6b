"""Objects that consist of tables, each to be read by itself: how rows get from task to task.

A task sorts what it has by who wants it and writes one object; whoever wants a piece asks for its
bytes alone. Where each is stands in the commit, or, where there are many, at the end of the object.
"""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from dedup.distributed.commits import TELLS, commit_bytes, many
from dedup.distributed.storage import MissingObjectError, StorageError
from dedup.search.pairs import place_among_equals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from dedup.distributed.commits import Done
    from dedup.distributed.storage import Storage

    Ids = npt.NDArray[np.int64]
    Contents = npt.NDArray[np.uint32]

_TOLD: Final = 64
"""Pieces up to which a commit says where they are, which is then read with it. A shard may have one
for each of many thousand cells, and all commits of a stage are held at once."""

_CONTENTS: Final = np.dtype("<u4")
_START_BITS: Final = 40  # of a place: an object is below a terabyte
_AT_ONCE: Final = 32  # objects


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
    told: dict[str, Any] = {"pieces": places}
    if len(places) > _TOLD:
        sink.write(_without_starts(places).astype(_CONTENTS).tobytes())
        told = {"contents": len(places)}
    extra = {**(facts or {}), **told}
    return commit_bytes(storage, stage, shard, sink.getbuffer(), "arrows", rows, extra)


def _without_starts(places: list[list[int]]) -> Contents:
    """(P, 3) the number, length and rows of each piece: one begins where the last one ends."""
    told = [(number, length, rows) for number, _, length, rows in places]
    return np.array(told, np.uint32).reshape(-1, 3)


def _contents(storage: Storage, done: Done) -> Contents:
    """(P, 3) as `_without_starts`, of the pieces of an object that says them itself."""
    size = done.extra["contents"] * 3 * _CONTENTS.itemsize
    (data,) = _ranges(storage, done.key, [done.bytes - size], [size])
    return np.frombuffer(data, _CONTENTS).reshape(-1, 3)


def cut_by(numbers: npt.NDArray[Any], rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Cut rows by the number that each has; they are sorted by it.

    Parameters
    ----------
    numbers : (R,) rising
    """
    for number in np.unique(numbers).tolist():
        begin, end = np.searchsorted(numbers, [number, number + 1]).tolist()
        yield number, rows.slice(begin, end - begin)


class Pieces:
    """Where the pieces of some objects are, by number, in 16 bytes each.

    Of all shards there are as many as two of a shard and a cell have any rows in common.

    Parameters
    ----------
    commits : of the objects

    Attributes
    ----------
    numbers : that there are, rising
    rows : (P,) of the pieces, by number, of one number in the order of the objects
    """

    def __init__(self, storage: Storage, commits: Iterable[Done]) -> None:
        every = list(commits)
        self._keys = [done.key for done in every]
        longer = many(partial(_contents, storage), (one for one in every if _says_itself(one)))
        tables = [
            next(longer) if _says_itself(done) else _without_starts(done.extra["pieces"])
            for done in every
        ]
        most = max((int(table[:, 0].max(initial=0)) for table in tables), default=0)
        counts = np.zeros(most + 1, np.int64)
        for table in tables:
            counts += np.bincount(table[:, 0], minlength=most + 1)
        self.numbers: list[int] = np.flatnonzero(counts).tolist()
        self._ends = np.append(0, np.cumsum(counts))
        self._place = np.empty(self._ends[-1], np.int64)  # object, and first byte in it
        self._length, self.rows = (np.empty(len(self._place), np.uint32) for _ in range(2))
        free = self._ends[:-1].copy()
        for first in range(0, len(tables), _AT_ONCE):
            some = tables[first : first + _AT_ONCE]
            tables[first : first + _AT_ONCE] = [np.empty((0, 3), np.uint32)] * len(some)
            self._take(first, some, free)

    def _take(self, first: int, tables: list[Contents], free: Ids) -> None:
        """Sort in the pieces of some objects.

        Parameters
        ----------
        first : of the objects
        free : of each number where its next piece goes
        """
        number, length, rows = np.concatenate(tables).astype(np.int64).T
        sizes = [len(table) for table in tables]
        of = np.repeat(np.arange(len(tables)), sizes)
        start = np.cumsum(length) - length
        begins = np.append(start, 0)[np.cumsum(sizes) - sizes]
        order = np.argsort(number, kind="stable")
        to = free[number[order]] + place_among_equals(number[order])
        self._place[to] = (first + of << _START_BITS | start - begins[of])[order]
        self._length[to], self.rows[to] = length[order], rows[order]
        free += np.bincount(number, minlength=len(free))

    def span(self, number: int) -> range:
        """Give the places of the pieces of a number, in `rows`."""
        if number >= len(self._ends) - 1:
            return range(0)
        return range(*self._ends[number : number + 2].tolist())

    def objects(self, places: Ids) -> Ids:
        """(N,) the objects, in their order, of the pieces at some places."""
        return self._place[places] >> _START_BITS

    def at(self, places: Ids | range) -> tuple[Piece, ...]:
        """Give the pieces at some places."""
        some = slice(places.start, places.stop) if isinstance(places, range) else places
        of, start = np.divmod(self._place[some], 1 << _START_BITS)
        columns = of, start, self._length[some], self.rows[some]
        return tuple(
            Piece(self._keys[one], *place)
            for one, *place in zip(*(column.tolist() for column in columns), strict=True)
        )

    def of(self, number: int) -> tuple[Piece, ...]:
        """Give the pieces of a number, in the order of the objects."""
        return self.at(self.span(number))


def _says_itself(done: Done) -> bool:
    return "contents" in done.extra


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
        parts = _ranges(storage, key, starts, lengths)
        tables += [_table(storage, key, data, options) for data in parts]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _ranges(storage: Storage, key: str, starts: list[int], lengths: list[int]) -> list[bytes]:
    try:
        return storage.get_ranges(key, starts, lengths)
    except MissingObjectError as error:
        raise StorageError(f"{storage.url}/{key} is missing; {TELLS}") from error


def _table(storage: Storage, key: str, data: bytes, options: pa.ipc.IpcReadOptions) -> pa.Table:
    try:
        return pa.ipc.open_stream(data, options=options).read_all()
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{storage.url}/{key} is not what was committed; {TELLS}") from error
