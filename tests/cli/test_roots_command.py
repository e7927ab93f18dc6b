from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from drawings import scene
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Dedup = Callable[..., Outcome]


@pytest.fixture
def library(dedup: Dedup, tmp_path: Path) -> Path:
    """Four images, of which two are copies, indexed from the current folder."""
    folder = tmp_path / "here" / "lib"
    folder.mkdir()
    for number in range(3):
        scene(number).save(folder / f"{number}.jpg")
    shutil.copy(folder / "0.jpg", folder / "copy.jpg")
    assert dedup("index", "lib", "--views", "details").code == 0
    return folder


def test_roots_are_listed_moved_and_forgotten(dedup: Dedup, library: Path) -> None:
    assert dedup("roots").rows == [
        {"path": os.fspath(library), "files": 4, "present": True, "kind": "folder"}
    ]
    moved = library.rename(library.parent / "moved")
    assert dedup("roots").rows == [
        {"path": os.fspath(library), "files": 4, "present": False, "kind": "folder"}
    ]
    assert "offline" in dedup("roots", "--format", "table").text
    done = dedup("roots", "--move", "lib", "moved")
    assert (done.code, done.out) == (0, b"")
    assert f"{library} is now {moved}; run: dedup index" in done.err
    assert dedup("roots").rows == [
        {"path": os.fspath(moved), "files": 4, "present": True, "kind": "folder"}
    ]
    assert "Forgot " in dedup("roots", "--forget", "moved").err
    assert dedup("roots").rows == []
    again = dedup("roots", "--forget", "moved")
    assert (again.code, again.out) == (1, b"")
    assert "is not an indexed folder; to list them: dedup roots" in again.err
    assert dedup("roots", "--forget", "a", "--move", "b", "c").code == 2


def test_a_renamed_library_moves_along_and_nothing_is_its_own_duplicate(
    dedup: Dedup, library: Path
) -> None:
    library.rename(library.parent / "photos")
    done = dedup("index", "photos")
    assert "4 images: 4 unchanged" in done.err
    assert "its images moved along" in done.err
    assert dedup("list", "--format", "paths").text.splitlines() == [
        os.fspath(library.parent / "photos" / "copy.jpg")
    ]


def test_a_keeper_that_was_deleted_keeps_nothing(dedup: Dedup, library: Path) -> None:
    assert dedup("list", "--format", "paths").text == f"{library}/copy.jpg\n"
    (library / "0.jpg").unlink()
    done = dedup("list", "--format", "paths")
    assert done.out == b""
    assert "1 file is gone or has changed since it was indexed; run: dedup index" in done.err


def test_an_offline_archive_is_compared_with_when_it_is_named(
    dedup: Dedup, library: Path, tmp_path: Path
) -> None:
    new = shutil.copy(library / "1.jpg", tmp_path / "new.jpg")
    library.rename(tmp_path / "unplugged")
    for against in ("lib", library):
        (row,) = dedup("compare", new, "--against", against).rows
        assert list(row) == ["path", "tier", "match", "similarity", "note"]
        assert (row["tier"], row["match"]) == ("exact", os.fspath(library / "1.jpg"))
        assert row["note"] == "offline: not there now, known from when it was indexed"
    done = dedup("compare", new, "--against", ".dedup")
    assert done.rows == []
    assert "left out; to see them: --offline" in done.err
    assert len(dedup("compare", new, "--against", ".dedup", "--offline").rows) == 1
    table = dedup("compare", new, "--against", "lib", "--format", "table").text
    assert "offline" in table
    assert dedup("list").rows == []
    assert len(dedup("list", "--offline").rows) == 1
    assert dedup("query", new).rows == []
    assert len(dedup("query", new, "--offline", "-k", "2").rows) == 2


def test_what_is_excluded_and_passed_over_is_said(dedup: Dedup, library: Path) -> None:
    (library / "film.psd").touch()
    done = dedup("index", "lib", "--exclude", "copy.*", "--exclude", "2.jpg")
    assert "1 .psd file skipped" in done.err
    assert "2 files and folders excluded by a pattern" in done.err
    assert "2 gone since the last run" in done.err
    assert "2 images: 2 unchanged" in dedup("index").err
    assert "4 images: 2 reused" in dedup("index", "--exclude", "").err
    assert dedup("roots").rows[0]["files"] == 4
    broken = dedup("index", "--exclude", "!")
    assert broken.code == 1
    assert "makes no sense" in broken.err


def test_remarks_are_listed(dedup: Dedup, library: Path) -> None:
    with Image.open(library / "1.jpg") as image:
        image.save(library / "two.gif", save_all=True, append_images=[image.rotate(90)])
    dedup("index")
    assert dedup("status", "--remarks").rows == [
        {"path": os.fspath(library / "two.gif"), "remark": "animated: first frame only"}
    ]
    assert "animated" in dedup("status", "--remarks", "--format", "table").text
    assert dedup("status", "--remarks", "--skipped").code == 2
    pair = library / "two.gif", library / "1.jpg"
    why = dedup("why", *pair)
    assert why.rows[0]["remarks"] == []  # it was compared frame by frame
    assert "no page is the same" in why.rows[0]["evidence"]
    why = dedup("why", library / "two.gif", library / "2.jpg")
    assert why.rows[0]["remarks"] == []  # as was this
    assert "no page is the same" in why.rows[0]["evidence"]
