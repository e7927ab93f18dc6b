"""Every action does what it says, and is taken back byte for byte."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import pytest
from trees import contents, tree

from dedup.errors import DedupError, LockedError, PlanError
from dedup.store.lock import writer_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from dedup.collection import Collection

SAFE = {"0 copy.jpg", "0 again.jpg"}


def names(paths: list[str]) -> set[str]:
    return {os.path.basename(path) for path in paths}


@pytest.mark.parametrize(
    ("action", "went"),
    [("trash", 6), ("move", 6), ("delete", 2), ("hardlink", 2), ("symlink", 2)],
)
def test_every_action_is_taken_back_byte_for_byte(
    own: Collection,
    images: Path,
    tmp_path: Path,
    action: str,
    went: int,
    listed: Callable[[], list[str]],
) -> None:
    os.chmod(images / "b/0 copy.jpg", 0o640)
    own.index()
    before, shown = tree(images), listed()
    everything = contents(images)
    tiers = "exact,pixels,resaved" if went > 2 else "exact"
    target = f"move:{tmp_path / 'away'}" if action == "move" else action
    plan = own.plan(tier=tiers, action=target)
    wanted = {entry.path for entry in plan}
    acted = own.apply(plan)
    assert [file.outcome for file in acted] == ["done"] * len(wanted)
    assert len(acted) == len(wanted) >= 2
    now = tree(images)
    if action.endswith("link"):
        assert now.keys() == before.keys()
    else:
        assert {os.fspath(images / name) for name in before.keys() - now.keys()} == wanted
    if action in ("trash", "move"):
        assert everything - contents(images, tmp_path) == {}
    assert not [name for name in now if "dedup" in name]
    assert own.plan(tier=tiers, action="trash").entries == ()
    undone = own.undo()
    assert {file.outcome for file in undone} == {"undone"}
    assert tree(images) == before
    assert listed() == shown
    assert own.index().indexed == 0


def test_a_plan_survives_being_written_read_and_applied_twice(
    own: Collection, images: Path, tmp_path: Path
) -> None:
    odd = os.fsencode(images) + b"/b/line\nbreak \xff.jpg"
    shutil.copy(os.fsencode(images / "a/4.jpg"), odd)
    own.index()
    before = tree(images)
    plan = own.plan()
    plan.write(tmp_path / "plan.json")
    text = (tmp_path / "plan.json").read_text("utf-8")
    value = json.loads(text)
    assert [os.fsencode(one["path"]) for one in value["files"]] == sorted(
        os.fsencode(one["path"]) for one in value["files"]
    )
    assert os.fsdecode(odd) in [one["path"] for one in value["files"]]
    assert text.count("\n") == len(value["files"]) + 14
    for _ in range(2):
        acted = own.apply(tmp_path / "plan.json")
        assert acted.count("done") == len(plan)
        assert not os.path.exists(odd)
        own.undo()
        assert tree(images) == before


def test_the_trash_names_the_place_that_files_had(
    own: Collection, home: Path, images: Path
) -> None:
    own.apply(own.plan(tier="exact"))
    notes = sorted((home / "Trash/info").iterdir())
    places = {
        unquote_to_bytes(note.read_bytes().split(b"\n")[1].removeprefix(b"Path=")) for note in notes
    }
    assert {os.fsencode(images / "b" / name) for name in SAFE} <= places
    assert len([*(home / "Trash/files").iterdir()]) == len(notes) == len(places)
    own.undo()
    assert [*(home / "Trash/info").iterdir()] == [*(home / "Trash/files").iterdir()] == []


def test_sidecars_go_and_come_with_their_image(own: Collection, images: Path) -> None:
    shutil.copy(images / "a/5.jpg", images / "b/five.jpg")
    (images / "b/five.xmp").write_text("rating 5")
    (images / "b/five.mov").write_text("film")
    (images / "b/other.xmp").write_text("stays")
    own.index()
    before = tree(images)
    (left,) = [one for one in own.plan(action="delete").left_out if "five" in one.path]
    assert "sidecars" in left.reason
    plan = own.plan()
    gone = {Path(entry.path).name for entry in plan if entry.kind == "sidecar"}
    assert gone == {"five.xmp", "five.mov"}
    own.apply(plan)
    assert not (images / "b/five.mov").exists()
    assert (images / "b/other.xmp").exists()
    own.undo()
    assert tree(images) == before


def test_a_sidecar_stays_with_an_image_that_stays(own: Collection, images: Path) -> None:
    shutil.copy(images / "a/5.jpg", images / "b/five.jpg")
    (images / "b/five.xmp").write_text("rating 5")
    own.index()
    plan = own.plan()
    with (images / "b/five.jpg").open("ab") as file:
        file.write(b"more")
    acted = own.apply(plan)
    refused = {Path(file.path).name: file.reason for file in acted if file.outcome == "refused"}
    assert set(refused) == {"five.jpg", "five.xmp"}
    assert refused["five.xmp"] == "its image stays"


def test_what_stays_all_the_same_is_said(own: Collection, images: Path) -> None:
    os.link(images / "b/0 copy.jpg", images / "zz.jpg")
    own.index()
    plan = own.plan(protect="*.bmp", reference=images / "a")
    reasons = {Path(one.path).name: one.reason for one in plan.left_out}
    assert "hard link" in reasons["0 copy.jpg"]
    assert reasons["1.bmp"] == "protected by a pattern"
    assert {Path(str(entry.keeper)).parent.name for entry in plan} >= {"a"}
    assert not any(entry.path.startswith(os.fspath(images / "a")) for entry in plan)
    none = own.plan(images / "a")
    assert not any(entry.path.startswith(os.fspath(images / "b")) for entry in none)
    assert own.plan(max_bytes=0).entries == ()
    assert own.plan(tier="exact", action="hardlink").entries
    assert all(one.tier == "exact" for one in own.plan(action="hardlink"))


def test_a_move_never_overwrites(own: Collection, images: Path, tmp_path: Path) -> None:
    before = tree(images)
    away = tmp_path / "away"
    (away / "b").mkdir(parents=True)
    (away / "b/0 copy.jpg").write_text("somebody's")
    acted = own.apply(own.plan(tier="exact", action=f"move:{away}"))
    assert (away / "b/0 copy.jpg").read_text() == "somebody's"
    assert os.fspath(away / "b/0 copy (2).jpg") in {file.to for file in acted}
    own.undo()
    assert tree(images) == before
    with pytest.raises(PlanError, match="inside the indexed folder"):
        own.plan(action=f"move:{images / 'duplicates'}")


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs a second file system")  # noqa: S108
def test_files_move_to_another_file_system_and_back(own: Collection, images: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/dev/shm") as away:
        if os.stat(away).st_dev == os.stat(images).st_dev:
            pytest.skip("needs a second file system")
        before = tree(images)
        acted = own.apply(own.plan(action=f"move:{away}"))
        assert acted.count("done") == len(acted) > 2
        for file in acted:
            assert os.stat(file.to).st_mtime_ns == before[os.path.relpath(file.path, images)][2]
        own.undo()
        assert tree(images) == before
        assert tree(Path(away)) == {}


def test_undo_overwrites_nothing_and_says_what_it_cannot(
    own: Collection,
) -> None:
    acted = own.apply(own.plan(tier="exact"))
    taken, emptied = [file for file in acted if Path(file.path).name in SAFE]
    Path(taken.path).write_text("new")
    os.unlink(emptied.to)
    looked = {file.path: file.reason for file in own.undo(dry_run=True)}
    assert "another file" in looked[taken.path]
    assert "no longer in the trash" in looked[emptied.path]
    done = {file.path: file.outcome for file in own.undo()}
    assert done[taken.path] == done[emptied.path] == "refused"
    assert Path(taken.path).read_text() == "new"
    os.unlink(taken.path)
    assert {file.path for file in own.undo() if file.outcome == "undone"} == {taken.path}
    assert own.undo().count("undone") == 0


def test_two_at_once_is_one_too_many(own: Collection) -> None:
    plan = own.plan()
    with writer_lock(own.path), pytest.raises(LockedError):
        own.apply(plan)


def test_runs_are_listed_and_shown(own: Collection) -> None:
    acted = own.apply(own.plan(tier="exact"))
    (run,) = own.runs()
    assert (run.run, run.done, run.undone) == (acted.run, len(acted), 0)
    assert {file.outcome for file in own.run(run.run)} == {"done"}
    own.undo(run.run)
    _, run = own.runs()
    assert (run.done, run.undone) == (0, len(acted))
    with pytest.raises(DedupError, match="no run"):
        own.undo("nothing")


@pytest.mark.parametrize(
    ("action", "back"), [("hardlink", True), ("symlink", False), ("delete", False)]
)
def test_undo_needs_the_bytes_and_not_the_keeper(
    own: Collection, images: Path, action: str, *, back: bool
) -> None:
    before = tree(images)
    own.apply(own.plan(tier="exact", action=action))
    (images / "a/0.jpg").rename(images / "a/renamed.jpg")
    reasons = {file.reason for file in own.undo(dry_run=True)}
    assert reasons == {"" if back else "its keeper is gone"}
    if back:
        own.undo()
        assert {name: before[name] for name in ("b/0 copy.jpg", "b/0 again.jpg")}.items() <= (
            tree(images).items()
        )
    else:
        (images / "a/0.jpg").write_bytes(b"another")
        assert {file.reason for file in own.undo(dry_run=True)} == {
            "its keeper is another file now"
        }
