"""Into how many cells classes are divided, and which division serves: for drivers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from dedup.distributed.commits import committed
from dedup.space.thresholds import CENTRE_FROM_IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dedup.distributed.commits import Done
    from dedup.distributed.storage import Storage

ONE_CELL: Final = 20_000
"""Classes up to which all are compared with all."""

ROWS_OF_CELL: Final = 20_000
"""Classes of a cell, each counted in one cell only, where there are many."""

LEAST_ROWS_OF_CELL: Final = 500
CELLS: Final = 500
"""Cells up to which they are smaller: of a million classes, 50 cells would each need a third of
all comparisons to find weak pairs, 500 of them a fifth and less."""

TRAINING_ROWS: Final = 64  # of a cell
ASKING_ROWS: Final = 4000  # whose exact pairs are found
READ: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Cells that a query may read; the share of near images that are at home in them is measured."""

MOST_GROWTH: Final = 2
"""Times as many classes as when a division was made, beyond which another one is made."""


def cells_of(classes: int) -> int:
    """Say into how many cells so many classes are divided."""
    if classes <= ONE_CELL:
        return 1
    return max(2, classes // ROWS_OF_CELL, min(CELLS, classes // LEAST_ROWS_OF_CELL))


def divisions(storage: Storage) -> Iterator[tuple[str, Done | None]]:
    """Name the divisions in the order in which they were made, and at last the next one.

    Each comes with the commit of its centres; the next one with None.
    """
    for number in itertools.count():
        name = f"division/{number:03d}"
        made = committed(storage, f"{name}/centres").get("0")
        yield name, made
        if made is None:
            return


def division_for(storage: Storage, classes: int) -> str:
    """Name the division that serves, or the next one."""
    found = divisions(storage)
    return next(name for name, made in found if made is None or _serves(made, classes))


def _serves(made: Done, classes: int) -> bool:
    """Say whether a division is good for so many classes."""
    facts = made.extra
    return (
        classes <= MOST_GROWTH * facts["classes"]
        and (facts["cells"] > 1 or classes <= ONE_CELL)
        and (facts["centred"] or classes < CENTRE_FROM_IMAGES)
    )
