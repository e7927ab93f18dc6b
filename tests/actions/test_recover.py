"""A kill at any moment leaves every content somewhere, and `recover` every file at a place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from killed import run_killed
from trees import contents, tree

from dedup.actions.journal import read_history

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from dedup.actions.journal import Item
    from dedup.collection import Collection

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("action", "steps"),
    [("trash", (9,)), ("delete", (5,)), ("hardlink", (14,))],
)
def test_a_kill_loses_nothing(
    own: Collection, images: Path, tmp_path: Path, action: str, steps: tuple[int, ...]
) -> None:
    killed_at_every_step(own, images, tmp_path, action, steps)


@pytest.mark.slow
@pytest.mark.parametrize("action", ["trash", "move", "across", "delete", "hardlink", "symlink"])
def test_a_kill_at_every_step_loses_nothing(
    own: Collection, images: Path, tmp_path: Path, action: str
) -> None:
    if action != "across":
        killed_at_every_step(own, images, tmp_path, action, range(200))
        return
    with other_file_system(images) as away:
        killed_at_every_step(own, images, tmp_path, "move", range(200), away)


@contextmanager
def other_file_system(images: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")  # noqa: S108
    if not memory.is_dir() or memory.stat().st_dev == images.stat().st_dev:
        pytest.skip("needs a second file system")
    with tempfile.TemporaryDirectory(dir=memory) as away:
        yield Path(away)


FULL = """
import resource, sys
from dedup.collection import Collection
from dedup.errors import DedupError

with Collection.open(sys.argv[1]) as collection:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
    try:
        collection.apply(sys.argv[2])
    except DedupError as error:
        print(error)
"""


@pytest.mark.parametrize("limit", [900, pytest.param(2500, marks=pytest.mark.slow)])
def test_a_full_disk_stops_the_run_and_loses_nothing(
    own: Collection, images: Path, tmp_path: Path, limit: int
) -> None:
    before = tree(images)
    with other_file_system(images) as away:
        own.plan(tier="exact", action=f"move:{away}").write(tmp_path / "plan.json")
        done = subprocess.run(
            [sys.executable, "-c", FULL, own.path, tmp_path / "plan.json", str(limit)],
            env={**os.environ, "PYTHONPATH": os.fspath(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "cannot be written" in done.stdout or "is full" in done.stdout
        own.recover()
        assert sum(contents(images, away).values()) == len(before)
        if any(run.done for run in own.runs()):
            own.undo()
        assert tree(images) == before


def killed_at_every_step(
    own: Collection,
    images: Path,
    tmp_path: Path,
    action: str,
    steps: range | tuple[int, ...],
    away: Path | None = None,
) -> None:
    away = away or tmp_path / "away"
    target = f"move:{away}" if action == "move" else action
    tier = "exact"
    before, everything = tree(images), contents(images)
    places = [images, tmp_path / "home", away]
    for what in ("apply", "undo"):
        for after in steps:
            own.plan(tier=tier, action=target).write(tmp_path / "plan.json")
            if what == "undo":
                own.apply(tmp_path / "plan.json")
            code = run_killed(own.path, what, tmp_path / "plan.json", after)
            check_all_there(everything, contents(*places), action)
            notes = own.recover()
            assert len(notes) <= 1
            assert own.recover() == []
            check_all_there(everything, contents(*places), action)
            assert not [n for n in tree(images) if ".dedup-" in n], (what, after)
            check_journal(own)
            if any(run.done for run in own.runs()):
                own.undo()
            assert tree(images) == before, (what, after)
            assert own.index().indexed == 0
            shutil.rmtree(own.path / "runs", ignore_errors=True)
            if code == 0:
                break


def check_all_there(everything: Counter[str], there: Counter[str], action: str) -> None:
    assert set(everything) <= set(there)
    if action in ("trash", "move"):
        assert everything - there == {}


def check_journal(own: Collection) -> None:
    for file in [file for run in own.runs() for file in own.run(run.run)]:
        linked = file.action.endswith("link")
        if file.outcome == "done":
            assert os.path.lexists(file.path) == linked
            assert not file.to or os.path.exists(file.to)
        else:
            assert os.path.exists(file.path), file


def test_what_was_saved_before_its_turn_counts_as_left_alone(
    own: Collection, images: Path, tmp_path: Path
) -> None:
    """Of a run that was killed, and of a file whose place another program took meanwhile."""
    plan = own.plan(tier="exact", action=f"move:{tmp_path / 'away'}")
    plan.write(tmp_path / "plan.json")
    items: list[Item] = []
    for after in range(10, 20):  # until both are written ahead
        shutil.rmtree(own.path / "runs", ignore_errors=True)
        assert run_killed(own.path, "apply", tmp_path / "plan.json", after) == 9
        (folder,) = (own.path / "runs").iterdir()
        items = [*read_history(folder).items.values()]
        if len(items) == 2:
            break
    assert [item.state for item in items] == ["about"] * 2
    for item in items:
        Path(item.path).write_bytes(b"saved anew")
        Path(item.to).parent.mkdir(parents=True, exist_ok=True)
        Path(item.to).write_bytes(b"somebody's")
    (said,) = own.recover()
    assert "2 rolled back" in said
    assert not [run for run in own.runs() if run.done]
    assert (images / "b/0 copy.jpg").read_bytes() == b"saved anew"
