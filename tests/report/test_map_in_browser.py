"""A map in Chromium, from a file: look, point, move, choose."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from browsing import opened
from drawings import scene
from outcome import SMALL_MODEL
from pages import read_page

from dedup.collection import Collection
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.browser


@pytest.fixture
def page(chromium: Any, own: Collection, tmp_path: Path) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "umap", None)
        own.map(tmp_path / "map.html")
    yield from opened(chromium, tmp_path / "map.html")


def place(page: Any, path: Path, name: str) -> tuple[float, float]:
    """Where a file's point is on the screen while all of the map is seen."""
    data = read_page(path).data
    at = data["names"].index(name)
    box = page.locator("#points").bounding_box()
    scale = 0.9 * min(box["width"], box["height"])
    left, top = (box["width"] - scale) / 2, (box["height"] - scale) / 2
    x, y = data["x"][at] / data["steps"], data["y"][at] / data["steps"]
    return box["x"] + left + x * scale, box["y"] + top + y * scale


def test_pointing_at_a_file_shows_its_thumbnail(page: Any, tmp_path: Path) -> None:
    page.mouse.move(*place(page, tmp_path / "map.html", "5.jpg"))
    page.wait_for_selector("#card:visible img")
    assert "5.jpg" in page.inner_text("#card b")
    assert page.eval_on_selector("#card img", "image => image.naturalWidth") == 96
    page.mouse.move(*place(page, tmp_path / "map.html", "2 small.jpg"))
    page.wait_for_selector("#card .tier.resaved")
    assert "group" in page.inner_text("#card")
    page.mouse.move(5, 5)
    page.wait_for_selector("#card", state="hidden")


def test_points_and_thumbnails_are_drawn(page: Any) -> None:
    shot = page.locator("#points").screenshot()
    page.wait_for_function(
        """() => {
          const canvas = document.getElementById("marks");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size > 1000;
        }"""
    )
    page.mouse.move(700, 450)
    page.mouse.wheel(0, -600)
    page.wait_for_timeout(200)
    assert page.locator("#points").screenshot() != shot


def test_the_legend_chooses_and_a_search_filters(page: Any, tmp_path: Path) -> None:
    assert page.locator("#legend button").all_inner_texts()[0].split() == ["a", "9"]
    page.locator("#legend button", has_text="b").click()
    assert page.locator("#legend button[aria-pressed=true]").count() == 1
    page.wait_for_timeout(500)
    page.locator("#legend button", has_text="b").click()
    page.wait_for_timeout(500)
    page.fill("#search", "5.jpg")
    page.mouse.move(*place(page, tmp_path / "map.html", "4.jpg"))
    page.wait_for_timeout(100)
    assert "4.jpg" not in page.locator("#card").inner_text()
    page.mouse.move(*place(page, tmp_path / "map.html", "5.jpg"))
    page.wait_for_selector("#card:visible", timeout=4000)


def test_keys_move_the_map(page: Any, tmp_path: Path) -> None:
    x, y = place(page, tmp_path / "map.html", "5.jpg")
    page.focus("#points")
    key, by = ("ArrowRight", -80) if x > 700 else ("ArrowLeft", 80)
    page.keyboard.press(key)
    page.mouse.move(x + by, y)
    page.wait_for_selector("#card:visible", timeout=4000)
    assert "5.jpg" in page.inner_text("#card b")
    page.keyboard.press("+")
    page.keyboard.press("0")
    page.wait_for_timeout(500)
    page.mouse.move(x, y)
    page.wait_for_function("document.querySelector('#card b').textContent.includes('5.jpg')")


def test_names_do_nothing_and_are_seen(chromium: Any, tmp_path: Path) -> None:
    folder = tmp_path / "images" / "<script>alert(0)<"
    folder.mkdir(parents=True)
    names = ["script><script>alert(1)<img src=x onerror=alert(2)>.png", "a\u202egnp.exe.png"]
    names += ["line\nfeed.png", os.fsdecode(b"latin \xe4.png")]
    for seed, name in enumerate(names):
        scene(seed, (64, 48)).save(folder / "image.png")
        shutil.move(folder / "image.png", folder / name)
    with Collection.create(tmp_path / "store", ModelSpec(SMALL_MODEL, untrained=True)) as made:
        made.index([tmp_path / "images"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "umap", None)
            made.map(tmp_path / "map.html")
    seen = set()
    for page in opened(chromium, tmp_path / "map.html"):
        for name in names:
            page.mouse.move(*place(page, tmp_path / "map.html", name))
            page.wait_for_timeout(150)
            seen.add(page.inner_text("#card b"))
    assert seen == {names[0], r"a\u202egnp.exe.png", r"line\x0afeed.png", r"latin \xe4.png"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(
    chromium: Any, own: Collection, tmp_path: Path, scheme: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "umap", None)
        own.map(tmp_path / "map.html")
    for page in opened(chromium, tmp_path / "map.html", color_scheme=scheme):
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.wait_for_timeout(100)
        page.mouse.click(*place(page, tmp_path / "map.html", "5.jpg"))
        page.wait_for_selector("#card:visible", timeout=4000)
        box = page.locator("#card").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
