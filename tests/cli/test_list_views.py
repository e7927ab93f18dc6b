"""`dedup list` where there is much to read: a limit, an order, a folder, a size, sums."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from dedup.collection import Collection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Dedup = Callable[..., Outcome]


def keepers(outcome: Outcome, drawn: Path) -> list[str]:
    return [os.path.relpath(row["keeper"], drawn) for row in outcome.rows]


def test_a_limit_shows_the_groups_that_free_most_and_says_what_it_left_out(
    dedup: Dedup, store: Path
) -> None:
    everything = dedup("list", "-s", store)
    sizes = [row["reclaimable_bytes"] for row in everything.rows]
    done = dedup("list", "-s", store, "--limit", "2")
    assert [row["reclaimable_bytes"] for row in done.rows] == sorted(sizes, reverse=True)[:2]
    assert [row["group"] for row in done.rows] == [1, 2]
    assert "The first 2 of 4 groups; --limit hides the rest." in done.err
    assert "4 groups: 6 copies" in done.err  # the sum is of all
    assert "leaves out" not in dedup("list", "-s", store, "--limit", "4").err


def test_what_a_limit_leaves_out_still_fails_a_run(dedup: Dedup, store: Path) -> None:
    first = dedup("list", "-s", store, "--limit", "1", "--fail-on", "exact")
    assert "exact" not in {one["tier"] for one in first.rows[0]["duplicates"]}
    assert first.code == 3


def test_groups_come_in_the_order_asked_for(dedup: Dedup, store: Path, drawn: Path) -> None:
    by_path = keepers(dedup("list", "-s", store, "--sort", "path"), drawn)
    assert by_path == ["a/0.jpg", "a/1.jpg", "a/2.jpg", "blank.bmp"]
    by_count = dedup("list", "-s", store, "--sort", "count").rows
    assert [len(row["duplicates"]) for row in by_count] == [2, 2, 1, 1]
    assert by_count[0]["reclaimable_bytes"] >= by_count[1]["reclaimable_bytes"]
    as_ever = dedup("list", "-s", store)
    assert dedup("list", "-s", store, "--sort", "size").out == as_ever.out


def test_under_a_folder_only_duplicates_there_count(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("list", "-s", store, "--under", drawn / "b")
    assert sorted(keepers(done, drawn)) == ["a/0.jpg", "a/1.jpg", "a/2.jpg"]
    converted = [os.path.relpath(one["path"], drawn) for one in done.rows[0]["duplicates"]]
    assert converted == ["b/1.bmp", "b/1.png"]
    sizes = sum((drawn / name).stat().st_size for name in converted)
    assert done.rows[0]["reclaimable_bytes"] == sizes
    none = dedup("list", "-s", store, "--under", drawn / "a")
    assert not none.rows
    assert "In 3 groups only the keeper is in that folder" in none.err
    both = dedup("list", "-s", store, "--under", drawn / "a", "--under", drawn / "b")
    assert sorted(keepers(both, drawn)) == ["a/0.jpg", "a/1.jpg", "a/2.jpg"]
    strange = dedup("list", "-s", store, "--under", store)
    assert strange.code == 1
    assert "is not indexed" in strange.err


def test_small_duplicates_are_left_out(dedup: Dedup, store: Path) -> None:
    everything = [one for row in dedup("list", "-s", store).rows for one in row["duplicates"]]
    size = sorted(one["bytes"] for one in everything)[3]
    done = dedup("list", "-s", store, "--min-bytes", f"{size}")
    found = [one for row in done.rows for one in row["duplicates"]]
    assert {one["path"] for one in found} == {
        one["path"] for one in everything if one["bytes"] >= size
    }
    assert dedup("list", "-s", store, "--min-bytes", "big").code == 2


def test_a_plan_takes_what_is_listed(
    dedup: Dedup, store: Path, drawn: Path, tmp_path: Path
) -> None:
    chosen = ("--tier", "exact,pixels", "--under", drawn / "b", "--min-bytes", "20kB")
    listed = {
        one["path"] for row in dedup("list", "-s", store, *chosen).rows for one in row["duplicates"]
    }
    assert listed
    file = tmp_path / "plan.json"
    assert dedup("plan", "-s", store, *chosen, "-o", file).code == 0
    assert {entry["path"] for entry in json.loads(file.read_text())["files"]} == listed


def test_a_summary_adds_up_by_folder(dedup: Dedup, store: Path, drawn: Path) -> None:
    listed = [one for row in dedup("list", "-s", store).rows for one in row["duplicates"]]
    done = dedup("list", "-s", store, "--summary")
    assert list(done.rows[0]) == [
        "folder", "exact", "pixels", "resaved", "near", "similar", "video",
        "reclaimable_bytes",
    ]  # fmt: skip
    for row in done.rows:
        here = [one for one in listed if os.path.dirname(one["path"]) == row["folder"]]
        assert row["reclaimable_bytes"] == sum(one["bytes"] for one in here)
        for tier in ("exact", "pixels", "resaved", "near", "similar"):
            assert row[tier] == sum(one["tier"] == tier for one in here)
    sizes = [row["reclaimable_bytes"] for row in done.rows]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == sum(one["bytes"] for one in listed)
    by_path = dedup("list", "-s", store, "--summary", "--sort", "path", "--limit", "1")
    assert [row["folder"] for row in by_path.rows] == [os.fspath(drawn)]
    assert "The first 1 of 2 folders" in by_path.err
    assert "reclaimable" in dedup("list", "-s", store, "--summary", "--format", "table").text


@pytest.mark.parametrize(
    "options",
    [
        ["--summary", "--explain"],
        ["--summary", "--pairs"],
        ["--summary", "--format", "paths"],
        ["--summary", "--sort", "size"],
        ["--pairs", "--limit", "3"],
        ["--pairs", "--under", "."],
        ["--limit", "0"],
    ],
)
def test_options_that_make_no_sense_together_are_wrong_usage(
    dedup: Dedup, store: Path, options: list[str]
) -> None:
    assert dedup("list", "-s", store, *options).code == 2


def test_in_python_a_folder_a_size_and_an_order(store: Path, drawn: Path) -> None:
    with Collection.open(store) as collection:
        found = collection.duplicates(under=drawn / "b", min_bytes=1, sort="count")
        assert {os.path.dirname(one.path) for group in found for one in group.duplicates} == {
            os.fspath(drawn / "b")
        }
        wrong: list[dict[str, Any]] = [{"sort": "name"}, {"min_bytes": -1}, {"under": ""}]
        for arguments in wrong:
            with pytest.raises(ValueError, match=next(iter(arguments))):
                collection.duplicates(**arguments)


def test_on_a_terminal_paths_are_whole(store: Path, drawn: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "dedup", "list", "-s", store],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        cwd=store,
        env=os.environ | {"COLUMNS": "80"},
    )
    os.close(theirs)
    out = b""
    while chunk := _read(ours):
        out += chunk
    os.close(ours)
    assert done.wait() == 0
    lines = out.decode().replace("\r\n", "\n").splitlines()
    assert os.fspath(drawn / "b/0 copy.jpg") in [line.strip() for line in lines]
    assert not [line for line in lines if len(line) > 80 and "/" not in line]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other end is closed
        return b""
