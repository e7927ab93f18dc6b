"""What people make of images, and what only looks as if they had, on files drawn by code."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from colour_profiles import cmyk_profile
from drawn import photograph
from PIL import Image, ImageCms

from dedup.edits.catalogue import drawn
from dedup.images.decode import decode_bounded
from dedup.images.profiles import cmyk_to_srgb
from dedup.proof import WORKING_SIDE, Original, Side, Verdict, describe, prove
from dedup.proof.whole import PLACES_CHECK, frames

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


def saved(pixels: Pixels, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def side(data: bytes) -> Side:
    original = Original(data)
    return Side(describe(decode_bounded(data, WORKING_SIDE, srgb=True)), lambda: original)


def proven(first: Pixels, second: Pixels) -> Verdict:
    return prove(side(saved(first, quality=95)), side(saved(second, quality=85)))


def with_bar(pixels: Pixels, words: str) -> Pixels:
    bar = np.full((110, pixels.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, words, (30, 72), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (0, 0, 0), 4, cv2.LINE_AA)
    return np.concatenate([bar, pixels])


def test_a_caption_bar_is_an_edit_of_the_one_that_has_it() -> None:
    plain, titled = photograph(1), with_bar(photograph(1), "when it is monday")
    verdict = proven(plain, titled)
    assert verdict.near
    assert not verdict.resaved
    assert verdict.evidence == "caption or frame added at the top"
    assert verdict.derived == 2
    assert proven(titled, plain).derived == 1


def test_other_captions_and_other_photographs_under_one_caption_are_other_images() -> None:
    one = with_bar(photograph(1), "when it is monday")
    assert not proven(one, with_bar(photograph(1), "friday at last, is it")).resaved
    assert not proven(one, with_bar(photograph(2), "when it is monday")).near


def lettered(words: str) -> Pixels:
    page = np.full((900, 640, 3), 252, np.uint8)
    for line in range(22):
        text = f"{words} {line * 37} and {line * 911}"
        cv2.putText(page, text, (40, 60 + 36 * line), 0, 0.7, (20,) * 3, 1, cv2.LINE_AA)
    return page


def bound(*pages: Pixels) -> bytes:
    buffer = io.BytesIO()
    first, *more = map(Image.fromarray, pages)
    first.save(buffer, "TIFF", save_all=True, append_images=more, compression="tiff_lzw")
    return buffer.getvalue()


def test_a_common_cover_page_makes_no_copies() -> None:
    cover, one, two = map(lettered, ("Annual report", "Part one", "Part two"))
    report = side(bound(cover, one, two))
    assert prove(report, side(bound(cover, one, two))).resaved
    other = prove(report, side(bound(cover, two, one)))
    assert not other.near
    assert other.evidence == "only page 1 of 3 is the same"
    alone = prove(report, side(saved(cover, "PNG")))
    assert (alone.near, alone.evidence) == (False, "only page 1 of 3 is the same")


def month(first: int, days: int) -> Pixels:
    sheet = np.full((700, 900, 3), 255, np.uint8)
    for line in range(8):
        cv2.line(sheet, (45, 60 + 80 * line), (885, 60 + 80 * line), (90, 90, 90), 2)
        cv2.line(sheet, (45 + 120 * line, 60), (45 + 120 * line, 620), (90, 90, 90), 2)
    for day in range(days):
        row, column = divmod(first + day, 7)
        at = (75 + 120 * column, 190 + 80 * row - 75)
        cv2.putText(sheet, str(day + 1), at, 0, 1.3, (10, 10, 10), 3, cv2.LINE_AA)
    return sheet


def test_months_of_one_calendar_are_other_images() -> None:
    assert proven(month(2, 30), month(2, 30)).resaved
    for other in (month(3, 30), month(2, 31), month(0, 28)):
        verdict = proven(month(2, 30), other)
        assert (verdict.near, verdict.resaved) == (False, False)
    mirrored = np.ascontiguousarray(month(3, 31)[:, ::-1])
    assert not proven(month(2, 30), mirrored).near


def marked(pixels: Pixels) -> Pixels:
    mark = np.zeros(pixels.shape[:2], np.uint8)
    for y in range(80, pixels.shape[0], 170):
        for x in range(-40, pixels.shape[1], 260):
            cv2.putText(mark, "SAMPLE", (x, y), 0, 1.5, 255, 4, cv2.LINE_AA)
    share = 0.45 * mark[..., None] / 255
    return np.asarray(pixels + (255 - pixels) * share, np.uint8)


def test_a_watermark_is_an_edit_and_no_likeness() -> None:
    verdict = proven(photograph(3), marked(photograph(3)))
    assert verdict.near
    assert not verdict.resaved
    assert verdict.evidence.startswith("something added over")
    assert verdict.derived == 2
    assert not proven(marked(photograph(3)), marked(photograph(4))).near


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


@pytest.mark.parametrize("sigma", [1.6, pytest.param(4.8, marks=pytest.mark.slow), 8])
def test_a_blurred_copy_is_blurred_and_nothing_was_drawn_over_the_original(sigma: float) -> None:
    verdict = proven(photograph(6), blurred(photograph(6), sigma))
    assert (verdict.evidence, verdict.backwards) == ("blurred", "sharper than the other")
    assert verdict.derived == 2


def test_a_hardly_blurred_copy_is_not_the_original_of_the_sharper_one() -> None:
    verdict = proven(photograph(6), blurred(photograph(6), 0.9))
    assert verdict.near
    assert "added over" not in verdict.evidence + verdict.backwards
    assert verdict.derived != 1


def test_words_over_the_sharper_one_are_said_beside_the_blur() -> None:
    titled = photograph(6).copy()
    cv2.putText(titled, "Greetings from Rome", (40, 560), 0, 1.8, (255,) * 3, 4, cv2.LINE_AA)
    verdict = proven(titled, blurred(photograph(6), 2.4))
    assert verdict.evidence.startswith("blurred, without what was added over")
    assert verdict.backwards.startswith("sharper than the other, something added over")


@pytest.fixture(scope="module")
def press() -> bytes:
    return cmyk_profile()


def test_cmyk_is_proven_as_its_profile_shows_it(press: bytes) -> None:
    assert ImageCms.ImageCmsProfile(io.BytesIO(press)).profile.xcolor_space == "CMYK"
    inks = Image.fromarray(photograph(5)).convert("CMYK")
    shown = cmyk_to_srgb(inks, press)
    assert shown is not None
    by_rule = np.asarray(inks.convert("RGB"), np.int16)
    assert np.abs(shown.astype(np.int16) - by_rule).mean() > 10  # the profile matters
    buffer = io.BytesIO()
    inks.save(buffer, "JPEG", quality=95, icc_profile=press)
    verdict = prove(side(saved(shown, "PNG")), side(buffer.getvalue()))
    assert verdict.resaved
    assert verdict.evidence == "the same image"


@pytest.mark.parametrize(
    "strength", [0.06, *(pytest.param(more, marks=pytest.mark.slow) for more in (0.11, 0.3)), 1.0]
)
def test_a_thing_dyed_in_an_image_of_any_colour_is_another_thing(strength: float) -> None:
    colourful = photograph(5).astype(np.float32)
    light = colourful.mean(axis=2, keepdims=True)
    faint = np.clip(light + strength * (colourful - light), 0, 255).astype(np.uint8)
    mask = cv2.ellipse(
        np.zeros(faint.shape[:2], np.uint8), (400, 300), (240, 180), 0, 0, 360, 1, -1
    )
    dyed = np.where(mask[..., None] > 0, faint * np.array([0.95, 0.6, 1.1]), faint)
    verdict = proven(faint, np.clip(dyed, 0, 255).astype(np.uint8))
    assert not verdict.near
    assert verdict.evidence == "a part of it has another colour"
    assert proven(photograph(5), faint).near


def test_grey_is_an_edit_of_colours() -> None:
    grey = photograph(5).astype(np.float32).mean(axis=2, keepdims=True)
    assert proven(photograph(5), np.repeat(grey, 3, axis=2).astype(np.uint8)).near


def rough(seed: int) -> Pixels:
    """Draw a scene on rough ground."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 60, (300, 400)).astype(np.float32), (0, 0), 1.2)
    scene = photograph(seed)[::2, ::2].astype(np.float32) * 0.6 + 45
    return np.asarray(np.clip(scene + grain[..., None], 0, 255), np.uint8)


def test_of_one_size_either_may_be_the_one_that_lost_detail() -> None:
    """No filter brings it back: asked one way round, a softened copy would be an edit."""
    pixels = rough(3)
    small = cv2.resize(pixels, None, fx=0.55, fy=0.55, interpolation=cv2.INTER_LANCZOS4)
    again = np.asarray(cv2.resize(small, (400, 300), interpolation=cv2.INTER_CUBIC), np.uint8)
    sharp, soft = saved(pixels, quality=95), saved(again, quality=90)
    checks = [frames(*map(Original, both)).checks()[-1] for both in ((sharp, soft), (soft, sharp))]
    assert [check.passed for check in checks] == [True, False]
    assert prove(side(sharp), side(soft)).resaved
    assert prove(side(soft), side(sharp)).resaved


def test_large_files_of_one_size_are_compared_either_way_round() -> None:
    """Their raster is smaller than they are, so that neither can be it as it is."""
    large = cv2.resize(photograph(7), (2400, 1800), interpolation=cv2.INTER_CUBIC)
    pixels = np.asarray(large, np.uint8)
    changed = pixels.copy()
    for at, colour in ((900, (250, 240, 40)), (1000, (20, 20, 200))):
        cv2.circle(changed, (at, at), 8, colour, -1)
    one, two = saved(pixels, quality=90), saved(changed, quality=85)
    for first, second in ((one, two), (two, one)):
        verdict = prove(side(first), side(second))
        assert not verdict.resaved
        assert PLACES_CHECK in {check.name for check in verdict.checks}


def test_what_avif_leaves_out_of_rough_ground_is_no_edit() -> None:
    rng = np.random.default_rng(3)
    scene = drawn(300, 400, rng).astype(np.float32) * 0.6 + 45
    grain = cv2.GaussianBlur(rng.normal(0, 90, (300, 400)).astype(np.float32), (0, 0), 1.2)
    pixels = np.clip(scene + grain[..., None], 0, 255).astype(np.uint8)
    again = side(saved(pixels, "AVIF", quality=40))
    assert prove(side(saved(pixels, quality=93)), again).resaved
