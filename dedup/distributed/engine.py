"""Starting functions somewhere: the protocol of engines, and running a stage's shards on one.

An engine starts picklable tasks and tells how they ended. What was done is known from commits
alone, so that results are small and a task may run twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

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
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 1 << 30


@dataclass(frozen=True)
class Task:
    """A call of an importable function.

    Parameters
    ----------
    function : of the arguments; they and what it returns can be pickled and are small
    name : of the shard
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
    """Starts tasks. A context manager.

    Attributes
    ----------
    slots : tasks of one core that run at a time
    """

    slots: int

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


def run_tasks(
    engine: Engine,
    tasks: Iterable[Task],
    progress: Callable[[Ended], None] | None = None,
    apart: Callable[[Task, str], Sequence[Task]] | None = None,
) -> None:
    """Run tasks, twice as many submitted as there are slots.

    Parameters
    ----------
    tasks : taken as they can be submitted
    progress : called with each task that ended well
    apart : gives what is run instead of a task that crashed `MAX_CRASHES` times, by the task and
        the words of the crash; None: that is an error

    Raises
    ------
    what a task raised; what runs is cancelled first
    EngineError : a task crashed too often.
    """
    source = iter(tasks)
    crashes: dict[str, int] = {}
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
                if isinstance(ended.result, Crash):
                    again += _after_crash(ended.task, ended.result, crashes, apart)
                elif isinstance(ended.result, BaseException):
                    raise ended.result  # noqa: TRY301 - of a task, not of this function
                elif progress is not None:
                    progress(ended)
    except BaseException:
        engine.cancel()
        raise


def _after_crash(
    task: Task,
    crash: Crash,
    crashes: dict[str, int],
    apart: Callable[[Task, str], Sequence[Task]] | None,
) -> Sequence[Task]:
    crashes[task.name] = crashes.get(task.name, 0) + 1
    if crashes[task.name] < MAX_CRASHES:
        return [task]
    if apart is None:
        raise EngineError(f"{task.name}: its process ended {MAX_CRASHES} times ({crash.words})")
    return apart(task, crash.words)
