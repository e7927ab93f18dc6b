from __future__ import annotations

import csv
import io
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Dedup = Callable[..., Outcome]


def rows(outcome: Outcome) -> list[dict[str, Any]]:
    return [json.loads(line) for line in outcome.out.splitlines()]


def names(drawn: Path, paths: list[str]) -> list[str]:
    return [os.path.relpath(path, drawn) for path in paths]


def test_list_rows_have_the_promised_keys(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("list", "-s", store)
    assert done.code == 0
    assert "4 groups: 6 copies" in done.err
    found = rows(done)
    by_keeper = {names(drawn, [row["keeper"]])[0]: row for row in found}
    assert set(by_keeper) == {"a/0.jpg", "a/1.jpg", "a/2.jpg", "blank.bmp"}
    assert [row["group"] for row in found] == [1, 2, 3, 4]
    for row in found:
        assert list(row) == [
            "group",
            "tier",
            "keeper",
            "min_similarity",
            "reclaimable_bytes",
            "duplicates",
        ]
        for one in row["duplicates"]:
            assert list(one) == ["path", "tier", "similarity", "bytes", "evidence"]
        assert row["reclaimable_bytes"] == sum(one["bytes"] for one in row["duplicates"])
    copies = by_keeper["a/0.jpg"]
    assert copies["tier"] == "exact"
    assert names(drawn, [one["path"] for one in copies["duplicates"]]) == [
        "b/0 again.jpg",
        "b/0 copy.jpg",
    ]
    assert {one["evidence"] for one in copies["duplicates"]} == {"same bytes"}
    formats = by_keeper["a/1.jpg"]
    assert formats["tier"] == "pixels"
    assert {
        name: one["evidence"]
        for one in formats["duplicates"]
        for name in names(drawn, [one["path"]])
    } == {
        "b/1.bmp": "same pixels, BMP instead of JPEG",
        "b/1.png": "same pixels, PNG instead of JPEG",
    }
    (small,) = by_keeper["a/2.jpg"]["duplicates"]
    assert small["tier"] == "resaved"
    assert small["evidence"].endswith("160×120 instead of 320×240")


def test_blank_images_are_equal_by_pixels_and_never_similar(
    dedup: Dedup, store: Path, drawn: Path
) -> None:
    done = dedup("list", "-s", store, "--tier", "similar", "--threshold", "-1")
    paths = {one["path"] for row in rows(done) for one in row["duplicates"]}
    paths |= {row["keeper"] for row in rows(done)}
    assert paths
    assert not [path for path in names(drawn, sorted(paths)) if "blank" in path]


def test_tiers_can_be_chosen(dedup: Dedup, store: Path) -> None:
    exact = rows(dedup("list", "-s", store, "--tier", "exact"))
    assert [row["tier"] for row in exact] == ["exact"]
    sure = dedup("list", "-s", store, "--tier", "exact,pixels")
    assert sorted(row["tier"] for row in rows(sure)) == ["exact", "pixels", "pixels"]
    assert "not proven" not in sure.err


def test_two_runs_print_the_same_bytes(dedup: Dedup, store: Path) -> None:
    for form in ("jsonl", "csv", "paths", "table"):
        first = dedup("list", "-s", store, "--format", form)
        assert first.out == dedup("list", "-s", store, "--format", form).out


def test_paths_are_the_duplicates_alone(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("list", "-s", store, "--tier", "exact", "-0")
    assert done.out == b"".join(
        os.fsencode(drawn / name) + b"\0" for name in ("b/0 again.jpg", "b/0 copy.jpg")
    )


def test_csv_has_one_row_per_duplicate(dedup: Dedup, store: Path) -> None:
    done = dedup("list", "-s", store, "--tier", "exact", "--format", "csv")
    read = list(csv.DictReader(io.StringIO(done.text)))
    assert [row["tier"] for row in read] == ["exact", "exact"]
    assert {row["similarity"] for row in read} == {"1.0"}


def test_the_table_names_keeper_and_evidence(dedup: Dedup, store: Path) -> None:
    done = dedup("list", "-s", store, "--format", "table")
    assert "same bytes" in done.text
    assert "keeper" in done.text


@pytest.mark.parametrize(
    ("tiers", "fail_on", "code"),
    [
        ("exact", "exact", 3),
        ("pixels", "exact", 0),
        ("pixels", "pixels", 3),
        ("exact,pixels,similar", "similar", 3),
        ("similar", "pixels", 0),
    ],
)
def test_fail_on_exits_with_three(
    dedup: Dedup, store: Path, tiers: str, fail_on: str, code: int
) -> None:
    assert dedup("list", "-s", store, "--tier", tiers, "--fail-on", fail_on).code == code


def test_odd_names_round_trip(dedup: Dedup, drawn: Path, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    odd = [b"line\nfeed.jpg", b"latin\xe9.jpg", "ümlaut 日本.jpg".encode(), b"n" * 251 + b".jpg"]
    for name in odd:
        shutil.copy(os.fsencode(drawn / "a/5.jpg"), os.path.join(folder, name))
    assert dedup("index", folder, "--views", "details").code == 0
    (group,) = rows(dedup("list"))
    found = [group["keeper"], *(one["path"] for one in group["duplicates"])]
    assert sorted(map(os.fsencode, found)) == sorted(os.path.join(folder, name) for name in odd)
    raw = dedup("list", "-0").out.split(b"\0")[:-1]
    assert set(raw) <= {os.path.join(folder, name) for name in odd}
    table = dedup("list", "--format", "table")
    assert "line\\nfeed.jpg" in table.text.replace("\n", "").replace(" ", "") or table.code == 0
    plain = dedup("list", "--format", "paths")
    assert ("use -0" in plain.err) == (b"line\nfeed" in plain.out)
    for name in odd:
        assert dedup("query", os.path.join(folder, name), "-k", "1").code == 0


def test_similar_is_shown_when_asked_for_and_called_unproven(dedup: Dedup, store: Path) -> None:
    done = dedup("list", "-s", store, "--tier", "similar", "--threshold", "-1")
    assert {row["tier"] for row in rows(done)} == {"similar"}
    assert "not proven" in done.err


def test_a_second_list_proves_nothing_again(
    dedup: Dedup, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = dedup("list", "-s", store)

    def never(*_: object) -> None:
        raise AssertionError("an image was described again")

    monkeypatch.setattr("dedup.proof.work._outlined", never)
    assert dedup("list", "-s", store).out == first.out


def test_a_jpeg_stays_before_its_png_in_a_list_of_one_tier(dedup: Dedup, tmp_path: Path) -> None:
    from drawings import scene
    from PIL import Image

    images, where = tmp_path / "some", tmp_path / "some.dedup"
    images.mkdir()
    scene(5).save(images / "1.jpg", quality=90)
    with Image.open(images / "1.jpg") as jpeg:
        jpeg.save(images / "0.png")
        jpeg.save(images / "2.jpg", quality=60)
    dedup("index", images, "-s", where, "--views", "details")
    done = dedup("list", "-s", where, "--tier", "resaved")
    (row,) = rows(done)
    assert row["keeper"] == os.fspath(images / "1.jpg")
    assert [one["path"] for one in row["duplicates"]] == [os.fspath(images / "2.jpg")]
    assert f"to see all proven pairs: dedup list --pairs --store {where}" in " ".join(
        done.err.split()
    )


def test_images_that_are_gone_cannot_be_proven_and_that_is_said(
    dedup: Dedup, images: Path, tmp_path: Path
) -> None:
    dedup("index", images, "--views", "details")
    images.rename(tmp_path / "unplugged")
    done = dedup("list", "--offline")
    assert done.code == 0
    assert [row["tier"] for row in rows(done)] == ["exact"]
    assert "could not be read again to be compared" in done.err
    (tmp_path / "unplugged").rename(images)
    assert len(rows(dedup("list"))) == 4


def test_pairs_are_listed_in_stable_order(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("list", "-s", store, "--pairs")
    found = rows(done)
    assert [list(row) for row in found] == [
        ["first", "second", "tier", "similarity", "evidence"]
    ] * len(found)
    pairs = [(row["tier"], *names(drawn, [row["first"], row["second"]])) for row in found]
    assert pairs[:2] == [
        ("exact", "a/0.jpg", "b/0 again.jpg"),
        ("exact", "a/0.jpg", "b/0 copy.jpg"),
    ]
    assert ("resaved", "a/2.jpg", "b/2 small.jpg") in pairs
    assert {row["similarity"] for row in found if row["tier"] in ("exact", "pixels")} == {1.0}
    assert dedup("list", "-s", store, "--pairs").out == done.out
    assert dedup("list", "-s", store, "--pairs", "--explain").code == 2


def test_explain_says_why_the_keeper_stays(dedup: Dedup, store: Path) -> None:
    found = rows(dedup("list", "-s", store, "--explain"))
    assert all(list(row)[-1] == "why" and row["why"] for row in found)
    assert "the other was made from it (smaller)" in {
        row["why"] for row in found if row["tier"] == "resaved"
    }
    table = dedup("list", "-s", store, "--explain", "--format", "table").out
    assert b"keeper: the other was made from it (smaller)" in table
    assert b"proven" in table


def test_a_policy_is_followed_and_a_wrong_one_refused(
    dedup: Dedup, store: Path, drawn: Path
) -> None:
    found = rows(dedup("list", "-s", store, "--keep", f"under:{drawn / 'b'},information"))
    exact = next(row for row in found if row["tier"] == "exact")
    assert names(drawn, [exact["keeper"]])[0].startswith("b/")
    wrong = dedup("list", "-s", store, "--keep", "biggest")
    assert wrong.code == 2
    assert "terms are under:FOLDER, information, pixels" in " ".join(wrong.err.split())
