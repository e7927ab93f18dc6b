"""An undo is taken back: its run is carried out again, and nothing that has changed since goes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from killed import run_killed
from trees import contents, tree

from dedup.errors import DedupError, PlanError
from dedup.images.metadata import Metadata, merged_xmp, read_xmp

if TYPE_CHECKING:
    from collections.abc import Callable

    from dedup.collection import Collection


@pytest.mark.parametrize("action", ["trash", "move", "delete", "hardlink", "symlink"])
def test_what_an_undo_brought_back_goes_again_and_comes_again(
    own: Collection, images: Path, tmp_path: Path, action: str, listed: Callable[[], list[str]]
) -> None:
    tiers = "exact" if action in ("hardlink", "symlink", "delete") else "exact,pixels,resaved"
    before, shown, everything = tree(images), listed(), contents(images)
    target = f"move:{tmp_path / 'away'}" if action == "move" else action
    first = own.apply(own.plan(tier=tiers, action=target))
    after = tree(images)
    undone = own.undo()
    assert undone.run not in ("", first.run)
    looked = own.undo(undone.run, dry_run=True)
    assert (looked.run, looked.count("planned")) == (undone.run, len(first))
    assert f"carry the run {first.run} out again" in looked.notes[0]
    assert tree(images) == before
    again = own.undo(undone.run)
    assert again.count("done") == len(again) == len(first)
    assert again.run not in (first.run, undone.run)
    assert tree(images).keys() == after.keys()
    assert own.plan(tier=tiers).entries == ()
    if action in ("trash", "move"):
        assert everything - contents(images, tmp_path) == {}
    assert {one.reason for one in own.undo(undone.run, dry_run=True)} <= {
        "the file is gone",
        "the file has changed since the plan was made",
        "the file is no longer a regular file",
    }
    own.undo()
    assert tree(images) == before
    assert listed() == shown
    assert own.index().indexed == 0


def test_an_undo_is_a_run_in_the_log(own: Collection) -> None:
    first = own.apply(own.plan(tier="exact"))
    undone = own.undo()
    again = own.undo(undone.run)
    rows = {run.run: (run.done, run.undone, run.undo_of) for run in own.runs()}
    count = len(first)
    assert rows == {
        first.run: (0, count, ""),
        undone.run: (0, count, first.run),
        again.run: (count, 0, ""),
    }
    assert [file.outcome for file in own.run(undone.run)] == ["undone"] * count
    with pytest.raises(DedupError, match="nothing to bring back"):
        own.undo(first.run)
    with pytest.raises(DedupError, match="no run"):
        own.undo("20260101-000000-0000")


def test_what_was_changed_since_the_undo_stays(own: Collection, images: Path) -> None:
    first = own.apply(own.plan(tier="exact"))
    undone = own.undo()
    changed = images / "b/0 copy.jpg"
    changed.write_bytes(b"edited")
    again = {file.path: (file.outcome, file.reason) for file in own.undo(undone.run)}
    assert again.pop(str(changed)) == ("refused", "the file has changed since the plan was made")
    assert set(again.values()) == {("done", "")}
    assert len(again) == len(first) - 1
    assert changed.read_bytes() == b"edited"


def test_nothing_goes_again_without_its_keeper(own: Collection, images: Path) -> None:
    own.apply(own.plan(tier="exact", action="delete"))
    undone = own.undo()
    (images / "a/0.jpg").unlink()
    before = tree(images)
    acted = own.undo(undone.run)
    assert {(file.outcome, file.reason) for file in acted} == {("refused", "its keeper is gone")}
    assert tree(images) == before
    assert own.undo(undone.run, dry_run=True).count("planned") == 0


def test_a_folder_that_is_not_indexed_now_is_said_before_anything(
    own: Collection, images: Path
) -> None:
    own.apply(own.plan(tier="exact"))
    undone = own.undo()
    own.forget_root(images)
    before = tree(images)
    for dry_run in (True, False):
        with pytest.raises(PlanError, match="outside the indexed folders"):
            own.undo(undone.run, dry_run=dry_run)
    assert tree(images) == before


def test_sidecars_go_again_with_their_images_only(own: Collection, images: Path) -> None:
    copy, sidecar = images / "b/five.jpg", images / "b/five.xmp"
    shutil.copy(images / "a/5.jpg", copy)
    sidecar.write_bytes(merged_xmp(b"", Metadata(keywords=("dog",))))
    own.index()
    before = tree(images)
    own.apply(own.plan(tier="exact"), carry_metadata=True)
    undone = own.undo()
    assert tree(images) == before
    again = own.undo(undone.run)
    assert {file.action for file in again} == {"trash", "carry"}
    assert read_xmp((images / "a/5.jpg.xmp").read_bytes()).keywords == ("dog",)
    assert not copy.exists()
    assert not sidecar.exists()
    (to,) = [file.to for file in again if file.path == str(copy)]
    os.unlink(to)  # so that only its sidecar comes back
    undone = own.undo()
    assert (copy.exists(), sidecar.exists()) == (False, True)
    reasons = {file.path: file.reason for file in own.undo(undone.run)}
    assert reasons[str(sidecar)] == "its image was not brought back"
    assert sidecar.exists()


def test_rows_follow_only_what_the_last_undo_did(own: Collection) -> None:
    """Of a run that is taken back in two parts, the first of which went again in between."""
    first = own.apply(own.plan(tier="exact"))
    late = first.files[0]
    Path(late.path).write_text("in the way")
    undone = own.undo()
    assert undone.count("undone") == len(first) - 1
    again = own.undo(undone.run)
    assert again.count("done") == len(first) - 1
    Path(late.path).unlink()
    assert own.undo(first.run).count("undone") == 1
    assert Path(late.path).exists()
    assert {row.path for row in own.plan(tier="exact")} == {late.path}
    assert own.index().gone == 0


@pytest.mark.parametrize(
    "steps", [(4, 9), pytest.param(range(200), marks=pytest.mark.slow)], ids=["some", "every"]
)
def test_a_kill_while_files_go_again_loses_nothing(
    own: Collection, images: Path, tmp_path: Path, steps: tuple[int, ...] | range
) -> None:
    before, everything = tree(images), contents(images)
    for after in steps:
        own.apply(own.plan(tier="exact"))
        undone = own.undo()
        code = run_killed(own.path, f"undo of {undone.run}", tmp_path, after)
        assert everything - contents(images, tmp_path / "home") == {}
        own.recover()
        assert everything - contents(images, tmp_path / "home") == {}
        if any(run.done for run in own.runs()):
            own.undo()
        assert tree(images) == before, after
        shutil.rmtree(own.path / "runs")
        if code == 0:
            break
