"""Names of files out of lists and tables."""

from __future__ import annotations

import os
from typing import Final

from dedup.errors import SourceError
from dedup.records import is_url
from dedup.sources.tables import TABLES, Table

PATH: Final = "path"
"""The column of names, unless another one is named."""


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
    column : of the table; None: its only one, or `PATH`

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
    table = Table(path)
    if column is None and len(table.columns) > 1 and PATH not in table.columns:
        listed = ", ".join(table.columns)
        raise SourceError(f"{path}: which column holds the names? Its columns: {listed}")
    only = table.columns[0] if len(table.columns) == 1 else PATH
    folder = os.path.dirname(os.path.abspath(path))
    names = []
    for _, (name,) in table.rows(column or only):
        if not isinstance(name, str):
            kind = type(name).__name__
            raise SourceError(f"{path}: the column {column or only} holds {kind}, not names")
        if name:
            names.append(name if is_url(os.fsencode(name)) else os.path.join(folder, name))
    return names
