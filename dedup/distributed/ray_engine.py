"""The machines of a Ray cluster, or this one as a cluster of its own.

Ray gets calls of some hundred bytes and gives answers as small: what is large goes through object
storage, so that its object store stays empty. It tries nothing again (`run_tasks` does, and
counts), and it alone decides where a task runs. Tasks with a GPU run in actors that live as long as
such tasks come: what they load stays, and each keeps the GPU, or share of one, that it was given.
Other tasks run in processes that Ray uses again.

Every machine has to have this version of dedup installed, and credentials for the storage in its
environment; neither is sent along.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import sys
import time
from collections import deque
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, Self

from dedup.distributed.engine import Crash, Ended, EngineError, Need, Task
from dedup.distributed.processes_engine import python_path
from dedup.distributed.ray_head import Watch, knock
from dedup.distributed.worker import attempt, outcome, packed
from dedup.errors import DISTRIBUTION, ExtraMissingError, first_line
from dedup.parallel.workers import ENVIRONMENT, cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STORE_BYTES: Final = 80 << 20  # Ray takes no less than 75 MiB
_ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports home otherwise
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # as it will be; it warns of this otherwise
    "RAY_raylet_start_wait_time_s": "120",  # a busy machine takes longer than the 30 it waits
}
_OF_OURS: Final = {
    "RAY_enable_metrics_collection": "0",  # which nobody looks at: a hundredth of a core a process
    "RAY_task_events_report_interval_ms": "0",  # likewise
    "RAY_worker_niceness": "0",  # as processes that the command starts itself
}
_COUNTED_SECONDS: Final = 5.0  # for which the size of a cluster that grows is believed


class Ray:
    """Runs tasks on a Ray cluster.

    Parameters
    ----------
    address : "auto" for the cluster that this machine is part of, or "HOST:6379"; "" for what
        RAY_ADDRESS says, else a cluster of this machine alone, for as long as this engine

    Raises
    ------
    ExtraMissingError : ray is not installed.
    """

    def __init__(self, address: str = "") -> None:
        if importlib.util.find_spec("ray") is None:
            raise ExtraMissingError("the engine ray", "cluster")
        self._address = address or os.environ.get("RAY_ADDRESS", "")
        if self._address.startswith("ray://"):
            raise EngineError(
                f"{self._address}: this is the address of Ray's client; run the command on a "
                "machine of the cluster (`ray job submit`), with --address auto"
            )
        self._own = False
        self._watch: Watch | None = None
        self._tasks: dict[Any, Task] = {}
        self._keepers = _Keepers()
        self._counted = (0.0, 0)

    @property
    def slots(self) -> int:
        """Cores of the cluster, which may grow."""
        at, count = self._counted
        if time.monotonic() - at > _COUNTED_SECONDS:
            count = max(1, int(_have("CPU")))
            self._counted = (time.monotonic(), count)
        return count

    def submit(self, task: Task) -> None:
        """Have Ray begin a task where it finds room."""
        call = packed(task.function, task.arguments)
        if task.need.gpus:
            self._keepers.waiting.append((task, call))
            self._tasks |= self._keepers.begin(self._resources)
        else:
            self._keepers.rest()
            there: Any = self._remote.options(**self._resources(task.need))
            self._tasks[there.remote(call, task.need.seconds)] = task

    def wait(self) -> list[Ended]:
        """Wait until a task ends."""
        import ray

        ready, _ = ray.wait([*self._tasks], num_returns=1)
        ended = []
        for one in ready:
            task = self._tasks.pop(one)
            ended.append(Ended(task, self._result(task, one)))
            self._keepers.ended(one, lost=isinstance(ended[-1].result, Crash))
        self._tasks |= self._keepers.begin(self._resources)
        return ended

    def cancel(self) -> None:
        """End what runs, and its processes."""
        import ray

        for reference in self._tasks.keys() - self._keepers.busy.keys():
            with suppress(ray.exceptions.RayError):
                ray.cancel(reference, force=True)
        self._tasks.clear()
        self._keepers.end()

    def __enter__(self) -> Self:
        with _variables(self._variables()):  # of which Ray reads some as it is imported
            import ray

            if not ray.is_initialized():
                self._begin()
                self._own = True
        try:
            if self._address:
                self._watch = Watch(ray.get_runtime_context().gcs_address)
                self._watch.start()
            self._remote = ray.remote(max_retries=0)(attempt)
            self._check_versions()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        import ray

        self.cancel()
        if self._watch is not None:
            self._watch.end()
        if self._own:
            ray.shutdown()
            self._own = False

    def _variables(self) -> dict[str, str]:
        """Give what Ray, and on this machine its processes, are to have in their environment."""
        if self._address:
            return _ENVIRONMENT
        return {
            **_ENVIRONMENT,
            **_OF_OURS,
            **ENVIRONMENT,
            "PYTHONPATH": python_path(),
            "RAY_AUTH_TOKEN": _token(),
        }

    def _begin(self) -> None:
        import ray

        named: dict[str, Any] = {"address": self._address or "local"}
        if self._address:
            named["runtime_env"] = {"env_vars": ENVIRONMENT}
        else:
            named |= {
                "num_cpus": cores(),
                "include_dashboard": False,
                "object_store_memory": _STORE_BYTES,
            }
        try:
            knock(self._address)
            ray.init(logging_level=logging.ERROR, log_to_driver=False, **named)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            if not self._address:
                raise EngineError(f"Ray does not start here ({first_line(error)})") from error
            raise EngineError(
                f"no Ray cluster at {self._address} ({first_line(error)}); start one by "
                "`ray start --head` with the same versions of ray and Python, set "
                "RAY_AUTH_MODE=token if it asks for a token; or leave the address out to use "
                "this machine alone"
            ) from error
        _keep_off_stdout()

    def _check_versions(self) -> None:
        import ray

        try:
            there = outcome(ray.get(self._remote.remote(packed(_versions, ()))))
        except ray.exceptions.RayError as error:
            there = first_line(error)
        here = _versions()
        if there != here:
            raise EngineError(
                f"the cluster has {there}, and this machine {here}; install the same there, "
                "such as in the image that its machines start from"
            )

    def _resources(self, need: Need) -> dict[str, Any]:
        if not self._address and self._own:  # whose memory is not Ray's to divide
            return {"num_cpus": min(need.cpus, self.slots), "num_gpus": need.gpus}
        return {"num_cpus": need.cpus, "num_gpus": need.gpus, "memory": need.memory}

    def _result(self, task: Task, reference: Any) -> Any:
        import ray

        try:
            return outcome(ray.get(reference))
        except ray.exceptions.RayTaskError as error:  # such as of what cannot be sent
            return EngineError(f"{task.name}: {first_line(error)}")
        except ray.exceptions.RayError as error:
            limit = f", perhaps after {task.need.seconds:g} seconds" if task.need.seconds else ""
            return Crash(f"its process ended{limit} ({first_line(error)})")


class _Keepers:
    """Actors that keep a GPU, or a share of one, as long as tasks of one need come."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Task, bytes]] = deque()
        self.busy: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._need = Need()

    def begin(self, resources: Callable[[Need], dict[str, Any]]) -> dict[Any, Task]:
        """Hand tasks to actors that are free or can be had; gives what was begun."""
        import ray

        begun: dict[Any, Task] = {}
        while self.waiting:
            task, call = self.waiting[0]
            if task.need != self._need:
                if self.busy:
                    break
                self.end(waiting=False)
                self._need = task.need
            if not self._idle:
                gpus = _have("GPU")
                if len(self.busy) >= max(1, int(gpus / task.need.gpus + 1e-6)):
                    break
                keeper = ray.remote(max_restarts=0, max_task_retries=0)(_Keeper)
                self._idle.append(keeper.options(**resources(task.need)).remote())
            self.waiting.popleft()
            actor = self._idle.pop()
            reference = actor.attempt.remote(call, task.need.seconds)
            self.busy[reference] = actor
            begun[reference] = task
        return begun

    def ended(self, reference: Any, *, lost: bool) -> None:
        """Take an actor back, if there was one and it is still there."""
        actor = self.busy.pop(reference, None)
        if actor is not None and not lost:
            self._idle.append(actor)

    def rest(self) -> None:
        """Give GPUs and cores back where tasks without a GPU are what comes."""
        if not self.busy and not self.waiting:
            self.end()

    def end(self, *, waiting: bool = True) -> None:
        """End the actors; and forget what waits for them."""
        import ray

        for actor in [*self._idle, *self.busy.values()]:
            ray.kill(actor)
        self._idle.clear()
        self.busy.clear()
        if waiting:
            self.waiting.clear()


class _Keeper:
    """Does one call after another in a process of its own."""

    def attempt(self, call: bytes, seconds: float) -> bytes:
        return attempt(call, seconds)


def _have(resource: str) -> float:
    """Count what the cluster has of a resource now."""
    import ray

    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found.get(resource, 0.0)


@cache
def _token() -> str:
    """Make up what the clusters of this process ask for; Ray would keep one in the user's home.

    And it reads it once in a process, so that a second cluster has to have the same.
    """
    return secrets.token_hex(32)


def _keep_off_stdout() -> None:
    """Have Ray not print its remarks on crashes, which are told, among the results."""
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


def _versions() -> str:
    python = ".".join(map(str, sys.version_info[:2]))
    return f"dedup {version(DISTRIBUTION)} on Python {python}"


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """Have processes that are started in here see these variables."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
