"""What one item may cost the process that works on it; the system itself sees to it.

A decoder in a loop, or one that takes memory without end, holds Python's lock, so that no thread of
the process can stop it. A timer of the system ends the process all the same, and memory beyond the
limit is refused to it, which most decoders bear. Threads cannot be ended: what may take long is
left to a process (`NeedsProcessError`).
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPARE_BYTES: Final = 128 << 20  # for what a process keeps of former items
_STACK_BYTES: Final = 8 << 20  # of a decoder's thread, of which there may be one for each core


@dataclass(frozen=True, slots=True)
class ItemLimits:
    """What one item may cost.

    Parameters
    ----------
    seconds : by the clock, until its process is ended and the item tried again, alone
    last_seconds : the same for that second time
    memory : bytes that a process may take beyond what it had at first
    thread_seconds, thread_memory : estimates beyond which an item is not worked on in a thread
    """

    seconds: float = 5.0
    last_seconds: float = 15.0
    memory: int = 640 << 20
    thread_seconds: float = 2.0
    thread_memory: int = 256 << 20


class NeedsProcessError(Exception):
    """An item may cost more than a thread should spend, and belongs into a process."""


class _Process:
    """The limits of this process, None where it is not a worker's."""

    seconds: float | None = None
    memory = 0
    base = 0
    hard = resource.RLIM_INFINITY


def limit_process(seconds: float, memory: int) -> None:
    """Have `limited` hold for this process, which does nothing but work on items.

    Parameters
    ----------
    seconds, memory : as those of `ItemLimits`
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process
    _Process.seconds = seconds
    _Process.memory = memory
    _Process.hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    _Process.base = _data_bytes() + _SPARE_BYTES + _STACK_BYTES * (os.cpu_count() or 1)


def can_be_ended() -> bool:
    """Say whether this process may be ended without harm to others."""
    return _Process.seconds is not None


@contextmanager
def limited(memory: int = 0) -> Iterator[None]:
    """End this process if what follows takes too long; without effect where nothing may be ended.

    Parameters
    ----------
    memory : bytes that are known to be needed, where that is more than usual
    """
    if _Process.seconds is None:
        yield
        return
    _set_memory(_Process.base + max(memory, _Process.memory))
    signal.setitimer(signal.ITIMER_REAL, _Process.seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _set_memory(resource.RLIM_INFINITY)


def _set_memory(most: int) -> None:
    """Bound the private memory of this process, as far as it may have so much anyway."""
    if sys.platform == "linux":  # elsewhere this limit does not count what is mapped
        hard = _Process.hard
        unbounded = most == resource.RLIM_INFINITY or most > hard != resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_DATA, (hard if unbounded else most, hard))


def _data_bytes() -> int:
    """Give the private memory of this process as `RLIMIT_DATA` counts it (proc(5), statm)."""
    try:
        pages = Path("/proc/self/statm").read_text("ascii").split()[5]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()
