"""The files that a run has to read, column by column.

A million of them as tuples would take 400 MB for as long as the run takes; like this it is 100.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, overload

from dedup.records import FileEntry

if TYPE_CHECKING:
    from dedup.records import Root

_UNKNOWN: Final = -(1 << 63)  # a time of change


class Job(NamedTuple):
    """A file to read.

    Parameters
    ----------
    slot : of a shared buffer, where its pixels go or lie; None: they travel with the outcome
    """

    root: Root
    entry: FileEntry
    slot: int | None = None

    @property
    def path(self) -> bytes:
        """Absolute."""
        return os.path.join(self.root.path, self.entry.path)


class WorkList(Sequence[Job]):
    """Files to read, in the order in which they were added; equal to a list of the same.

    The number of links is not kept.
    """

    __hash__ = None  # type: ignore[assignment]  # like other lists

    def __init__(self) -> None:
        self._roots: list[Root] = []
        self._starts: list[int] = []  # the first file of each stretch of one root
        self._paths = bytearray()
        self._ends = array("Q")
        self._facts = array("q")  # size, time and time of change of each
        self._names = array("Q")  # device and inode of each

    def append(self, root: Root, entry: FileEntry) -> None:
        """Add a file."""
        if not self._roots or self._roots[-1] != root:
            self._roots.append(root)
            self._starts.append(len(self))
        self._paths += entry.path
        self._ends.append(len(self._paths))
        self._facts.extend(
            (entry.size, entry.mtime_ns, _UNKNOWN if entry.ctime_ns is None else entry.ctime_ns)
        )
        self._names.extend((entry.device, entry.inode))

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, row: int) -> Job: ...

    @overload
    def __getitem__(self, row: slice) -> list[Job]: ...

    def __getitem__(self, row: int | slice) -> Job | list[Job]:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        row = range(len(self))[row]
        root = self._roots[bisect_right(self._starts, row) - 1]
        path = bytes(self._paths[self._ends[row - 1] if row else 0 : self._ends[row]])
        size, mtime_ns, ctime_ns = self._facts[3 * row : 3 * row + 3]
        device, inode = self._names[2 * row : 2 * row + 2]
        known = None if ctime_ns == _UNKNOWN else ctime_ns
        return Job(root, FileEntry(path, size, mtime_ns, device, inode, ctime_ns=known))

    def __iter__(self) -> Iterator[Job]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(Job.__eq__, self, other))
