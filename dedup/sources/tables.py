"""Tables that people hand over: CSV, TSV and Parquet, read by the names of columns."""

from __future__ import annotations

import csv
import io
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from dedup.arrow import with_pyarrow
from dedup.errors import SourceError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES: Final = (".csv", ".tsv", ".parquet")
"""Endings of tables."""

_BATCH_ROWS: Final = 65_536


class Table:
    """A table in a file; what has another ending than `TABLES` is CSV.

    Attributes
    ----------
    columns : their names, in order
    has_types : whether it says what its columns are, so that their names are surely no values

    Raises
    ------
    SourceError : it cannot be read, or is none.
    ExtraMissingError : Parquet without pyarrow.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        ending = os.path.splitext(self.path)[1].lower()
        self.has_types = ending == ".parquet"
        self._delimiter = "\t" if ending == ".tsv" else ","
        if self.has_types:
            with self._parquet() as opened:
                self.columns = list(map(str, opened.schema_arrow.names))
            return
        try:
            with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                self._text = file.read()  # once: it may be a pipe
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be read: {error.strerror}") from error
        self.columns = next(self._csv(), ("", []))[1]

    def rows(self, *names: str) -> Iterator[tuple[str, list[Any]]]:
        """Give where each row is, such as "line 2", and its cells in some columns.

        Cells of CSV are text, those of Parquet whatever they are there, and empty ones "".

        Raises
        ------
        SourceError : there is no such column, or a row has not as many cells as there are columns.
        """
        for name in names:
            if name not in self.columns:
                listed = ", ".join(self.columns) or "none"
                raise SourceError(
                    f"{self.path}: there is no column {name!r}; its columns: {listed}"
                )
        yield from self._parquet_rows(names) if self.has_types else self._csv_rows(names)

    def _csv_rows(self, names: tuple[str, ...]) -> Iterator[tuple[str, list[Any]]]:
        places = [self.columns.index(name) for name in names]
        rows = self._csv()
        next(rows, None)
        for place, row in rows:
            if len(row) < len(self.columns) or any(row[len(self.columns) :]):
                raise SourceError(
                    f"{self.path}, {place}: {len(row)} cells, for the columns "
                    f"{', '.join(self.columns)}; text with a comma is quoted"
                )
            yield place, [row[one] for one in places]

    def _csv(self) -> Iterator[tuple[str, list[str]]]:
        reader = csv.reader(io.StringIO(self._text, ""), delimiter=self._delimiter, strict=True)
        try:
            for row in reader:
                if row:
                    yield f"line {reader.line_num}", row
        except csv.Error as error:
            raise SourceError(f"{self.path}, line {reader.line_num}: not CSV: {error}") from error

    def _parquet_rows(self, names: tuple[str, ...]) -> Iterator[tuple[str, list[Any]]]:
        number = 0
        with self._parquet() as opened:
            for batch in opened.iter_batches(_BATCH_ROWS, columns=list(dict.fromkeys(names))):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", ["" if row[one] is None else row[one] for one in names]

    @contextmanager
    def _parquet(self) -> Iterator[Any]:
        arrow = with_pyarrow("reading Parquet")
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(self.path) as opened:
                yield opened
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        except arrow.ArrowException as error:
            raise SourceError(f"{self.path}: not Parquet: {first_line(error)}") from error
