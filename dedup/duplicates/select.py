"""Which of the duplicates found are asked for, and in which order their groups come."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dedup.results import Group

SORTS: Final = ("size", "bytes", "count", "path")
"""The largest images first, the most reclaimable bytes, the most duplicates, or by keeper."""

_KEYS: Final[dict[str, Callable[[Group], tuple[int, ...] | bytes]]] = {
    "bytes": lambda group: (-group.reclaimable_bytes, -sum(one.bytes for one in group.duplicates)),
    "count": lambda group: (-len(group.duplicates), -group.reclaimable_bytes),
    "path": lambda group: os.fsencode(group.keeper),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which duplicates count; keepers may be anywhere and of any size.

    Parameters
    ----------
    under : absolute folders, below one of which they are; none means anywhere
    min_bytes : least size of the file
    """

    under: tuple[bytes, ...] = ()
    min_bytes: int = 0

    def takes(self, path: bytes, size: int) -> bool:
        """Say whether a duplicate counts."""
        return size >= self.min_bytes and self.holds(path)

    def holds(self, path: bytes) -> bool:
        """Say whether a file is below one of the folders."""
        return not self.under or path.startswith(
            tuple(one.rstrip(b"/") + b"/" for one in self.under)
        )


def in_order(groups: Iterable[Group], sort: str) -> list[Group]:
    """Sort groups that come by the size of their images, and number them anew; ties stay so."""
    ordered = sorted(groups, key=_KEYS[sort]) if sort in _KEYS else groups
    return [replace(group, number=number) for number, group in enumerate(ordered, 1)]
