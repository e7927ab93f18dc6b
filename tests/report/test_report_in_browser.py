"""A report in Chromium, from a file: look, filter, compare, choose, and apply what was chosen."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from browsing import opened
from drawings import scene
from outcome import SMALL_MODEL, Outcome

from dedup.collection import Collection
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run = Callable[..., Outcome]

pytestmark = pytest.mark.browser


@pytest.fixture
def page(chromium: Any, own: Collection, tmp_path: Path) -> Iterator[Any]:
    """A page of the report of `images`; errors and refused requests fail the test."""
    own.report(tmp_path / "report.html")
    yield from opened(chromium, tmp_path / "report.html")


def saved(page: Any, button: str, path: Path) -> Path:
    with page.expect_download() as download:
        page.click(button)
    download.value.save_as(path)
    page.keyboard.press("Escape")
    return path


def test_filters_leave_what_they_say(page: Any) -> None:
    assert page.locator("article:visible").count() == 4
    page.fill("#search", "small.JPG")
    assert page.locator("article:visible .duplicate b").all_inner_texts() == ["2 small.jpg"]
    page.fill("#search", "")
    page.click("#tiers button:text-is('resaved')")
    assert page.locator("article:visible").count() == 3
    page.click("#tiers button:text-is('pixels')")
    page.click("#tiers button:text-is('exact')")
    assert page.locator("article:visible").count() == 0
    assert page.is_visible("#none")


def test_a_plan_that_was_chosen_is_accepted(
    page: Any, own: Collection, store: Path, images: Path, tmp_path: Path, dedup: Run
) -> None:
    page.click("#tiers button:text-is('resaved')")
    page.click("#all")
    assert page.inner_text("#chosen").startswith("5 files to go, ")
    page.locator("figure", has_text="0 again.jpg").locator(".goes").click()
    own.close()
    plan = saved(page, "#plan", tmp_path / "plan.json")
    done = dedup("apply", "-s", store, plan, "--dry-run")
    assert done.code == 0, done.err
    assert "4 files" in done.err
    assert os.fspath(images / "b/0 copy.jpg") in plan.read_text()
    assert os.fspath(images / "b/0 again.jpg") not in plan.read_text()


def test_keep_both_becomes_a_decision(
    page: Any, own: Collection, tmp_path: Path, images: Path
) -> None:
    figure = page.locator("figure", has_text="2 small.jpg")
    figure.locator(".both").click()
    changed = own.import_decisions(saved(page, "#decisions", tmp_path / "decisions.jsonl"))
    assert [one.duplicate for one in changed] == [False]
    listed = {one.path for group in own.duplicates() for one in group.duplicates}
    assert os.fspath(images / "b/2 small.jpg") not in listed


def test_everything_by_keyboard(page: Any) -> None:
    page.keyboard.press("?")
    assert page.is_visible("#keys")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert page.inner_text("#chosen").startswith("1 file to go")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stage .beside img")
    page.keyboard.press("2")
    page.wait_for_selector("#stage .slide")
    page.keyboard.press("3")
    page.wait_for_selector("#stage canvas")
    page.keyboard.press("x")
    assert page.inner_text("#chosen").startswith("Nothing chosen")
    page.keyboard.press("n")
    page.keyboard.press("x")
    page.keyboard.press("Escape")
    assert page.locator(".is-going").count() == 1
    page.keyboard.press("/")
    page.keyboard.type("xaxa")
    assert page.input_value("#search") == "xaxa"
    assert page.locator(".is-going").count() == 1


def test_the_difference_map_of_the_same_pixels_is_black(chromium: Any, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    image = scene(1)
    image.save(folder / "a.png")
    image.save(folder / "b.bmp")
    with Collection.create(tmp_path / "store", ModelSpec(SMALL_MODEL, untrained=True)) as made:
        made.index([folder])
        made.report(tmp_path / "report.html")
    for page in opened(chromium, tmp_path / "report.html"):
        page.keyboard.press("j")
        page.keyboard.press("c")
        page.keyboard.press("3")
        assert "No difference is seen" in page.inner_text("#stage p")
        middle = "canvas => [...canvas.getContext('2d').getImageData(160, 120, 1, 1).data]"
        assert page.eval_on_selector("#stage canvas", middle) == [0, 0, 0, 255]


def test_names_do_nothing_and_are_seen(chromium: Any, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "<").mkdir(parents=True)
    scene(1).save(folder / "keeper.png")
    names = [
        "</script><script>alert(1)<img src=x onerror=alert(2)>.png",
        "a\u202egnp.exe.png",
        "line\nfeed.png",
        os.fsdecode(b"latin \xe4.png"),
        "\"'><svg onload=alert(3)>.png",
    ]
    for name in names:
        shutil.copy(folder / "keeper.png", folder / name)
    with Collection.create(tmp_path / "store", ModelSpec(SMALL_MODEL, untrained=True)) as made:
        made.index([folder])
        made.report(tmp_path / "report.html")
        for page in opened(chromium, tmp_path / "report.html"):
            seen = set(page.locator(".duplicate b, .keeper b").all_inner_texts())
            assert {r"a\u202egnp.exe.png", r"line\x0afeed.png", r"latin \xe4.png"} <= seen
            page.click("#all")
            plan = saved(page, "#plan", tmp_path / "plan.json")
        acted = made.apply(plan, dry_run=True)
        assert len(acted) == len(names)
        assert all(not one.reason for one in acted)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(
    chromium: Any, own: Collection, tmp_path: Path, scheme: str
) -> None:
    own.report(tmp_path / "report.html")
    for page in opened(chromium, tmp_path / "report.html", color_scheme=scheme):
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator("article .look").last.click()
        box = page.locator("#compare").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
