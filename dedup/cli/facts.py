"""Names with their values, as `dedup status` shows them; on a terminal values wrap at its width."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len

from dedup.cli.output import visible
from dedup.cli.wrapping import width_of, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_GAP: Final = 3


class Fact(NamedTuple):
    """A name and its value.

    Parameters
    ----------
    name : "" of a further value of the same name
    text : what may wrap between words
    path : what the text is about; never broken, so that it can be copied
    """

    name: str
    text: str
    path: str = ""


def write_facts(facts: Sequence[Fact]) -> None:
    """Write each name with its value beside it."""
    edge = 1 + max((cell_len(fact.name) for fact in facts), default=0) + _GAP
    room = width_of(sys.stdout) - edge if sys.stdout.isatty() else None
    for name, text, path in facts:
        title = f" {name}" + " " * (edge - 1 - cell_len(name))
        for number, line in enumerate(_lines(visible(text), visible(path), room)):
            sys.stdout.write(f"{' ' * edge if number else title}{line}".rstrip() + "\n")
    sys.stdout.flush()


def _lines(text: str, path: str, room: int | None) -> Iterator[str]:
    whole = ": ".join(filter(None, (path, text)))
    if room is None or cell_len(whole) <= room:
        yield whole
        return
    if path:
        yield path
    yield from wrapped(text, room).split("\n")
