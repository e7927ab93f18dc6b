"""`dedup contains`, `dedup list --folders` and `dedup plan --folder A --into B`."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from trees import tree

from dedup.collection import Collection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Dedup = Callable[..., Outcome]

KEYS = ["folder", "inside", "files", "exact", "proven", "share", "bytes", "only"]


@pytest.fixture
def place(dedup: Dedup, store: Path, drawn: Path, images: Path) -> Path:
    """A collection of `images`."""
    dedup("roots", "--move", drawn, images, "-s", store)
    dedup("index", "-s", store)
    return store


def test_what_is_there_only_as_a_lesser_version_is_not_inside(
    dedup: Dedup, store: Path, drawn: Path
) -> None:
    done = dedup("contains", drawn / "a", drawn / "b", "-s", store)
    (row,) = done.rows
    assert list(row) == KEYS
    assert (row["files"], row["exact"], row["proven"], row["share"]) == (9, 1, 1, 0.2222)
    assert row["only"] == [os.fspath(drawn / f"a/{number}.jpg") for number in range(2, 9)]
    assert row["bytes"] == sum((drawn / f"a/{number}.jpg").stat().st_size for number in (0, 1))
    assert "1 image is there only as a lesser version" in done.err
    (back,) = dedup("contains", drawn / "b", drawn / "a", "-s", store).rows
    assert (back["files"], back["exact"], back["proven"], back["share"]) == (5, 2, 3, 1.0)
    assert back["only"] == []


def test_edited_versions_there_are_mentioned_where_they_do_not_count(
    dedup: Dedup, place: Path, images: Path
) -> None:
    (images / "phone").mkdir()
    with Image.open(images / "a/5.jpg") as whole:
        whole.crop((32, 24, 288, 216)).save(images / "phone/crop.jpg", quality=95)
    dedup("index", "-s", place)
    asked = ("contains", images / "phone", images / "a", "-s", place)
    done = dedup(*asked)
    assert done.rows[0]["only"] == [os.fspath(images / "phone/crop.jpg")]
    assert "1 of the rest has an edited version there; to count these" in done.err
    assert "edited" not in dedup(*asked, "--tier", "exact,near").err


def test_the_sentence_the_names_and_the_numbers(dedup: Dedup, store: Path, drawn: Path) -> None:
    asked = ("contains", drawn / "a", drawn / "b", "-s", store)
    table = dedup(*asked, "--format", "table").text.splitlines()
    assert table[0] == f"{drawn / 'a'} is 22% inside {drawn / 'b'}"
    assert "2 of 9 images" in table[1]
    assert "1 by their bytes, 1 proven" in table[1]
    assert table[3:] == [os.fspath(drawn / f"a/{number}.jpg") for number in range(2, 9)]
    paths = dedup(*asked, "-0").out.split(b"\0")
    assert [*map(os.fsdecode, paths[:-1])] == table[3:]
    rows = list(csv.DictReader(io.StringIO(dedup(*asked, "--format", "csv").text)))
    assert list(rows[0]) == [*KEYS[:-1], "path"]
    assert [row["path"] for row in rows] == table[3:]
    turned = ("contains", drawn / "b", drawn / "a", "-s", store, "--format", "csv")
    (whole,) = csv.DictReader(io.StringIO(dedup(*turned).text))
    assert (whole["share"], whole["path"]) == ("1.0", "")
    sure = dedup(*asked, "--tier", "exact").rows[0]
    assert (sure["exact"], sure["proven"]) == (1, 0)


def test_what_could_not_be_read_is_not_inside(dedup: Dedup, place: Path, images: Path) -> None:
    shutil.copytree(images / "b", images.parent / "elsewhere/b")
    shutil.copy(images / "cut.jpg", images.parent / "elsewhere/b/cut.jpg")
    dedup("index", images.parent / "elsewhere", "-s", place)
    (row,) = dedup("contains", images.parent / "elsewhere", images, "-s", place).rows
    assert (row["files"], row["exact"]) == (6, 5)
    assert [os.path.basename(path) for path in row["only"]] == ["cut.jpg"]
    (images / "b/1.png").unlink()
    gone = dedup("contains", images.parent / "elsewhere", images, "-s", place)
    assert (gone.rows[0]["exact"], gone.rows[0]["proven"]) == (4, 1)
    assert "gone or has changed" in gone.err


def test_folders_that_make_no_pair_are_refused(dedup: Dedup, store: Path, drawn: Path) -> None:
    inner = dedup("contains", drawn / "a", drawn, "-s", store)
    assert inner.code == 1
    assert f"{drawn} contains {drawn / 'a'}; name two separate folders" in inner.err
    same = dedup("contains", drawn, drawn, "-s", store)
    assert (same.code, same.out) == (1, b"")
    assert "is named twice" in same.err
    strange = dedup("contains", drawn, store, "-s", store)
    assert strange.code == 1
    assert "is not indexed" in strange.err
    loose = dedup("contains", drawn / "a", drawn / "b", "--tier", "similar", "-s", store)
    assert loose.code == 2
    outer = dedup("contains", drawn, drawn / "b", "-s", store).rows[0]
    assert outer["files"] == 13  # what is outside b, and two that cannot be read
    assert outer["exact"] == 1


def test_folders_are_listed_by_what_they_have_in_common(
    dedup: Dedup, place: Path, images: Path
) -> None:
    backup = images.parent / "backup"
    shutil.copytree(images / "a", backup / "2019/old")
    (backup / "2019/old/8.jpg").unlink()
    shutil.copy(images / "text.jpg", backup / "2019/old/text.jpg")
    dedup("index", backup, "-s", place)
    done = dedup("list", "--folders", "-s", place)
    found = {
        (os.path.relpath(row["folder"], images.parent), os.path.relpath(row["inside"], images)):
        row for row in done.rows
    }  # fmt: skip
    old = found["backup/2019/old", "a"]
    assert (old["files"], old["exact"], old["proven"], old["share"]) == (9, 8, 0, 0.8889)
    assert [os.path.basename(path) for path in old["only"]] == ["text.jpg"]
    assert found["images/b", "../backup/2019/old"]["share"] == 1.0  # the innermost that has all
    assert not [folder for folder, _ in found if folder in {"backup", "backup/2019"}]
    there = [row["exact"] + row["proven"] for row in done.rows]
    assert there == sorted(there, reverse=True)
    only = dedup("list", "--folders", "--under", images / "b", "-s", place)
    assert [row["folder"] for row in only.rows] == [os.fspath(images / "b")]
    limited = dedup("list", "--folders", "--limit", "1", "-s", place)
    assert limited.rows == done.rows[:1]
    assert f"The first 1 of {len(done.rows)} folders" in limited.err
    table = dedup("list", "--folders", "--format", "table", "-s", place).text
    assert "88%" in table
    assert dedup("list", "--folders", "--explain", "-s", place).code == 2
    none = dedup("list", "--folders", "--under", images / "a", "--tier", "exact", "-s", place)
    assert json.loads(none.out)["folder"] == os.fspath(images / "a")  # 8 of 9 are in the backup


def test_a_plan_takes_what_is_inside_and_touches_nothing_there(
    dedup: Dedup, place: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(tmp_path / "home"))
    before, file = tree(images), tmp_path / "plan.json"
    planned = dedup(
        "plan", "--folder", images / "b", "--into", images / "a", "-o", file, "-s", place
    )
    assert planned.code == 0
    assert f"5 of 5 images are inside {images / 'a'}" in planned.err
    entries = json.loads(file.read_text())["files"]
    assert {os.path.relpath(entry["path"], images): os.path.relpath(entry["keeper"], images)
            for entry in entries} == {
        "b/0 again.jpg": "a/0.jpg", "b/0 copy.jpg": "a/0.jpg", "b/1.bmp": "a/1.jpg",
        "b/1.png": "a/1.jpg", "b/2 small.jpg": "a/2.jpg",
    }  # fmt: skip
    assert {entry["why"] for entry in entries} == {f"in {images / 'a'}"}
    assert dedup("apply", file, "--yes", "-s", place).code == 0
    assert not list((images / "b").iterdir())
    after = tree(images)
    assert {name: facts for name, facts in before.items() if not name.startswith("b/")} == after
    assert dedup("undo", "-s", place).code == 0
    assert tree(images) == before


def test_a_plan_leaves_what_is_there_only_as_a_lesser_version(
    dedup: Dedup, place: Path, images: Path, tmp_path: Path
) -> None:
    file = tmp_path / "plan.json"
    done = dedup("plan", images / "a", "--into", images / "b", "-o", file, "-s", place)
    assert "2 of 9 images are inside" in done.err
    assert "1 image is there only as a lesser version" in done.err
    assert [entry["path"] for entry in json.loads(file.read_text())["files"]] == [
        os.fspath(images / f"a/{number}.jpg") for number in (0, 1)
    ]
    large = dedup("plan", images / "a", "--into", images / "b", "--min-bytes", "1GB", "-s", place)
    assert "To move to the trash: 0 files" in large.err
    nowhere = dedup("plan", "--into", images / "b", "-s", place)
    assert nowhere.code == 2
    assert "into needs folders" in nowhere.err


def test_in_python_a_folder_inside_another_iterates_over_the_rest(store: Path, drawn: Path) -> None:
    with Collection.open(store) as collection:
        answer = collection.contains(drawn / "a", drawn / "b")
        assert list(answer) == [os.fspath(drawn / f"a/{number}.jpg") for number in range(2, 9)]
        assert len(answer) + answer.exact + answer.proven == answer.files
        (folder,) = collection.folders()
        assert (folder.folder, folder.share) == (os.fspath(drawn / "b"), 1.0)
        with pytest.raises(ValueError, match="similar proves nothing"):
            collection.folders(tier="similar")
