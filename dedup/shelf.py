"""Places in memory that processes share: workers fill them, this process reads without copying.

A picture of input size takes 150 kB, and to send it from a process to another through a pipe is to
copy it four times, half of that under Python's lock.
"""

from __future__ import annotations

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
    places, shape : as those of the `Shelf`
    """

    path: str
    places: int
    shape: tuple[int, ...]

    def open(self) -> npt.NDArray[np.uint8] | None:
        """Give all places to fill, (places, *shape); None where this process cannot reach them."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return _mapped(descriptor, self.places, self.shape)
        except OSError:
            return None
        finally:
            os.close(descriptor)


class Shelf:
    """A number of places for arrays of one shape.

    Parameters
    ----------
    places : how many; memory is taken for those that were ever filled
    shape : of the arrays, which are of uint8

    Attributes
    ----------
    places : how many there are
    address : what workers fill places by; None where there are none or this system gives no such
        memory: no place is ever free
    """

    def __init__(self, places: int, shape: tuple[int, ...]) -> None:
        self.places = places
        self.address: Address | None = None
        self._free: list[int] = []
        self._descriptor: int | None = None
        if not places or not hasattr(os, "memfd_create"):
            return
        try:
            # Memory without a name: nothing is left of it, however the program ends.
            self._descriptor = os.memfd_create("dedup", os.MFD_CLOEXEC)
            os.ftruncate(self._descriptor, places * int(np.prod(shape)))
            self._arrays = _mapped(self._descriptor, places, shape)
        except OSError:  # address space is limited, say
            self.close()
            return
        self._free = list(range(places))
        self.address = Address(f"/proc/{os.getpid()}/fd/{self._descriptor}", places, shape)

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


def _mapped(descriptor: int, places: int, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    # Goes when the last array in it does.
    memory = mmap.mmap(descriptor, places * int(np.prod(shape)))
    return np.ndarray((places, *shape), np.uint8, memory)
