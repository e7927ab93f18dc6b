"""Parts that are filled with one colour: rounded corners, black bars, and what only looks so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from drawings import scene
from PIL import Image, ImageDraw
from saved import side

import dedup
from dedup.edits.catalogue import drawn
from dedup.proof import prove
from dedup.proof.closely import Laid
from dedup.proof.filled import filled

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

WHITE, BLACK, RED, BLUE = (255, 255, 255), (0, 0, 0), (200, 30, 40), (40, 60, 200)
SHAPE = (400, 560)


def rough(seed: int) -> Pixels:
    """Draw a scene as rough as leaves, on which light is steep everywhere."""
    rng = np.random.default_rng(seed)
    leaves = cv2.GaussianBlur(rng.normal(0, 90, (*SHAPE, 1)).astype(np.float32), (0, 0), 1.2)
    scene = 0.6 * drawn(*SHAPE, rng).astype(np.float32) + 45 + leaves[..., None]
    return np.asarray(np.clip(scene, 0, 255), np.uint8)


def cut(pixels: Pixels, colour: tuple[int, int, int], *, oval: bool) -> Pixels:
    """Leave an oval of an image, or all of it but its corners."""
    height, width = pixels.shape[:2]
    kept = np.zeros((height, width), np.uint8)
    if oval:
        cv2.ellipse(kept, (width // 2, height // 2), (width // 2, height // 2), 0, 0, 360, 1, -1)
    else:
        kept[90:-90], kept[:, 90:-90] = 1, 1
        for x in (90, width - 91):
            for y in (90, height - 91):
                cv2.circle(kept, (x, y), 90, 1, -1)
    return np.where(kept[..., None] == 1, pixels, np.array(colour, np.uint8))


def with_box(pixels: Pixels, colour: tuple[int, int, int]) -> Pixels:
    made = pixels.copy()
    made[150:250, 200:360] = colour
    return made


def captioned(pixels: Pixels, words: str) -> Pixels:
    """Write on a white bar over the lower part of an image."""
    made = pixels.copy()
    made[-90:] = WHITE
    cv2.putText(made, words, (20, 365), cv2.FONT_HERSHEY_DUPLEX, 1.6, BLACK, 4, cv2.LINE_AA)
    return made


def laid(one: Pixels, two: Pixels) -> Laid:
    return Laid(one, two, np.ones(one.shape[:2], np.bool_), 1, (100, 100))


@pytest.mark.parametrize("oval", [False, True])
@pytest.mark.parametrize("colour", [WHITE, BLACK])
def test_a_photograph_with_its_corners_cut_off_is_an_edit(
    colour: tuple[int, int, int],
    oval: bool,  # noqa: FBT001
) -> None:
    image = rough(1)
    verdict = prove(side(image, quality=92), side(cut(image, colour, oval=oval), quality=88))
    assert (verdict.near, verdict.resaved) == (True, False)


def test_what_is_filled_is_on_the_one_that_ends_there() -> None:
    image = rough(2)
    made = cut(image, WHITE, oval=True)
    first, second = filled(laid(made, image)), filled(laid(image, made))
    assert first is not None
    assert second is not None
    assert (first.on, second.on) == (1, 2)
    outside = (made == 255).all(axis=2)
    assert first.mask[outside].mean() > 0.98
    assert first.mask[~outside].mean() < 0.15


def test_a_box_is_filled_on_one_and_another_box_in_its_place_on_both() -> None:
    image = rough(3)
    assert filled(laid(with_box(image, RED), image)) is not None
    assert filled(laid(with_box(image, RED), with_box(image, BLUE))) is None
    assert filled(laid(image, image)) is None


def test_a_bar_with_words_is_filled_and_other_words_on_such_a_bar_are_not() -> None:
    image = rough(4)
    one, two = (captioned(image, words) for words in ("MONDAY AGAIN", "THE LAST TRAIN"))
    found = filled(laid(image, one))
    assert found is not None
    assert found.on == 2
    assert found.mask[-80:].mean() > 0.9
    assert filled(laid(one, two)) is None
    assert not prove(side(one, quality=92), side(two, quality=90)).near


def test_a_box_on_one_explains_no_other_thing_on_the_other() -> None:
    image = rough(5)
    other = image.copy()
    cv2.circle(other, (470, 320), 45, (250, 240, 40), -1, cv2.LINE_AA)
    boxed = with_box(image, BLACK)
    assert prove(side(boxed, quality=92), side(image, quality=90)).near
    assert not prove(side(boxed, quality=92), side(other, quality=90)).near


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("seed", [2, 3, 15, 20])
def test_a_bar_on_a_small_image_with_noise_is_found(seed: int, level: int, tmp_path: Path) -> None:
    original, barred = scene(seed), scene(seed)
    width, height = original.size
    box = (width * 0.3, height * 0.35, width * 0.62, height * 0.46)
    ImageDraw.Draw(barred).rectangle(box, fill=(level,) * 3)
    names = tmp_path / "a.jpg", tmp_path / "b.jpg"
    original.save(names[0], quality=92)
    barred.save(names[1], quality=88)
    assert "something added over" in dedup.why(*names).evidence


def test_a_bar_is_on_the_image_that_it_hides(shared: Path, tmp_path: Path) -> None:
    """Light steps less along a black bar on a dark photograph than in what the bar hides."""
    for name in ("5", "11"):
        (path,) = (shared / "data/photos/kodak").glob(f"{name}.*")
        with Image.open(path) as opened:
            barred = opened.convert("RGB")
        width, height = barred.size
        box = (width * 0.3, height * 0.35, width * 0.62, height * 0.45)
        ImageDraw.Draw(barred).rectangle(box, fill=(0, 0, 0))
        barred.save(tmp_path / "barred.jpg", quality=88)
        assert "something added over" in dedup.why(path, tmp_path / "barred.jpg").evidence
