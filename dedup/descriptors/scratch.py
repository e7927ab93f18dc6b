"""Arrays that a thread uses again for its next image.

Fresh pages of memory cost more than what is worked out in them, as do arrays that are new to the
processor's caches.
"""

from __future__ import annotations

import threading
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

MOST: Final = 1 << 20
"""Values of the largest array that is kept; an image with thousands of equal blobs needs more."""


class Scratch(threading.local):
    """Gives every thread arrays of its own, by name; they hold anything."""

    def __init__(self) -> None:
        self._held: dict[str, npt.NDArray[Any]] = {}

    def take(self, name: str, *shape: int, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
        """Give an array that is good until this thread asks for the name again.

        Parameters
        ----------
        dtype : the same whenever the name is asked for
        """
        size = prod(shape)
        held = self._held.get(name)
        if held is None or held.size < size:
            held = np.empty(size, dtype)
            if size <= MOST:
                self._held[name] = held
        return held[:size].reshape(shape)
