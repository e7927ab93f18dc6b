"""Places in memory that processes share: workers write to them, this process reads them.

A picture of input size takes 150 kB, and to send it from a process to another through a pipe is to
copy it four times, half of that under Python's lock.
"""

from __future__ import annotations

import math
import mmap
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Address:
    """Where a shelf is found; can be sent to another process of the same user.

    Parameters
    ----------
    path : a file that stands for the memory, as long as the shelf is open
    shape : as that of the `Shelf`
    """

    path: str
    shape: tuple[int, ...]

    def open(self) -> Places | None:
        """Give the places to fill; None where this process cannot reach them."""
        try:
            return Places(os.open(self.path, os.O_WRONLY | os.O_CLOEXEC), self.shape)
        except OSError:
            return None


class Places:
    """The places of a shelf, to a worker, which writes and does not map them.

    What a process maps counts as its own memory, in each of many workers again.
    """

    def __init__(self, descriptor: int, shape: tuple[int, ...]) -> None:
        self._descriptor = descriptor
        self._size = math.prod(shape)

    def put(self, place: int, content: bytes | memoryview) -> bool:
        """Fill a place, or the first bytes of it.

        Returns
        -------
        False where it is too large, or the system has no memory for it.
        """
        size = memoryview(content).nbytes
        try:
            return (
                size <= self._size
                and os.pwrite(self._descriptor, content, place * self._size) == size
            )
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the shelf."""
        os.close(self._descriptor)


class Shelf:
    """A number of places for arrays of one shape.

    Parameters
    ----------
    places : how many; memory is taken for those that were ever filled
    shape : of the arrays, which are of uint8

    Attributes
    ----------
    address : what workers fill places by; None where there are none or this system gives no such
        memory: no place is ever free
    """

    def __init__(self, places: int, shape: tuple[int, ...]) -> None:
        self.address: Address | None = None
        self._free: list[int] = []
        self._descriptor: int | None = None
        if not places or not hasattr(os, "memfd_create"):
            return
        try:
            # Memory without a name: nothing is left of it, however the program ends.
            self._descriptor = os.memfd_create("dedup", os.MFD_CLOEXEC)
            size = places * math.prod(shape)
            os.ftruncate(self._descriptor, size)
            # Goes when the last array in it does.
            memory = mmap.mmap(self._descriptor, size)
            self._arrays = np.ndarray((places, *shape), np.uint8, memory)
        except OSError:  # address space is limited, say
            self.close()
            return
        self._free = list(range(places))
        self.address = Address(f"/proc/{os.getpid()}/fd/{self._descriptor}", shape)

    def take(self) -> int | None:
        """Take a place, the one that was given back last if there is one; None: none is free."""
        return self._free.pop() if self._free else None

    def give_back(self, place: int | None) -> None:
        """Let a place be taken again."""
        if place is not None:
            self._free.append(place)

    def gather(self, places: Sequence[int], out: npt.NDArray[np.uint8]) -> None:
        """Copy what lies at places, in one go: Python's lock is let go once.

        Parameters
        ----------
        out : (len(places), *shape)
        """
        np.take(self._arrays, places, axis=0, out=out, mode="clip")

    def close(self) -> None:
        """Let go of the memory, as soon as nobody maps it any more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
