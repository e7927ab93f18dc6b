"""Screens and icons drawn here, of which one state, one place or one colour is another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from drawings import scene
from saved import side

from dedup.proof import Verdict, prove
from dedup.proof.colour_rule import recoloured_share, turned
from dedup.proof.shapes import other_shapes

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Colour = tuple[int, int, int]

GREY, GOLD, GREEN, RED, WHITE = (
    (222, 222, 222), (250, 180, 20), (50, 200, 90), (230, 40, 40), (255, 255, 255),
)  # fmt: skip
WORDS = ("Sound", "Alerts", "Location", "Camera", "Backup", "Dark mode", "Updates")


def proven(first: Pixels, second: Pixels) -> Verdict:
    return prove(side(first, quality=90), side(second, quality=84))


def switches(on: frozenset[int]) -> Pixels:
    image = np.full((560, 320, 3), 255, np.uint8)
    for row, word in enumerate(WORDS):
        down = 40 + 75 * row
        cv2.putText(image, word, (20, down + 8), 0, 0.7, (30, 30, 30), 1, cv2.LINE_AA)
        cv2.line(image, (20, down + 36), (300, down + 36), (235, 235, 235), 1)
        left, right = (240, down), (262, down)
        track = GREEN if row in on else GREY
        cv2.line(image, left, right, track, 26, cv2.LINE_AA)
        cv2.circle(image, right if row in on else left, 10, WHITE, -1, cv2.LINE_AA)
    return image


def lights(colours: list[Colour], radius: int = 7) -> Pixels:
    image = np.full((560, 320, 3), (22, 26, 38), np.uint8)
    for row, (word, colour) in enumerate(zip(WORDS, colours, strict=True)):
        down = 40 + 75 * row
        cv2.rectangle(image, (12, down - 26), (308, down + 26), (38, 46, 60), -1)
        cv2.putText(image, word, (60, down + 8), 0, 0.7, (220, 224, 230), 1, cv2.LINE_AA)
        cv2.circle(image, (36, down), radius, colour, -1, cv2.LINE_AA)
    return image


def everywhere(image: Pixels) -> npt.NDArray[np.bool_]:
    return np.ones(image.shape[:2], np.bool_)


def test_a_switch_that_is_on_is_no_drawing_over_one_that_is_off() -> None:
    first, second = switches(frozenset({1, 4})), switches(frozenset({1, 4, 5}))
    assert other_shapes(first, second, everywhere(first)) == 1
    verdict = proven(first, second)
    assert not verdict.near


@pytest.mark.parametrize("colours", [(GREEN, RED), (GOLD, GREEN), (GREY, GOLD)])
def test_a_light_of_another_colour_is_another_screen(colours: tuple[Colour, Colour]) -> None:
    steady: list[Colour] = [GREEN, GREEN, RED, GREEN, GOLD, GREEN]
    first, second = (lights([each, *steady]) for each in colours)
    assert other_shapes(first, second, everywhere(first)) == 1
    assert not proven(first, second).near


def test_a_light_of_the_same_lightness_is_told_by_its_colour() -> None:
    steady: list[Colour] = [GREEN] * 6
    first, second = (lights([each, *steady]) for each in ((190, 70, 200), (70, 130, 120)))
    assert other_shapes(first, second, everywhere(first)) == 1


def test_one_thing_in_two_places_is_on_either_image() -> None:
    first, second = switches(frozenset()), switches(frozenset())
    cv2.circle(first, (150, 76), 12, RED, -1, cv2.LINE_AA)
    cv2.circle(second, (150, 376), 12, RED, -1, cv2.LINE_AA)
    assert other_shapes(first, second, everywhere(first)) == 1


def test_what_was_drawn_over_plain_ground_is_on_one_image() -> None:
    first, second = switches(frozenset()), switches(frozenset())
    cv2.circle(second, (150, 76), 12, RED, -1, cv2.LINE_AA)
    cv2.circle(second, (150, 376), 12, GREEN, -1, cv2.LINE_AA)
    assert other_shapes(first, second, everywhere(first)) == 0


@pytest.mark.parametrize("edit", ["blurred", "paler", "saved"])
def test_shapes_that_lost_something_are_the_same_shapes(edit: str) -> None:
    first = lights([GREEN, RED, GOLD, GREEN, RED, GOLD, GREEN])
    if edit == "blurred":
        second = cv2.GaussianBlur(first, (0, 0), 2)
    elif edit == "paler":
        second = cv2.addWeighted(first, 0.7, np.full_like(first, 90), 0.3, 0)
    else:
        _, data = cv2.imencode(".jpg", first, [cv2.IMWRITE_JPEG_QUALITY, 40])
        second = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    assert other_shapes(first, np.asarray(second, np.uint8), everywhere(first)) == 0


def flag(colours: tuple[Colour, Colour, Colour], size: int = 40) -> Pixels:
    image = np.full((size, size, 3), 255, np.uint8)
    top, bottom = size // 5, size - size // 5
    for place, colour in enumerate(colours):
        start = 2 + place * (size - 4) // 3
        image[top:bottom, start : start + (size - 4) // 3] = colour
    cv2.rectangle(image, (1, top), (size - 2, bottom), (120, 120, 120), 1)
    return image


BLUE = (0, 40, 160)


def test_no_rule_of_light_and_colour_makes_one_flag_of_another() -> None:
    france, italy = flag((BLUE, WHITE, RED)), flag(((0, 150, 70), WHITE, RED))
    assert recoloured_share(france, italy, everywhere(france)) > 0.2
    assert not proven(france, italy).near


def test_a_small_image_may_be_paler_or_grey() -> None:
    france = flag((BLUE, WHITE, RED))
    grey = cv2.cvtColor(cv2.cvtColor(france, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    paler = cv2.addWeighted(france, 0.8, np.full_like(france, 255), 0.2, 0)
    for other in (grey, paler):
        assert recoloured_share(france, np.asarray(other, np.uint8), everywhere(france)) < 0.05


def face(eyes: int, size: int = 48) -> Pixels:
    image = np.full((size, size, 3), 255, np.uint8)
    middle = (size // 2, size // 2)
    cv2.circle(image, middle, size // 2 - 2, (255, 210, 50), -1, cv2.LINE_AA)
    for x in (size * 3 // 8, size * 5 // 8):
        cv2.ellipse(image, (x, size * 3 // 8), (2, eyes), 0, 0, 360, (90, 60, 20), -1, cv2.LINE_AA)
    cv2.ellipse(
        image, (size // 2, size * 5 // 8), (11, 7), 0, 0, 180, (90, 60, 20), -1, cv2.LINE_AA
    )
    return image


def test_an_icon_with_other_eyes_is_another_icon() -> None:
    assert not proven(face(7), face(3)).near


def test_a_thumbnail_of_a_photograph_is_still_found() -> None:
    whole = np.asarray(scene(3, (160, 120)))
    cut = np.ascontiguousarray(whole[10:100, 20:140])
    small = cv2.resize(cut, (90, 68), interpolation=cv2.INTER_AREA)
    assert proven(whole, np.asarray(small, np.uint8)).near


def heart(colour: Colour) -> Pixels:
    image = np.full((160, 160, 3), 255, np.uint8)
    for x in (56, 104):
        cv2.circle(image, (x, 62), 30, colour, -1, cv2.LINE_AA)
    cv2.fillPoly(image, [np.array([[30, 78], [130, 78], [80, 142]], np.int32)], colour)
    return image


def test_a_drawing_in_another_hue_is_another_drawing() -> None:
    orange, green = heart((255, 150, 0)), heart((120, 178, 66))
    assert turned(orange, green, everywhere(orange)) == 1.0
    assert turned(orange, heart((255, 190, 90)), everywhere(orange)) == 0.0


def test_sepia_and_a_negative_are_no_other_hue() -> None:
    first = lights([GREEN, RED, GOLD, GREEN, RED, BLUE, GREEN], radius=20)
    level = cv2.cvtColor(first, cv2.COLOR_RGB2GRAY)[..., None] / 255
    sepia = (level * (255, 200, 140)).astype(np.uint8)
    assert turned(first, sepia, everywhere(first)) == 0.0
    assert turned(first, np.asarray(255 - first, np.uint8), everywhere(first)) == 0.0


def dial(hour: float) -> Pixels:
    image = np.full((300, 300, 3), 255, np.uint8)
    cv2.circle(image, (150, 150), 140, (30, 30, 30), 6, cv2.LINE_AA)

    def at(part: float, radius: float) -> tuple[int, int]:
        turn = 2 * np.pi * part
        return round(150 + radius * float(np.sin(turn))), round(150 - radius * float(np.cos(turn)))

    for mark in range(12):
        cv2.line(image, at(mark / 12, 112), at(mark / 12, 130), (30, 30, 30), 5, cv2.LINE_AA)
    cv2.line(image, (150, 150), at(hour / 12, 90), (200, 20, 30), 6, cv2.LINE_AA)
    return image


def test_a_dial_is_not_turned_until_its_hands_agree() -> None:
    first, second = dial(7), dial(2)
    assert not proven(first, second).near
    assert not proven(first, np.ascontiguousarray(np.rot90(first))).near


def test_a_page_of_text_may_be_turned() -> None:
    page = switches(frozenset({1, 4}))
    verdict = proven(page, np.ascontiguousarray(np.rot90(page, 2)))
    assert verdict.near
    assert abs(abs(verdict.rotation) - 180) < 1


def softened(image: Pixels, part: slice) -> Pixels:
    soft = image.copy()
    soft[:, part] = cv2.GaussianBlur(image, (0, 0), 2.2)[:, part]
    return soft


def test_shots_of_another_focus_are_two_shots() -> None:
    whole = np.asarray(scene(5, (640, 480)))
    verdict = proven(softened(whole, slice(0, 300)), softened(whole, slice(340, 640)))
    assert not verdict.near
    assert verdict.evidence == "sharp in other places"


@pytest.mark.parametrize("grey", [False, True])
def test_a_state_is_told_after_a_change_of_the_whole(grey: bool) -> None:  # noqa: FBT001 - of two
    def toned(image: Pixels) -> Pixels:
        if grey:
            level = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] / 255
            return np.asarray(level * (250, 225, 180), np.uint8)
        return np.asarray(image * np.array([0.8, 0.75, 0.65]), np.uint8)

    first, second = switches(frozenset({1, 4})), switches(frozenset({1, 4, 5}))
    assert proven(first, toned(first)).near
    assert grey or not proven(first, toned(second)).near
