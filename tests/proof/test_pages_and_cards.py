"""Pages of small print and cards of one design: what differs on them, what is drawn over one."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from saved import side

from dedup.edits.catalogue import drawn
from dedup.proof import Verdict, prove
from dedup.proof.both_inked import inked_apart
from dedup.proof.closely import Laid, strange_places
from dedup.proof.in_line import in_a_line
from dedup.proof.paper import is_page

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

ITEMS = "Winter kitchen music|Captain early museum|Number weather school|Table small market"


def proven(first: Pixels, second: Pixels, qualities: tuple[int, int] = (90, 75)) -> Verdict:
    return prove(side(first, quality=qualities[0]), side(second, quality=qualities[1]))


def statement(changed: Mapping[int, str] | None = None, scale: float = 1.0) -> Pixels:
    """Draw a page of small print with faint rules between its lines."""
    page = Image.new("L", (1240, 1754), 255)
    pen = ImageDraw.Draw(page)
    pen.text((80, 60), "Statement of account", 0, ImageFont.load_default(40))
    small = ImageFont.load_default(20)
    chance = np.random.default_rng(3)
    for row in range(26):
        y = 160 + 38 * row
        amount = f"{chance.uniform(100, 9000):.2f}"
        pen.text((80, y), ITEMS.split("|")[row % 4], 0, small)
        pen.text((700, y), str(row + 3), 0, small)
        pen.text((1000, y), (changed or {}).get(row, amount), 0, small)
        pen.line((80, y + 32, 1160, y + 32), 221, 2)
    size = round(1240 * scale), round(1754 * scale)
    return np.array(page.resize(size, Image.Resampling.LANCZOS).convert("RGB"))


ROW, FIGURE, OTHERS = 11, "4185.07", ("4135.07", "4105.07", "418507", "4185,07")


@pytest.mark.parametrize("other", OTHERS)
def test_one_figure_or_point_on_a_page_of_small_print_makes_another_page(other: str) -> None:
    verdict = proven(statement({ROW: FIGURE}), statement({ROW: other}))

    assert not verdict.near
    assert verdict.evidence == "words or figures on it differ"


def test_so_does_one_on_a_smaller_copy_of_the_page() -> None:
    assert not proven(statement({ROW: FIGURE}), statement({ROW: OTHERS[0]}, scale=0.6)).near


@pytest.mark.parametrize(("scale", "quality"), [(1.0, 30), (0.75, 80), (0.6, 85)])
def test_a_page_of_small_print_saved_again_is_one_page(scale: float, quality: int) -> None:
    verdict = proven(statement(), statement(scale=scale), (92, quality))

    assert verdict.resaved


@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_a_page_that_was_a_coarse_jpeg_before_it_was_a_fine_one_is_one_page(scale: float) -> None:
    coarse = side(statement({ROW: FIGURE}, scale=scale), quality=30).open()
    pixels = coarse.pixels(*coarse.size)

    assert proven(statement({ROW: FIGURE}), pixels, (92, 90)).resaved
    for other in OTHERS:
        assert not proven(statement({ROW: other}), pixels, (92, 90)).near


def planks() -> Pixels:
    """Draw rough and smooth wood of one tone, with dark marks all over it."""
    rng = np.random.default_rng(5)
    roughness = np.repeat(np.array([2, 6, 6, 2, 6, 6, 6, 2], np.float32), 80)
    grain = cv2.GaussianBlur(rng.normal(0, 3.5, (480, 640)).astype(np.float32), (0, 0), 1.0)
    wood = 96 + grain * roughness
    for x, y, length in rng.integers((0, 0, 10), (600, 470, 50), (400, 3)).tolist():
        cv2.line(wood, (x, y), (x + length, y + 2), 24, 2)
    return np.repeat(np.clip(wood, 0, 255)[..., None], 3, axis=2).astype(np.uint8)


def test_wood_of_one_tone_with_marks_on_it_is_no_page() -> None:
    wood = side(planks(), quality=90)
    brighter = np.asarray(cv2.convertScaleAbs(planks(), alpha=1.3, beta=10), np.uint8)
    cv2.putText(brighter, "SALE 50%", (200, 260), cv2.FONT_HERSHEY_DUPLEX, 2, (255, 250, 240), 4)

    assert not is_page(wood.features.grey.astype(np.float32))
    assert prove(wood, side(brighter, quality=85)).near


def test_faint_rules_neither_make_a_page_nor_unmake_one() -> None:
    page = statement(scale=0.6)[..., 0].astype(np.float32)
    rules = np.full((400, 400), 255, np.float32)
    rules[8::16] = 221

    assert is_page(page)
    assert not is_page(rules)


def pattern(hue: tuple[int, int, int]) -> Pixels:
    """Fill a card with rings of two tones that are 12 levels apart."""
    down, across = np.mgrid[:400, :640]
    ring = (np.hypot(down - 160, across - 190) // 6 % 2)[..., None]
    return np.asarray(np.array(hue) - 12 * ring, np.uint8)


@cache
def card(name: str, hair: int, hue: tuple[int, int, int] = (216, 228, 232)) -> Pixels:
    """Draw an identity card with a face, a name and a number on a patterned ground."""
    image = Image.fromarray(pattern(hue))
    pen = ImageDraw.Draw(image)
    pen.text((24, 20), "REPUBLIC OF NOWHERE - IDENTITY CARD", "black", ImageFont.load_default(20))
    pen.rectangle((24, 64, 174, 254), (222, 231, 238))
    pen.ellipse((60, 100, 138, 210), (244, 204, 162))
    pen.chord((60 - hair, 94, 138 + hair, 160 + hair), 180, 360, (40 + 8 * hair, 34, 30))
    pen.ellipse((28, 205, 170, 300), (120, 60 + 9 * hair, 130))
    pen.rectangle((24, 255, 174, 305), (216, 228, 232))
    for row, text in enumerate((name, f"No {hair * 7654321 % 10**8:08d}", "Expires 03/2031")):
        pen.text((200, 74 + 27 * row), text, "black", ImageFont.load_default(17))
    made = np.array(image)
    made.setflags(write=False)
    return made


@pytest.mark.parametrize("hue", [(216, 228, 232), (232, 214, 228)])
def test_cards_of_two_people_are_two_cards_in_any_tint(hue: tuple[int, int, int]) -> None:
    verdict = proven(card("Nadia Rossi", 2), card("Samir Castillo", 9, hue))

    assert not verdict.near


def test_a_card_saved_again_is_the_same_card() -> None:
    assert proven(card("Nadia Rossi", 2), card("Nadia Rossi", 2)).resaved


def tagged(price: str, photograph: Pixels) -> Pixels:
    """Put a white bar with a name and a price below a photograph."""
    bar = Image.new("RGB", (photograph.shape[1], 60), "white")
    pen = ImageDraw.Draw(bar)
    pen.text((16, 16), "Report small", "black", ImageFont.load_default(24))
    pen.text((photograph.shape[1] - 130, 16), price, (190, 20, 20), ImageFont.load_default(24))
    return np.concatenate([photograph, np.array(bar)])


def test_another_price_below_a_photograph_is_not_drawn_over_the_first() -> None:
    photograph = drawn(480, 600, np.random.default_rng(8))
    verdict = proven(tagged("70.00", photograph), tagged("37.54", photograph))

    assert not verdict.near
    assert verdict.evidence == (
        "either shows something else in one place: other words, or another face"
    )
    assert proven(tagged("70.00", photograph), tagged("", photograph)).near


def quoted(photograph: Pixels) -> Pixels:
    """Dim a photograph beneath lines of large white words."""
    image = Image.fromarray((photograph * 0.45).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for row, line in enumerate(("LOCAL STATION", "SIMPLE PAPER", "ENGINE SCHOOL", "NEW TABLE")):
        place = (300, 60 + 105 * row)
        pen.text(place, line, "white", ImageFont.load_default(72), anchor="mm", stroke_width=2)
    return np.array(image)


def laid(one: Pixels, two: Pixels) -> Laid:
    return Laid(one, two, np.ones(one.shape[:2], np.bool_), 1, (100, 100))


def test_words_that_agree_do_not_make_one_image_of_two_photographs() -> None:
    photographs = [drawn(450, 600, np.random.default_rng(seed)) for seed in (4, 9)]
    one, two = map(quoted, photographs)
    covered = one.copy()
    cv2.circle(covered, (470, 350), 90, (250, 210, 40), -1)

    assert not proven(one, two).near
    assert proven(one, covered).near


@pytest.mark.parametrize("other", ["1,482.5", "1,432.50", "1,482.507", "7,482.50"])
def test_a_figure_more_or_less_below_a_photograph_is_another_figure(other: str) -> None:
    photograph = drawn(480, 600, np.random.default_rng(8))
    verdict = proven(tagged("1,482.50", photograph), tagged(other, photograph))

    assert not verdict.near


def test_a_letter_in_a_line_is_told_from_what_lies_elsewhere_on_the_ground() -> None:
    one, more = worded("74120"), worded("741208")
    ringed, below = one.copy(), one.copy()
    cv2.circle(ringed, (120, 30), 26, (20, 20, 20), 2)
    cv2.line(below, (40, 48), (100, 48), (20, 20, 20), 2)

    assert found_in_a_line(one, more)
    assert found_in_a_line(more, one)
    assert not found_in_a_line(one, ringed)
    assert not found_in_a_line(one, below)
    assert not found_in_a_line(worded(""), worded("8"))


def found_in_a_line(one: Pixels, two: Pixels) -> bool:
    places = differing(one, two)
    return in_a_line(one, two, places, cv2.boundingRect(places.view(np.uint8)))


def differing(one: Pixels, two: Pixels) -> Mask:
    apart = (cv2.absdiff(one, two).max(axis=2) > 20).astype(np.uint8)
    return np.asarray(cv2.dilate(apart, np.ones((7, 7), np.uint8)) > 0)


def worded(text: str, ground: int = 250, ink: int = 20) -> Pixels:
    image = Image.new("RGB", (200, 60), (ground,) * 3)
    ImageDraw.Draw(image).text((40, 18), text, (ink,) * 3, ImageFont.load_default(22))
    return np.array(image)


def test_ink_on_either_side_of_one_place_is_told_in_any_tone() -> None:
    one, two = worded("7412"), worded("9036")
    pale, dark = worded("9036", 200, 90), worded("9036", 20, 240)

    assert inked_apart(one, two, differing(one, two)) == 1
    assert inked_apart(one, pale, differing(one, two)) == 1
    assert inked_apart(one, dark, differing(one, two)) == 1


def test_ink_on_one_side_alone_or_moved_by_less_than_a_stroke_is_not() -> None:
    one, none = worded("7412"), worded("")
    moved = cv2.warpAffine(one, np.array([[1, 0, 0.6], [0, 1, 0.4]]), (200, 60), borderValue=250)
    covered = one.copy()
    covered[10:50, 30:120] = (40, 90, 200)

    assert inked_apart(one, none, differing(one, none)) == 0
    assert inked_apart(one, np.asarray(moved), differing(one, np.asarray(moved))) == 0
    assert inked_apart(one, covered, differing(one, covered)) == 0
    assert inked_apart(one, one, differing(one, one)) == 0


def board(more: int = 0, side_pixels: int = 28) -> Pixels:
    """Draw a board of filled cells, some with a figure, and so many figures more."""
    size = 12 * side_pixels
    picture = Image.new("RGB", (size, size), (216, 216, 216))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(side_pixels * 0.6)
    chance = np.random.default_rng(6)
    kinds = chance.integers(0, 5, (12, 12))
    kinds[3, 4 : 4 + more] = 3
    kinds[3, 4 + more : 8] = 0
    for row, column in np.ndindex(12, 12):
        x, y, kind = column * side_pixels, row * side_pixels, int(kinds[row, column])
        fill = (150, 150, 150) if kind == 4 else (216, 216, 216)
        pen.rectangle((x, y, x + side_pixels, y + side_pixels), fill, (120, 120, 120))
        if kind in (1, 2, 3):
            hue = ((0, 0, 210), (0, 120, 0), (210, 0, 0))[kind - 1]
            pen.text((x + side_pixels * 0.32, y + side_pixels * 0.15), str(kind), hue, font)
    return np.array(picture)


@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_a_figure_more_on_a_board_makes_another_board(scale: float) -> None:
    one, two = board(), board(more=1)
    smaller = np.asarray(cv2.resize(two, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    assert is_page(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.float32))
    assert not proven(one, smaller.astype(np.uint8)).near


@pytest.mark.parametrize(("scale", "quality"), [(1.0, 50), (0.7, 85)])
def test_a_board_saved_again_is_one_board(scale: float, quality: int) -> None:
    size = round(336 * scale), round(336 * scale)
    smaller = Image.fromarray(board()).resize(size, Image.Resampling.LANCZOS)
    assert proven(board(), np.array(smaller), (90, quality)).resaved


def outlined(*places: int, noise: float = 0) -> Pixels:
    """Draw a board of two tones, and on it figures that are but outlines."""
    rows, columns = np.ogrid[:640, :640]
    pale = ((rows // 80 + columns // 80) % 2 == 0)[..., None]
    made = np.where(pale, (240, 217, 181), (181, 136, 99)).astype(np.uint8)
    for place in places:
        cv2.ellipse(made, (place, 440), (14, 26), 0, 0, 360, (0, 0, 0), 3, cv2.LINE_AA)
    grain = np.random.default_rng(1).normal(0, noise, made.shape)
    return np.clip(made + grain, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("at", [200, 520])
def test_noise_on_one_of_two_boards_hides_no_figure_that_moved(at: int) -> None:
    """What either lacks is no tone that was taken away, however well ground follows from ink."""
    strange = strange_places(laid(outlined(200), outlined(520, noise=16)))
    assert strange[410:470, at - 16 : at + 16].max() > 3
    assert strange[100:300].max() < 1.5


def poster(seed: int, last: str = "") -> Pixels:
    """Draw a poster of discs in any colours, with words on it."""
    chance = np.random.default_rng(seed)
    page = Image.new("RGB", (900, 640), tuple(chance.integers(0, 256, 3).tolist()))
    pen = ImageDraw.Draw(page)
    for _ in range(5):
        x, y, size = (int(chance.integers(*ends)) for ends in ((0, 900), (0, 640), (30, 110)))
        colour = tuple(chance.integers(0, 256, 3).tolist())
        pen.ellipse((x - size, y - size, x + size, y + size), colour)
    lines = ITEMS.split("|")
    for row, words in enumerate((*lines, last or lines[0])):
        pen.text((70, 60 + 100 * row), words, "white", ImageFont.load_default(40))
    return np.asarray(page)


def slanted(page: Pixels) -> Pixels:
    """Take a page from a little to the side, without its rims."""
    height, width = page.shape[:2]
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen = frame + np.array([[-37, -12], [9, -37], [37, 20], [-15, 30]], np.float32)
    placed = cv2.getPerspectiveTransform(frame, seen)
    return np.asarray(cv2.warpPerspective(page, placed, (width, height), flags=cv2.INTER_CUBIC))


@pytest.mark.parametrize("seed", [5, 8])
def test_a_poster_from_a_little_to_the_side_is_the_same_poster(seed: int) -> None:
    assert proven(poster(seed), slanted(poster(seed)), (95, 90)).near
    other = slanted(poster(seed, "Winter kitchen mystic"))
    assert not proven(poster(seed), other, (95, 90)).near
