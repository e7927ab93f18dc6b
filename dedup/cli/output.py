r"""How results and progress look: rows in four formats on stdout, a bar and notes on stderr.

Order is the caller's and similarities have 4 decimals, so that outputs can be diffed. Names that
are not UTF-8 appear in jsonl and csv as surrogate escapes (``\\udcXX``), which ``os.fsencode``
turns back into the bytes; ``paths`` writes the bytes themselves. rich is imported only for a
terminal.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dedup.results import Skip

_SHOWN_SKIPS = 10


def rounded(similarity: float) -> float:
    """Give a similarity its 4 decimals."""
    return round(similarity, 4)


def write_jsonl(rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    for row in rows:
        _write(json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
    _flush()


def write_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write RFC 4180, with a header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for row in ([*header], *rows):
        writer.writerow(row)
        _write(buffer.getvalue().encode("utf-8", "backslashreplace"))
        buffer.seek(0)
        buffer.truncate()
    _flush()


def write_paths(paths: Iterable[str], *, nul: bool) -> None:
    """Write names as they are, each ended by a line feed or NUL."""
    for path in paths:
        name = os.fsencode(path)
        if not nul and b"\n" in name:
            note(f"a name holds a line feed; use -0 to tell names apart: {path!a}")
        _write(name + (b"\0" if nul else b"\n"))
    _flush()


def _write(content: bytes) -> None:
    sys.stdout.buffer.write(content)


def _flush() -> None:
    sys.stdout.buffer.flush()


def write_table(
    columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]], *, ruled: bool = False
) -> None:
    """Draw a table for a person.

    Parameters
    ----------
    columns : (title, "left" or "right")
    rows : one string per column
    ruled : a row whose first cell is not empty starts a section, with a line above it
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title, side in columns:
        table.add_column(title, justify="right" if side == "right" else "left", overflow="fold")
    for number, row in enumerate(rows):
        if ruled and number and row[0]:
            table.add_section()
        table.add_row(*map(Text, row))
    Console(file=sys.stdout, highlight=False).print(table)


def note(text: str) -> None:
    """Tell a person something, on stderr."""
    click.echo(text, err=True)


def note_skips(skips: Sequence[Skip], more: str) -> None:
    """List skipped files, a line each; beyond ten only how many, and where to see the rest."""
    from dedup.cli.options import shown

    for skip in skips[:_SHOWN_SKIPS]:
        note(f"  skipped {shown(skip.path)}: {skip.reason}")
    if len(skips) > _SHOWN_SKIPS:
        note(f"  … and {len(skips) - _SHOWN_SKIPS} more: {more}")


@contextmanager
def progress_bar(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far a run has come, its rate and the time left; silent unless on a terminal."""
    with stages(unit) as report:
        yield lambda done, total: report(what, done, total)


@contextmanager
def stages(unit: str = "") -> Iterator[Callable[[str, int, int], None]]:
    """Show progress through named stages, one bar each; silent unless stderr is a terminal."""
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
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield report


def counted(number: int, thing: str) -> str:
    """Give a number with what it counts: "1 group", "1,200 groups"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def bytes_in_words(count: int) -> str:
    """Give a size with a unit: 1500 is "1.5 kB"; units are powers of 1000, as disks are sold."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - the step of the units
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
