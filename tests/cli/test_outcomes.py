"""What `apply` and `undo` print of many files, of which some are refused."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Dedup = Callable[..., Outcome]

MANY = 30


@pytest.fixture
def copies(
    dedup: Dedup, store: Path, drawn: Path, images: Path, request: pytest.FixtureRequest
) -> Path:
    """A collection of `images` with copies of one of them, as many as asked for, in `many`."""
    (images / "many").mkdir()
    for number in range(request.param):
        shutil.copy(images / "a/8.jpg", images / f"many/{number:02}.jpg")
    dedup("roots", "--move", drawn, images, "-s", store)
    dedup("index", "-s", store)
    return store


def planned(dedup: Dedup, store: Path, images: Path) -> Path:
    plan = images.parent / "plan.json"
    dedup(
        "plan", images / "many", "--action", f"move:{images.parent}/moved", "-o", plan, "-s", store
    )
    return plan


def lines_of(done: Outcome) -> list[list[str]]:
    return [line.split() for line in done.text.splitlines()[2:]]


@pytest.mark.parametrize("copies", [3], indirect=True)
def test_refused_files_stand_last(dedup: Dedup, copies: Path, images: Path) -> None:
    plan = planned(dedup, copies, images)
    (images / "many/00.jpg").write_bytes(b"changed")
    (images / "many/01.jpg").unlink()
    done = dedup("apply", plan, "--yes", "--format", "table", "-s", copies)
    assert [line[2] for line in lines_of(done)] == ["done", "refused", "refused"]
    assert [os.path.basename(line[0]) for line in lines_of(done)] == ["02.jpg", "00.jpg", "01.jpg"]
    run = json.loads(dedup("log", "-s", copies).out)["run"]
    assert done.err.splitlines()[-4:] == [
        f"1 file done, {(images / 'a/8.jpg').stat().st_size / 1000:.1f} kB",
        "2 files refused and left untouched",
        "To plan again with what is there now: dedup index, then dedup plan",
        f"To take it back: dedup undo {run} --store {copies}",
    ]
    log = dedup("log", run, "--format", "table", "-s", copies)
    assert [line[2] for line in lines_of(log)] == ["done", "refused", "refused"]


@pytest.mark.parametrize("copies", [MANY], indirect=True)
def test_a_long_run_prints_what_was_refused_and_counts_the_rest(
    dedup: Dedup, copies: Path, images: Path
) -> None:
    plan = planned(dedup, copies, images)
    for number in (4, 9):
        (images / f"many/{number:02}.jpg").write_bytes(b"changed")
    (images / "many/20.jpg").unlink()
    reasons = [
        "3 files refused and left untouched:",
        "  2 × the file has changed since the plan was made",
        "  1 × the file is gone",
    ]
    table = ("--format", "table", "-s", copies)
    dry = dedup("apply", plan, "--dry-run", *table)
    assert [os.path.basename(line[0]) for line in lines_of(dry)] == ["04.jpg", "09.jpg", "20.jpg"]
    assert dry.err.splitlines()[2:6] == [*reasons, "To list every file: --verbose"]
    whole = dedup("apply", plan, "--dry-run", "--verbose", *table)
    assert [line[2] for line in lines_of(whole)] == ["planned"] * (MANY - 3) + ["refused"] * 3
    assert "To list every file" not in whole.err
    rows = dedup("apply", plan, "--dry-run", "-s", copies)
    assert [os.path.basename(row["path"]) for row in rows.rows] == [
        f"{number:02}.jpg"
        for number in range(MANY)  # complete, in the order of the plan
    ]
    assert set(reasons) < set(rows.err.splitlines())
    assert "To list every file" not in rows.err

    done = dedup("apply", plan, "--yes", *table)
    assert len(lines_of(done)) == 3
    run = json.loads(dedup("log", "-s", copies).out)["run"]
    assert f"To list every file: dedup log {run} --store {copies}" in done.err.splitlines()
    assert len(lines_of(dedup("log", run, *table))) == MANY

    (images / "many/02.jpg").write_bytes(b"another one")
    back = dedup("undo", *table)
    assert [line[2] for line in lines_of(back)] == ["refused"]
    assert back.err.splitlines()[:2] == [
        "1 file cannot be brought back:",
        "  1 × there is another file at its path now",
    ]
    assert back.err.splitlines()[2].startswith(f"{MANY - 4} files brought back, ")


@pytest.mark.parametrize("copies", [MANY], indirect=True)
def test_many_refused_files_are_shown_in_part_and_counted_in_full(
    dedup: Dedup, copies: Path, images: Path
) -> None:
    plan = planned(dedup, copies, images)
    for number in range(MANY):
        (images / f"many/{number:02}.jpg").write_bytes(b"changed")
    done = dedup("apply", plan, "--yes", "--format", "table", "-s", copies)
    assert done.code == 1
    assert len(lines_of(done)) == 20
    assert f"  {MANY} × the file has changed since the plan was made" in done.err.splitlines()


@pytest.mark.parametrize("copies", [1], indirect=True)
def test_commands_that_are_named_can_be_pasted(
    dedup: Dedup, copies: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = dedup("plan", images / "many", "-o", "my plan.json", "-s", copies)
    assert done.err.endswith(f"dedup apply 'my plan.json' --store {copies}\n")
    monkeypatch.setenv("DEDUP_STORE", os.fspath(copies))  # which the next command has as well
    assert dedup("plan", images / "many", "-o", "p.json").err.endswith("dedup apply p.json\n")


def test_a_plan_names_the_tiers_that_it_was_made_for(
    dedup: Dedup, store: Path, drawn: Path, images: Path
) -> None:
    dedup("roots", "--move", drawn, images, "-s", store)
    dedup("index", "-s", store)
    for tiers in ("exact", "exact,pixels,resaved"):
        done = dedup("plan", "--tier", tiers, "-s", store)
        assert (
            f"Edited versions stay; to include them: --tier {tiers},near" in done.err.splitlines()
        )
        (line,) = (one for one in done.err.splitlines() if one.startswith("Without them"))
        assert line == (
            "Without them, files can be grouped otherwise than dedup list shows by default; to see "
            f"the groups of this plan: dedup list --tier {tiers} --store {store}"
        )
        groups = dedup("list", "--tier", tiers, "-s", store).rows
        going = dedup("plan", "--tier", tiers, "-o", "plan.json", "-s", store).err
        assert f": {sum(len(group['duplicates']) for group in groups)} files, " in going
    assert "Without them" not in dedup("plan", "--tier", "exact,near", "-s", store).err
