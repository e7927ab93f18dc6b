"""What differs in colour alone: things, inks and drawings in other colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from saved import side

from dedup.edits.catalogue import drawn
from dedup.proof import Verdict, prove
from dedup.proof.colour_rule import colour_left
from dedup.proof.coloured import coloured_places
from dedup.proof.plain_colours import other_colours

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Colour = tuple[int, int, int]

BLACK, WHITE, RED, GOLD, BLUE = (
    (0, 0, 0), (255, 255, 255), (239, 65, 53), (255, 205, 0), (0, 85, 164),
)  # fmt: skip


def proven(first: Pixels, second: Pixels) -> Verdict:
    return prove(side(first, quality=90, subsampling=0), side(second, quality=80))


def flag(*colours: Colour) -> Pixels:
    """Draw upright bars."""
    return np.repeat(np.array(colours, np.uint8), 360 // len(colours), axis=0)[None].repeat(
        240, axis=0
    )


def everywhere(pixels: Pixels) -> npt.NDArray[np.bool_]:
    return np.ones(pixels.shape[:2], np.bool_)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ((WHITE, RED, BLUE), (GOLD, RED, BLUE)),
        ((GOLD, BLACK, WHITE), (GOLD, BLACK, RED)),
        ((BLUE, WHITE, RED), (BLUE, GOLD, RED)),
        ((BLUE, WHITE), (RED, WHITE)),
    ],
)
def test_a_flag_with_another_colour_is_another_flag(
    one: tuple[Colour, ...], two: tuple[Colour, ...]
) -> None:
    first, second = flag(*one), flag(*two)
    assert other_colours(first, second, everywhere(first))
    assert other_colours(second, first, everywhere(first))
    assert not proven(first, second).near


def test_a_flag_that_was_edited_as_a_whole_is_the_same_flag() -> None:
    one = flag(BLUE, WHITE, RED, GOLD)
    level = cv2.cvtColor(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    for edited in (
        one * 0.8 + 30,
        level,
        level * 0.4 + one * 0.6,
        255 - one,
        255 * (one / 255) ** 1.4,
        level * (1.0, 0.85, 0.65) + (0, 10, 20),
        one * (1.0, 0.95, 0.8),
    ):
        two = np.clip(edited, 0, 255).astype(np.uint8)
        assert not other_colours(one, two, everywhere(one))
    assert not other_colours(one, one, everywhere(one))


def test_what_lies_over_a_flag_is_no_other_colour() -> None:
    one = flag(BLUE, WHITE, RED)
    two = np.asarray(cv2.circle(one.copy(), (180, 120), 40, GOLD, -1, cv2.LINE_AA), np.uint8)
    assert not other_colours(one, two, everywhere(one))
    assert not other_colours(two, one, everywhere(one))


def test_only_drawings_in_few_colours_are_asked() -> None:
    one, two = (drawn(240, 360, np.random.default_rng(seed)) for seed in (1, 2))
    assert not other_colours(one, two, everywhere(one))


def dressed(hue: int, reach: int) -> Pixels:
    """Lay a garment in a colour on a wooden table."""
    texture = drawn(280, 220, np.random.default_rng(3)).mean(axis=2, keepdims=True)
    table = drawn(280, 220, np.random.default_rng(4)) * 0.2 + np.array((190, 150, 110))
    colour = cv2.cvtColor(np.array([[[hue, 150, 170]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
    cloth = (texture * 0.5 + 60) / 190 * colour
    mask = np.zeros((280, 220), np.uint8)
    cv2.ellipse(mask, (110, 140), (reach, round(reach * 1.25)), 0, 0, 360, 1, -1)
    return np.asarray(np.clip(np.where(mask[..., None] > 0, cloth, table), 0, 255), np.uint8)


@pytest.mark.parametrize("reach", [60, 100])
def test_a_product_in_another_colour_is_another_product(reach: int) -> None:
    one, two = dressed(120, reach), dressed(172, reach)
    left = colour_left(one, two, everywhere(one))
    assert left.patch >= 6
    assert not proven(one, two).near


@pytest.mark.parametrize("reach", [60, 100])
def test_colours_of_the_whole_may_change(reach: int) -> None:
    one = dressed(120, reach)
    level = one.mean(axis=2, keepdims=True)
    for edited in (level + 1.5 * (one - level), one * (1.08, 1.0, 0.85), one * 0.7 + 20):
        two = np.clip(edited, 0, 255).astype(np.uint8)
        assert colour_left(one, two, everywhere(one)).patch < 6
        assert proven(one, two).near


def kitchen() -> Pixels:
    """Draw dark things before a white wall."""
    pixels = drawn(300, 400, np.random.default_rng(6))
    pixels[20:170] = 246
    pixels[20:170, 60:180] = drawn(150, 120, np.random.default_rng(9)) * 0.4
    return np.asarray(pixels, np.uint8)


def scribbled(pixels: Pixels, left: int) -> Pixels:
    made = pixels.copy()
    places = np.array([(0, 30), (30, 60), (10, 90), (70, 70), (50, 120)], np.int32)
    places += np.array([left, 20], np.int32)
    return np.asarray(cv2.polylines(made, [places], False, (255, 255, 0), 3, cv2.LINE_AA))


def test_yellow_ink_on_white_is_seen() -> None:
    one, two = scribbled(kitchen(), 80), scribbled(kitchen(), 260)
    places = coloured_places(one, two, everywhere(one))
    assert places[40:150, 260:340].sum() > 300
    assert not places[180:].any()
    assert not proven(one, two).near
    assert proven(kitchen(), two).near


def test_no_colours_are_compared_where_all_were_changed() -> None:
    one = scribbled(kitchen(), 80)
    level = one.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)
    tinted = np.clip(one * (1.0, 0.9, 0.6), 0, 255).astype(np.uint8)
    assert not coloured_places(one, tinted, everywhere(one)).any()
    assert proven(one, level).near


def rated(stars: int) -> Pixels:
    """Draw five stars, some of them gold."""
    image = np.full((90, 400, 3), 255, np.uint8)
    turns = np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2, 13, 32)
    star = np.stack([reach * np.sin(turns), -reach * np.cos(turns)], axis=1)
    for number in range(5):
        middle = np.array([45 + number * 77, 45])
        places = np.rint((star + middle) * 16).astype(np.int32)
        colour = (255, 180, 0) if number < stars else (215, 215, 215)
        cv2.fillPoly(image, [places], colour, cv2.LINE_AA, 4)
    return image


def test_stars_of_another_rating_are_no_other_tone() -> None:
    one, two = rated(2), rated(5)
    assert other_colours(one, two, everywhere(one))
    assert not proven(one, two).near
