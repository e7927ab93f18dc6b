"""What is drawn over one image, and what only looks like it: captions, stamps, colours, pages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from drawn import photograph
from saved import side

from dedup.edits.catalogue import drawn
from dedup.proof import Verdict, prove
from dedup.proof.closely import Laid, strange_places
from dedup.proof.colour_rule import mapped
from dedup.proof.paper import is_page
from dedup.proof.posterised import is_posterised
from dedup.proof.shared_parts import judge

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


def proven(first: Pixels, second: Pixels) -> Verdict:
    return prove(side(first, quality=93), side(second, quality=88))


def captioned(pixels: Pixels, *words: str) -> Pixels:
    """Write white capitals with a black outline at the top and at the bottom."""
    made = pixels.copy()
    for text, y in zip(words, (70, 570), strict=True):
        width = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 1.7, 4)[0][0]
        for colour, thick in (((0, 0, 0), 10), ((255, 255, 255), 4)):
            place = (400 - width // 2, y)
            cv2.putText(made, text, place, cv2.FONT_HERSHEY_DUPLEX, 1.7, colour, thick, cv2.LINE_AA)
    return made


CAPTIONS = [
    ("WHEN THE BUILD", "FINALLY PASSES"),
    ("MONDAY MORNING", "NO COFFEE LEFT"),
    ("THE LAST TRAIN", "LEAVES AT NINE"),
]


@pytest.mark.parametrize(
    ("one", "two"),
    [(0, 1), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in ((0, 2), (1, 2)))],
)
def test_one_template_with_other_captions_is_another_image(one: int, two: int) -> None:
    template = photograph(11)
    verdict = proven(captioned(template, *CAPTIONS[one]), captioned(template, *CAPTIONS[two]))
    assert not verdict.near, verdict.evidence


def test_a_caption_on_one_side_is_an_edit() -> None:
    template = photograph(11)
    verdict = proven(template, captioned(template, *CAPTIONS[0]))
    assert verdict.near
    assert "something added over" in verdict.evidence


def test_a_part_in_a_colour_of_its_own_is_another_product() -> None:
    pixels = photograph(12)
    values = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    values[..., 0] = (values[..., 0].astype(int) + 75) % 180
    values[..., 1] = np.clip(values[..., 1].astype(int) + 70, 0, 255)
    dyed = cv2.cvtColor(values, cv2.COLOR_HSV2RGB)
    shape = np.zeros(pixels.shape[:2], np.uint8)
    cv2.ellipse(shape, (400, 300), (240, 180), 0, 0, 360, 255, -1)
    soft = cv2.GaussianBlur(shape, (0, 0), 3)[..., None] / 255
    other = (soft * dyed + (1 - soft) * pixels).astype(np.uint8)
    assert not proven(pixels, other).near
    assert proven(pixels, np.asarray(dyed, np.uint8)).evidence != "the same image"


def stuck(pixels: Pixels, colour: tuple[int, int, int], *places: tuple[int, int]) -> Pixels:
    """Stick discs on, about as bright as what is beneath them."""
    made = pixels.copy()
    for place in places:
        cv2.circle(made, place, 70, colour, -1, cv2.LINE_AA)
    return made


def rough(seed: int) -> Pixels:
    """Draw grass: fine and strong texture of one colour."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (600, 800)).astype(np.float32), (0, 0), 2.2)
    light = 110 + 45 * grain / grain.std()
    return np.asarray(np.clip(light[..., None] * (0.9, 1.0, 0.7), 0, 255), np.uint8)


PINK, BLUE = (190, 70, 120), (60, 110, 200)


def test_a_coloured_sticker_as_bright_as_the_texture_beneath_is_an_edit() -> None:
    pixels = rough(1)
    verdict = proven(pixels, stuck(pixels, PINK, (250, 200), (560, 420)))
    assert verdict.near
    assert "something added over" in verdict.evidence


@pytest.mark.parametrize("other", [PINK, BLUE])
def test_stickers_on_both_sides_are_two_images(other: tuple[int, int, int]) -> None:
    pixels = rough(1)
    one, two = stuck(pixels, PINK, (250, 200)), stuck(pixels, other, (560, 420))
    assert not proven(one, two).near


@pytest.mark.parametrize(
    ("levels", "seed"), [(8, 11), pytest.param(5, 12, marks=pytest.mark.slow), (3, 13)]
)
def test_a_posterised_image_is_near(levels: int, seed: int) -> None:
    pixels = photograph(seed)
    steps = levels - 1
    table = np.rint(np.arange(256) / 255 * steps) / steps * 255
    flat = np.asarray(cv2.LUT(pixels, table.astype(np.uint8)), np.uint8)
    assert proven(pixels, flat).near
    assert not proven(photograph(seed + 10), flat).near


def test_a_posterised_part_is_told_from_another_image() -> None:
    pixels = photograph(11)
    table = np.where(np.arange(256) < 128, 0, 255).astype(np.uint8)
    flat = np.asarray(cv2.LUT(pixels, table), np.uint8)
    inside = np.ones(pixels.shape[:2], np.bool_)
    for page in (False, True):
        assert is_posterised(pixels, flat, inside, page=page)
        assert is_posterised(flat, pixels, inside, page=page)
        other = flat.copy()
        other[300:306, 400:406] = 255 - other[300:306, 400:406]
        assert not is_posterised(pixels, other, inside, page=page)
    assert not is_posterised(pixels, pixels // 2, inside, page=False)
    assert not is_posterised(flat, flat, inside, page=False)


def test_a_thing_on_plain_ground_is_near_when_posterised() -> None:
    thing = np.zeros((600, 800), np.uint8)
    cv2.ellipse(thing, (400, 300), (200, 160), 0, 0, 360, 1, -1)
    steps = np.rint(np.arange(256) / 255 * 4) / 4 * 255
    one, other = (
        np.where(thing[..., None] > 0, photograph(seed), np.uint8(255)) for seed in (14, 15)
    )
    flat = np.asarray(cv2.LUT(one, steps.astype(np.uint8)), np.uint8)
    inside = np.ones(thing.shape, np.bool_)
    assert is_posterised(one, flat, inside, page=False)
    assert is_posterised(flat, one, inside, page=False)
    assert not is_posterised(other, flat, inside, page=False)
    flat[290:300, 395:405] = 255 - flat[290:300, 395:405]
    assert not is_posterised(one, flat, inside, page=False)


def test_a_page_is_told_by_the_tiles_that_are_asked() -> None:
    page = sheet()
    half = np.zeros(page.shape, np.bool_)
    half[:400] = True
    mixed = page.copy()
    mixed[400:] = np.random.default_rng(3).uniform(0, 255, mixed[400:].shape)
    assert not is_page(mixed)
    assert is_page(mixed, half)
    assert not is_page(mixed, ~half)
    assert is_page(page, half)


def test_specks_of_strong_compression_are_no_content() -> None:
    assert prove(side(rough(2), quality=93), side(rough(2), quality=12)).near


def sheet() -> npt.NDArray[np.float32]:
    """Draw a sheet that is full of figures: next to no tile of it is empty."""
    page = np.full((800, 900), 255, np.uint8)
    for row in range(32):
        cv2.line(page, (0, 25 * row), (900, 25 * row), 225, 1)
        for column in range(8):
            text = f"{(row * 7919 + column * 104729) % 100000:05}"
            cv2.putText(page, text, (8 + 112 * column, 18 + 25 * row), 0, 0.6, 20, 1, cv2.LINE_AA)
    return page.astype(np.float32)


def test_a_sheet_full_of_figures_is_a_page() -> None:
    assert is_page(sheet())


def test_a_thing_on_a_plain_wall_is_no_page() -> None:
    rng = np.random.default_rng(2)
    y, x = np.mgrid[0:600, 0:800]
    wall = 150 + 60 * x / 800 + 25 * y / 600 + rng.normal(0, 2, (600, 800))
    cv2.rectangle(wall, (250, 150), (550, 450), 40, 3)
    cv2.circle(wall, (400, 300), 60, 30, 4)
    flat = wall.astype(np.float32)
    assert not is_page(flat)
    paper = np.where(np.abs(wall - wall.mean()) < 70, 235, 40).astype(np.float32)
    assert is_page(paper)


def test_a_clean_pair_is_looked_at_no_coarser_than_half() -> None:
    # Faint, as a watermark is: strong shapes on plain ground are told before.
    plain = photograph(11)
    one, two = (
        np.asarray(cv2.addWeighted(plain, 0.75, captioned(plain, *words), 0.25, 0), np.uint8)
        for words in CAPTIONS[:2]
    )
    inside = np.ones(one.shape[:2], np.bool_)
    for halvings in (0, 1):
        found = judge(Laid(one, two, inside, 1, (100, 100), halvings=halvings), page=False)
        assert found.refusal.endswith("not on one side alone")
        assert found.lossy == (halvings == 0)


def test_a_caption_above_one_and_below_the_other_make_two() -> None:
    scene = drawn(360, 480, np.random.default_rng(8))

    def barred(words: str, *, above: bool) -> Pixels:
        bar = np.full((60, 480, 3), 255, np.uint8)
        cv2.putText(bar, words, (20, 42), cv2.FONT_HERSHEY_SIMPLEX, 1.1, (0, 0, 0), 2, cv2.LINE_AA)
        return np.concatenate([bar, scene] if above else [scene, bar])

    above, below = barred("when it works", above=True), barred("at first try", above=False)
    assert proven(scene, above).near
    assert proven(scene, below).near
    for verdict in (proven(above, below), proven(below, above)):
        assert not verdict.near
        assert verdict.evidence == "either has a caption or frame that the other has not"


def test_a_rule_of_colours_gives_a_part_what_it_gives_there_of_all() -> None:
    image = drawn(200, 300, np.random.default_rng(8))
    wanted = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32) * 0.8 + 9
    sound = np.ones(wanted.shape, np.bool_)
    part = slice(30, 90), slice(100, 260)
    np.testing.assert_array_equal(
        mapped(image, wanted, sound, part), mapped(image, wanted, sound)[part]
    )


def test_what_agrees_as_it_is_has_no_strange_places() -> None:
    image = drawn(200, 300, np.random.default_rng(9))
    noisy = np.clip(image + np.random.default_rng(1).normal(0, 3, image.shape), 0, 255)
    laid = Laid(image, noisy.astype(np.uint8), np.ones(image.shape[:2], np.bool_), 1, (100, 100))
    assert 0 < strange_places(laid).max() < 1
    marked = laid.two.copy()
    marked[80:100, 100:140] = 255 - marked[80:100, 100:140]
    assert strange_places(replace(laid, two=marked))[85:95, 110:130].min() > 1
