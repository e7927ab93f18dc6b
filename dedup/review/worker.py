"""Indexing and listing in a process of its own, whose memory goes with it.

The server stays small and quick to answer meanwhile. The task comes on stdin; progress, the result
or an error go to stdout, pickled one after the other. Run as a module: see `found`.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from dedup.collection import Collection
from dedup.errors import DedupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dedup.answer import Progress
    from dedup.results import Group
    from dedup.store.acted import Content

_SAID_EVERY: Final = 0.1  # seconds
_ENDED: Final = DedupError("the process that lists the duplicates ended; try again")


class Task(NamedTuple):
    """What is to be done.

    Parameters
    ----------
    indexes : whether the folders are looked at first
    tier, keep, under, min_bytes : as in `Collection.duplicates`
    """

    store: Path
    indexes: bool
    tier: tuple[str, ...]
    keep: tuple[str, ...]
    under: tuple[str, ...]
    min_bytes: int


class Found(NamedTuple):
    """What was found.

    Parameters
    ----------
    groups : those that free most first
    contents : what is known of their files, by path
    roots : the indexed folders
    """

    groups: tuple[Group, ...]
    contents: dict[str, Content]
    roots: tuple[str, ...]
    notes: tuple[str, ...]


def found(task: Task, report: Progress, begun: Callable[[subprocess.Popen[bytes]], None]) -> Found:
    """Do a task in another process, and wait for it.

    Parameters
    ----------
    begun : is given the process, to end it

    Raises
    ------
    DedupError : what the task raised; or its process ended.
    """
    package = os.fspath(Path(__file__).parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,  # Ctrl-C is for the server, which ends it
    )
    begun(process)
    assert process.stdin is not None  # noqa: S101 - for mypy
    assert process.stdout is not None  # noqa: S101
    with process:
        try:
            pickle.dump(task, process.stdin)
            process.stdin.close()
            while True:
                kind, value = pickle.load(process.stdout)  # noqa: S301 - our own process
                if kind == "progress":
                    report(*value)
                elif kind == "error":
                    raise value
                else:
                    return Found(*value)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            raise _ENDED from None


def _work(task: Task, report: Progress) -> Found:
    with Collection.open(task.store) as collection:
        notes: tuple[str, ...] = ()
        if task.indexes:
            notes = collection.index(progress=report).notes
        answer = collection.duplicates(
            task.tier, keep=task.keep, under=task.under, min_bytes=task.min_bytes, sort="bytes",
            progress=report,
        )  # fmt: skip
        roots = tuple(root.path for root in collection.roots())
        contents = collection.contents(answer.groups)
        groups = tuple(group for group in answer.groups if group.keeper in contents)  # no videos
        return Found(groups, contents, roots, (*notes, *answer.notes))


def main() -> None:
    """Do the task that comes on stdin."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    task: Task = pickle.load(sys.stdin.buffer)  # noqa: S301 - of the server
    last = 0.0

    def report(stage: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > _SAID_EVERY or done == total:
            last = time.monotonic()
            _say(output, "progress", (stage, done, total))

    try:
        _say(output, "found", tuple(_work(task, report)))
    except DedupError as error:
        _say(output, "error", error)
    except BrokenPipeError:
        sys.exit(1)  # the server has gone


def _say(output: IO[bytes], kind: str, value: Any) -> None:
    pickle.dump((kind, value), output)
    output.flush()


if __name__ == "__main__":
    main()
