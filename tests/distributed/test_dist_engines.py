"""Engines start tasks and say how they ended; a process that ends costs its task alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import toy_stage
from toy_stage import task

from dedup.distributed import processes_engine
from dedup.distributed.engine import Crash, EngineError, Inline, Need, Task, counted, run_tasks
from dedup.distributed.engines import engine_named
from dedup.distributed.processes_engine import Processes
from dedup.distributed.storage import StorageError
from dedup.errors import ExtraMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dedup.distributed.engine import Ended


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes(2) as engine:
        yield engine


def run_one(engine: Any, one: Task) -> Any:
    engine.submit(one)
    (ended,) = engine.wait()
    assert ended.task is one
    return ended.result


@pytest.mark.parametrize("kind", ["inline", "processes"])
def test_what_tasks_return_and_raise_comes_back(kind: str, processes: Processes) -> None:
    engine = Inline() if kind == "inline" else processes
    assert run_one(engine, task(divmod, 17, 5)) == (3, 2)
    error = run_one(engine, task(toy_stage.fail, "busy"))
    assert isinstance(error, StorageError)
    assert (str(error), error.transient) == ("busy", True)
    error = run_one(engine, task(divmod, 1, 0))
    assert isinstance(error, ZeroDivisionError)
    assert run_one(engine, task(len, "four")) == 4


def test_an_exception_that_cannot_be_sent_is_told(processes: Processes) -> None:
    error = run_one(processes, task(toy_stage.raise_unsendable))
    assert isinstance(error, EngineError)
    assert str(error) == "_Unsendable: 1 and 2"


def test_a_task_that_cannot_be_sent_is_the_callers_mistake(processes: Processes) -> None:
    with pytest.raises(AttributeError, match="local object"):
        processes.submit(Task(lambda: 1, (), "it"))
    with pytest.raises(TypeError, match="cannot pickle"):
        processes.submit(task(len, threading.Lock()))
    assert run_one(processes, task(len, "four")) == 4


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, "by SIGKILL"),
        (signal.SIGSEGV, "by SIGSEGV"),
        pytest.param(signal.SIGTERM, "by SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_a_process_that_ends_is_a_crash_of_its_task(
    processes: Processes, number: int, words: str
) -> None:
    processes.submit(task(toy_stage.process_id, 0.5, name="beside"))
    processes.submit(task(toy_stage.end_by, number))
    ended = {one.task.name: one.result for _ in range(2) for one in processes.wait()}
    assert ended["it"] == Crash(f"its process ended {words}")
    assert isinstance(ended["beside"], int)
    assert run_one(processes, task(os._exit, 7)) == Crash("its process ended with code 7")


def test_a_process_works_on_and_one_that_was_killed_meanwhile_is_replaced() -> None:
    with Processes(1) as engine:
        first = run_one(engine, task(toy_stage.process_id))
        assert run_one(engine, task(toy_stage.process_id)) == first != os.getpid()
        os.kill(first, signal.SIGKILL)
        time.sleep(0.1)
        answer = run_one(engine, task(toy_stage.process_id))
        if isinstance(answer, Crash):  # it had not ended yet when the task was sent
            answer = run_one(engine, task(toy_stage.process_id))
        assert answer != first


def test_a_task_that_takes_too_long_is_ended(processes: Processes) -> None:
    processes.submit(task(toy_stage.hang, name="hangs", need=Need(seconds=1.0)))
    processes.submit(task(toy_stage.process_id, name="beside"))
    ended = {one.task.name: one.result for _ in range(2) for one in processes.wait()}
    assert ended["hangs"] == Crash("it did not end in 1 seconds")
    assert isinstance(ended["beside"], int)


def test_tasks_of_several_cores_wait_for_them() -> None:
    with Processes(2) as engine:
        for name in "abc":
            engine.submit(task(toy_stage.process_id, 0.2, name=name, need=Need(cpus=2)))
        assert [[one.task.name for one in engine.wait()] for _ in range(3)] == [["a"], ["b"], ["c"]]
        engine.submit(task(toy_stage.process_id, name="more than there are", need=Need(cpus=8)))
        assert len(engine.wait()) == 1


@pytest.mark.parametrize(("worth", "processes"), [(60.0, 1), (0.1, 2)])
def test_small_tasks_do_not_start_a_process_each(
    monkeypatch: pytest.MonkeyPatch, worth: float, processes: int
) -> None:
    monkeypatch.setattr(processes_engine, "_WORTH", worth)
    with Processes(2) as engine:
        for name in "abcd":
            engine.submit(task(toy_stage.process_id, 0.3, name=name))
        ended: list[Ended] = []
        while len(ended) < 4:
            ended += engine.wait()
    assert len({one.result for one in ended}) == processes


def test_processes_have_a_core_each_and_no_say_on_standard_output(
    processes: Processes, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = run_one(processes, task(toy_stage.environment, ("OMP_NUM_THREADS",)))
    assert seen == {"OMP_NUM_THREADS": "1"}
    with Processes(1) as engine:
        run_one(engine, task(toy_stage.write_to_stdout))
    assert capfd.readouterr().out == ""


def test_arrow_brings_no_pandas_into_processes_where_nobody_asks_for_it(
    processes: Processes,
) -> None:
    pytest.importorskip("pandas")
    assert run_one(processes, task(toy_stage.use_arrow)) == ([1, 2], False, [1, 2])


def test_what_was_cancelled_is_forgotten_and_its_processes_are_gone() -> None:
    with Processes(1) as engine:
        first = run_one(engine, task(toy_stage.process_id))
        engine.submit(task(toy_stage.hang))
        engine.submit(task(toy_stage.process_id))
        engine.cancel()
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        assert run_one(engine, task(toy_stage.process_id)) != first


def test_processes_end_with_whoever_started_them(tmp_path: Path) -> None:
    script = (
        "import toy_stage, os\n"
        "from dedup.distributed.processes_engine import Processes\n"
        "with Processes(1) as engine:\n"
        "    engine.submit(toy_stage.task(toy_stage.process_id))\n"
        "    (ended,) = engine.wait()\n"
        "    engine.submit(toy_stage.task(toy_stage.hang))\n"
        "    print(ended.result, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, stdout=-1, check=False
    )
    assert done.returncode == -9
    worker = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the worker lives on")


def test_all_tasks_run_with_few_submitted_at_a_time() -> None:
    class Watched(Inline):
        slots = 3
        most = 0

        def submit(self, task: Task) -> None:
            super().submit(task)
            self.most = max(self.most, len(self._waiting))

    ended: list[Ended] = []
    taken = 0

    def tasks() -> Iterator[Task]:
        nonlocal taken
        for number in range(20):
            taken += 1
            assert taken - len(ended) <= 6
            yield task(divmod, number, 7, name=f"{number}")

    engine = Watched()
    run_tasks(engine, tasks(), ended.append)
    assert engine.most == 6
    assert sorted(one.result for one in ended) == sorted(divmod(n, 7) for n in range(20))
    run_tasks(engine, [])


def test_a_crash_is_tried_again_and_then_done_apart(tmp_path: Path, processes: Processes) -> None:
    ended: list[Ended] = []
    crashes = {"none": 0, "once": 1, "twice": 2}
    tasks = [
        task(toy_stage.crash_first, str(tmp_path), name, times, name=name)
        for name, times in crashes.items()
    ]
    asked = []

    def apart(one: Task, words: str) -> list[Task]:
        asked.append((one.name, words))
        return [task(divmod, 1, 1, name=f"{one.name} {part}") for part in "ab"]

    run_tasks(processes, tasks, ended.append, apart)
    assert sorted(one.task.name for one in ended) == ["none", "once", "twice a", "twice b"]
    assert asked == [("twice", "its process ended by SIGKILL")]
    with pytest.raises(EngineError, match=r"thrice: its process ended 2 times .*SIGKILL"):
        run_tasks(
            processes, [task(toy_stage.crash_first, str(tmp_path), "thrice", 3, name="thrice")]
        )


def test_an_error_ends_the_run_and_what_was_busy_is_asked_again() -> None:
    engine = Inline()
    ended: list[Ended] = []
    tasks = [task(divmod, 1, 1), task(toy_stage.fail, "no permission"), task(divmod, 2, 1)]
    with pytest.raises(StorageError, match="no permission"):
        run_tasks(engine, tasks, ended.append)
    assert [one.result for one in ended] == [(1, 0)]

    outages = iter([StorageError("busy", transient=True)] * 2)

    def busy_twice() -> str:
        for outage in outages:
            raise outage
        return "done"

    run_tasks(engine, [task(busy_twice)], ended.append)
    assert ended[-1].result == "done"
    with pytest.raises(StorageError, match="busy"):
        run_tasks(engine, [task(toy_stage.fail, "busy")])
    with pytest.raises(EngineError, match=r"it: \[Errno 28\] No space left on device"):
        run_tasks(engine, [task(toy_stage.full_disk)])


def test_an_interrupted_run_leaves_nothing_running(tmp_path: Path, processes: Processes) -> None:
    mark = tmp_path / "hangs"

    def interrupt(_: Ended) -> None:
        while not mark.exists() or not mark.read_text():
            time.sleep(0.05)
        raise KeyboardInterrupt

    tasks = [
        task(toy_stage.process_id, name="quick"),
        task(toy_stage.hang, str(mark), name="hangs"),
    ]
    with pytest.raises(KeyboardInterrupt):
        run_tasks(processes, tasks, interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_progress_begins_with_what_was_done() -> None:
    told: list[tuple[str, int, int]] = []
    run_tasks(
        Inline(),
        [task(divmod, 1, 1, name=f"{n}") for n in range(3)],
        counted(lambda *words: told.append(words), "embed", 4, 7),
    )
    assert told == [("embed", 4, 7), ("embed", 5, 7), ("embed", 6, 7), ("embed", 7, 7)]


def test_engines_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(engine_named("inline"), Inline)
    assert isinstance(engine_named("processes"), Processes)
    with pytest.raises(EngineError, match="no engine spark; there are inline, processes, ray"):
        engine_named("spark")
    with pytest.raises(EngineError, match="the engine processes has no address"):
        engine_named("processes", "auto")
    with pytest.raises(EngineError, match=r"address of Ray's client; run .*ray job submit"):
        engine_named("ray", "ray://head:10001")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ExtraMissingError, match=r"the engine ray needs .*\[cluster\]"):
        engine_named("ray")
