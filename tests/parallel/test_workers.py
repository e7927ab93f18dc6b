"""Workers: order, errors, and what happens to an item that brings its process down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dedup.parallel.workers import Workers, cores, exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ITEMS = range(1, 60)
DEADLY = 17


@contextmanager
def squares(log: Path | None = None) -> Iterator[Callable[[int], tuple[int, int]]]:
    """Square in whatever process; a log gets a line for every beginning and end."""

    def note(what: str) -> None:
        if log is not None:
            with log.open("a") as file:
                file.write(f"{what} {os.getpid()}\n")

    def square(item: int) -> tuple[int, int]:
        if item == -1:
            raise ValueError("negative")
        if item == DEADLY and log is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return item * item, os.getpid()

    note("begin")
    yield square
    note("end")


@contextmanager
def intervals() -> Iterator[Callable[[int], tuple[float, float]]]:
    def hold(_: int) -> tuple[float, float]:
        with exclusive():
            begin = time.monotonic()
            time.sleep(0.01)
            return begin, time.monotonic()

    yield hold


@contextmanager
def broken() -> Iterator[Callable[[int], tuple[int, int]]]:
    """Begin in the first process only, as where others may not read what it takes."""
    if os.getpid() != int(os.environ["DEDUP_TEST_FIRST"]):
        raise OSError("not here")
    yield lambda item: (item * item, os.getpid())


needs_cores = pytest.mark.skipif(cores() < 2, reason="one core: threads are used")


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=needs_cores)])
def test_results_come_in_order(*, processes: bool) -> None:
    workers: Workers[int, tuple[int, int]] = Workers(squares, processes=processes)
    with workers:
        found = list(workers.run(ITEMS, ahead=8))
        again = list(workers.run(ITEMS, ahead=100))
    assert [value for value, _ in found] == [item * item for item in ITEMS]
    assert [value for value, _ in again] == [item * item for item in ITEMS]
    assert (os.getpid() in {process for _, process in found}) is not processes


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=needs_cores)])
def test_an_error_is_raised_when_its_result_is_due(*, processes: bool) -> None:
    workers: Workers[int, tuple[int, int]] = Workers(squares, processes=processes)
    with workers:
        results = workers.run([2, -1, 3], ahead=8)
        assert next(results)[0] == 4
        with pytest.raises(ValueError, match="negative"):
            next(results)


def test_no_more_wait_than_asked_for() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in ITEMS:
            taken.append(item)
            yield item

    with Workers(squares) as workers:
        results = workers.run(items(), ahead=5)
        next(results)
        assert len(taken) == 5


@needs_cores
def test_an_item_that_kills_its_process_costs_itself_alone(tmp_path: Path) -> None:
    begin = partial(squares, tmp_path / "log")
    workers: Workers[int, tuple[int, int]] = Workers(
        begin, processes=True, lost=lambda item, _: (-item, 0)
    )
    with workers:
        found = [value for value, _ in workers.run(ITEMS, ahead=8)]
    assert found == [-item if item == DEADLY else item * item for item in ITEMS]


@needs_cores
def test_without_a_stand_in_a_killed_process_is_an_error(tmp_path: Path) -> None:
    begin = partial(squares, tmp_path / "log")
    workers: Workers[int, tuple[int, int]] = Workers(begin, processes=True)
    with workers, pytest.raises(RuntimeError):
        list(workers.run(ITEMS, ahead=8))


@needs_cores
def test_threads_serve_where_no_process_can_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEDUP_TEST_FIRST", str(os.getpid()))
    workers: Workers[int, tuple[int, int]] = Workers(broken, processes=True)
    with workers:
        found = list(workers.run(ITEMS, ahead=8))
    assert found == [(item * item, os.getpid()) for item in ITEMS]


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=needs_cores)])
def test_only_one_is_alone(*, processes: bool) -> None:
    workers: Workers[int, tuple[float, float]] = Workers(intervals, processes=processes)
    with workers:
        held = sorted(workers.run(range(1, 13), ahead=12))
    assert all(one[1] <= other[0] for one, other in pairwise(held))


def wait_for_the_end_of(log: Path) -> None:
    begun = {int(line.split()[1]) for line in log.read_text("utf-8").splitlines()}
    assert begun
    deadline = time.monotonic() + 20
    while any(is_running(process) for process in begun):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # ended, and not yet collected by whoever inherited it


@needs_cores
def test_no_process_stays_when_work_is_broken_off(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def some() -> Iterator[int]:
        yield from (1, 2, 3)
        raise KeyboardInterrupt

    workers: Workers[int, tuple[int, int]] = Workers(partial(squares, log), processes=True)
    with pytest.raises(KeyboardInterrupt), workers:
        list(workers.run(some(), ahead=2))
    wait_for_the_end_of(log)


@needs_cores
def test_no_process_outlives_a_killed_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = (
        "import os, signal, sys\n"
        "from functools import partial\n"
        "from pathlib import Path\n"
        "from dedup.parallel.workers import Workers\n"
        "from test_workers import squares\n"
        "with Workers(partial(squares, Path(sys.argv[1])), processes=True) as workers:\n"
        "    next(workers.run([1, 2, 3], ahead=2))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    subprocess.run(
        [sys.executable, "-c", program, os.fspath(log)],
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    wait_for_the_end_of(log)


def test_what_was_begun_for_threads_is_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Workers(partial(squares, log)) as workers:
        list(workers.run([1, 2], ahead=2))
    assert [line.split()[0] for line in log.read_text("utf-8").splitlines()] == ["begin", "end"]
