"""The objects of a generation: shards of files to embed, and chunks of all that is known."""

from __future__ import annotations

import hashlib
import uuid
from itertools import starmap
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from dedup.distributed.commits import Done, parquet_bytes
from dedup.distributed.entries import Row
from dedup.distributed.schemas import LISTED, file_id, shard_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dedup.distributed.storage import Storage

KNOWN: Final = pa.schema([*LISTED, ("id", pa.int64())])
"""The columns of a chunk: those of `Row`, without a reason."""

TO_READ: Final = pa.schema([*LISTED, ("reason", pa.string())])
"""The columns of a shard; "" as the reason of what can be read."""

_CHUNK: Final = 50_000  # rows of a chunk, as far as they were added together
_FIRST_SHARD: Final = 64
_SHARDS_OF_A_SIZE: Final = 16


class Written:
    """What was written for a generation that does not count yet.

    Parameters
    ----------
    prefix : of keys
    """

    def __init__(self, storage: Storage, prefix: str) -> None:
        self._storage = storage
        self._prefix = f"{prefix}-{uuid.uuid4().hex[:12]}"
        self._keys: list[str] = []

    def put(self, name: str, table: pa.Table) -> Done:
        """Write a table."""
        data = parquet_bytes(table)
        key = f"{self._prefix}/{name}.parquet"
        self._keys.append(key)
        self._storage.put(key, data)
        return Done(name, key, table.num_rows, len(data), hashlib.sha256(data).hexdigest())

    def discard(self) -> None:
        """Delete all of it."""
        self._storage.delete(self._keys)


class Shards:
    """Cuts files into shards: small ones first, so that few images keep many machines busy, too.

    Parameters
    ----------
    number : of the first shard
    most : files of a shard
    """

    def __init__(self, written: Written, number: int, most: int) -> None:
        self._written = written
        self._most = most
        self._rows: list[Row] = []
        self.number = number
        self.done: list[Done] = []

    def add(self, row: Row) -> int:
        """Take a file; gives its id."""
        if len(self._rows) == self._size:
            self.close()
        self._rows.append(row)
        return file_id(self.number, len(self._rows) - 1)

    def close(self) -> None:
        """Write what waits."""
        if self._rows:
            table = _table(self._rows, TO_READ)
            self.done.append(self._written.put(shard_name(self.number), table))
            self.number += 1
            self._rows = []

    @property
    def _size(self) -> int:
        return min(self._most, _FIRST_SHARD << len(self.done) // _SHARDS_OF_A_SIZE)


class Chunks:
    """Writes all that is known, in order; what is as it was stays in the chunk that it is in."""

    def __init__(self, written: Written) -> None:
        self._written = written
        self._rows: list[Row] = []
        self._count = 0
        self.done: list[Done] = []
        self.files = 0
        self.size = 0

    def add(self, row: Row) -> None:
        """Take a row that is behind all chunks of before."""
        self._rows.append(row)
        if len(self._rows) == _CHUNK:
            self.close()

    def take(self, before: Done, rows: Sequence[Row], *, touched: bool) -> None:
        """Take the rows of a chunk of before, with what came between them."""
        if touched:
            for start in range(0, len(rows), _CHUNK):
                self._rows = [*rows[start : start + _CHUNK]]
                self.close()
            return
        self._counted(rows)
        self.done.append(before)

    def close(self) -> None:
        """Write what waits."""
        if self._rows:
            self._counted(self._rows)
            table = _table(self._rows, KNOWN)
            self.done.append(self._written.put(f"known-{self._count:06d}", table))
            self._count += 1
            self._rows = []

    def _counted(self, rows: Sequence[Row]) -> None:
        self.files += len(rows)
        self.size += sum(row.size for row in rows)


def rows_of(table: pa.Table) -> Iterator[Row]:
    """Give the rows of a chunk."""
    return starmap(Row, zip(*(column.to_pylist() for column in table.columns), strict=True))


def _table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    columns = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))
    return pa.table([pa.array(columns[one.name], one.type) for one in schema], schema=schema)
