"""What runs for long, one at a time: listing, indexing, applying, undoing."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dedup.errors import DedupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dedup.answer import Progress

    Work = Callable[[Progress], "Done"]


class BusyError(DedupError):
    """Something else is running."""


class Done(NamedTuple):
    """What came of a job.

    Parameters
    ----------
    files, bytes : that went, or came back
    lines : what else a person should know, a sentence each
    """

    files: int = 0
    bytes: int = 0
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """What runs, or ran last.

    Parameters
    ----------
    kind : "list", "index", "apply" or "undo"; "" before the first
    stage, done, total : as in `Progress`
    error : why it failed; "" otherwise
    files, bytes, lines : as in `Done`
    number : rises with each job
    """

    kind: str = ""
    runs: bool = False
    stage: str = ""
    done: int = 0
    total: int = 0
    error: str = ""
    files: int = 0
    bytes: int = 0
    lines: tuple[str, ...] = ()
    number: int = 0

    def as_json(self) -> dict[str, Any]:
        """Give it for the page."""
        return asdict(self)


class Jobs:
    """Runs one job at a time, in a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.now = Job()

    def start(self, kind: str, work: Work) -> None:
        """Start a job.

        Parameters
        ----------
        work : gives what came of it

        Raises
        ------
        BusyError : another one runs.
        """
        with self._lock:
            if self.now.runs:
                raise BusyError(f"{self.now.kind} is still running; wait for it")
            self.now = Job(kind, runs=True, number=self.now.number + 1)
            self._thread = threading.Thread(target=self._run, args=(work,), name="dedup-job")
            self._thread.start()

    def _run(self, work: Work) -> None:
        def report(stage: str, done: int, total: int) -> None:
            self.now = replace(self.now, stage=stage, done=done, total=total)

        error, outcome = "a fault in dedup itself; the terminal says more", Done()
        try:
            outcome, error = work(report), ""
        except DedupError as failure:
            error = str(failure)
        finally:
            self.now = replace(self.now, runs=False, error=error, **outcome._asdict())

    def wait(self) -> None:
        """Wait for what runs."""
        if self._thread is not None:
            self._thread.join()
