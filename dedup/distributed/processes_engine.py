"""The cores of one machine: a process for each task that runs, which works on after it.

A process that ends under a task costs this task alone. Pools of the standard library and of loky
break as a whole then: their processes take tasks from a common queue.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Self

from dedup.distributed.engine import Crash, Ended, Task
from dedup.distributed.worker import outcome, packed
from dedup.parallel.workers import ENVIRONMENT, cores

_NEVER = float("inf")
_WORTH = 1.0
"""Seconds, all in all, that tasks wait for a process before there is more than one. To start one
takes half as long of a processor, and a handful of small tasks is done by then."""
_FAREWELL = 5.0  # seconds between the end of a connection and that of its process


class Processes:
    """Runs each task in a process of this machine.

    Parameters
    ----------
    slots : tasks of one core that run at a time; 0: as many as there are cores
    """

    def __init__(self, slots: int = 0) -> None:
        self.slots = slots or cores()
        self._waiting: deque[tuple[Task, bytes]] = deque()
        self._idle: list[_Process] = []
        self._busy: dict[Connection, _Process] = {}
        self._waited = 0.0

    def submit(self, task: Task) -> None:
        """Begin a task, once there are cores for it."""
        self._waiting.append((task, packed(task.function, task.arguments)))
        self._begin()

    def wait(self) -> list[Ended]:
        """Wait until a task ends."""
        while True:
            ended = self._ended()
            self._begin()
            if ended or not self._busy:
                return ended

    def _ended(self) -> list[Ended]:
        """Give the tasks that have ended, once one has or another process is worth it."""
        began, end = time.monotonic(), min((one.end for one in self._busy.values()), default=_NEVER)
        if waits := self._waited < _WORTH and bool(self._waiting):
            end = min(end, began + _WORTH - self._waited)
        heard = wait(self._busy, None if end == _NEVER else max(0.0, end - began))
        now = time.monotonic()
        self._waited += (now - began) * waits
        ended = []
        for connection, process in [*self._busy.items()]:
            if connection not in heard and process.end > now:
                continue
            del self._busy[connection]
            if connection in heard:
                ended.append(Ended(process.task, self._result(process)))
            else:
                process.kill()
                words = f"it did not end in {process.task.need.seconds:g} seconds"
                ended.append(Ended(process.task, Crash(words)))
        return ended

    def cancel(self) -> None:
        """Kill the processes that work, and forget their tasks."""
        self._waiting.clear()
        for process in self._busy.values():
            process.kill()
        self._busy.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.cancel()
        for process in self._idle:
            process.kill()
        self._idle.clear()

    def _begin(self) -> None:
        """Start what waits, in order, while there are cores for it."""
        while self._waiting:
            task, call = self._waiting[0]
            used = sum(process.task.need.cpus for process in self._busy.values())
            if self._busy and used + task.need.cpus > self.slots:
                return
            if self._busy and not self._idle and self._waited < _WORTH:
                return
            self._waiting.popleft()
            process = self._idle.pop() if self._idle else _Process()
            if not process.begin(task, call):  # it was killed while it had nothing to do
                process.kill()
                process = _Process()
                process.begin(task, call)
            self._busy[process.connection] = process

    def _result(self, process: _Process) -> Any:
        try:
            result = outcome(process.connection.recv_bytes())
        except (EOFError, OSError):
            return Crash(process.died())
        self._idle.append(process)
        return result


class _Process:
    """A process, and what it works on."""

    task: Task
    end: float  # when it is to be killed, by the monotonic clock

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-P", "-m", "dedup.distributed.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,  # standard output is the driver's
                env={**os.environ, **ENVIRONMENT, "PYTHONPATH": python_path()},
                start_new_session=True,  # Ctrl-C is the driver's as well
            )
        self.connection = Connection(ours.detach())

    def begin(self, task: Task, call: bytes) -> bool:
        """Hand over a task; False where nobody is there to take it."""
        self.task = task
        self.end = time.monotonic() + (task.need.seconds or _NEVER)
        try:
            self.connection.send_bytes(call)
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self.connection.close()

    def died(self) -> str:
        """Say how it ended, which it is about to since it closed its end."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL)
        code = self._process.poll()
        self.kill()
        return _words(code)


def python_path() -> str:
    """Give the folders that this process imports from, for others that are to import the same."""
    return os.pathsep.join(folder or os.getcwd() for folder in sys.path)


def _words(code: Any) -> str:
    if code is None:
        return "its process was ended"
    if code >= 0:
        return f"its process ended with code {code}"
    try:
        return f"its process ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"its process ended by signal {-code}"
