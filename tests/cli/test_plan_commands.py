from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from terminal import on_terminal
from trees import tree

from dedup import why
from dedup.actions import apply, undo
from dedup.errors import DedupError
from dedup.images.metadata import Metadata, merged_xmp, read_xmp
from dedup.store.lock import writer_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Dedup = Callable[..., Outcome]


@pytest.fixture
def place(
    dedup: Dedup, store: Path, drawn: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A collection of `images`; the trash is the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(store.parent / "home"))
    dedup("roots", "--move", drawn, images, "-s", store)
    dedup("index", "-s", store)
    return store


def test_a_plan_is_made_applied_and_taken_back(
    dedup: Dedup, place: Path, images: Path, tmp_path: Path
) -> None:
    before, file = tree(images), tmp_path / "plan.json"
    planned = dedup("plan", "--tier", "exact", "-o", file, "-s", place)
    assert (planned.code, planned.out) == (0, b"")
    assert "To move to the trash: 2 files" in planned.err
    assert "By folder:" in planned.err
    dry = dedup("apply", file, "--dry-run", "-s", place)
    assert {row["outcome"] for row in dry.rows} == {"planned"}
    assert tree(images) == before
    asked = dedup("apply", file, "-s", place)
    assert asked.code == 2
    assert "--yes" in asked.err
    done = dedup("apply", file, "--yes", "-s", place)
    assert done.code == 0
    assert [row["outcome"] for row in done.rows] == ["done"] * 2
    assert list(done.rows[0]) == ["path", "action", "outcome", "bytes", "to", "reason"]
    (run,) = dedup("log", "-s", place).rows
    assert run["done"] == 2
    assert run["run"] in done.err
    assert dedup("log", run["run"], "-s", place).rows == done.rows
    again = dedup("apply", file, "--yes", "-s", place)
    assert again.code == 1
    assert {row["reason"] for row in again.rows} == {"the file is gone"}
    undone = dedup("undo", "-s", place)
    assert undone.code == 0
    assert tree(images) == before
    assert "To undo this undo: dedup undo 2" in undone.err
    nothing = dedup("undo", "-s", place)
    assert nothing.code == 1
    assert "nothing to undo" in nothing.err
    assert "No run was interrupted" in dedup("recover", "-s", place).err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--action", "shred"], "is not an action"),
        (["--action", "move:"], "is not an action"),
        (["--max-bytes", "many"], "is not a size"),
        (["--tier", "similar", "--action", "delete"], "not proven"),
    ],
)
def test_a_plan_that_makes_no_sense_is_wrong_usage(
    dedup: Dedup, place: Path, arguments: list[str], says: str
) -> None:
    done = dedup("plan", *arguments, "-s", place)
    assert done.code == 2
    assert says in done.err


def test_a_summary_alone_writes_nothing(dedup: Dedup, place: Path, images: Path) -> None:
    done = dedup("plan", images / "a", "--max-bytes", "2GB", "-s", place)
    assert done.code == 0
    assert "Nothing was written" in done.err
    assert "outside the folders that were named" in done.err
    assert dedup("apply", images / "a/0.jpg", "--yes", "-s", place).code == 1


def test_without_a_trash_nothing_is_touched(
    dedup: Dedup, place: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dedup("plan", "-o", tmp_path / "plan.json", "-s", place)
    before = tree(images)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(tmp_path / "file"))
    done = dedup("apply", tmp_path / "plan.json", "--yes", "-s", place)
    assert done.code == 1
    assert "move:FOLDER" in done.err
    assert tree(images) == before


def test_a_fault_of_the_program_is_no_wrong_usage(
    dedup: Dedup, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object, **__: object) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr("dedup.verbs.acting.make_plan", faulty)
    with pytest.raises(ValueError, match="a fault"):
        dedup("plan", "-s", place)


def test_metadata_are_told_carried_and_logged(
    dedup: Dedup, place: Path, images: Path, tmp_path: Path
) -> None:
    shutil.copy(images / "a/5.jpg", images / "b/five.jpg")
    (images / "b/five.xmp").write_bytes(merged_xmp(b"", Metadata(rating=4)))
    dedup("index", "-s", place)
    file = tmp_path / "plan.json"
    planned = dedup("plan", "--tier", "exact", "-o", file, "-s", place)
    assert "1 file with dates, places, ratings or keywords that the keeper lacks" in planned.err
    dry = dedup("apply", file, "--carry-metadata", "--dry-run", "-s", place)
    assert "would be written beside 1 of the keepers" in dry.err
    done = dedup("apply", file, "--carry-metadata", "--yes", "-s", place)
    (row,) = [row for row in done.rows if row["action"] == "carry"]
    assert (row["path"], row["outcome"]) == (str(images / "a/5.jpg.xmp"), "done")
    assert read_xmp((images / "a/5.jpg.xmp").read_bytes()).rating == 4
    (run,) = dedup("log", "-s", place).rows
    assert row["action"] in {one["action"] for one in dedup("log", run["run"], "-s", place).rows}


def test_a_second_one_at_the_same_time_is_told_who_was_first(
    dedup: Dedup, place: Path, images: Path, tmp_path: Path
) -> None:
    before, file = tree(images), tmp_path / "plan.json"
    dedup("plan", "-o", file, "-s", place)
    with writer_lock(place):
        done = dedup("apply", file, "--yes", "-s", place)
    assert done.code == 1
    assert f"process {os.getpid()} on " in done.err
    assert tree(images) == before


@pytest.mark.parametrize(("answer", "goes"), [("y\n", True), ("n\n", False)])
def test_on_a_terminal_it_asks_and_no_does_nothing(
    dedup: Dedup, place: Path, images: Path, tmp_path: Path, answer: str, *, goes: bool
) -> None:
    before, file = tree(images), tmp_path / "plan.json"
    dedup("plan", "--tier", "exact", "-o", file, "-s", place)
    code, shown = on_terminal(["apply", file, "-s", place], answer=answer)
    assert "2 files, " in shown
    assert ": trash? [y/N]" in shown
    assert (tree(images) != before) == goes
    assert code == (0 if goes else 1)
    assert goes or "Nothing was done." in shown


def test_an_empty_log_is_a_sentence(dedup: Dedup, place: Path) -> None:
    done = dedup("log", "-s", place, "--format", "table")
    assert (done.text, done.err) == ("", "Nothing has been done yet.\n")


def test_an_undo_is_taken_back(dedup: Dedup, place: Path, images: Path, tmp_path: Path) -> None:
    dedup("plan", "--tier", "exact", "--action", "delete", "-o", tmp_path / "p.json", "-s", place)
    dedup("apply", tmp_path / "p.json", "--yes", "-s", place)
    (run,) = dedup("log", "-s", place).rows
    dedup("undo", "-s", place)
    undo, first = dedup("log", "-s", place).rows
    assert (undo["undo_of"], first["run"], first["undo_of"]) == (run["run"], run["run"], "")
    assert (undo["action"], first["action"]) == ("undo", "delete")
    assert f"undo of {run['run']}" in dedup("log", "-s", place, "--format", "table").text
    (images / "b/0 copy.jpg").write_bytes(b"edited")
    before = tree(images)
    dry = dedup("undo", undo["run"], "--dry-run", "-s", place)
    assert f"To undo {undo['run']} is to carry the run {run['run']} out again" in dry.err
    assert "1 file refused and left untouched:\n  1 × the file has changed" in dry.err
    assert "1 file would go again" in dry.err
    asked = dedup("undo", undo["run"], "-s", place)
    assert (asked.code, asked.out) == (2, b"")
    assert "1 file cannot go again:\n  1 × the file has changed" in asked.err
    assert "--yes" in asked.err
    assert tree(images) == before
    done = dedup("undo", undo["run"], "--yes", "-s", place)
    assert (done.code, [row["outcome"] for row in done.rows]) == (0, ["done", "refused"])
    assert "1 file done again" in done.err
    assert set(before) - set(tree(images)) == {"b/0 again.jpg"}
    assert dedup("undo", undo["run"], "--yes", "-s", place).code == 1
    assert dedup("undo", "-s", place).code == 0
    assert tree(images) == before


def test_no_image_is_written_over(dedup: Dedup, place: Path, images: Path, tmp_path: Path) -> None:
    before = tree(images)
    picture = tmp_path / "picture.png"
    Image.new("RGB", (40, 30), "teal").save(picture)
    before_picture = picture.read_bytes()
    kept = tmp_path / "kept.json"  # an image, whatever it is called
    shutil.copy(images / "a/0.jpg", kept)
    for arguments in (
        ["plan", "-o", images / "a/0.jpg"],
        ["plan", "-o", kept],
        ["list", "--format", "parquet", "-o", images / "a/0.jpg"],
        ["why", images / "a/0.jpg", images / "a/1.jpg", "-o", picture],
        ["map", "-o", picture],
        ["report", "-o", kept],
    ):
        done = dedup(*arguments, "-s", place)
        assert done.code == 2
        assert "is an image or a video, which is not overwritten: name another file" in done.err
    assert tree(images) == before
    assert kept.read_bytes() == (images / "a/0.jpg").read_bytes()
    assert picture.read_bytes() == before_picture
    other = tmp_path / "other.png"
    with pytest.raises(DedupError, match="is an image, and stays"):
        why(images / "a/0.jpg", images / "a/1.jpg", image=shutil.copy(picture, other))


def test_a_drawing_is_drawn_again_and_a_plan_replaces_a_plan(
    dedup: Dedup, place: Path, images: Path, tmp_path: Path
) -> None:
    drawing, plan, notes = (tmp_path / name for name in ("why.png", "plan.json", "notes.xmp"))
    notes.write_text("<xmp/>")
    for _ in range(2):
        arguments = ["why", images / "a/0.jpg", images / "a/1.jpg", "-o", drawing, "-s", place]
        assert dedup(*arguments).code == 0
        assert dedup("plan", "-o", plan, "-s", place).code == 0
    done = dedup("plan", "-o", notes, "-s", place)
    assert done.code == 2
    assert "notes.xmp exists and is not a plan: name another file" in " ".join(done.err.split())
    assert notes.read_text() == "<xmp/>"


def test_a_pattern_that_fits_nothing_is_told(dedup: Dedup, place: Path) -> None:
    done = dedup("plan", "--protect", "nosuch/", "--protect", "*.jpg", "-s", place)
    assert "--protect 'nosuch/' fits no file of any group\n" in done.err
    assert "*.jpg" not in done.err


def test_a_folder_to_keep_that_holds_nothing_is_told(dedup: Dedup, place: Path) -> None:
    done = dedup("plan", "--keep", "under:nosuch,under:a,information", "-s", place)
    assert "--keep under:nosuch: no file of any group is below it\n" in done.err
    assert "under:a" not in done.err


def test_what_nothing_brings_back_is_told_before_and_after(
    dedup: Dedup, place: Path, images: Path, tmp_path: Path
) -> None:
    same = tmp_path / "same.json"
    planned = dedup("plan", "--tier", "exact", "--action", "delete", "-o", same, "-s", place)
    assert "brought back" not in planned.err
    resaved = images / "resaved.jpg"
    with Image.open(images / "a/0.jpg") as image:
        image.save(resaved, quality=70)
    dedup("index", "-s", place)
    file = tmp_path / "plan.json"
    planned = dedup("plan", "--tier", "resaved", "--action", "delete", "-o", file, "-s", place)
    words = "2 files cannot be brought back once deleted: no file with the same bytes stays"
    assert words in planned.err
    done = dedup("apply", file, "--yes", "-s", place)
    assert "2 files deleted for good: no file with the same bytes is left" in done.err
    assert "To take it back" not in done.err


def test_an_interrupted_run_says_how_far_it_came(
    dedup: Dedup,
    place: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, file = tree(images), tmp_path / "plan.json"
    dedup("plan", "--tier", "exact", "-o", file, "-s", place)
    act = apply._Applying._act  # noqa: SLF001 - to be stopped at a known place
    done: list[int] = []

    def stopped(self: Any, number: int, entry: Any) -> None:
        if done:
            raise KeyboardInterrupt
        act(self, number, entry)
        done.append(number)

    with monkeypatch.context() as patched:
        patched.setattr(apply._Applying, "_act", stopped)  # noqa: SLF001
        broken = dedup("apply", file, "--yes", "-s", place)
    assert broken.code == 130
    (run,) = dedup("log", "-s", place).rows
    assert (
        f"Interrupted: 1 of 2 files done; to take them back: dedup undo {run['run']}" in broken.err
    )
    assert (run["done"], run["refused"]) == (1, 0)
    outcomes = [row["outcome"] for row in dedup("log", run["run"], "-s", place).rows]
    assert outcomes == ["done", "interrupted"]
    assert dedup("undo", "-s", place).code == 0
    assert tree(images) == before


def test_so_does_an_interrupted_undo(
    dedup: Dedup,
    place: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, file = tree(images), tmp_path / "plan.json"
    dedup("plan", "--tier", "exact", "-o", file, "-s", place)
    assert dedup("apply", file, "--yes", "-s", place).code == 0
    (run,) = dedup("log", "-s", place).rows
    bring_back = undo._undo_one  # noqa: SLF001 - to be stopped at a known place
    done: list[Any] = []

    def stopped(item: Any, journal: Any) -> str:
        if done:
            raise KeyboardInterrupt
        done.append(item)
        return bring_back(item, journal)

    with monkeypatch.context() as patched:
        patched.setattr(undo, "_undo_one", stopped)
        broken = dedup("undo", "-s", place)
    assert broken.code == 130
    words = f"1 of 2 files brought back; for the others: dedup undo {run['run']}"
    assert f"Interrupted: {words}" in " ".join(broken.err.split())
    assert dedup("undo", run["run"], "-s", place).code == 0
    assert tree(images) == before
