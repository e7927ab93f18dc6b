"""`dedup why --html`: a page with both images, the one laid over the other, and every figure."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsing import opened
from drawings import scene
from pages import Page, read_page
from PIL import Image

import dedup
from dedup.errors import DedupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Run = Callable[..., Outcome]


@pytest.fixture
def cropped(tmp_path: Path) -> list[Path]:
    """A scene, and its right part at half the size, recompressed."""
    whole = scene(7, (800, 600))
    part = whole.crop((200, 100, 800, 600)).resize((300, 250), Image.Resampling.LANCZOS)
    files = [tmp_path / "whole.png", tmp_path / "<b>part.jpg"]
    whole.save(files[0])
    part.save(files[1], quality=85)
    return files


def pixels(page: Page, number: int) -> Any:
    with Image.open(io.BytesIO(page.thumbnails[number])) as image:
        return np.asarray(image.convert("RGB"), np.float64)


def test_the_page_has_the_figures_and_one_laid_over_the_other(
    cropped: list[Path], tmp_path: Path
) -> None:
    answer = dedup.why(*cropped, page=tmp_path / "why.html")
    page = read_page(tmp_path / "why.html")
    data = page.data
    assert (data["tier"], data["evidence"]) == (answer.tier, answer.evidence) != (None, "")
    assert [check[0] for check in data["checks"]] == [check.name for check in answer]
    assert [file["path"] for file in data["files"]] == [os.fspath(path) for path in cropped]
    assert [(file["width"], file["height"]) for file in data["files"]] == [(800, 600), (300, 250)]
    assert data["over"]["shared"] == pytest.approx(600 * 500 / (800 * 600), abs=0.02)
    first, laid, heat = (pixels(page, number) for number in (0, 2, 3))
    assert first.shape == laid.shape == heat.shape == (600, 800, 3)
    inside, outside = np.s_[120:580, 220:780], np.s_[:90, :190]
    assert np.abs(first - laid)[inside].mean() < 12  # grain is lost at half the size
    assert np.abs(laid[outside] - 128).mean() < 4
    assert np.abs(heat[outside] - 128).mean() < 4
    assert heat[inside].mean() < 70


def test_unrelated_images_are_shown_side_by_side_only(drawn: Path, tmp_path: Path) -> None:
    dedup.why(drawn / "a/3.jpg", drawn / "a/4.jpg", page=tmp_path / "why.html")
    page = read_page(tmp_path / "why.html")
    assert (page.data["tier"], page.data["over"]) == (None, None)
    assert len(page.thumbnails) == 2


def test_a_collection_adds_its_similarity(
    dedup: Run, store: Path, drawn: Path, tmp_path: Path
) -> None:
    both = drawn / "a/0.jpg", drawn / "b/0 copy.jpg"
    done = dedup("why", *both, "-s", store, "--html", tmp_path / "why.html")
    assert done.code == 0, done.err
    data = read_page(tmp_path / "why.html").data
    assert (data["tier"], round(data["similarity"], 4)) == ("exact", done.rows[0]["similarity"])
    wrong = dedup("why", *both, "--html", tmp_path / "why.pdf")
    assert (wrong.code, "end in .html" in wrong.err) == (1, True)


def test_nothing_is_written_where_an_image_cannot_be_read(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(DedupError, match=r"text\.jpg"):
        dedup.why(drawn / "a/0.jpg", drawn / "text.jpg", page=tmp_path / "why.html")
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_works_from_a_file(
    chromium: Any, cropped: list[Path], tmp_path: Path, width: int
) -> None:
    dedup.why(*cropped, page=tmp_path / "why.html")
    for page in opened(chromium, tmp_path / "why.html"):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert "<b>part.jpg" in page.inner_text("h1")
        assert page.locator("#stage .beside img").count() == 2
        page.click("[data-view=slide]")
        page.wait_for_selector("#stage .slide img + img")
        box = page.locator(".slide").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 20)
        assert page.eval_on_selector(".slide", "e => e.style.getPropertyValue('--at')") == "25%"
        page.click("[data-view=difference]")
        page.wait_for_selector("#stage .difference img")
        assert "lies on 6" in page.inner_text("#stage")
        assert page.locator("#files .differs").count() >= 4
        assert page.locator("#checks tbody tr").count() >= 3


@pytest.mark.browser
def test_what_has_no_placing_is_said(chromium: Any, drawn: Path, tmp_path: Path) -> None:
    dedup.why(drawn / "a/3.jpg", drawn / "a/4.jpg", page=tmp_path / "why.html")
    for page in opened(chromium, tmp_path / "why.html"):
        assert page.is_disabled("[data-view=slide]")
        assert "No placing" in page.inner_text("#notes")
        assert "For near: " in page.inner_text("#missing")
