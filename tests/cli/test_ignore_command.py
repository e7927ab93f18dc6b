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


def listed(dedup: Dedup, store: Path) -> set[str]:
    found = dedup("list", "-s", store).rows
    return {os.path.basename(one["path"]) for row in found for one in row["duplicates"]}


def test_ignored_pairs_never_return_also_after_a_rename(
    dedup: Dedup, images: Path, tmp_path: Path
) -> None:
    store = tmp_path / "own"
    dedup("index", images, "-s", store, "--views", "details")
    assert "2 small.jpg" in listed(dedup, store)
    done = dedup("ignore", images / "a/2.jpg", images / "b/2 small.jpg", "-s", store)
    assert done.code == 0
    assert "2 small.jpg" not in listed(dedup, store)
    (images / "b/2 small.jpg").rename(images / "renamed.jpg")
    dedup("index", images, "-s", store)
    assert "renamed.jpg" not in listed(dedup, store)
    (row,) = dedup("why", images / "a/2.jpg", images / "renamed.jpg", "-s", store).rows
    assert row["ignored"] is True
    undone = dedup("ignore", "--undo", images / "a/2.jpg", images / "renamed.jpg", "-s", store)
    assert undone.code == 0
    assert "renamed.jpg" in listed(dedup, store)
    again = dedup("ignore", "--undo", images / "a/2.jpg", images / "renamed.jpg", "-s", store)
    assert again.code == 1


def test_decisions_travel_as_lines_and_the_later_word_counts(
    dedup: Dedup, store: Path, indexed: Path, drawn: Path, tmp_path: Path
) -> None:
    dedup("ignore", drawn / "b/2 small.jpg", drawn / "a/2.jpg", "-s", store)
    lines = tmp_path / "decisions.jsonl"
    assert "Wrote 1 decision " in dedup("ignore", "--export", lines, "-s", store).err
    (row,) = map(json.loads, lines.read_text().splitlines())
    assert list(row) == ["first", "second", "duplicate", "decided"]
    assert row["first"] < row["second"]
    assert row["duplicate"] is False
    other = tmp_path / "other"
    shutil.copytree(indexed, other)
    assert dedup("ignore", "--import", lines, "-s", other).code == 0
    assert "2 small.jpg" not in listed(dedup, other)
    later = {**row, "duplicate": True, "decided": "2999-01-01T00:00:00+00:00"}
    lines.write_text(json.dumps(later) + "\n" + json.dumps(row) + "\n")
    assert dedup("ignore", "--import", lines, "-s", other).code == 0
    assert "2 small.jpg" in listed(dedup, other)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("nonsense\n", "line 1: not JSON"),
        ('\n{"first": 1}\n', "line 2: wants the keys"),
        (
            '{"first": "zz", "second": "aa", "duplicate": false, "decided": ""}\n',
            "SHA-256 in hexadecimal",
        ),
        (
            '{"first": "aa", "second": "bb", "duplicate": false, "decided": ""}\n',
            "two different SHA-256",
        ),
    ],
)
def test_a_file_of_no_decisions_is_refused(
    dedup: Dedup, store: Path, tmp_path: Path, content: str, says: str
) -> None:
    (tmp_path / "lines").write_text(content)
    done = dedup("ignore", "--import", tmp_path / "lines", "-s", store)
    assert done.code == 1
    assert says in done.err


def test_decisions_that_contradict_each_other_are_refused(
    dedup: Dedup, store: Path, tmp_path: Path
) -> None:
    row = {"first": "a" * 64, "second": "b" * 64, "decided": "2026-01-01T00:00:00+00:00"}
    lines = [json.dumps({**row, "duplicate": word}) for word in (True, False)]
    (tmp_path / "lines").write_text("\n".join(lines))
    done = dedup("ignore", "--import", tmp_path / "lines", "-s", store)
    assert done.code == 1
    assert "lines 1 and 2: contradict each other" in done.err


@pytest.mark.parametrize(
    "arguments",
    [[], ["one"], ["one", "two", "three"], ["a", "b", "--export", "f"], ["--undo"]],
)
def test_ignore_wants_a_pair_or_a_file(dedup: Dedup, arguments: list[str]) -> None:
    assert dedup("ignore", *arguments).code == 2


def test_equal_files_are_no_matter_of_opinion(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("ignore", drawn / "a/0.jpg", drawn / "b/0 copy.jpg", "-s", store)
    assert done.code == 1
    assert "same bytes" in done.err
