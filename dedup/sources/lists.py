"""Names of files out of lists and tables."""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING, Final

from dedup.arrow import with_pyarrow
from dedup.errors import SourceError
from dedup.records import is_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TABLES: Final = (".csv", ".tsv", ".parquet")
"""Endings of tables; any other file is a list."""

_BATCH_ROWS: Final = 65_536


def names_in(content: bytes) -> list[str]:
    """Give the names of a list: one a line, or separated by NUL where it holds one."""
    if b"\0" in content:
        return [os.fsdecode(name) for name in content.split(b"\0") if name]
    return [os.fsdecode(name) for name in content.splitlines() if name.strip()]


def read_names(path: str, column: str | None = None) -> list[str]:
    """Read names out of a list, or a column of a table.

    Parameters
    ----------
    path : names in a list are relative to the current folder, those in a .csv, .tsv or .parquet
        to the folder of that table
    column : of the table; None: its only one

    Returns
    -------
    In the order of the file; empty cells are left out.

    Raises
    ------
    SourceError : it cannot be read, or has no such column; names those there are.
    ExtraMissingError : .parquet without pyarrow.
    """
    if not path.lower().endswith(TABLES):
        if column is not None:
            raise SourceError(f"{path}: a column is of a table: {', '.join(TABLES)}")
        try:
            with open(path, "rb") as file:
                return names_in(file.read())
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        found = _parquet(path, column) if path.lower().endswith(".parquet") else _csv(path, column)
        folder = os.path.dirname(os.path.abspath(path))
        return [
            name if is_url(os.fsencode(name)) else os.path.join(folder, name)
            for name in found
            if name
        ]
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error


def _csv(path: str, column: str | None) -> Iterator[str]:
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file, delimiter="\t" if path.lower().endswith(".tsv") else ",")
        try:
            head = next(rows, [])
            place = head.index(_column(path, head, column))
            for row in rows:
                if not row:
                    continue
                if len(row) <= place:
                    raise SourceError(f"{path}: line {rows.line_num} has no column {head[place]}")
                yield row[place]
        except csv.Error as error:
            raise SourceError(f"{path}: line {rows.line_num}: {error}") from error


def _parquet(path: str, column: str | None) -> Iterator[str]:
    pa = with_pyarrow("reading Parquet")
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as table:
            name = _column(path, table.schema_arrow.names, column)
            for batch in table.iter_batches(_BATCH_ROWS, columns=[name]):
                for value in batch.column(0).to_pylist():
                    if value is not None and not isinstance(value, str):
                        raise SourceError(
                            f"{path}: the column {name} holds {type(value).__name__}, not names"
                        )
                    yield value or ""
    except pa.ArrowException as error:
        raise SourceError(f"{path}: no sound Parquet ({str(error)[:200]})") from error


def _column(path: str, there: Sequence[str], column: str | None) -> str:
    if column is None and len(there) == 1:
        return there[0]
    if column is None or column not in there:
        wanted = "which column holds the names?" if column is None else f"no column {column!r}."
        raise SourceError(f"{path}: {wanted} There are: {', '.join(there) or 'none'}")
    return column
