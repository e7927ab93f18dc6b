"""Nothing is reported to anybody: no connection, and no file but those that a user expects."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawings import scene

from dedup.cli import cli

ROOT = Path(__file__).parent.parent.parent

BAN = """
import os, sys

def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}:
        with open(os.environ["CONNECTIONS"], "a") as file:
            file.write(f"{event} {arguments}\\n")
        raise OSError("no network")

sys.addaudithook(refuse)
"""

COMMANDS = """
index images --store store
index images --store store
list --store store
list --store store --tier similar --threshold 0.5
query images/a/0.jpg new.jpg --store store
compare new.jpg --against store
contains images/a images/b --store store
list --folders --store store
why images/a/1.jpg images/b/1.png --store store --html why.html
ignore images/a/1.jpg images/b/1.png --store store
ignore --export decisions.jsonl --store store
eval --truth truth.csv --store store
status --store store
status --store store --skipped
export --store store --output features.npz
report --store store --output report.html
check --store store --labels folders
split --store store --ratios .5 .5
sample --store store -n 3
plan images --store store --action move:away --output plan.json
apply plan.json --yes --store store
undo --store store
log --store store
recover --store store
roots --store store
verify --store store --deep
sql UPDATE files SET size = size + 1 WHERE path = CAST('a/2.jpg' AS BLOB)
repair --store store
export --store store --fused --output features.safetensors
export --store store --neighbours 3 --output graph.npz
index file://HERE/images/a --store file://HERE/shared --engine inline
list --store file://HERE/shared --engine inline
fetch fetched --store file://HERE/shared
index --vectors vectors.npy --store own
query --vector vectors.npy --store own
"""

COMMANDS_OF_TORCH = """
layers mobilenetv3_small_050
layers copies-2 --image new.jpg --maps maps.png
index images -s untrained --untrained --model mobilenetv3_small_050 --runtime onnxruntime
"""
"""Those that import torch and timm, which takes longer than all others together."""

SLOW_COMMANDS = """
calibrate --samples 50 --store untrained
map --store store --output map.html
watch --store store
review --store store --no-browser
"""
"""Half a minute each; the last two are ended by a signal."""

EVERY_COMMAND = COMMANDS + COMMANDS_OF_TORCH + SLOW_COMMANDS

RUN = """
import os, signal, sqlite3, sys, threading
from dedup.cli import main

for line in open("commands"):
    if line.startswith("sql "):
        with sqlite3.connect("store/catalog.sqlite") as connection:
            assert connection.execute(line[4:]).rowcount == 1
        connection.close()
    elif line.strip():
        sys.argv = ["dedup", *line.replace("HERE", os.getcwd()).split()]
        if line.startswith(("watch", "review")):
            threading.Timer(20, os.kill, (os.getpid(), signal.SIGTERM)).start()
        try:
            main()
        except SystemExit as end:
            assert end.code == 0, line
"""


class Place:
    """A folder to run all commands in, with a HOME and a TMPDIR of its own."""

    def __init__(self, folder: Path, drawn: Path) -> None:
        self.folder = folder
        self.work, self.home, self.temporary, self.ban = (
            folder / name for name in ("work", "home", "temporary", "ban")
        )
        for each in (self.work, self.home, self.temporary, self.ban):
            each.mkdir()
        self.connections = folder / "connections"
        (self.ban / "sitecustomize.py").write_text(BAN)
        shutil.copytree(drawn, self.work / "images")
        shutil.copy(drawn / "a/5.jpg", self.work / "new.jpg")
        np.save(self.work / "vectors.npy", np.eye(4))
        (self.work / "truth.csv").write_text(
            "first,second,duplicate\na/1.jpg,b/1.png,1\na/1.jpg,a/2.jpg,0\n"
        )

    def run(self, commands: str, *before: str) -> subprocess.CompletedProcess[str]:
        (self.work / "commands").write_text(commands)
        return subprocess.run(
            [*before, sys.executable, "-c", RUN],
            cwd=self.work,
            env={
                "PATH": os.environ["PATH"],
                "HOME": os.fspath(self.home),
                "TMPDIR": os.fspath(self.temporary),
                "PYTHONPATH": os.pathsep.join(map(os.fspath, (self.ban, ROOT))),
                "CONNECTIONS": os.fspath(self.connections),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def unexpected(self) -> list[str]:
        """List files that neither a command line names nor documentation does."""
        expected = re.compile(
            r"work/(images|store|untrained|own|shared|fetched)/.*|home/\.cache/dedup/models/[0-9a-f-]+\.onnx|ban/.*"
            r"|work/(commands|truth\.csv|new\.jpg|decisions\.jsonl|plan\.json|features\.npz)"
            r"|work/(features\.safetensors|graph\.npz|vectors\.npy)"
            r"|work/(report\.html|why\.html|map\.html|maps\.png)"
        )
        files = [path for path in self.folder.rglob("*") if not path.is_dir()]
        names = [os.fspath(path.relative_to(self.folder)) for path in files]
        return [name for name in names if not expected.fullmatch(name)]


def test_every_command_is_among_those_that_are_run() -> None:
    run = {line.split()[0] for line in EVERY_COMMAND.splitlines() if line}
    assert run - {"sql"} == set(cli.commands)


@pytest.mark.parametrize(
    "commands",
    [
        pytest.param(COMMANDS, id="without torch"),
        pytest.param(COMMANDS_OF_TORCH, id="with torch", marks=pytest.mark.slow),
    ],
)
def test_no_command_connects_or_leaves_files(commands: str, drawn: Path, tmp_path: Path) -> None:
    place = Place(tmp_path, drawn)
    done = place.run(commands)
    assert done.returncode == 0, done.stderr
    assert not place.connections.exists(), place.connections.read_text()
    assert place.unexpected() == []
    assert [*place.temporary.iterdir()] == []


def test_the_ban_of_these_tests_works(drawn: Path, tmp_path: Path) -> None:
    place = Place(tmp_path, drawn)
    code = "import socket; socket.create_connection(('localhost', 9))"
    subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(place.ban), "CONNECTIONS": str(place.connections)},
        capture_output=True,
        check=False,
    )
    assert place.connections.read_text().startswith("socket.getaddrinfo")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_library_of_native_code_connects(drawn: Path, tmp_path: Path) -> None:
    place = Place(tmp_path, drawn)
    for seed in range(20, 70):  # so many that it can be calibrated
        scene(seed, (96, 72)).save(place.work / f"images/{seed}.jpg")
    log = tmp_path / "work/images/strace.txt"  # where files are expected
    strace = ("strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(log))
    done = place.run(EVERY_COMMAND, *strace)
    assert done.returncode == 0, done.stderr
    calls = [line for line in log.read_text().splitlines() if "AF_INET" in line]
    assert calls == []
    assert place.unexpected() == []
