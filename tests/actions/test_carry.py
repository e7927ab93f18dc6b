"""What a keeper lacks is said in the plan, and written beside it when that is asked for."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from killed import run_killed
from PIL import Image
from trees import tree

from dedup.images.metadata import Metadata, merged_xmp, read_xmp

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.actions.plan_file import PlanEntry
    from dedup.collection import Collection

TOLD = Metadata("2019:07:01 12:30:05", (48.5, -11.5), 4, ("beach", "dog"))
KEEPER, COPY = "a/5.jpg", "b/five.jpg"


@pytest.fixture
def told(own: Collection, images: Path) -> Collection:
    """A copy with a file of XMP beside it; its keeper has none."""
    shutil.copy(images / KEEPER, images / COPY)
    (images / "b/five.xmp").write_bytes(merged_xmp(b"", TOLD))
    own.index()
    return own


def entry_of(collection: Collection, images: Path) -> PlanEntry:
    (entry,) = [one for one in collection.plan(tier="exact") if one.path == str(images / COPY)]
    assert entry.keeper == str(images / KEEPER)
    return entry


def test_a_plan_says_what_a_keeper_lacks(told: Collection, images: Path, tmp_path: Path) -> None:
    lacks = entry_of(told, images).keeper_lacks
    assert (lacks.told, lacks.sidecars, lacks.album) == (TOLD, ("five.xmp",), "b")
    told.plan().write(tmp_path / "plan.json")
    rows = json.loads((tmp_path / "plan.json").read_text("utf-8"))["files"]
    (row,) = [row for row in rows if row["path"] == str(images / COPY)]
    assert row["keeper_lacks"] == {
        "taken": "2019:07:01 12:30:05", "place": [48.5, -11.5], "rating": 4,
        "keywords": ["beach", "dog"], "sidecars": ["five.xmp"], "album": "b",
    }  # fmt: skip
    (images / "a/5.jpg.xmp").write_bytes(
        merged_xmp(b"", TOLD._replace(rating=2, keywords=("dog",)))
    )
    lacks = entry_of(told, images).keeper_lacks
    assert (lacks.told, lacks.sidecars) == (Metadata(keywords=("beach",)), ())


def test_what_is_written_inside_of_files_counts(own: Collection, images: Path) -> None:
    image = Image.open(images / "a/1.jpg")
    exif = Image.Exif()
    exif[0x4746] = 5
    image.save(images / "b/rated.png", exif=exif)
    image.save(images / "b/plain.bmp")
    own.index()
    plan = own.plan(keep="newest", tier="pixels,resaved")
    found = {os.path.basename(entry.path): entry for entry in plan}
    rated = found.get("rated.png")
    assert rated is None or rated.keeper_lacks.told.rating == 5
    assert all(
        entry.keeper_lacks.told == Metadata()
        for name, entry in found.items()
        if name != "rated.png"
    )


@pytest.mark.parametrize("action", ["trash", "hardlink"])
def test_metadata_are_carried_and_taken_back(told: Collection, images: Path, action: str) -> None:
    before = tree(images)
    acted = told.apply(told.plan(tier="exact", action=action), carry_metadata=True)
    assert {file.outcome for file in acted} == {"done"}
    (carried,) = [file for file in acted if file.action == "carry"]
    assert carried.path == str(images / "a/5.jpg.xmp")
    assert read_xmp((images / "a/5.jpg.xmp").read_bytes()) == TOLD
    assert told.undo().count("undone") == len(acted)
    assert tree(images) == before


def test_a_file_of_xmp_is_added_to_and_restored(told: Collection, images: Path) -> None:
    mine = merged_xmp(b"", Metadata("2001:01:01 00:00:00", None, 1, ("mine",)))
    (images / "a/5.xmp").write_bytes(mine)
    os.chmod(images / "a/5.xmp", 0o640)
    os.utime(images / "a/5.xmp", (1e9, 1e9))
    before = tree(images)
    told.apply(told.plan(tier="exact"), carry_metadata=True)
    now = read_xmp((images / "a/5.xmp").read_bytes())
    assert now == Metadata("2001:01:01 00:00:00", (48.5, -11.5), 1, ("beach", "dog", "mine"))
    assert (images / "a/5.xmp").stat().st_mode & 0o777 == 0o640
    assert not (images / "a/5.jpg.xmp").exists()
    told.undo()
    assert tree(images) == before


def test_nothing_goes_where_its_metadata_cannot_be_carried(told: Collection, images: Path) -> None:
    plan = told.plan(tier="exact")
    (images / "a/5.xmp").write_bytes(b"no XMP")
    (refused,) = [
        file for file in told.apply(plan, carry_metadata=True) if file.path == str(images / COPY)
    ]
    assert refused.outcome == "refused"
    assert "a/5.xmp cannot be added to: it is no XMP" in refused.reason
    assert (images / "a/5.xmp").read_bytes() == b"no XMP"
    assert (images / COPY).exists()


def test_metadata_that_were_changed_since_stay(told: Collection, images: Path) -> None:
    told.apply(told.plan(tier="exact"), carry_metadata=True)
    sidecar = images / "a/5.jpg.xmp"
    sidecar.write_bytes(merged_xmp(sidecar.read_bytes(), Metadata(keywords=("new",))))
    (refused,) = [file for file in told.undo() if file.outcome == "refused"]
    assert (refused.action, refused.reason[-13:]) == ("carry", "changed since")
    assert "new" in read_xmp(sidecar.read_bytes()).keywords
    assert (images / COPY).exists()


@pytest.mark.parametrize(
    ("there", "steps"),
    [
        (True, (3, 9)),
        pytest.param(True, range(60), marks=pytest.mark.slow),
        pytest.param(False, range(60), marks=pytest.mark.slow),
    ],
)
def test_a_kill_loses_no_metadata(
    told: Collection, images: Path, tmp_path: Path, *, there: bool, steps: tuple[int, ...] | range
) -> None:
    mine = merged_xmp(b"", Metadata(keywords=("mine",)))
    if there:
        (images / "a/5.xmp").write_bytes(mine)
    before = tree(images)
    for what in ("apply", "undo"):
        for after in steps:
            plan = told.plan(tier="exact")
            plan.write(tmp_path / "plan.json")
            if what == "undo":
                told.apply(plan, carry_metadata=True)
            code = run_killed(told.path, f"{what} carry", tmp_path / "plan.json", after)
            told.recover()
            words = {
                word
                for path in tmp_path.rglob("*.xmp")  # the trash as well
                for word in read_xmp(path.read_bytes()).keywords
            }
            assert words >= ({"dog", "mine"} if there else {"dog"})
            if any(run.done for run in told.runs()):
                told.undo()
            assert tree(images) == before, (what, after)
            shutil.rmtree(told.path / "runs", ignore_errors=True)
            if code == 0:
                break
