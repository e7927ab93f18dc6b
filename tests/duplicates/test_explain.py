"""`why` without a collection, and with what only a collection knows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from drawings import scene
from PIL import Image, ImageDraw

import dedup
from dedup.duplicates.explain import explain
from dedup.errors import DedupError, ImageError
from dedup.results import Tier

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.results import Explanation


def why(
    folder: Path,
    first: str,
    second: str,
    similarity: float | None = None,
    threshold: float | None = None,
    *,
    ignored: bool = False,
) -> Explanation:
    names = os.fspath(folder / first), os.fspath(folder / second)
    return explain(*names, similarity, threshold, ignored=ignored)


@pytest.mark.parametrize(
    ("first", "second", "tier", "words"),
    [
        ("a/0.jpg", "b/0 copy.jpg", Tier.EXACT, "same bytes"),
        ("a/0.jpg", "a/0.jpg", Tier.EXACT, "same bytes"),
        ("a/1.jpg", "b/1.png", Tier.PIXELS, "same pixels, PNG instead of JPEG"),
        ("b/1.png", "a/1.jpg", Tier.PIXELS, "same pixels, JPEG instead of PNG"),
        ("a/2.jpg", "b/2 small.jpg", Tier.RESAVED, "160×120 instead of 320×240"),
        ("b/2 small.jpg", "a/2.jpg", Tier.RESAVED, "320×240 instead of 160×120"),
        ("a/3.jpg", "a/4.jpg", None, ""),
        ("blank.png", "blank.bmp", Tier.PIXELS, "same pixels, BMP instead of PNG"),
        ("blank.png", "a/3.jpg", None, "one colour, nothing to compare"),
    ],
)
def test_the_tier_and_its_words_are_those_of_list(
    drawn: Path, first: str, second: str, tier: Tier | None, words: str
) -> None:
    found = why(drawn, first, second)
    assert found.tier is tier
    assert found.evidence.endswith(words)
    assert [check.name for check in found.checks[:2]] == ["same bytes", "same pixels"]
    assert [check.passed for check in found.checks[:2]] == [
        tier is Tier.EXACT,
        tier in {Tier.EXACT, Tier.PIXELS},
    ]
    assert bool(found.missing) == (tier is not Tier.EXACT)


@pytest.mark.parametrize(
    ("similarity", "tier"), [(0.8, Tier.SIMILAR), (0.799999, None), (None, None)]
)
def test_similar_takes_a_similarity_at_the_threshold(
    drawn: Path, similarity: float | None, tier: Tier | None
) -> None:
    found = why(drawn, "a/3.jpg", "a/4.jpg", similarity, 0.8)
    assert found.tier is tier
    assert found.evidence.startswith("looks alike, but ") == (tier is Tier.SIMILAR)
    assert found.missing.startswith("near: ")


def test_blank_images_are_never_similar(drawn: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), (250, 250, 250)).save(tmp_path / "grey.png")
    found = why(drawn, "blank.png", os.fspath(tmp_path / "grey.png"), 1.0, 0.5)
    assert found.tier is None
    assert found.evidence == "one colour, nothing to compare"


def test_what_is_too_small_says_so_where_its_proof_counts_for_nothing(tmp_path: Path) -> None:
    scene(1, (5, 60)).save(tmp_path / "a.png")
    scene(1, (5, 60)).save(tmp_path / "a.jpg", quality=80)
    found = explain(str(tmp_path / "a.png"), str(tmp_path / "a.jpg"), None, None)
    assert found.tier is None
    words = "too small or too plain to prove more than equal pixels"
    assert (found.evidence, found.missing) == (words, f"near: {words}")


def test_a_decision_is_told_with_the_tier_of_the_images(drawn: Path) -> None:
    found = why(drawn, "a/1.jpg", "b/1.png", ignored=True)
    assert (found.tier, found.ignored) == (Tier.PIXELS, True)


def test_a_copy_of_equal_size_tells_its_bytes(tmp_path: Path) -> None:
    scene(5).save(tmp_path / "one.jpg", quality=95)
    scene(5).save(tmp_path / "two.jpg", quality=60)
    sizes = [os.path.getsize(tmp_path / name) for name in ("one.jpg", "two.jpg")]
    found = why(tmp_path, "one.jpg", "two.jpg")
    assert found.tier is Tier.RESAVED
    assert found.evidence.endswith(f"re-encoded, {sizes[1] / sizes[0]:.0%} of the file size")


def test_animations_of_equal_frames_have_equal_pixels(tmp_path: Path) -> None:
    frames = [scene(seed, (64, 64)).quantize(64) for seed in (1, 2, 3)]
    for name, more in (("one.gif", frames[1:]), ("two.png", frames[1:]), ("other.gif", frames[2:])):
        frames[0].save(tmp_path / name, save_all=True, append_images=more)
    assert why(tmp_path, "one.gif", "two.png").tier is Tier.PIXELS
    found = why(tmp_path, "one.gif", "other.gif")
    assert found.checks[1].passed is False
    assert found.tier is None


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("abc.tif", "bac.tif", "the same 3 pages in another order"),
        ("abc.tif", "b.png", "this one is page 2 of the other"),
        ("b.png", "abc.webp", "page 2 of this one is the other"),
        ("abc.tif", "da.tif", "page 2 of this one is page 1 of the other"),
        ("abc.tif", "dbac.tif", "3 of its 4 pages are in the other, at other places"),
        ("abc.tif", "d.png", "no page is the same"),
    ],
)
def test_pages_at_other_places_are_named_and_make_no_duplicates(
    tmp_path: Path, first: str, second: str, words: str
) -> None:
    for name in (first, second):
        pages = [scene("abcd".index(letter), (320, 240)) for letter in name.partition(".")[0]]
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    found = why(tmp_path, first, second)
    assert (found.tier, found.evidence, found.remarks) == (None, words, ())
    assert found.missing.startswith("near: pages that agree would have to be at least")


def test_pages_of_text_are_told_from_each_other_at_any_place(tmp_path: Path) -> None:
    # At a glance they are alike.
    pages = []
    for page in range(3):
        pages.append(Image.new("L", (500, 700), 255))
        for line in range(20):
            words = f"Page {page}, line {line}: total {page * 77 + line * 13}"
            ImageDraw.Draw(pages[-1]).text((40, 40 + 30 * line), words, fill=0)
    pages[0].save(tmp_path / "all.tif", save_all=True, append_images=pages[1:])
    pages[1].save(tmp_path / "second.png")
    assert why(tmp_path, "all.tif", "second.png").evidence == "this one is page 2 of the other"
    assert why(tmp_path, "second.png", "all.tif").evidence == "page 2 of this one is the other"


def test_what_cannot_be_read_or_drawn_is_named(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"text\.jpg"):
        why(drawn, "a/0.jpg", "text.jpg")
    names = os.fspath(drawn / "a/0.jpg"), os.fspath(drawn / "a/3.jpg")
    with pytest.raises(DedupError, match=r"is a \.png"):
        dedup.why(*names, image=tmp_path / "proof.jpg")
    dedup.why(*names, image=tmp_path / "proof.png")
    assert (tmp_path / "proof.png").stat().st_size > 0
