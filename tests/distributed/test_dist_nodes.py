"""Ray on several machines, each of which may be lost; here they are several sets of processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import pytest
import toy_stage
from toy_stage import STAGE

from dedup.distributed.commits import committed
from dedup.distributed.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc"),
]
COUNT = 24


_MARK = "MACHINE_OF_A_TEST"


class Machine(NamedTuple):
    """The processes with a mark of their own in their environment."""

    name: str
    process: subprocess.Popen[bytes]


class Cluster:
    """A head without cores, and machines of one core that join it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        # A loopback address Ray would replace by this one, at which nobody might listen.
        self._host = _own_address()
        with socket.create_server((self._host, 0)) as free:
            self.address = f"{self._host}:{free.getsockname()[1]}"
        # In the place of temporary files itself: sockets have to have short paths.
        self._folder = tempfile.mkdtemp(prefix="ray-")
        stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        port = self.address.rpartition(":")[2]
        own = f"--port={port}", f"--temp-dir={self._folder}", "--include-dashboard=false"
        self.head = self._start("--head", *own, cores=0)
        self._wait_for(0)

    def join(self, machines: int) -> list[Machine]:
        """Start machines one after the other; gives them once all are there."""
        started = []
        for number in range(1, machines + 1):
            started.append(self._start(f"--address={self.address}", cores=1))
            self._wait_for(number)
        return started

    def _start(self, *options: str, cores: int) -> Machine:
        ray = Path(sys.executable).parent / "ray"
        here = f"--node-ip-address={self._host}", "--object-store-memory=80000000"
        common = f"--num-cpus={cores}", *here, "--block"
        name = uuid4().hex
        process = subprocess.Popen(
            [ray, "start", *options, *common],
            env=_environment(**{_MARK: name}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        machine = Machine(name, process)
        self._stack.callback(lose, machine)
        return machine

    def _wait_for(self, cores: int) -> None:
        script = (
            "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False);"
            "print(int(ray.cluster_resources().get('CPU', 0)))"
        )
        for _ in range(30):
            asked = [sys.executable, "-c", script, self.address]
            done = subprocess.run(asked, env=_environment(), capture_output=True, check=False)
            if done.stdout.strip() == f"{cores}".encode():
                return
            time.sleep(1.0)
        pytest.fail(f"{cores} machines did not join: {done.stdout!r}, {done.stderr.decode()}")


def _own_address() -> str:
    """Give the address by which Ray names this machine, without loading Ray here."""
    script = "import ray; print(ray.util.get_node_ip_address())"
    asked = [sys.executable, "-c", script]
    return subprocess.run(
        asked, env=_environment(), stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()


def _environment(**more: str) -> dict[str, str]:
    # Without what a cluster of this process has left there, such as its token.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = os.pathsep.join(sys.path)
    # A token that anything has left in ~/.ray is asked for by a head, and not sent by a driver.
    fixed = {"PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    return {**kept, **fixed, **more}


def lose(machine: Machine) -> None:
    """End all processes of a machine at once, as far as they can be."""
    mark = f"{_MARK}={machine.name}".encode()
    for place in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in place.read_bytes().split(b"\0"):
                os.kill(int(place.parent.name), signal.SIGKILL)
    machine.process.wait()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    if "ray" in sys.modules:  # what a cluster of this process leaves leads others astray
        pytest.skip("runs by itself: pytest -m slow tests/distributed/test_dist_nodes.py")
    with ExitStack() as stack:
        yield Cluster(stack)


def begun(diary: Path) -> int:
    return len(diary.read_text().splitlines())


def by_process(diary: Path) -> set[str]:
    return {line.split()[1] for line in diary.read_text().splitlines()}


def driver(url: str, diary: Path, address: str) -> subprocess.Popen[bytes]:
    kind = "ray" if address else "inline"
    arguments = [kind, url, f"{COUNT}", os.fspath(diary), "0.5"]
    return subprocess.Popen(
        [sys.executable, "-c", "import sys, toy_stage; toy_stage.drive(*sys.argv[1:])", *arguments],
        env=_environment(RAY_ADDRESS=address),
        stderr=subprocess.PIPE,
    )


def wait_for(diary: Path, tasks: int, running: subprocess.Popen[bytes], processes: int = 1) -> None:
    """Wait until so many tasks were begun, by so many processes."""
    while begun(diary) < tasks or len(by_process(diary)) < processes:
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)


def test_what_a_lost_machine_did_is_done_by_the_others(cluster: Cluster, tmp_path: Path) -> None:
    url, diary = f"file://{tmp_path}/store", tmp_path / "diary"
    diary.touch()
    toy_stage.put_input(url, COUNT)
    _, second = cluster.join(2)
    with driver(url, diary, cluster.address) as running:
        wait_for(diary, 6, running, processes=2)
        lose(second)
        errors = running.communicate()[1].decode()
    assert running.returncode == 0, errors
    assert "does not answer" not in errors
    assert toy_stage.found(url) == toy_stage.expected(COUNT)
    assert COUNT < begun(diary) <= COUNT + 2  # what it was at, and what it had begun to run


def test_a_lost_head_is_told_and_the_next_run_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    url, diary = f"file://{tmp_path}/store", tmp_path / "diary"
    diary.touch()
    toy_stage.put_input(url, COUNT)
    cluster.join(1)
    with driver(url, diary, cluster.address) as running:
        wait_for(diary, 4, running)
        lose(cluster.head)
        errors = running.communicate()[1].decode()
    assert running.returncode != 0
    assert f"The head of the Ray cluster at {cluster.address} does not answer." in errors
    assert "run the same command again" in errors
    time.sleep(3.0)  # what still runs there ends
    done = set(committed(Storage.at(url), STAGE))
    assert 3 <= len(done) < COUNT
    before = begun(diary)
    with driver(url, diary, "") as running:
        errors = running.communicate()[1].decode()
    assert running.returncode == 0, errors
    assert toy_stage.found(url) == toy_stage.expected(COUNT)
    again = {line.split()[0] for line in diary.read_text().splitlines()[before:]}
    assert not again & done
