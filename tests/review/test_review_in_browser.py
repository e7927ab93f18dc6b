"""A review in Chromium: look, choose, apply, undo; tabs, the back button, a restart, many groups.

Names of files stand in <bdi> inside of <b>.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from browsing import watched
from drawings import scene
from hostile import HOSTILE
from outcome import SMALL_MODEL
from serving import browsing, served

from dedup.collection import Collection
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def _trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(tmp_path))


@contextmanager
def opened(chromium: Any, url: str, **options: Any) -> Iterator[Any]:
    """Open the printed URL in a browser of its own; complaints and other hosts fail the test."""

    def answered(response: Any) -> None:
        if (
            response.status >= 400 and response.status != 422
        ):  # which says why something is not done
            found.complaints.append(response.url)

    with watched(chromium, **options) as found:
        found.context.on("response", answered)
        page = found.context.new_page()
        page.goto(url)
        ready(page)
        yield page
    assert [one for one in found.complaints if "status of 422" not in one] == []
    origin = url.rpartition("/open/")[0]
    assert all(one.startswith(origin) for one in found.urls)


def ready(page: Any) -> None:
    page.wait_for_selector("html[data-ready]:not([data-ready^='0.'])", timeout=30_000)


@pytest.fixture
def page(chromium: Any, own: Collection) -> Iterator[Any]:
    with served(own) as review, opened(chromium, review.url) as page:
        yield page


def figure(page: Any, name: str) -> Any:
    return page.locator("figure.duplicate", has=page.locator(f"bdi:text-is('{name}')"))


def chosen(page: Any, words: str) -> None:
    page.wait_for_function(
        "words => document.querySelector('#chosen').textContent.startsWith(words)", arg=words
    )


def test_choose_look_at_the_plan_apply_undo(page: Any, images: Path) -> None:
    figure(page, "0 copy.jpg").locator(".goes").click()
    figure(page, "1.png").locator(".goes").click()
    chosen(page, "2 files to go, ")
    page.click("#plan")
    page.wait_for_selector("#acting[open]")
    assert "2 files, " in page.inner_text("#acting-text")
    rows = page.locator("#acting-list tbody tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == ["0", "1.png"]
    page.keyboard.type("3")
    assert page.is_disabled("#confirm-go")
    page.keyboard.press("Backspace")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.querySelector('#job-text').textContent.includes('went to the trash')"
    )
    ready(page)
    assert not (images / "b/0 copy.jpg").exists()
    assert not (images / "b/1.png").exists()
    assert figure(page, "0 copy.jpg").count() == 0
    page.keyboard.press("u")
    page.wait_for_selector("#acting[open]")
    page.keyboard.type("undo")
    page.click("#confirm-go")
    page.wait_for_function(
        "() => document.querySelector('#job-text').textContent.includes('brought back')"
    )
    page.wait_for_selector("bdi:text-is('0 copy.jpg')")
    assert (images / "b/0 copy.jpg").exists()
    assert (images / "b/1.png").exists()


def test_another_keeper_and_keep_both(page: Any, own: Collection) -> None:
    figure(page, "1.png").get_by_role("button", name="instead of the keeper").click()
    page.wait_for_selector("figure.keeper bdi:text-is('1.png')")
    assert figure(page, "1.jpg").count() == 1
    assert "stays: chosen" in page.locator("figure.keeper", has_text="1.png").inner_text()
    figure(page, "2 small.jpg").locator(".both").click()
    chosen(page, "1 pair kept apart")
    assert [one.duplicate for one in own.decisions()] == [False]
    figure(page, "2 small.jpg").locator(".both").click()
    chosen(page, "Nothing chosen")
    assert list(own.decisions()) == []


def test_everything_by_keyboard(page: Any) -> None:
    page.keyboard.press("?")
    assert page.is_visible("#keys")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    chosen(page, "1 file to go")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stage[data-view=beside] .pane")
    for key, view in (("2", "slide"), ("3", "blink"), ("4", "heat"), ("1", "beside")):
        page.keyboard.press(key)
        page.wait_for_selector(f"#stage[data-view={view}]")
    page.keyboard.press("+")
    sheets = page.eval_on_selector_all(".sheet", "all => all.map(one => one.style.transform)")
    assert len(sheets) == 2
    assert len(set(sheets)) == 1  # in step
    assert sheets[0].endswith("scale(1.5)")
    page.keyboard.press("ArrowRight")
    moved = page.eval_on_selector_all(".sheet", "all => all.map(one => one.style.transform)")
    assert len(set(moved)) == 1
    assert moved != sheets
    page.keyboard.press("0")
    page.keyboard.press("i")
    page.wait_for_selector("#fact-table tr.differs")
    page.keyboard.press("x")
    chosen(page, "Nothing chosen")
    page.keyboard.press("n")
    page.keyboard.press("x")
    chosen(page, "1 file to go")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("xaxa")
    page.wait_for_selector("#none:visible")
    assert page.input_value("#search") == "xaxa"
    chosen(page, "1 file to go")


def test_the_slider_shows_both_where_the_proof_places_them(page: Any) -> None:
    figure(page, "2 small.jpg").locator(".look").click()
    page.keyboard.press("2")
    page.wait_for_selector("#stage[data-view=slide]")
    sizes = "all => all.map(one => [one.naturalWidth, one.naturalHeight])"
    assert page.eval_on_selector_all("#stage img", sizes) == [[320, 240], [320, 240]]
    assert "where the proof places it" in page.inner_text("#legend")


def test_two_tabs_follow_each_other(page: Any) -> None:
    other = page.context.new_page()
    other.goto(page.url.partition("#")[0])
    ready(other)
    page.bring_to_front()
    figure(page, "0 copy.jpg").locator(".goes").click()
    chosen(page, "1 file to go")
    other.bring_to_front()
    chosen(other, "1 file to go")
    other.wait_for_selector("figure.is-going bdi:text-is('0 copy.jpg')")
    other.click("#plan")
    other.wait_for_selector("#acting[open]")
    page.bring_to_front()
    figure(page, "0 again.jpg").locator(".goes").click()
    chosen(page, "2 files to go")
    other.bring_to_front()
    other.fill("#confirm-word", "1")
    other.click("#confirm-go")
    other.wait_for_selector("#said:visible")
    assert "look at the plan again" in other.inner_text("#said")


def test_the_back_button_goes_back(page: Any) -> None:
    page.select_option("#order", "path")
    page.click("#tiers button:text-is('exact')")
    page.wait_for_function(
        "() => !document.querySelector('.tier.exact.x') && location.hash.includes('tiers')"
    )
    figure(page, "2 small.jpg").locator(".look").click()
    page.wait_for_selector("#compare[open]")
    page.go_back()
    page.wait_for_selector("#compare:not([open])", state="attached")
    assert figure(page, "0 copy.jpg").count() == 0
    page.go_back()
    page.wait_for_selector("bdi:text-is('0 copy.jpg')")
    assert page.input_value("#order") == "path"
    page.go_back()
    page.wait_for_function("() => document.querySelector('#order').value === ''")
    page.go_forward()
    page.wait_for_function("() => document.querySelector('#order').value === 'path'")
    page.reload()
    ready(page)
    assert page.input_value("#order") == "path"


def test_choices_survive_a_restart(chromium: Any, own: Collection) -> None:
    with served(own) as review, opened(chromium, review.url) as page:
        figure(page, "0 copy.jpg").locator(".goes").click()
        chosen(page, "1 file to go")
    with served(own) as review, opened(chromium, review.url) as page:
        chosen(page, "1 file to go")
        assert page.locator(".is-going b").all_inner_texts() == ["0 copy.jpg"]


def test_new_images_are_looked_for_and_shown(page: Any, images: Path) -> None:
    shutil.copy(images / "a/5.jpg", images / "b/5 new.jpg")
    page.click("#index")
    page.wait_for_selector("bdi:text-is('5 new.jpg')", timeout=60_000)
    (images / "b/5 new.jpg").unlink()
    page.reload()
    ready(page)
    gone = figure(page, "5 new.jpg")
    assert "gone since it was indexed" in gone.inner_text()
    assert gone.locator(".goes").is_disabled()


def test_a_thousand_groups(chromium: Any, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(1000):
        scene(seed, (64, 48)).save(folder / f"{seed:04}.png")
        shutil.copy(folder / f"{seed:04}.png", folder / f"{seed:04} copy.png")
    with Collection.create(tmp_path / "store", ModelSpec(SMALL_MODEL, untrained=True)) as made:
        made.index([folder])
        with served(made, tier=("exact",)) as review, opened(chromium, review.url) as page:
            assert page.inner_text("#of") == "of 50 · 1,000 groups"
            page.keyboard.press("PageDown")
            page.wait_for_function("() => document.querySelector('#page').value === '2'")
            page.click("#all")
            chosen(page, "1,000 files to go")
            page.fill("#page", "50")
            page.keyboard.press("Enter")
            page.wait_for_function("() => document.querySelector('#on').disabled")
            assert page.locator("article").count() == 20
            assert page.locator(".is-going").count() == 20
            page.locator("article .look").last.click()
            page.wait_for_selector("#compare[open]")
            page.keyboard.press("p")
            page.keyboard.press("Escape")
            page.fill("#search", "0999")
            page.wait_for_function("() => document.querySelectorAll('article').length === 1")


def test_names_do_nothing_and_are_seen(chromium: Any, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    scene(1, (64, 48)).save(folder / "keeper.png")
    for name in HOSTILE:
        shutil.copy(folder / "keeper.png", folder / f"{name}.png")
    with Collection.create(tmp_path / "store", ModelSpec(SMALL_MODEL, untrained=True)) as made:
        made.index([folder])
        with served(made, tier=("exact",)) as review, opened(chromium, review.url) as page:
            seen = set(page.locator(".duplicate b, .keeper b").all_inner_texts())
            assert len(seen) >= len(HOSTILE)  # some look alike
            assert {r"a\u202eb.png", r"a\x0ab.png", "<img src=x onerror=alert(1)>.png"} <= seen
            page.click("#all")
            chosen(page, f"{len(HOSTILE)} files to go")
            page.click("#plan")
            page.wait_for_selector("#acting[open] tbody tr")
            assert page.locator("#acting-list script, #acting-list img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(chromium: Any, own: Collection, scheme: str) -> None:
    with served(own) as review, opened(chromium, review.url, color_scheme=scheme) as page:
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        for key in ("1", "2", "4"):
            figure(page, "2 small.jpg").locator(".look").click()
            page.keyboard.press(key)
            box = page.locator("#compare").bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
            assert page.eval_on_selector("#compare", "one => one.scrollWidth <= one.clientWidth")
            page.keyboard.press("Escape")


def test_a_stopped_review_says_so(chromium: Any, own: Collection) -> None:
    context = chromium.new_context()
    page = context.new_page()
    with browsing(own) as client:
        page.goto(client.url)
        ready(page)
    page.locator(".goes:enabled").first.click()
    page.wait_for_selector("#said:visible")
    assert "has been stopped" in page.inner_text("#said")
    assert page.locator(".is-going").count() == 0
    context.close()
