r"""How answers and progress look: rows in four formats on stdout, a bar and notes on stderr.

Order is the answer's and similarities have 4 decimals, so that outputs can be diffed. The keys of
jsonl and csv are the fields of the rows. rich is imported only for a terminal.

A name may hold anything but NUL. What a person sees (tables, lines, notes, errors, progress) goes
through `visible` here, so that no name moves a cursor, turns text around or ends a line. In jsonl
such characters are escapes of JSON, and bytes that are not UTF-8 surrogate escapes (``\udcXX``),
which ``os.fsencode`` turns back. csv and paths hold the bytes of names as they are, for programs.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

import click

from dedup.answer import keys_of, row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from dedup.answer import Progress
    from dedup.results import Skip

_SHOWN_SKIPS = 10

_ESCAPED_IN_JSON = re.compile(
    "[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What `json` leaves as it is and a terminal may obey: DEL and C1, marks of direction, separators
of lines and paragraphs; and surrogates, which UTF-8 does not have."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what a spreadsheet takes for the start of one


_SIMILARITY_WORDS = {"exact": "1.0", "pixels": "1.0", "resaved": "proven", "near": "proven"}


_PLANNED = {
    "trash": "To move to the trash",
    "hardlink": "To replace with hard links",
    "reflink": "To replace with reflinks",
    "symlink": "To replace with symbolic links",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title, what makes its cells of a row, and how these look.

    One that is `optional` is left out where all its cells are empty.
    """

    title: str
    cell: Callable[[Any], str]
    right: bool = False
    path: bool = False
    optional: bool = False

    @property
    def side(self) -> str:
        """As `write_table` takes it."""
        return "path" if self.path else "right" if self.right else "left"


def write_rows(
    rows: Iterable[Any],
    kind: type,
    form: str,
    columns: Sequence[Column],
    *,
    nul: bool = False,
    ruled: bool = False,
    csv_safe: bool = False,
    output: Path | None = None,
) -> None:
    """Write rows in the format that was asked for.

    Parameters
    ----------
    kind : dataclass of the rows
    form : "table", "jsonl", "csv", "paths" or "parquet"
    columns, ruled : of a table
    nul : paths end with NUL
    csv_safe : as of `write_csv`
    output : as of `write_parquet`
    """
    if form == "paths":
        write_paths((row.path for row in rows), nul=nul)
    elif form == "table":
        _write_columns(list(rows), columns, ruled)
    elif form == "csv":
        write_csv(keys_of(kind), map(row_of, rows), safe=csv_safe)
    elif form == "parquet":
        write_parquet(rows, kind, output)
    else:
        write_jsonl(map(row_of, rows))


def _write_columns(
    rows: Sequence[Any],
    columns: Sequence[Column],
    ruled: bool,  # noqa: FBT001 - as of `write_table`
) -> None:
    """Draw a table of rows; of none, nothing."""
    cells = [[column.cell(row) for row in rows] for column in columns]
    seen = [at for at, column in enumerate(columns) if any(cells[at]) or not column.optional]
    if rows:
        heads = [(columns[at].title, columns[at].side) for at in seen]
        write_table(heads, list(zip(*(cells[at] for at in seen), strict=True)), ruled)


def write_parquet(rows: Iterable[Any], kind: type, output: Path | None) -> None:
    """Write a table of Parquet, with the keys of JSON lines as its columns.

    Parameters
    ----------
    kind : dataclass of the rows
    output : the file; None: stdout, which is no terminal
    """
    from dedup.files import output_file
    from dedup.report.tables import parquet_of

    content = parquet_of(map(row_of, rows), keys_of(kind), kind)
    if output is None:
        _write(content)
        _flush()
        return
    with output_file(output) as file:
        file.write(content)


def write_jsonl(rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    for row in rows:
        text = _ESCAPED_IN_JSON.sub(_json_escape, json.dumps(row, ensure_ascii=False))
        _write(text.encode() + b"\n")
    _flush()


def _json_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"


def write_csv(header: Sequence[str], rows: Iterable[dict[str, Any]], *, safe: bool = False) -> None:
    """Write RFC 4180, with a header; names as the bytes that they are.

    Parameters
    ----------
    safe : an apostrophe goes before a text that a spreadsheet would take for a formula
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, header)
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _no_formula(cell) for key, cell in row.items()} if safe else row)
        _write(buffer.getvalue().encode("utf-8", "surrogateescape"))
        buffer.seek(0)
        buffer.truncate()
    _write(buffer.getvalue().encode("utf-8", "surrogateescape"))
    _flush()


def _no_formula(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def write_paths(paths: Iterable[str], *, nul: bool) -> None:
    """Write names as the bytes that they are, each ended by a line feed or NUL.

    For programs: on a terminal a name can do harm here.
    """
    for path in paths:
        name = os.fsencode(path)
        if not nul and b"\n" in name:
            note(f"A name contains a line feed; use -0 to keep names apart: {path!a}")
        _write(name + (b"\0" if nul else b"\n"))
    _flush()


def _write(content: bytes) -> None:
    sys.stdout.buffer.write(content)


def _flush() -> None:
    sys.stdout.buffer.flush()


def write_table(
    columns: Sequence[tuple[str, str]],
    rows: Iterable[Sequence[str]],
    ruled: bool = False,  # noqa: FBT001, FBT002 - of a table, and nothing else
) -> None:
    """Draw a table for a person.

    Parameters
    ----------
    columns : (title, "left", "right" or "path"); a path is never broken
    rows : one string per column
    ruled : a row whose first cell is not empty starts a section, with an empty line above it
    """
    from dedup.cli.tables import table

    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    seen = [[visible(cell) for cell in row] for row in rows]
    for line, head in table(columns, seen, width, ruled=ruled):
        sys.stdout.write(f"{click.style(line, bold=True) if head and terminal else line}\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Print a line to stdout, for a person; on a terminal it is broken at its width."""
    click.echo(_fitted(visible(text), sys.stdout))


def note(*texts: str) -> None:
    """Print notes to stderr, each of them once; on a terminal they are broken at its width."""
    for text in dict.fromkeys(texts):
        click.echo(_fitted(visible(text), sys.stderr), err=True)


def _fitted(text: str, stream: TextIO) -> str:
    if not stream.isatty():
        return text
    from dedup.cli.wrapping import width_of, wrapped

    return wrapped(text, width_of(stream))


def note_skips(skips: Sequence[Skip], more: str) -> None:
    """List skipped files, a line each; beyond ten only how many, and where to see the rest."""
    for skip in skips[:_SHOWN_SKIPS]:
        note(f"  skipped {shown(skip.path)}: {skip.reason}")
    if len(skips) > _SHOWN_SKIPS:
        note(f"  … and {len(skips) - _SHOWN_SKIPS:,} more: {more}")


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


@contextmanager
def logged(*, verbose: bool) -> Iterator[None]:
    """Print to stderr what the package logs meanwhile."""
    logger, handler = logging.getLogger("dedup"), _Notes()
    if not verbose:
        yield
        return
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


@contextmanager
def progress_bars(unit: str = "") -> Iterator[Progress]:
    """Show progress, one bar a stage; silent unless stderr is a terminal.

    Answers are printed when it has ended: rich takes over what is printed meanwhile.

    Parameters
    ----------
    unit : what is counted, for the rate; "" shows no rate
    """
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} {unit}/s" if speed and unit else "")

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(visible(stage), total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield report


def shown(path: str) -> str:
    """Make a path short for a person: relative when it is below the current folder."""
    here = os.getcwd()
    return os.path.relpath(path, here) if path.startswith(here + os.sep) else path


def similarity_in_words(row: Any) -> str:
    """Say how alike two files are: what is proven by other means needs no figure.

    Parameters
    ----------
    row : with a tier and a similarity
    """
    return _SIMILARITY_WORDS.get(row.tier, f"{row.similarity:.4f}")


def visible(text: str) -> str:
    r"""Escape what must not reach a terminal: ESC becomes ``\x1b``, a mark of direction ``\u202e``.

    Controls, marks of direction, separators but the space, and bytes that are not UTF-8.
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if character.isprintable() else ascii(character)[1:-1]


def counted(number: int, thing: str) -> str:
    """Give a number with what it counts: "1 group", "1,200 groups"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def planned_in_words(action: str) -> str:
    """Say what a plan does to its files: "To replace with hard links"."""
    verb, _, place = action.partition(":")
    if place:
        return f"To move to {shown(place)}"
    return _PLANNED.get(verb, f"To {verb}")


def moment_in_words(moment: str) -> str:
    """Give a moment in ISO 8601 to the minute, in the time zone of this computer."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return moment


def bytes_in_words(count: int) -> str:
    """Give a size with a unit: 1500 is "1.5 kB"; units are powers of 1000, as disks are sold."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - the step of the units
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
