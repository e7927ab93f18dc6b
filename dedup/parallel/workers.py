"""Many items worked on at once, results in order: in threads, or in processes where that is faster.

Threads cost nothing to start, and do for work that leaves Python's lock alone, such as decoding.
Work made of many small steps holds that lock: two threads then describe no more images than one,
and sixteen cores no more than two. Processes start in about half a second, and an image that
crashes one (a decoder's fault, or no memory left) costs that image and not the run.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections import deque
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from threadpoolctl import ThreadpoolController

from dedup.parallel.limits import ItemLimits, NeedsProcessError, limit_process
from dedup.parallel.memory import KEPT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from loky import ProcessPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")

WORTH_PROCESSES: Final = 200
"""Items of some ten milliseconds from which on processes have repaid their start."""

_WATCH: Final = 1.0  # seconds between two looks at whether the parent lives
ENVIRONMENT: Final = {
    **dict.fromkeys(
        ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"),
        "1",
    ),
    # As `keep_pages` has it, before anything is imported.
    "MALLOC_MMAP_THRESHOLD_": str(KEPT_BYTES),
    "MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES),
    # In large pages: what is worked on for an image lies in more small ones than a processor has
    # places for, and looking these up is a tenth of the time.
    "GLIBC_TUNABLES": ":".join(
        filter(None, (os.environ.get("GLIBC_TUNABLES"), "glibc.malloc.hugetlb=1"))
    ),
    # And not once for each thread, which have one core between them: a quarter of the memory.
    "MALLOC_ARENA_MAX": "1",
    # loky starts a process anew, and warns, once it has grown by 300 MB, as it does by an image of
    # a hundred megapixels. What ours hold is bounded.
    "LOKY_MAX_MEMORY_LEAK_SIZE": str(1 << 50),
}
"""Of a process that has one core to itself."""

_NOTHING: Final = None  # no item: asks a process whether it has begun
_LEFT: Final[Any] = object()  # stands for the result of an item that a thread did not work on

_turn: AbstractContextManager[Any] = threading.RLock()
_begun: AbstractContextManager[Callable[[Any], Any]] | None = None
_work: Callable[[Any], Any] | None = None


def cores() -> int:
    """Count the cores that this process may use."""
    if _Share.cores:
        return _Share.cores
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Share:
    """The part of a machine that this process was given, 0 where that is all of it."""

    cores = 0


def share_of_cores() -> int:
    """Count the cores that this process was given of its machine; 0: it has not been told."""
    return _Share.cores


def use_cores(count: int) -> None:
    """Have this process keep to some cores of a machine that it shares with its like."""
    _Share.cores = count


def one_blas_thread() -> AbstractContextManager[Any]:
    """Keep BLAS to the calling thread.

    Its own threads spin for some 50 ms after each product, in the way of whoever works then.
    """
    limits: AbstractContextManager[Any] = _libraries(len(sys.modules)).limit(
        limits=1, user_api="blas"
    )
    return limits


@lru_cache(1)
def _libraries(_: int) -> ThreadpoolController:
    """Find the libraries that have threads, in two milliseconds; good until modules are added."""
    return ThreadpoolController()


def exclusive() -> AbstractContextManager[Any]:
    """Wait until no other thread or process of these workers is in here; re-entrant."""
    return _turn


class Workers(Generic[Item, Result]):
    """Does the same work for many items on every core; a context manager.

    Parameters
    ----------
    begin : gives what does the work on one item, which is never None. Entered once for all threads,
        or once in each process; for processes it must be importable there, with arguments that can
        be pickled. If the work has a method `expect`, that hears of items which are handed over
        together, before the first of them is worked on
    processes : whether to use processes; where these cannot be started, threads serve
    lost : gives what stands for an item that ended its process, twice, by the item and how that
        came to be, "" where it is not known; None: that is an error
    limits : what one item may cost

    Notes
    -----
    Each worker has one thread of BLAS: on products as small as an image's features its own pool
    only spins (60 images/s with it, 80 without, on two cores).
    """

    def __init__(
        self,
        begin: Callable[[], AbstractContextManager[Callable[[Item], Result]]],
        *,
        processes: bool = False,
        lost: Callable[[Item, str], Result] | None = None,
        limits: ItemLimits | None = None,
    ) -> None:
        self._begin = begin
        self._lost = lost
        self._limits = limits or ItemLimits()
        self._stack = ExitStack()
        self._pool: Executor | None = None
        self._rescue: ProcessPoolExecutor | None = None
        self._count: Final = cores()
        self._in_processes = processes and self._count > 1 and _can_start()

    @property
    def description(self) -> str:
        """Say what works, such as "2 processes"."""
        kind = "processes" if self._in_processes else "threads"
        return f"{self._count} {kind}" if self._count > 1 else "1 thread"

    def __enter__(self) -> Self:
        if not self._in_processes:
            self._use_threads()
        return self

    def _use_threads(self) -> None:
        self._in_processes = False
        self._stop(self._pool)
        self._stack.enter_context(one_blas_thread())
        self._call = self._stack.enter_context(self._begin())
        self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="dedup")

    def __exit__(self, *_: object) -> None:
        if isinstance(self._pool, ThreadPoolExecutor):
            self._pool.shutdown(wait=True, cancel_futures=True)
        else:
            self._stop(self._pool)
        self._stop(self._rescue)
        self._stack.close()

    def begin(self) -> None:
        """Have processes start while the caller does something else."""
        if self._in_processes and self._pool is None:
            self._pool = self._start(self._count, self._limits.seconds)
            self._pool.submit(_call, _NOTHING)

    def run(self, items: Iterable[Item], ahead: int, together: int = 1) -> Iterator[Result]:
        """Yield the result for every item, in order.

        Parameters
        ----------
        ahead : how many results may wait for whoever takes them
        together : how many items are handed to a worker at once: waking threads for each image of
            a millisecond takes a fifth of their time

        Raises
        ------
        what the work raised for an item, when its result is due; with several items together,
        those of its company that come before it are lost with it.
        """
        waiting: deque[tuple[list[Item], Future[list[Result]]]] = deque()
        for part in _parts(items, together):
            waiting.append((part, self._submit(part)))
            if len(waiting) * together >= ahead:
                yield from self._results(*waiting.popleft())
        while waiting:
            yield from self._results(*waiting.popleft())

    def _submit(self, part: list[Item]) -> Future[list[Result]]:
        if not self._in_processes:
            if self._pool is None:
                raise RuntimeError("workers have to be entered first")
            return self._pool.submit(_each, self._call, part)
        if self._pool is None:
            self._pool = self._start(self._count, self._limits.seconds)
        try:
            return self._pool.submit(_call_each, part)
        except BrokenProcessPool:
            self._stop(self._pool)
            self._pool = self._start(self._count, self._limits.seconds)
            return self._pool.submit(_call_each, part)

    def _results(self, part: list[Item], future: Future[list[Result]]) -> list[Result]:
        try:
            results = future.result()
        except BrokenProcessPool:
            # One of the items under way did that; each is tried again, in a process of its own.
            return [self._again(item) for item in part]
        return [
            self._again(item) if result is _LEFT else result
            for item, result in zip(part, results, strict=True)
        ]

    def _again(self, item: Item) -> Result:
        """Work on an item alone, in a process where there can be one."""
        try:
            if self._rescue is None:
                self._rescue = self._start(1, self._limits.last_seconds)
                self._rescue.submit(_call, _NOTHING).result()
        except (BrokenProcessPool, ImportError, OSError, NotImplementedError):
            return self._here(item)  # it is not the item: no process can begin
        try:
            found: Result = self._rescue.submit(_call, item).result()
        except BrokenProcessPool as error:
            self._stop(self._rescue)
            self._rescue = None
            if self._lost is None:
                raise
            return self._lost(item, self._cause(error))
        return found

    def _here(self, item: Item) -> Result:
        """Work on an item in this process, for want of others."""
        if self._in_processes:
            self._use_threads()
        self._rescue = None
        try:
            return self._call(item)
        except NeedsProcessError:
            if self._lost is None:
                raise
            return self._lost(item, "it needs a process of its own, and none can be started")

    def _cause(self, error: BrokenProcessPool) -> str:
        """Say why a process ended; loky names the signal."""
        if "SIGALRM" in str(error):
            first = self._limits.seconds if self._in_processes else 0
            return f"it took more than {first + self._limits.last_seconds:g} seconds"
        return ""

    def _start(self, count: int, seconds: float) -> ProcessPoolExecutor:
        # loky and not the standard library's pool: it starts processes without running the caller's
        # main script again, which takes a guard that people forget.
        from loky import ProcessPoolExecutor
        from loky.backend import get_context

        context = get_context("loky")
        return ProcessPoolExecutor(
            count,
            context=context,
            initializer=_begin_process,
            initargs=(os.getpid(), self._begin, context.RLock(), seconds, self._limits.memory),
            env=ENVIRONMENT,
        )

    @staticmethod
    def _stop(pool: Any) -> None:
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=True)


def _can_start() -> bool:
    """Tell whether this system has what processes wait for each other with."""
    try:
        from loky.backend import get_context

        get_context("loky").Lock()
    except (ImportError, OSError, NotImplementedError):
        return False
    return True


def _begin_process(
    parent: int,
    begin: Callable[[], AbstractContextManager[Callable[[Any], Any]]],
    turn: AbstractContextManager[Any],
    seconds: float,
    memory: int,
) -> None:
    global _turn, _begun, _work  # noqa: PLW0603 - a process has one work
    # Ctrl-C reaches every process of a terminal; the first one tells the others to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    _turn = turn
    _begun = begin()  # kept, since it ends what it began when nobody holds it any more
    _work = _begun.__enter__()
    # What is there now stays: loky looks for garbage once a second, and need not go over it.
    gc.freeze()
    limit_process(seconds, memory)


def end_with(parent: int) -> None:
    """End this process soon after the one that started it was killed."""
    while os.getppid() == parent:
        time.sleep(_WATCH)
    os._exit(1)


def _call(item: Any) -> Any:
    return None if item is _NOTHING else _begun_work()(item)


def _begun_work() -> Callable[[Any], Any]:
    if _work is None:
        raise RuntimeError("a process was given work before it was initialised")
    return _work


def _call_each(items: list[Any]) -> list[Any]:
    return _each(_begun_work(), items)


def _each(work: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    expect: Callable[[list[Item]], None] | None = getattr(work, "expect", None)
    if expect is not None and len(items) > 1:
        expect(items)
    return [_one(work, item) for item in items]


def _one(work: Callable[[Item], Result], item: Item) -> Result:
    try:
        return work(item)
    except NeedsProcessError:
        found: Result = _LEFT
        return found


def _parts(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
