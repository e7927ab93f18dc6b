from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from drawings import scene

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from outcome import Outcome

    Dedup = Callable[..., Outcome]


def rows(outcome: Outcome) -> list[dict[str, Any]]:
    return [json.loads(line) for line in outcome.out.splitlines()]


def names(drawn: Path, paths: list[str]) -> list[str]:
    return [os.path.relpath(path, drawn) for path in paths]


def test_query_rows_have_the_promised_keys(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("query", drawn / "a/0.jpg", "-s", store, "-k", "4")
    assert done.code == 0
    found = rows(done)
    assert [list(row) for row in found] == [["query", "rank", "path", "similarity"]] * 4
    assert [row["rank"] for row in found] == [1, 2, 3, 4]
    assert names(drawn, [row["path"] for row in found])[:3] == [
        "a/0.jpg",
        "b/0 again.jpg",
        "b/0 copy.jpg",
    ]
    assert [row["similarity"] for row in found[:3]] == [1.0, 1.0, 1.0]
    assert all(row["query"] == str(drawn / "a/0.jpg") for row in found)


def test_an_image_that_is_not_indexed_finds_its_copy(
    dedup: Dedup, store: Path, drawn: Path, tmp_path: Path
) -> None:
    scene(4).save(tmp_path / "new.jpg", quality=60)
    done = dedup("query", tmp_path / "new.jpg", "-s", store, "-k", "1", "--format", "paths")
    assert done.out == os.fsencode(drawn / "a/4.jpg") + b"\n"


def test_k_beyond_the_collection_gives_all(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("query", drawn / "a/0.jpg", "-s", store, "-k", "1000")
    assert len(rows(done)) == 16


def test_query_threshold_is_inclusive(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("query", drawn / "a/0.jpg", "-s", store, "--threshold", "1")
    assert len(rows(done)) == 3


def test_queries_may_be_a_folder_several_and_stdin(
    dedup: Dedup, store: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listed = tmp_path / "names"
    for separator in (b"\n", b"\0"):
        listed.write_bytes(
            os.fsencode(drawn / "a/1.jpg") + separator + os.fsencode(drawn / "a/2.jpg")
        )
        with listed.open() as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            done = dedup("query", "-", drawn / "b", drawn / "a/3.jpg", "-s", store, "-k", "1")
        queries = names(drawn, [row["query"] for row in rows(done)])
        assert queries == [
            "a/1.jpg",
            "a/2.jpg",
            "b/0 again.jpg",
            "b/0 copy.jpg",
            "b/1.bmp",
            "b/1.png",
            "b/2 small.jpg",
            "a/3.jpg",
        ]


def test_an_unreadable_query_is_an_error(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("query", drawn / "cut.jpg", "-s", store)
    assert done.code == 1
    assert "cut.jpg: truncated" in done.err
    assert dedup("query", "nowhere.jpg", "-s", store).code == 1
    mixed = dedup("query", drawn / "cut.jpg", drawn / "a/0.jpg", "-s", store, "-k", "1")
    assert mixed.code == 0
    assert len(rows(mixed)) == 1
    assert "skipped" in mixed.err
    strict = dedup("query", drawn / "cut.jpg", drawn / "a/0.jpg", "-s", store, "--strict")
    assert strict.code == 1


def test_an_empty_collection_says_so(dedup: Dedup, store: Path, drawn: Path) -> None:
    import sqlite3

    with sqlite3.connect(store / "catalog.sqlite") as database:
        database.execute("UPDATE files SET state = 'gone', checksum = NULL")
        database.execute("UPDATE meta SET value = value + 1, checksum = NULL WHERE key = 'version'")
    database.close()
    done = dedup("query", drawn / "a/0.jpg", "-s", store)
    assert done.code == 1
    assert "the collection is empty" in done.err
    nothing = dedup("list", "-s", store)
    assert nothing.code == 0
    assert nothing.out == b""
    assert "No duplicates found" in nothing.err


def test_an_answer_without_rows_says_why(dedup: Dedup, store: Path) -> None:
    os.mkdir("empty")
    done = dedup("query", "empty", "-s", store)
    assert (done.code, done.out, done.err) == (0, b"", "There are no images to look for.\n")
    scene(99).save("other.png")
    done = dedup("query", "other.png", "--threshold", "0.99", "-s", store)
    assert (done.code, done.out) == (0, b"")
    assert "No image has a similarity of 0.99 or more.\n" in done.err


def tiers(done: Outcome) -> dict[str, str]:
    """The tier of each path in a table, "" where there is none."""
    head, _, *lines = done.text.splitlines()
    start, end = head.index("tier"), head.index("path")
    return {os.path.basename(line[end:]): line[start:end].strip() for line in lines}


def test_a_table_shows_the_tiers_that_are_known(dedup: Dedup, store: Path, drawn: Path) -> None:
    table = ("-k", 3, "--format", "table", "-s", store)
    found = tiers(dedup("query", drawn / "a/1.jpg", *table))
    assert found == {"1.jpg": "exact", "1.bmp": "pixels", "1.png": "pixels"}
    found = tiers(dedup("query", drawn / "a/2.jpg", *table))
    assert (found["2.jpg"], found["2 small.jpg"]) == ("exact", "resaved")
    assert list(found.values())[2:] == [""]
    dedup("ignore", drawn / "a/2.jpg", drawn / "b/2 small.jpg", "-s", store)
    assert tiers(dedup("query", drawn / "a/2.jpg", *table))["2 small.jpg"] == ""
    shutil.copy(drawn / "a/0.jpg", "elsewhere.jpg")  # not indexed, and known by its content
    assert set(tiers(dedup("query", "elsewhere.jpg", *table)).values()) == {"exact"}
    scene(77).save("other.png")
    assert "tier" not in dedup("query", "other.png", *table).text


def test_a_part_finds_its_whole_or_it_is_said(
    dedup: Dedup, store: Path, drawn: Path, tmp_path: Path
) -> None:
    whole = drawn / "a/3.jpg"
    large = dedup("query", whole, "--crop", "0,0,310,230", "-k", 1, "-s", store)
    assert names(drawn, [row["path"] for row in large.rows]) == ["a/3.jpg"]
    assert large.err == ""
    small = ("query", whole, "--crop", "10,10,40,30", "-s", store)
    alone = dedup(*small, "-k", 1)
    assert names(drawn, [row["path"] for row in alone.rows]) != ["a/3.jpg"]
    assert f"{whole} itself is not among these: so small a part is not similar" in alone.err
    assert "itself" not in dedup(*small, "-k", 50).err
    assert f"{whole} itself" in dedup(*small, "--threshold", "0.999").err
    scene(99).save(tmp_path / "new.png")  # which is not indexed
    done = dedup("query", tmp_path / "new.png", "--crop", "10,10,40,30", "-k", 1, "-s", store)
    assert "itself" not in done.err
