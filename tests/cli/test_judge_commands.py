from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from outcome import SMALL_MODEL, Outcome
from pictures import scene
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Dedup = Callable[..., Outcome]


def listed(dedup: Dedup, store: Path) -> set[str]:
    found = dedup("list", "-s", store).rows
    return {os.path.basename(one["path"]) for row in found for one in row["duplicates"]}


@pytest.mark.parametrize(
    ("first", "second", "tier"),
    [
        ("a/0.jpg", "b/0 copy.jpg", "exact"),
        ("a/1.jpg", "b/1.png", "pixels"),
        ("a/2.jpg", "b/2 small.jpg", "near"),
        ("a/3.jpg", "a/4.jpg", None),
        ("blank.png", "blank.bmp", "pixels"),
    ],
)
def test_why_tells_the_tier_with_and_without_a_collection(
    dedup: Dedup, store: Path, drawn: Path, first: str, second: str, tier: str | None
) -> None:
    (alone,) = dedup("why", drawn / first, drawn / second).rows
    assert alone["tier"] == tier
    assert alone["similarity"] is None
    (row,) = dedup("why", drawn / first, drawn / second, "-s", store).rows
    assert row["tier"] == tier
    assert -1 <= row["similarity"] <= 1
    assert [check["name"] for check in row["checks"]][:2] == ["same bytes", "same pixels"]
    assert bool(row["missing"]) == (tier != "exact")
    (turned,) = dedup("why", drawn / second, drawn / first, "-s", store).rows
    assert turned["tier"] == tier
    table = dedup("why", drawn / first, drawn / second, "--format", "table")
    assert (tier or "not the same image") in table.text


def test_why_says_what_would_have_had_to_differ(dedup: Dedup, drawn: Path) -> None:
    (row,) = dedup("why", drawn / "a/3.jpg", drawn / "a/4.jpg").rows
    failed = [check for check in row["checks"] if not check["passed"]]
    assert row["missing"].startswith("near: ")
    assert failed[-1]["name"] in row["missing"]


def test_why_draws_what_it_found(dedup: Dedup, drawn: Path, tmp_path: Path) -> None:
    for second in ("b/2 small.jpg", "a/4.jpg"):
        done = dedup("why", drawn / "a/2.jpg", drawn / second, "-o", tmp_path / "why.png")
        assert done.code == 0
        with Image.open(tmp_path / "why.png") as drawing:
            assert drawing.size[0] > 800
    wrong = dedup("why", drawn / "a/2.jpg", drawn / "a/3.jpg", "-o", tmp_path / "why.txt")
    assert wrong.code == 1
    nowhere = dedup("why", drawn / "a/2.jpg", drawn / "a/3.jpg", "-o", "no/why.png")
    assert nowhere.code == 1
    assert "cannot be written" in nowhere.err


@pytest.mark.parametrize("bad", ["cut.jpg", "text.jpg", "nowhere.jpg"])
def test_why_names_a_picture_that_cannot_be_read(dedup: Dedup, drawn: Path, bad: str) -> None:
    done = dedup("why", drawn / "a/0.jpg", drawn / bad)
    assert done.code == 1
    assert bad in done.err


def test_why_of_odd_pictures_has_an_answer(dedup: Dedup, drawn: Path, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.new("RGB", (400, 300), "red").save(tmp_path / "red.png")
    scene(1, (3000, 30)).save(tmp_path / "thin.png")
    frames = [scene(seed, (64, 64)) for seed in (1, 2)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    for name in ("dot.png", "red.png", "thin.png", "moving.gif"):
        (row,) = dedup("why", tmp_path / name, drawn / "a/0.jpg").rows
        assert row["tier"] is None
        assert row["evidence"]


def test_ignored_pairs_never_return_also_after_a_rename(
    dedup: Dedup, pictures: Path, tmp_path: Path
) -> None:
    store = tmp_path / "own"
    dedup("index", pictures, "-s", store, "--model", SMALL_MODEL, "--untrained")
    assert "2 small.jpg" in listed(dedup, store)
    done = dedup("ignore", pictures / "a/2.jpg", pictures / "b/2 small.jpg", "-s", store)
    assert done.code == 0
    assert "2 small.jpg" not in listed(dedup, store)
    (pictures / "b/2 small.jpg").rename(pictures / "renamed.jpg")
    dedup("index", pictures, "-s", store)
    assert "renamed.jpg" not in listed(dedup, store)
    (row,) = dedup("why", pictures / "a/2.jpg", pictures / "renamed.jpg", "-s", store).rows
    assert row["ignored"] is True
    undone = dedup("ignore", "--undo", pictures / "a/2.jpg", pictures / "renamed.jpg", "-s", store)
    assert undone.code == 0
    assert "renamed.jpg" in listed(dedup, store)
    again = dedup("ignore", "--undo", pictures / "a/2.jpg", pictures / "renamed.jpg", "-s", store)
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


@pytest.fixture
def card(tmp_path: Path, drawn: Path) -> Path:
    """New pictures: a copy, the same pixels, an edited one, a stranger, and a broken file."""
    folder = tmp_path / "card"
    folder.mkdir()
    shutil.copy(drawn / "a/4.jpg", folder / "copy.jpg")
    with Image.open(drawn / "a/5.jpg") as decoded:
        decoded.save(folder / "pixels.png")
        decoded.resize((200, 150)).save(folder / "edited.jpg", quality=70)
    scene(1000).save(folder / "stranger.jpg")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def test_compare_finds_what_is_there_already_surest_first(
    dedup: Dedup, store: Path, card: Path, drawn: Path
) -> None:
    done = dedup("compare", card, "--against", store)
    assert done.code == 0
    assert [list(row) for row in done.rows] == [["path", "tier", "match", "similarity"]] * 3
    found = [
        (os.path.basename(row["path"]), row["tier"], os.path.relpath(row["match"], drawn))
        for row in done.rows
    ]
    assert found == [
        ("copy.jpg", "exact", "a/4.jpg"),
        ("pixels.png", "pixels", "a/5.jpg"),
        ("edited.jpg", "near", "a/5.jpg"),
    ]
    assert "3 of 4 images are there already: 1 exact, 1 pixels, 1 near" in done.err
    assert "broken.jpg" in done.err
    for form in ("table", "csv", "paths"):
        assert b"edited.jpg" in dedup("compare", card, "--against", store, "--format", form).out


def test_compare_indexes_a_folder_that_is_not_yet(dedup: Dedup, card: Path, pictures: Path) -> None:
    done = dedup("compare", card, "--against", pictures, "--model", SMALL_MODEL, "--untrained")
    assert [row["tier"] for row in done.rows] == ["exact", "pixels", "near"]
    again = dedup("compare", card, "--against", pictures)
    assert again.out == done.out


def test_two_splits_of_one_collection_leak_one_way(dedup: Dedup, pictures: Path) -> None:
    dedup("index", pictures, "--model", SMALL_MODEL, "--untrained")
    leaks = dedup("compare", pictures / "b", "--against", pictures / "a")
    assert [(os.path.basename(row["path"]), row["tier"]) for row in leaks.rows] == [
        ("0 again.jpg", "exact"),
        ("0 copy.jpg", "exact"),
        ("1.bmp", "pixels"),
        ("1.png", "pixels"),
        ("2 small.jpg", "near"),
    ]
    assert all(os.path.dirname(row["match"]).endswith("/a") for row in leaks.rows)


def test_a_picture_never_matches_itself(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("compare", drawn / "a/3.jpg", drawn / "a/0.jpg", "--against", store)
    assert [os.path.basename(row["match"]) for row in done.rows] == ["0 again.jpg"]


@pytest.mark.parametrize(("fail_on", "code"), [("exact", 3), ("near", 3), ("similar", 3)])
def test_compare_fails_on_a_tier(
    dedup: Dedup, store: Path, card: Path, fail_on: str, code: int
) -> None:
    assert dedup("compare", card, "--against", store, "--fail-on", fail_on).code == code
    edited = dedup("compare", card / "edited.jpg", "--against", store, "--fail-on", "pixels")
    assert edited.code == 0


def test_compare_keeps_to_ignored_pairs(dedup: Dedup, store: Path, card: Path, drawn: Path) -> None:
    dedup("ignore", card / "edited.jpg", drawn / "a/5.jpg", "-s", store)
    done = dedup("compare", card / "edited.jpg", "--against", store)
    assert done.rows == []
