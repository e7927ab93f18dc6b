"""`dedup watch` as a process of its own, beside real files that come, change and go."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from drawings import scene

from dedup.collection import Collection
from dedup.errors import CollectionError
from dedup.indexing.watch import _matters
from dedup.store.lock import writer_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 60.0


@dataclass
class Watcher:
    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_bytes().splitlines()]

    def runs(self) -> list[str]:
        """What was said of each run of indexing."""
        return [line for line in self.err.read_text("utf-8").splitlines() if " images: " in line]

    def wait(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not what():
            assert self.process.poll() is None, self.err.read_text("utf-8")
            assert time.monotonic() < end, self.err.read_text("utf-8")
            time.sleep(0.05)

    def stop(self, by: signal.Signals) -> None:
        self.process.send_signal(by)
        assert self.process.wait(PATIENCE) == 0
        assert self.err.read_text("utf-8").endswith("Stopped watching.\n")


@contextmanager
def watching(store: Path, *paths: Path) -> Iterator[Watcher]:
    out, err = store.parent / "out", store.parent / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "dedup", "watch", *paths, "-s", store],
            stdout=stdout,
            stderr=stderr,
        )
    watcher = Watcher(process, out, err)
    try:
        watcher.wait(lambda: "Watching." in err.read_text("utf-8"))
        yield watcher
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def place(store: Path, drawn: Path, images: Path) -> Path:
    """A collection of `images`, up to date."""
    with Collection.open(store) as collection:
        collection.move_root(drawn, images)
        collection.index()
    return store


def test_new_duplicates_are_reported_one_run_a_burst_and_none_is_lost_before_it_starts(
    place: Path, images: Path
) -> None:
    shutil.copy(images / "a/3.jpg", images / "b/before.jpg")  # while nobody watches
    with watching(place) as watcher:
        assert [os.path.basename(row["path"]) for row in watcher.rows()] == ["before.jpg"]
        assert list(watcher.rows()[0]) == ["path", "tier", "match", "similarity", "note"]
        inner = images / "new/inner"
        inner.mkdir(parents=True)
        for number in range(20):
            shutil.copy(images / f"a/{4 + number % 3}.jpg", inner / f"{number}.jpg")
        (images / "notes.txt").write_text("no image")
        watcher.wait(lambda: len(watcher.rows()) >= 21)
        assert 2 <= len(watcher.runs()) <= 4  # a busy machine may make a pause of its own
        assert {row["tier"] for row in watcher.rows()} == {"exact"}
        shutil.rmtree(inner)
        watcher.wait(lambda: "20 gone" in watcher.err.read_text("utf-8"))
        watcher.stop(signal.SIGTERM)
        assert len(watcher.rows()) == 21


def test_it_ends_when_nobody_reads_any_more(place: Path, images: Path) -> None:
    shutil.copy(images / "a/3.jpg", images / "b/before.jpg")
    command = [sys.executable, "-m", "dedup", "watch", "-s", os.fspath(place)]
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        command, stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False
    )
    os.close(theirs)
    assert done.returncode == 0
    assert done.stderr.endswith("Stopped watching.\n")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_new_image_is_embedded_and_proven(place: Path, images: Path) -> None:
    scene(3).resize((160, 120)).save(images / "b/smaller.png")
    with watching(place, images) as watcher:
        (row,) = watcher.rows()
        assert (row["tier"], os.path.basename(row["path"])) == ("resaved", "smaller.png")
        watcher.stop(signal.SIGINT)


@pytest.mark.slow
def test_a_name_that_is_not_utf8_a_folder_that_comes_back_and_another_writer(
    place: Path, images: Path
) -> None:
    with watching(place) as watcher:
        odd = os.path.join(os.fsencode(images), b"latin\xe9.jpg")
        shutil.copy(os.fsencode(images / "a/7.jpg"), odd)
        watcher.wait(lambda: len(watcher.rows()) == 1)
        assert os.fsencode(watcher.rows()[0]["path"]) == odd
        away = images.with_name("unplugged")
        images.rename(away)
        shutil.copy(away / "a/8.jpg", away / "while-away.jpg")
        time.sleep(1)  # it may notice that the folder is not there
        with writer_lock(place):
            away.rename(images)
            shutil.copy(images / "a/8.jpg", images / "b/at-once.jpg")
            time.sleep(1)  # it may try, and finds the collection locked
        watcher.wait(lambda: len(watcher.rows()) == 3)
        found = {os.path.basename(row["path"]) for row in watcher.rows()[1:]}
        assert found == {"while-away.jpg", "at-once.jpg"}
        watcher.stop(signal.SIGTERM)


def test_in_python_each_look_is_an_answer(place: Path, images: Path) -> None:
    with Collection.open(place) as collection:
        looks = collection.watch(images, tier="exact")
        first = next(looks)
        assert (len(first), first.summary.unchanged) == (0, first.summary.found - 2)
        shutil.copy(images / "a/3.jpg", images / "b/one.jpg")
        shutil.copy(images / "a/3.jpg", images / "b/two.jpg")
        second = next(looks)
        assert second.summary.reused == 2
        assert [(os.path.basename(row.path), row.tier) for row in second] == [
            ("one.jpg", "exact"),
            ("two.jpg", "exact"),
        ]
        with pytest.raises(ValueError, match="tier"):
            collection.watch(images, tier="none")
        with pytest.raises(CollectionError, match="there is no such folder"):
            next(collection.watch(images / "nowhere"))


@pytest.mark.parametrize(
    ("path", "matters"),
    [
        ("/p/a.jpg", True),
        ("/p/deep/a.JPG", True),
        ("/p/IMG_0001", True),
        ("/p/gone.folder", True),
        ("/p/.thumbnails/a.jpg", False),
        ("/p/.a.jpg", False),
        ("/p/store/catalog.sqlite-wal", False),
        ("/p/.hidden/root/a.jpg", True),
    ],
)
def test_what_cannot_be_an_image_is_no_reason_to_look(path: str, *, matters: bool) -> None:
    assert _matters(path, ["/p", "/p/.hidden/root"], "/p/store") is matters
