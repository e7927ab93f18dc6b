"""Notes and errors at the width of a terminal: broken between words, paths and commands whole.

A name may hold spaces, so what is a path is told by its clause: from the word with the first "/"
(or, of a relative one, from the start of the clause) to the end of the clause, where that fits a
line.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, TextIO

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Iterator

_FALLBACK: Final = 80
_LEAST: Final = 20
_HANGING: Final = "  "
_ENDS: Final = (":", ";", ",", ".")
_RATE: Final = re.compile(r"\w+/s\W*")
_WORD: Final = re.compile(r" *[^ ]+")


def width_of(terminal: TextIO) -> int:
    """Give the columns of a terminal."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    try:
        return os.get_terminal_size(terminal.fileno()).columns or _FALLBACK
    except (OSError, ValueError):
        return _FALLBACK


def wrapped(text: str, width: int) -> str:
    """Break a line that is too long; what follows is indented by two."""
    if cell_len(text) <= width:
        return text
    indent = text[: len(text) - len(text.lstrip(" "))] + _HANGING
    width = max(width, len(indent) + _LEAST)
    lines = [""]
    for unit in _units(text, width - len(indent)):
        longer = lines[-1] + unit
        if not lines[-1] or cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(indent + unit.lstrip(" "))
    return "\n".join(lines)


def _units(text: str, room: int) -> Iterator[str]:
    """Split a text into what must not be broken, each with the spaces before it."""
    clause: list[str] = []
    words = _WORD.findall(text)
    for number, word in enumerate(words, 1):
        clause.append(word)
        if word.endswith(_ENDS) or number == len(words):
            yield from _of_clause(clause, room)
            clause = []


def _of_clause(words: list[str], room: int) -> Iterator[str]:
    bare = [word.strip(" (\"'") for word in words]
    paths = [at for at, word in enumerate(bare) if "/" in word and not _RATE.fullmatch(word)]
    starts = [at for at, word in enumerate(bare) if word.startswith("/") or word == "dedup"]
    if not paths and not starts:
        yield from words
        return
    start = min(starts, default=0)
    if paths and paths[0] < start:
        start = 0
    end = len(words)
    if cell_len("".join(words[start:end]).strip()) > room:
        # A sentence about a path: it ends with the last word that looks like a part of one.
        parts = [at for at, word in enumerate(bare) if "/" in word or "." in word[:-1]]
        end = 1 + max([start, *parts])
    yield from words[:start]
    yield "".join(words[start:end])
    yield from words[end:]
