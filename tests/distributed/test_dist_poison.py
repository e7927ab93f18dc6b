"""Images that end the process which reads them: each becomes a row with a reason, and no more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from drawings import scene

from dedup.distributed import commits, embedding
from dedup.distributed.collection import SharedCollection
from dedup.distributed.engine import Crash, run_tasks
from dedup.distributed.listing import list_generation
from dedup.distributed.processes_engine import Processes
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.distributed.engine import Ended

# A decoder with a fault, in every process that is started: what it does is in the image's bytes.
_FAULTY = """
import os, signal, time
import dedup.indexing.reader as reader

real = reader.open_image

def open_image(data, name):
    if data.endswith(b"CRASH"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if data.endswith(b"HANG"):
        while True:
            time.sleep(1)
    if data.endswith(b"MEMORY"):
        kept = []
        while True:
            kept.append(bytearray(1 << 26))
    return real(data, name)

reader.open_image = open_image
"""


class Watched(Processes):
    """Counts the tasks that were lost."""

    lost = 0

    def wait(self) -> list[Ended]:
        ended = super().wait()
        self.lost += sum(isinstance(one.result, Crash) for one in ended)
        return ended


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faulty").mkdir()
    (tmp_path / "faulty/sitecustomize.py").write_text(_FAULTY)
    monkeypatch.setattr(sys, "path", [f"{tmp_path}/faulty", *sys.path])


def embedded(tmp_path: Path, *poisons: bytes) -> tuple[dict[str, Any], int]:
    """Embed a shard of sound images with some that are poison; gives its rows, and tasks lost."""
    (tmp_path / "images").mkdir()
    for number in range(6):
        scene(number).save(tmp_path / f"images/{number}.jpg")
    for poison in poisons:
        data = (tmp_path / "images/0.jpg").read_bytes() + poison
        (tmp_path / f"images/3 {poison.decode()}.jpg").write_bytes(data)
    spec = ModelSpec(views="details")
    with SharedCollection.open(f"file://{tmp_path}/store", spec, create=True) as shared:
        run = shared.run
    found = list_generation(run, [f"file://{tmp_path}/images"])
    with Watched(1) as engine:
        run_tasks(
            engine, embedding.tasks(run, found.shards, {}, own=True), None, embedding.look_apart
        )
    (done,) = commits.committed(run.storage, embedding.STAGE).values()
    rows = {row["key"]: row for row in commits.read(run.storage, done).to_pylist()}
    assert [key for key in rows if not rows[key]["reason"]] == [f"{n}.jpg" for n in range(6)]
    return rows, engine.lost


@pytest.mark.usefixtures("faulty")
def test_an_image_that_ends_its_process_is_one_row(tmp_path: Path) -> None:
    rows, lost = embedded(tmp_path, b"CRASH")
    row = rows["3 CRASH.jpg"]
    assert row["reason"].startswith("reading it ended the process that did so: ")
    assert (row["transient"], row["digest"]) == (False, None)
    assert lost == 2


@pytest.mark.slow
@pytest.mark.usefixtures("faulty")
def test_images_that_hang_or_take_all_memory_are_rows(tmp_path: Path) -> None:
    rows, lost = embedded(tmp_path, b"CRASH", b"HANG", b"MEMORY")
    assert rows["3 CRASH.jpg"]["reason"].startswith("reading it ended the process")
    assert "it took more than 15 seconds" in rows["3 HANG.jpg"]["reason"]
    assert rows["3 MEMORY.jpg"]["reason"] == "too large for the memory there is"
    assert lost <= 3
