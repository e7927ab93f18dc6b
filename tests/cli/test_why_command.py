from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawings import scene
from drawn import dng, encode, textured
from PIL import Image

from dedup.edits.catalogue import edit
from dedup.images.encode import write_png

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Dedup = Callable[..., Outcome]


@pytest.mark.parametrize(
    ("first", "second", "tier"),
    [
        ("a/0.jpg", "b/0 copy.jpg", "exact"),
        ("a/1.jpg", "b/1.png", "pixels"),
        ("a/2.jpg", "b/2 small.jpg", "resaved"),
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
    assert (tier or "no sign that these are the same image") in table.text


def test_why_says_what_would_have_had_to_differ(dedup: Dedup, drawn: Path) -> None:
    (row,) = dedup("why", drawn / "a/3.jpg", drawn / "a/4.jpg").rows
    failed = [check for check in row["checks"] if not check["passed"]]
    assert row["missing"].startswith("near: ")
    assert failed[-1]["name"] in row["missing"]


def test_why_says_plain_words_and_figures_when_asked(
    dedup: Dedup, store: Path, drawn: Path
) -> None:
    copy, small = drawn / "a/2.jpg", drawn / "b/2 small.jpg"
    (row,) = dedup("why", copy, small, "-s", store).rows
    plain = dedup("why", copy, small, "-s", store, "--format", "table")
    assert plain.text.splitlines() == [
        f"{copy} and {small}: resaved, the whole image, saved again",
        f"  {small}: {row['evidence']}",
    ]
    full = dedup("why", copy, small, "-s", store, "--format", "table", "--verbose").text
    assert full.startswith(plain.text)
    assert f"similarity {row['similarity']:.4f}" in full
    assert f"For {row['missing']}." in full
    for check in row["checks"]:
        (line,) = [line for line in full.splitlines() if line.lstrip().startswith(check["name"])]
        assert line.rstrip().endswith("yes" if check["passed"] else "no")
    strangers = dedup("why", drawn / "a/3.jpg", drawn / "a/4.jpg", "-s", store, "--format", "table")
    assert strangers.text.splitlines()[1] == "  no common detail found"
    assert strangers.text.splitlines()[2].startswith("  similarity ")


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
    assert "no/why.png: there is no folder no" in nowhere.err


@pytest.mark.parametrize("bad", ["cut.jpg", "text.jpg", "nowhere.jpg"])
def test_why_names_an_image_that_cannot_be_read(dedup: Dedup, drawn: Path, bad: str) -> None:
    done = dedup("why", drawn / "a/0.jpg", drawn / bad)
    assert done.code == 1
    assert bad in done.err


def test_why_of_odd_images_has_an_answer(dedup: Dedup, drawn: Path, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.new("RGB", (400, 300), "red").save(tmp_path / "red.png")
    scene(1, (3000, 30)).save(tmp_path / "thin.png")
    frames = [scene(seed, (64, 64)) for seed in (1, 2)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    for name in ("dot.png", "red.png", "thin.png", "moving.gif"):
        (row,) = dedup("why", tmp_path / name, drawn / "a/0.jpg").rows
        assert row["tier"] is None
        assert row["evidence"]


def test_why_of_an_image_with_text_on_it_is_written_as_json(dedup: Dedup, tmp_path: Path) -> None:
    """An overlay is judged by figures of NumPy's, which JSON does not know."""
    pixels = np.asarray(scene(3, (480, 360)))
    lettered = edit("text", 0.2, pixels, np.random.default_rng(0))
    for name, each in (("a.png", pixels), ("b.png", lettered)):
        write_png(each, tmp_path / name)
    (row,) = dedup("why", tmp_path / "a.png", tmp_path / "b.png").rows
    checks = {check["name"]: check for check in row["checks"]}
    odds = checks["log odds that the change is drawn on"]
    assert type(odds["passed"]) is bool
    assert type(odds["value"]) is float


def test_why_says_that_a_raw_image_and_its_jpeg_belong_together(
    dedup: Dedup, tmp_path: Path
) -> None:
    pytest.importorskip("rawpy")
    shot = textured(1200, 1600)
    (tmp_path / "1.dng").write_bytes(dng(shot, encode(shot, "JPEG", quality=95)))
    (tmp_path / "1.jpg").write_bytes(encode(shot, "JPEG"))
    (row,) = dedup("why", tmp_path / "1.dng", tmp_path / "1.jpg").rows
    assert row["companions"] is True
    table = dedup("why", tmp_path / "1.dng", tmp_path / "1.jpg", "--format", "table")
    assert "companions: a raw file and the image developed from it" in table.text
    store = tmp_path / "store"
    dedup("index", tmp_path, "-s", store, "--views", "details")
    listed = dedup("list", "-s", store)
    assert listed.rows == []
    assert "1 RAW file and the JPEG beside it count as a pair" in listed.err
    (group,) = dedup("list", "-s", store, "--companions").rows
    assert {group["keeper"], group["duplicates"][0]["path"]} == {
        str(tmp_path / name) for name in ("1.dng", "1.jpg")
    }
