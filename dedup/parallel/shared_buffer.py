"""Memory in slots that processes share: workers write to them, this process reads them.

An image of input size takes 150 kB; sending it to another process through a pipe copies it four
times, half of that under Python's lock.
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
class BufferAddress:
    """Where a shared buffer is found; can be sent to another process of the same user.

    Parameters
    ----------
    path : a file that stands for the memory, as long as the buffer is open
    shape : as that of the `SharedBuffer`
    """

    path: str
    shape: tuple[int, ...]

    def open(self) -> Slots | None:
        """Give the slots to fill; None where this process cannot reach them."""
        try:
            return Slots(os.open(self.path, os.O_WRONLY | os.O_CLOEXEC), self.shape)
        except OSError:
            return None


class Slots:
    """The slots of a shared buffer as a worker sees them, which writes and does not map them.

    What a process maps counts as its own memory, in each of many workers again.
    """

    def __init__(self, descriptor: int, shape: tuple[int, ...]) -> None:
        self._descriptor = descriptor
        self._size = math.prod(shape)

    def write(self, slot: int, content: bytes | memoryview) -> bool:
        """Fill a slot, or the first bytes of it.

        Returns
        -------
        False where it is too large, or the system has no memory for it.
        """
        size = memoryview(content).nbytes
        try:
            return (
                size <= self._size
                and os.pwrite(self._descriptor, content, slot * self._size) == size
            )
        except OSError:
            return False

    def close(self) -> None:
        """Close the buffer for this process."""
        os.close(self._descriptor)


class SharedBuffer:
    """A number of slots for arrays of one shape.

    Parameters
    ----------
    slots : how many; memory is taken for those that were ever filled
    shape : of the arrays, which are of uint8

    Attributes
    ----------
    address : by which workers reach the slots; None where there are none or this system gives no
        such memory: no slot is ever free
    """

    def __init__(self, slots: int, shape: tuple[int, ...]) -> None:
        self.address: BufferAddress | None = None
        self._free: list[int] = []
        self._descriptor: int | None = None
        if not slots or not hasattr(os, "memfd_create"):
            return
        try:
            # Memory without a name: nothing is left of it, however the program ends.
            self._descriptor = os.memfd_create("dedup", os.MFD_CLOEXEC)
            size = slots * math.prod(shape)
            os.ftruncate(self._descriptor, size)
            # Goes when the last array in it does.
            memory = mmap.mmap(self._descriptor, size)
            self._arrays = np.ndarray((slots, *shape), np.uint8, memory)
        except OSError:  # address space is limited, say
            self.close()
            return
        self._free = list(range(slots))
        self.address = BufferAddress(f"/proc/{os.getpid()}/fd/{self._descriptor}", shape)

    def take(self) -> int | None:
        """Take a slot, the one released last if there is one; None: none is free."""
        return self._free.pop() if self._free else None

    def release(self, slot: int | None) -> None:
        """Let a slot be taken again."""
        if slot is not None:
            self._free.append(slot)

    def gather(self, slots: Sequence[int], out: npt.NDArray[np.uint8]) -> None:
        """Copy the contents of slots in one call, which releases Python's lock once.

        Parameters
        ----------
        out : (len(slots), *shape)
        """
        np.take(self._arrays, slots, axis=0, out=out, mode="clip")

    def close(self) -> None:
        """Free the memory, as soon as nobody maps it any more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
