"""Kill anything at any time, run it again: each shard counts once, none is computed in vain."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
import toy_stage
from toy_stage import STAGE

from dedup.distributed.commits import committed, sweep, verify
from dedup.distributed.engine import Inline
from dedup.distributed.engines import engine_named
from dedup.distributed.processes_engine import Processes
from dedup.distributed.storage import Storage, StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from s3_endpoint import S3
    from s3_faults import Proxy

    from dedup.distributed.engine import Engine


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    """Where tasks say that they were begun, and by which process."""
    path = tmp_path / "diary"
    path.touch()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """The URL of a folder: where storage is not what fails, it is all the same, and cheaper."""
    return f"file://{tmp_path}/store"


def check(url: str, count: int) -> None:
    """Check that the stage is whole, that no row is there twice, and that nothing else is left."""
    storage = Storage.at(url)
    assert toy_stage.found(url) == toy_stage.expected(count)
    assert list(verify(storage, STAGE)) == []
    sweep(storage, STAGE, age=-5.0)
    named = {done.key for done in committed(storage, STAGE).values()}
    keys = {entry.key for entry in storage.list(STAGE) if "/_done/" not in entry.key}
    assert keys == named
    assert len(named) == count


def shards_begun(diary: Path) -> list[str]:
    return [line.split()[0] for line in diary.read_text().splitlines()]


def driver(kind: str, url: str, count: int, diary: Path, seconds: float) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    script = "import sys, toy_stage; toy_stage.drive(*sys.argv[1:])"
    arguments = ["-c", script, kind, url, f"{count}", os.fspath(diary), f"{seconds}"]
    return subprocess.Popen([sys.executable, *arguments], env=environment, stderr=-1)


class Killer(threading.Thread):
    """Kills the process that began the last task, so many times."""

    def __init__(self, diary: Path, times: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self._diary, self._times, self._seconds = diary, times, seconds
        self._random = random.Random(3)  # noqa: S311 - to be repeated
        self.killed: list[int] = []

    def run(self) -> None:
        seen = 0
        while len(self.killed) < self._times:
            lines = self._diary.read_text().splitlines()
            if len(lines) == seen:
                time.sleep(0.01)
                continue
            seen = len(lines)
            time.sleep(self._random.uniform(0, self._seconds))
            process = int(lines[-1].split()[1])
            if process not in self.killed:
                self.killed.append(process)
                os.kill(process, signal.SIGKILL)


def survive(engine: Engine, url: str, diary: Path, count: int, kills: int) -> None:
    toy_stage.put_input(url, count)
    killer = Killer(diary, kills, 0.2)
    killer.start()
    toy_stage.run_stage(engine, url, count, os.fspath(diary), 0.4)
    assert len(killer.killed) == kills
    begun = shards_begun(diary)
    assert count < len(begun) <= count + kills
    check(url, count)


def test_workers_that_are_killed_cost_their_shard_once_more(folder: str, diary: Path) -> None:
    with Processes(2) as engine:
        survive(engine, folder, diary, 6, kills=2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["processes", "ray"])
def test_twenty_workers_are_killed(bucket: str, diary: Path, kind: str) -> None:
    with engine_named(kind) as engine:
        survive(engine, bucket, diary, 40, kills=20)


def survive_drivers(kind: str, url: str, diary: Path, count: int, kills: int) -> None:
    toy_stage.put_input(url, count)
    storage = Storage.at(url)
    chance = random.Random(4)  # noqa: S311 - to be repeated
    finished: list[tuple[int, set[str]]] = []  # lines of the diary then, shards done then
    for _ in range(kills):
        before = len(shards_begun(diary))
        with driver(kind, url, count, diary, 0.3) as running:
            while len(shards_begun(diary)) < min(before + chance.randint(1, 3), count):
                time.sleep(0.02)
                assert running.poll() is None
            running.kill()
            running.communicate()
        assert running.returncode == -signal.SIGKILL
        time.sleep(2.5)  # workers look once a second whether their driver lives
        finished.append((len(shards_begun(diary)), set(committed(storage, STAGE))))
    assert len(finished[-1][1]) < count
    with driver(kind, url, count, diary, 0.0) as running:
        errors = running.communicate()[1]
    assert running.returncode == 0, errors.decode()
    begun = shards_begun(diary)
    for lines, done in finished:
        assert not done & set(begun[lines:])
    assert len(begun) <= count + kills * os.cpu_count()  # type: ignore[operator]
    check(url, count)


def test_a_driver_that_is_killed_goes_on_where_it_was(folder: str, diary: Path) -> None:
    survive_drivers("processes", folder, diary, 6, kills=1)


@pytest.mark.slow
def test_twenty_drivers_are_killed(bucket: str, diary: Path) -> None:
    survive_drivers("processes", bucket, diary, 60, kills=20)


def test_two_drivers_at_once_make_one_result(folder: str, diary: Path) -> None:
    toy_stage.put_input(folder, 8)
    drivers = [driver("inline", folder, 8, diary, 0.2) for _ in range(2)]
    errors = [running.communicate()[1] for running in drivers]
    assert [running.returncode for running in drivers] == [0, 0], errors
    assert len(shards_begun(diary)) > 8  # they did meet
    check(folder, 8)


@pytest.mark.parametrize("kind", ["inline", pytest.param("processes", marks=pytest.mark.slow)])
def test_faults_of_the_storage_change_nothing(proxy: Proxy, bucket: str, kind: str) -> None:
    toy_stage.put_input(bucket, 10)
    proxy.faults.slow_down = 0.04
    proxy.faults.lost = proxy.faults.reset = proxy.faults.cut = 0.03
    with Inline() if kind == "inline" else Processes(2) as engine:
        toy_stage.run_stage(engine, bucket, 10)
    assert proxy.done.total() > 3
    proxy.faults.slow_down = proxy.faults.lost = proxy.faults.reset = proxy.faults.cut = 0.0
    check(bucket, 10)


def test_a_refusal_ends_the_run_in_words_and_it_goes_on_afterwards(
    proxy: Proxy, bucket: str, diary: Path
) -> None:
    toy_stage.put_input(bucket, 6)

    def refuse(_: str, done: int, __: int) -> None:
        proxy.faults.forbidden = "AccessDenied" if done >= 2 else ""

    with pytest.raises(StorageError, match=r"no permission to read .AccessDenied."):
        toy_stage.run_stage(Inline(), bucket, 6, os.fspath(diary), progress=refuse)
    proxy.faults.forbidden = ""
    assert len(shards_begun(diary)) == 2
    toy_stage.run_stage(Inline(), bucket, 6, os.fspath(diary))
    assert sorted(shards_begun(diary)) == toy_stage.shards(6)
    check(bucket, 6)


def test_an_attempt_that_comes_late_changes_nothing(s3: S3, diary: Path) -> None:
    """As of a machine that was cut off, or was thought to be, and works on."""
    url = s3.bucket()
    toy_stage.put_input(url, 2)
    toy_stage.run_stage(Inline(), url, 2)
    before = committed(Storage.at(url), STAGE)
    toy_stage.square(url, "000001", os.fspath(diary))
    assert committed(Storage.at(url), STAGE) == before
    check(url, 2)
