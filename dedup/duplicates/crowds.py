"""Very many copies of one image: proven by as many pairs, and not by twenty times that.

What copies of one image are to each other need not be proven. A crowd is a set of images that are
each other's candidates; where most of those tried are the best of them saved again, each is held
against that one alone, and one of them speaks for all where parts are looked for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from dedup.duplicates.relations import Joined
from dedup.results import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dedup.duplicates.pairs import RowPair
    from dedup.duplicates.relations import Relations

CANDIDATES_OF_ONE: Final = 12
"""Candidates of an image from which on it may be one of very many copies."""

LARGE: Final = 64
"""Images from which on a crowd is held against its best."""

TRIED: Final = 32
"""Images of a crowd by which it is told whether that is worth while."""


def crowds(pairs: Iterable[RowPair]) -> list[list[int]]:
    """List sets of `LARGE` rows and more, joined by pairs of rows that have very many."""
    found: dict[int, list[int]] = defaultdict(list)
    joined, rows = Joined(), set[int]()
    for pair in _crowded(pairs):
        joined.join(*pair)
        rows.update(pair)
    for row in sorted(rows):
        found[joined.of(row)].append(row)
    return [members for members in found.values() if len(members) >= LARGE]


def tried(rows: Sequence[int]) -> Sequence[int]:
    """Take some of a crowd, spread over all of it."""
    return rows[:: max(1, len(rows) // TRIED)]


def one_path(
    pairs: Iterable[RowPair], relations: Relations, place: Callable[[int], int] = int
) -> set[RowPair]:
    """Choose pairs that join images which have very many candidates, one path for any two.

    Parameters
    ----------
    place : of a row, the lower the better; pairs of the best come first, as that will be kept
    """
    joined = Joined()
    for pair, verdict in relations.table.verdicts.items():
        if verdict.tier is Tier.RESAVED:
            joined.join(*pair)
    chosen = set()
    for pair in sorted(_crowded(pairs), key=lambda pair: sorted(map(place, pair))):
        if joined.of(pair[0]) != joined.of(pair[1]):
            joined.join(*pair)
            chosen.add(pair)
    return chosen


def but_copies(pairs: Iterable[RowPair], relations: Relations) -> set[RowPair]:
    """Leave out pairs of which copies tell already that they are copies."""
    return {pair for pair in pairs if relations.through_copies(*pair) is not Tier.RESAVED}


def speaking(
    members: Iterable[Sequence[int]], relations: Relations, place: Callable[[int], int]
) -> list[Sequence[int]]:
    """Leave out the classes for which the best of very many copies of theirs speaks.

    Parameters
    ----------
    members : classes of rows, the first of each stands for it
    place : of a row, the lower the better
    """
    copies: dict[int, list[Sequence[int]]] = defaultdict(list)
    for rows in members:
        copies[relations.copies_of(rows[0])].append(rows)
    kept = []
    for classes in copies.values():
        large = len(classes) >= LARGE
        kept += [min(classes, key=lambda rows: place(rows[0]))] if large else classes
    return sorted(kept, key=lambda rows: rows[0])


def _crowded(pairs: Iterable[RowPair]) -> list[RowPair]:
    every = sorted(pairs)
    count = Counter(row for pair in every for row in pair)
    return [pair for pair in every if min(count[row] for row in pair) >= CANDIDATES_OF_ONE]
