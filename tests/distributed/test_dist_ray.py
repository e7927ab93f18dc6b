"""The engine ray, on a cluster of this machine that all these tests share."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import toy_stage
from toy_stage import task

from dedup.distributed.engine import Crash, EngineError, Need, run_tasks
from dedup.distributed.engines import engine_named
from dedup.distributed.ray_engine import Ray
from dedup.distributed.storage import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dedup.distributed.engine import Ended


@pytest.fixture(scope="module")
def ray() -> Iterator[Ray]:
    engine = engine_named("ray")
    assert isinstance(engine, Ray)
    with engine:
        yield engine


def run_one(engine: Ray, *arguments: Any, **named: Any) -> Any:
    engine.submit(task(*arguments, **named))
    (ended,) = engine.wait()
    return ended.result


def test_tasks_return_raise_and_crash(ray: Ray, capfd: pytest.CaptureFixture[str]) -> None:
    assert ray.slots >= 1
    assert run_one(ray, divmod, 17, 5) == (3, 2)
    error = run_one(ray, toy_stage.fail, "busy")
    assert isinstance(error, StorageError)
    assert error.transient
    assert str(run_one(ray, toy_stage.raise_unsendable)) == "_Unsendable: 1 and 2"
    crash = run_one(ray, toy_stage.end_by, signal.SIGSEGV)
    assert isinstance(crash, Crash)
    assert crash.words.startswith("its process ended (The worker died")
    crash = run_one(ray, toy_stage.hang, need=Need(seconds=1.0))
    assert isinstance(crash, Crash)
    assert crash.words.startswith("its process ended, perhaps after 1 seconds (")
    seen = run_one(ray, toy_stage.environment, ("OMP_NUM_THREADS", "RAY_USAGE_STATS_ENABLED"))
    assert seen == {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}

    ray.submit(task(toy_stage.hang))
    ray.cancel()
    assert run_one(ray, divmod, 17, 5) == (3, 2)
    assert "died" not in capfd.readouterr().out


@pytest.mark.slow
def test_a_crash_is_tried_again_and_then_done_apart_on_ray(ray: Ray, tmp_path: Path) -> None:
    ended: list[Ended] = []
    tasks = [
        task(toy_stage.crash_first, str(tmp_path), f"{times}", times, name=f"{times}")
        for times in range(3)
    ]
    run_tasks(
        ray, tasks, ended.append, lambda one, _: [task(divmod, 1, 1, name=f"{one.name} apart")]
    )
    assert sorted(one.task.name for one in ended) == ["0", "1", "2 apart"]


def test_a_stage_is_run_with_its_storage(ray: Ray, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    toy_stage.put_input(url, 6)
    told: list[tuple[str, int, int]] = []
    toy_stage.run_stage(ray, url, 6, progress=lambda *words: told.append(words))
    assert toy_stage.found(url) == toy_stage.expected(6)
    assert told == [("toy", done, 6) for done in range(7)]


@pytest.mark.slow
def test_a_process_may_begin_one_cluster_after_another() -> None:
    code = (
        "from toy_stage import task\n"
        "from dedup.distributed.ray_engine import Ray\n"
        "for number in range(2):\n"
        "    with Ray() as engine:\n"
        "        engine.submit(task(divmod, number, 2))\n"
        "        print(engine.wait()[0].result)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "(0, 0)\n(0, 1)\n", done.stderr


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_told() -> None:
    """In a process of its own, since this one may be connected already."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    script = (
        "from dedup.distributed.engines import engine_named\n"
        f"with engine_named('ray', '{address}'):\n"
        "    pass\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert f"EngineError: no Ray cluster at {address} (" in done.stderr
    assert "start one by `ray start --head`" in done.stderr


@pytest.mark.slow
def test_tasks_with_a_gpu_run_in_processes_that_keep_what_they_loaded() -> None:
    """Ray is told that there is a GPU, which nothing here uses."""
    script = (
        "import ray, toy_stage\n"
        "from toy_stage import task\n"
        "from dedup.distributed.engine import Crash, Need\n"
        "from dedup.distributed.engines import engine_named\n"
        "ray.init(address='local', num_cpus=4, num_gpus=1, include_dashboard=False,\n"
        "         log_to_driver=False, object_store_memory=80 << 20)\n"
        "half, cpu = Need(cpus=1, gpus=0.5, memory=1), Need(memory=1)\n"
        "def results(engine, count):\n"
        "    found = []\n"
        "    while len(found) < count:\n"
        "        found += [one.result for one in engine.wait()]\n"
        "    return found\n"
        "with engine_named('ray') as engine:\n"
        "    for n in range(6):\n"
        "        engine.submit(task(toy_stage.process_id, 0.3, name=f'{n}', need=half))\n"
        "    pids = set(results(engine, 6))\n"
        "    assert len(pids) == 2, pids\n"
        "    engine.submit(task(toy_stage.process_id, need=half))\n"
        "    assert set(results(engine, 1)) < pids\n"
        "    engine.submit(task(toy_stage.end_by, 9, need=half))\n"
        "    engine.submit(task(toy_stage.process_id, 0.3, need=half))\n"
        "    engine.submit(task(toy_stage.process_id, 0.3, need=half))\n"
        "    found = results(engine, 3)\n"
        "    assert sum(isinstance(one, Crash) for one in found) == 1, found\n"
        "    whole = Need(cpus=1, gpus=1, memory=1)\n"
        "    for n in range(2):\n"
        "        engine.submit(task(toy_stage.process_id, name=f'{n}', need=whole))\n"
        "    (pid,) = set(results(engine, 2))\n"
        "    assert pid not in pids\n"
        "    engine.submit(task(toy_stage.process_id, need=cpu))\n"
        "    assert results(engine, 1) != [pid]\n"
        "assert ray.is_initialized()\n"
        "print('done')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("done"), done.stderr


def test_a_cluster_of_another_version_is_refused(ray: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dedup.distributed.ray_engine.DISTRIBUTION", "ray")
    with pytest.raises(EngineError, match=r"the cluster has dedup .*, and this machine dedup 2"):
        ray._check_versions()  # noqa: SLF001 - as entering does
