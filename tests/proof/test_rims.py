"""Whose side a difference is on, told across its rim, in all colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from dedup.edits.catalogue import drawn
from dedup.images.decode import decode_bounded
from dedup.images.encode import as_jpeg
from dedup.proof import WORKING_SIDE, Original, Side, describe, prove
from dedup.proof.rims import by_rims

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

HEIGHT, WIDTH = 240, 320
GREEN, YELLOW, PLUM = (70, 150, 60), (230, 200, 40), (120, 50, 110)


def rough(seed: int = 0) -> Pixels:
    """Draw ground that is steep in most places, and smooth in none."""
    noise = np.random.default_rng(seed).uniform(0, 255, (HEIGHT // 6, WIDTH // 6, 3))
    large = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.uint8)


def stuck(pixels: Pixels, colour: tuple[int, int, int], *places: tuple[int, int]) -> Pixels:
    made = pixels.copy()
    for place in places:
        cv2.circle(made, place, 40, colour, -1, cv2.LINE_AA)
    return made


def differing(one: Pixels, two: Pixels) -> Mask:
    apart = (one != two).any(axis=2).astype(np.uint8)
    return np.asarray(cv2.dilate(apart, np.ones((5, 5), np.uint8)) > 0)


@pytest.mark.parametrize("colour", [GREEN, YELLOW])
def test_a_sticker_is_on_the_image_that_steps_at_its_rim(colour: tuple[int, int, int]) -> None:
    ground = rough()
    marked = stuck(ground, colour, (90, 80), (220, 150))
    places = differing(marked, ground)
    found, back = by_rims(marked, ground, places), by_rims(ground, marked, places)
    assert found is not None
    assert back is not None
    assert found.alone.drawn
    assert (found.alone.one, found.alone.two) == (1, 0)
    assert (back.alone.one, back.alone.two) == (0, 1)
    assert not found.both
    assert not back.both


def test_stickers_elsewhere_are_on_both() -> None:
    one, two = stuck(rough(), YELLOW, (90, 80)), stuck(rough(), PLUM, (220, 150))
    found = by_rims(one, two, differing(one, two))
    assert found is not None
    assert found.both
    assert not found.alone.drawn


def test_patches_at_one_place_are_on_both() -> None:
    ground = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    ground[::7] += 6
    one, two = stuck(ground, (250, 120, 20), (160, 120)), stuck(ground, (20, 110, 250), (160, 120))
    found = by_rims(one, two, differing(one, two))
    assert found is not None
    assert found.both
    assert not found.alone.drawn
    clean = by_rims(one, ground, differing(one, ground))
    assert clean is not None
    assert not clean.both
    assert clean.alone.drawn


def test_what_does_not_differ_has_no_rims() -> None:
    ground = rough()
    assert by_rims(ground, ground, np.ones((HEIGHT, WIDTH), np.bool_)) is None


def side(pixels: Pixels, quality: int) -> Side:
    data = as_jpeg(pixels, quality)
    original = Original(data)
    return Side(describe(decode_bounded(data, WORKING_SIDE)), lambda: original)


def pasted(pixels: Pixels, picture: Pixels) -> Pixels:
    made = pixels.copy()
    made[100:220, 150:290] = cv2.resize(picture, (140, 120), interpolation=cv2.INTER_AREA)
    return made


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 7))])
def test_a_picture_and_a_patch_at_one_place_are_two_images(seed: int) -> None:
    scene, other = (drawn(360, 480, np.random.default_rng(each)) for each in (seed, seed + 50))
    patch = np.full((8, 8, 3), (200, 60, 40), np.uint8)
    assert prove(side(scene, 92), side(pasted(scene, patch), 90)).near
    assert not prove(side(pasted(scene, other), 92), side(pasted(scene, patch), 90)).near


@pytest.mark.parametrize("blocks", [5, 6])
def test_a_place_made_of_a_few_blocks_is_an_edit(blocks: int) -> None:
    scene = drawn(360, 480, np.random.default_rng(0))
    small = cv2.resize(scene[100:220, 150:290], (blocks, blocks), interpolation=cv2.INTER_AREA)
    made = scene.copy()
    made[100:220, 150:290] = cv2.resize(small, (140, 120), interpolation=cv2.INTER_NEAREST)
    assert prove(side(scene, 92), side(made, 90)).near
