"""Labels of images, out of a table: one column names files, another says what they are."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Final

from dedup.errors import DedupError
from dedup.report.truth import find_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PATH: Final = "path"
_NAMED: Final = 3  # names in a note


def read_labels(
    file: Path, column: str, paths: Sequence[str], roots: Sequence[str]
) -> tuple[list[str], tuple[str, ...]]:
    """Read a column of a CSV file that has a column `path` as well.

    Parameters
    ----------
    paths : absolute, of the files that are to have labels
    roots : folders that its names may be relative to

    Returns
    -------
    A label for each path, "" where the table has none; and notes.

    Raises
    ------
    DedupError : the file cannot be read, is no CSV, or lacks a column.
    """
    try:
        lines = file.read_text("utf-8-sig", "surrogateescape").splitlines(keepends=True)
    except OSError as error:
        raise DedupError(f"{file}: cannot be read: {error.strerror}") from error
    reader = csv.DictReader(lines, strict=True)
    try:
        columns = list(reader.fieldnames or ())
        for wanted in (_PATH, column):
            if wanted not in columns:
                known = ", ".join(columns) or "none"
                raise DedupError(f"{file}: there is no column {wanted!r}; its columns: {known}")
        table = {row[_PATH]: row[column] or "" for row in reader if row[_PATH]}
    except csv.Error as error:
        raise DedupError(f"{file}, line {reader.line_num}: not CSV: {error}") from error
    found = find_files(table, paths, roots)
    labels = {path: table[name] for name, path in found.files.items()}
    notes = []
    for names, what in ((found.missing, "no file"), (found.ambiguous, "several files")):
        if names:
            some = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
            notes.append(f"{file.name}: paths that mean {what} of the map: {len(names):,} ({some})")
    return [labels.get(path, "") for path in paths], tuple(notes)
