"""What one item may cost: the process that goes beyond it ends, or is refused the memory."""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dedup.parallel.limits import ItemLimits, NeedsProcessError, can_be_ended, limited
from dedup.parallel.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STUCK, GREEDY, MANY = 7, 8, 9
SHORT = ItemLimits(seconds=0.5, last_seconds=1.0, memory=100 << 20)

needs_cores = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="one core: threads are used"
)


@contextmanager
def hostile() -> Iterator[Callable[[int], str]]:
    def work(item: int) -> str:
        with limited(4 << 30 if item == MANY else 0):
            if item == STUCK:  # backtracks for hours, with Python's lock held
                re.match(r"(a|aa)+$", "a" * 200 + "b")
            if item in {GREEDY, MANY}:
                try:
                    return str(np.empty(2 << 30, np.uint8).size >> 30)
                except MemoryError:
                    return "refused"
        return "done"

    yield work


@contextmanager
def choosy() -> Iterator[Callable[[int], tuple[int, int]]]:
    def work(item: int) -> tuple[int, int]:
        if item % 3 == 0 and not can_be_ended():
            raise NeedsProcessError
        return item, os.getpid()

    yield work


@needs_cores
def test_an_item_without_end_costs_itself_and_the_seconds_it_is_given() -> None:
    workers: Workers[int, str] = Workers(
        hostile, processes=True, lost=lambda item, cause: f"{item}: {cause}", limits=SHORT
    )
    started = time.monotonic()
    with workers:
        found = list(workers.run([1, 2, STUCK, 3], ahead=4))
    assert found == ["done", "done", "7: it took more than 1.5 seconds", "done"]
    assert time.monotonic() - started < 20


@needs_cores
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory cannot be refused")
def test_memory_is_refused_unless_it_was_asked_for() -> None:
    workers: Workers[int, str] = Workers(hostile, processes=True, limits=SHORT)
    with workers:
        assert list(workers.run([1, GREEDY, MANY, GREEDY], ahead=4)) == [
            "done",
            "refused",
            "2",
            "refused",
        ]


def test_threads_leave_what_may_take_long_to_a_process() -> None:
    with Workers(choosy) as workers:
        found = list(workers.run(range(1, 8), ahead=4, together=2))
    assert [item for item, _ in found] == list(range(1, 8))
    assert [item for item, process in found if process != os.getpid()] == [3, 6]


def test_here_nothing_is_limited() -> None:
    assert not can_be_ended()
    with limited():
        assert np.ones(1 << 20, np.uint8).size == 1 << 20
