"""Tables for a person: a grid where it fits, and else each path whole on a line of its own.

Text wraps between words; a path is never broken, so that it can be copied. Where the output is no
terminal nothing wraps at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Columns = Sequence[tuple[str, str]]
    Row = Sequence[str]

PATH: Final = "path"
"""The side of a column of paths; the others are "left" and "right"."""

_GAP: Final = "   "
_WIDE: Final = 120
"""From so many columns on, text wraps beside whole paths; below, paths go on their own lines."""
_READABLE: Final = 30  # columns that text needs beside a path
_WORD: Final = re.compile(r"[\d.,]+ (?:B|kB|MB|GB|TB)(?!\S)|\S+")
"""A size stays with its unit."""
_LEAST: Final = 20  # columns that text gets below a path, however narrow the terminal


def table(
    columns: Columns, rows: Sequence[Row], width: int | None, *, ruled: bool
) -> Iterator[tuple[str, bool]]:
    """Draw a table, line by line; each with whether it belongs to the head.

    Parameters
    ----------
    columns : (title, "left", "right" or `PATH`)
    rows : one string per column
    width : of the terminal; None: nothing wraps
    ruled : a row whose first cell is not empty starts a section, with an empty line above it
    """
    widths = [max(map(cell_len, cells)) for cells in zip(_titles(columns), *rows, strict=True)]
    draw = _grid
    if width is not None and _breadth(widths) > width:
        paths = any(side == PATH for _, side in columns)
        widths, natural = _shrunk(columns, rows, widths, width), widths
        if paths and (width < _WIDE or _breadth(widths) > width):
            widths, draw = natural, _stacked
    head = list(draw(columns, _titles(columns), widths, width))
    if any(_titles(columns)):
        yield from ((line, True) for line in head)
    body = [list(draw(columns, row, widths, width)) for row in rows]
    longest = max((cell_len(line) for lines in (head, *body) for line in lines), default=0)
    if any(_titles(columns)):
        yield " " + "─" * (min(longest, width or longest) - 1), False
    for number, (row, lines) in enumerate(zip(rows, body, strict=True)):
        if ruled and number and row[0]:
            yield "", False
        yield from ((line, False) for line in lines)


def _titles(columns: Columns) -> list[str]:
    return [title for title, _ in columns]


def _breadth(widths: Sequence[int]) -> int:
    return 1 + sum(widths) + len(_GAP) * (len(widths) - 1)


def _shrunk(columns: Columns, rows: Sequence[Row], widths: list[int], width: int) -> list[int]:
    """Narrow the widest texts as far as their words allow; paths stay as they are."""
    paths = any(side == PATH for _, side in columns)
    least = []
    for number, (title, side) in enumerate(columns):
        words = {word for row in rows for word in _WORD.findall(row[number])} | {*title.split(), ""}
        longest = max(map(cell_len, words))
        readable = min(widths[number], _READABLE) if paths else 0
        least.append(widths[number] if side == PATH else max(longest, readable))
    widths = list(widths)
    while (over := _breadth(widths) - width) > 0:
        room = [have - need for have, need in zip(widths, least, strict=True)]
        widest = max((one for one in range(len(widths)) if room[one]), key=widths.__getitem__,
                     default=None)  # fmt: skip
        if widest is None:
            break
        others = [widths[one] for one in range(len(widths)) if one != widest and room[one]]
        step = max(1, widths[widest] - max(others, default=0))
        widths[widest] -= min(step, over, room[widest])
    return widths


def _grid(columns: Columns, row: Row, widths: Sequence[int], width: int | None) -> Iterator[str]:
    sides = [side for _, side in columns]
    cells = [
        [cell] if side == PATH or width is None else _wrapped(cell, room)
        for cell, side, room in zip(row, sides, widths, strict=True)
    ]
    for line in range(max(map(len, cells))):
        parts = [lines[line] if line < len(lines) else "" for lines in cells]
        padded = map(_padded, parts, sides, widths)
        yield f" {_GAP.join(padded)}".rstrip()


def _stacked(columns: Columns, row: Row, widths: Sequence[int], width: int | None) -> Iterator[str]:
    """Give a row's paths a line each, the first cell before them, and the other cells below."""
    cells = list(zip(row, columns, widths, strict=True))
    lead = ""
    if columns[0][1] != PATH:
        (cell, (_, side), room), *cells = cells
        lead = _padded(cell, side, room) + _GAP
    margin = " " * (1 + cell_len(lead))
    first = f" {lead}"
    for cell, (_, side), _ in cells:
        if side == PATH and cell:
            yield first + cell
            first = margin
    texts = [(cell, side, room) for cell, (_, side), room in cells if side != PATH]
    *before, (last, side, breadth) = texts or [("", "left", 0)]
    start = "  " + "".join(_padded(*one) + _GAP for one in before)
    room = max(_LEAST, (width or 0) - cell_len(first + start))
    for text in _wrapped(last, room):
        line = _padded(text, side, breadth) if side == "right" else text
        whole = (first + start + line).rstrip()
        if whole:
            yield whole
        first, start = margin, " " * cell_len(start)


def _padded(cell: str, side: str, width: int) -> str:
    space = " " * max(0, width - cell_len(cell))
    return space + cell if side == "right" else cell + space


def _wrapped(text: str, width: int) -> list[str]:
    """Break text between words; a word that is too long stays whole."""
    if cell_len(text) <= width:
        return [text]
    lines = [""]
    for word in _WORD.findall(text):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
