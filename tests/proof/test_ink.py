"""Ink and tone curves: whose colours tell that something lies over an image, and what explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from dedup.proof.ink import inked, patched
from dedup.proof.posterised import is_retoned
from dedup.proof.sides import coloured_on_both

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

HEIGHT, WIDTH = 180, 240
INSIDE = np.ones((HEIGHT, WIDTH), np.bool_)


def rough(seed: int = 0) -> Pixels:
    """Draw ground that is steep everywhere."""
    noise = np.random.default_rng(seed).uniform(0, 255, (HEIGHT // 3, WIDTH // 3, 3))
    return np.asarray(cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST), np.uint8)


def strokes(y: int) -> Mask:
    sheet = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.putText(sheet, "SAMPLE", (10, y), cv2.FONT_HERSHEY_DUPLEX, 1.7, (255,), 7)
    return np.asarray(sheet > 0)


def written(pixels: Pixels, y: int = 100) -> Pixels:
    return np.where(strokes(y)[..., None], np.array((250, 220, 0), np.uint8), pixels)


def marked(pixels: Pixels, y: int = 100) -> Pixels:
    mixed = (0.6 * pixels + 0.4 * 255).astype(np.uint8)
    return np.where(strokes(y)[..., None], mixed, pixels)


def differing(one: Pixels, two: Pixels) -> Mask:
    apart = (one != two).any(axis=2).astype(np.uint8)
    return np.asarray(cv2.dilate(apart, np.ones((5, 5), np.uint8)) > 0)


@pytest.mark.parametrize("draw", [written, marked])
def test_ink_is_on_the_image_that_has_few_colours_or_a_mixture(
    draw: Callable[[Pixels], Pixels],
) -> None:
    ground = rough()
    inky = draw(ground)
    places = differing(inky, ground)
    found, back = inked(inky, ground, places), inked(ground, inky, places)
    assert found is not None
    assert back is not None
    assert found.drawn
    assert found.two == 0
    assert (back.one, back.two, back.limits) == (found.two, found.one, found.limits)


@pytest.mark.parametrize("first", [written, marked])
@pytest.mark.parametrize("second", [written, marked])
def test_ink_on_both_is_on_neither(
    first: Callable[[Pixels, int], Pixels], second: Callable[[Pixels, int], Pixels]
) -> None:
    one, two = first(rough(), 60), second(rough(), 140)
    assert inked(one, two, differing(one, two)) is None


def test_other_content_is_no_ink() -> None:
    one, two = rough(), rough()
    two[40:120, 60:150] = rough(1)[40:120, 60:150]
    assert inked(one, two, differing(one, two)) is None


CURVES: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "brighter": lambda levels: levels + 60,
    "darker": lambda levels: levels - 60,
    "contrast": lambda levels: 120 + 2 * (levels - 120),
    "gamma": lambda levels: 255 * (levels / 255) ** 2.2,
}


def toned(pixels: Pixels, name: str) -> Pixels:
    levels = CURVES[name](np.arange(256.0))
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)[pixels]


@pytest.mark.parametrize("name", CURVES)
def test_one_curve_for_all_channels_is_a_tone_edit(name: str) -> None:
    pixels = rough()
    assert is_retoned(pixels, toned(pixels, name), INSIDE)
    assert is_retoned(toned(pixels, name), pixels, INSIDE)


@pytest.mark.parametrize("name", CURVES)
def test_no_curve_explains_strokes_or_another_hue(name: str) -> None:
    pixels = rough()
    other = toned(pixels, name)
    assert not is_retoned(pixels, written(other), INSIDE)
    assert not is_retoned(pixels, np.ascontiguousarray(other[..., ::-1]), INSIDE)


def test_a_hole_in_rough_ground_is_no_ink() -> None:
    wall = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    thing = wall.copy()
    thing[40:120, 60:150] = rough()[40:120, 60:150]
    assert inked(wall, thing, differing(wall, thing)) is None


def stuck(pixels: Pixels, place: tuple[int, int], ink: tuple[int, int, int]) -> Pixels:
    made = pixels.copy()
    cv2.circle(made, place, 35, ink, -1, cv2.LINE_AA)
    return made


def test_stickers_of_two_colours_are_on_both() -> None:
    ground = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    red, blue = stuck(ground, (60, 90), (220, 40, 50)), stuck(ground, (170, 90), (60, 60, 230))
    grey = [np.asarray(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY), np.float32) for each in (red, blue)]
    found = coloured_on_both(red, blue, grey[0] - grey[1], differing(red, blue))
    assert found is not None
    assert not found.drawn
    assert min(found[:2]) > 0.3
    clean = np.full((HEIGHT, WIDTH), 128, np.float32)
    assert coloured_on_both(red, ground, grey[0] - clean, differing(red, ground)) is None


def rounded(pixels: Pixels, corner: Pixels) -> Pixels:
    """Cut corners to a round, beyond which something else is seen."""
    inner = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.rectangle(inner, (30, 0), (WIDTH - 31, HEIGHT), 1, -1)
    cv2.rectangle(inner, (0, 30), (WIDTH, HEIGHT - 31), 1, -1)
    for x in (30, WIDTH - 31):
        for y in (30, HEIGHT - 31):
            cv2.circle(inner, (x, y), 30, 1, -1)
    return np.where(inner[..., None] > 0, pixels, corner)


def grey(pixels: Pixels) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.float32)


def test_flat_corners_are_on_the_image_that_has_them() -> None:
    # Half dark, so that the ground has few colours, and rough beside it.
    ground = rough() // np.where(np.arange(WIDTH) < WIDTH // 2, 6, 1)[None, :, None].astype(
        np.uint8
    )
    cut = rounded(ground, np.full_like(ground, 255))
    other = rounded(ground, rough(1))
    found = patched(cut, ground, (grey(cut), grey(ground)), differing(cut, ground))
    back = patched(ground, cut, (grey(ground), grey(cut)), differing(cut, ground))
    assert found is not None
    assert back is not None
    assert (found.one, found.two) == (back.two, back.one)
    assert found.one > 0.9
    assert found.two == 0
    assert patched(other, ground, (grey(other), grey(ground)), differing(other, ground)) is None


def test_a_flat_patch_in_place_of_a_thing_is_on_neither() -> None:
    ground = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    ground[:, ::2] = 100
    thing = ground.copy()
    thing[40:120, 60:150] = rough()[40:120, 60:150]
    patch = ground.copy()
    patch[40:120, 60:150] = 240
    found = patched(thing, patch, (grey(thing), grey(patch)), differing(thing, patch))
    assert found is None
