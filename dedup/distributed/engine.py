"""Starting functions somewhere: the protocol of engines, and running a stage's shards on one.

An engine starts picklable tasks and tells how they ended. What was done is known from commits
alone, so that results are small and a task may run twice.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from dedup.distributed.objects import StorageError
from dedup.errors import DedupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class EngineError(DedupError):
    """A task that cannot be done."""


class Need(NamedTuple):
    """What a task takes of a machine.

    Parameters
    ----------
    cpus : cores
    gpus : of which a share may be asked for
    memory : bytes
    seconds : by the clock, after which its process is ended, which counts as a crash; 0: any time
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 1 << 30
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Named:
    """A function by its name, which whoever calls it imports, and whoever has it called need not.

    Most of what starts with a command that only looks would be imported for nothing otherwise.
    """

    module: str
    name: str

    def __call__(self, *arguments: Any) -> Any:
        """Import and call it."""
        return getattr(import_module(f"dedup.distributed.{self.module}"), self.name)(*arguments)


@dataclass(frozen=True)
class Task:
    """A call of an importable function.

    Parameters
    ----------
    function : of the arguments; they and what it returns can be pickled and are small
    name : of the shard; no two tasks that are run together have the same
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    name: str
    need: Need = field(default_factory=Need)


class Crash(NamedTuple):
    """A process that ended under a task, or did not end in time; in words."""

    words: str


class Ended(NamedTuple):
    """How a task ended.

    Parameters
    ----------
    result : what it returned, the exception that it raised, or a `Crash`
    """

    task: Task
    result: Any


class Engine(Protocol):
    """Starts tasks. A context manager."""

    @property
    def slots(self) -> int:
        """Tasks of one core that run at a time."""
        ...

    def submit(self, task: Task) -> None:
        """Begin a task."""
        ...

    def wait(self) -> list[Ended]:
        """Wait until at least one of the tasks ends; gives those that have."""
        ...

    def cancel(self) -> None:
        """Stop what runs, and forget it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class Inline:
    """Runs each task in this process, when it is waited for."""

    slots = 1

    def __init__(self) -> None:
        self._waiting: list[Task] = []

    def submit(self, task: Task) -> None:
        """Keep a task for `wait`."""
        self._waiting.append(task)

    def wait(self) -> list[Ended]:
        """Run the oldest task."""
        task = self._waiting.pop(0)
        try:
            return [Ended(task, task.function(*task.arguments))]
        except Exception as error:  # noqa: BLE001 - whoever waits decides
            return [Ended(task, error)]

    def cancel(self) -> None:
        """Forget what was not begun."""
        self._waiting.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.cancel()


MAX_CRASHES = 2
"""Times that a task may bring its process down before something else is tried."""

MAX_OUTAGES = 3
"""Times that a task may find no answer from storage, each after a minute of trying."""


def run_tasks(
    engine: Engine,
    tasks: Iterable[Task],
    progress: Callable[[Ended], None] | None = None,
    apart: Callable[[Task, str], Sequence[Task]] | None = None,
) -> None:
    """Run tasks, twice as many submitted as there are slots.

    A task may run more than once: after a crash, or by another driver. Commits see to it that each
    counts once.

    Parameters
    ----------
    tasks : taken as they can be submitted
    progress : called with each task that ended well
    apart : gives what is run instead of a task that crashed `MAX_CRASHES` times, by the task and
        the words of the crash; None: that is an error

    Raises
    ------
    what a task raised; what runs is cancelled first
    EngineError : a task crashed too often, or a machine has no room left, or the like.
    """
    source = iter(tasks)
    failures = _Failures(apart)
    again: list[Task] = []
    running, left = 0, True
    try:
        while True:
            while running < 2 * engine.slots and (again or left):
                task = again.pop() if again else next(source, None)
                if task is None:
                    left = False
                    break
                engine.submit(task)
                running += 1
            if not running:
                return
            for ended in engine.wait():
                running -= 1
                if isinstance(ended.result, (Crash, BaseException)):
                    again += failures.instead(ended.task, ended.result)
                elif progress is not None:
                    progress(ended)
    except BaseException:
        engine.cancel()
        raise


def counted(
    progress: Callable[[str, int, int], None] | None, stage: str, done: int, total: int
) -> Callable[[Ended], None]:
    """Give what tells the progress of a stage as its tasks end, and tell where it begins.

    Parameters
    ----------
    progress : called with the stage, and how many of how many shards are done
    done : shards that were committed before
    """
    ended = itertools.count(done)

    def tell(_: Ended | None = None) -> None:
        if progress is not None:
            progress(stage, next(ended), total)

    tell()
    return tell


class _Failures:
    """What becomes of tasks that failed."""

    def __init__(self, apart: Callable[[Task, str], Sequence[Task]] | None) -> None:
        self._apart = apart
        self._crashes: Counter[str] = Counter()
        self._outages: Counter[str] = Counter()

    def instead(self, task: Task, result: Crash | BaseException) -> Sequence[Task]:
        """Give what is run after a failure; raises what ends the run."""
        if isinstance(result, Crash):
            self._crashes[task.name] += 1
            if self._crashes[task.name] < MAX_CRASHES:
                return [task]
            if self._apart is None:
                raise EngineError(
                    f"{task.name}: its process ended {MAX_CRASHES} times ({result.words})"
                )
            return self._apart(task, result.words)
        if isinstance(result, StorageError) and result.transient:
            self._outages[task.name] += 1
            if self._outages[task.name] < MAX_OUTAGES:
                return [task]
        if isinstance(result, OSError):  # such as a disk that is full
            raise EngineError(f"{task.name}: {result}") from result
        raise result
