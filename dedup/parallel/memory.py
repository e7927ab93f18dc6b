"""How this process gets memory from the system."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import Final

KEPT_BYTES: Final = 64 << 20
"""Arrays up to this size are made of memory that former ones left. As large as an image, they come
and go: giving their pages back and taking them again is a quarter of the processor time."""

_TRIM_THRESHOLD: Final = -1  # of mallopt, as glibc numbers it
_MMAP_THRESHOLD: Final = -3


def keep_pages() -> None:
    """Have this process keep the pages of arrays for others; for programs that are ours alone.

    Does nothing where the system's allocator is not glibc's.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)


def give_back() -> None:
    """Give the system the pages that former arrays left, after work that took far more than others.

    Does nothing where the system's allocator is not glibc's.
    """
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
