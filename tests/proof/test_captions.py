"""Captions of one photograph: bright letters with a dark outline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawings import scene
from PIL import Image, ImageDraw, ImageFont

import dedup
from dedup.proof.captions import other_captions

if TYPE_CHECKING:
    from pathlib import Path

LONG, SHORT = "WEEKEND WEEKEND 516", "CAT CAT 797"


def captioned(*words: str, fill: str = "white", seed: int = 4) -> Image.Image:
    """Write lines from the lowest up, each in the middle, over a drawn scene."""
    image = scene(seed, (640, 480))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(34)
    for line, text in enumerate(words):
        at = (320, 440 - 380 * line)
        draw.text(at, text, fill, font, "mm", stroke_width=3, stroke_fill="black")
    return image


def why(one: Image.Image, two: Image.Image, folder: Path) -> dedup.Explanation:
    names = folder / "a.jpg", folder / "b.jpg"
    one.save(names[0], quality=90)
    two.save(names[1], quality=85)
    return dedup.why(*names)


@pytest.mark.parametrize("fill", ["white", "yellow"])
@pytest.mark.parametrize("seed", [4, 5, 6])
def test_a_long_caption_is_no_addition_to_a_short_one(seed: int, fill: str, tmp_path: Path) -> None:
    one = captioned(LONG, "ONE TOP LINE", fill=fill, seed=seed)
    two = captioned(SHORT, "ONE TOP LINE", fill=fill, seed=seed)
    assert why(one, two, tmp_path).tier is None
    assert why(two, one, tmp_path).tier is None


def test_a_caption_is_added_to_what_has_none_there(tmp_path: Path) -> None:
    bare, one, two = captioned(), captioned(LONG), captioned(LONG, "ONE TOP LINE")
    for first, second in ((bare, one), (bare, two), (one, two)):
        assert "something added" in why(first, second, tmp_path).evidence


def test_letters_of_its_own_are_counted_on_either_image_and_lights_are_none() -> None:
    night = captioned().point(lambda level: level // 4)
    draw = ImageDraw.Draw(night)
    for at in range(20, 640, 24):
        draw.ellipse((at, 432, at + 5 + at % 7, 437 + at % 7), fill="white")
    pixels = [np.asarray(each) for each in (captioned(LONG), captioned(SHORT), captioned(), night)]
    everywhere = np.ones(pixels[0].shape[:2], np.bool_)
    found = [other_captions(pixels[0], each, everywhere) for each in pixels]
    assert found[0] == found[2] == found[3] == 0
    assert found[1] >= 4
    assert other_captions(pixels[1], pixels[0], everywhere) == found[1]


def test_a_long_caption_on_a_photograph_is_no_addition(shared: Path, tmp_path: Path) -> None:
    """In light alone, all that differs is on the side of the longer one."""
    for name in ("1", "8", "14"):
        made = []
        for words in (LONG, SHORT):
            with Image.open(shared / f"data/photos/kodak/{name}.jpg") as opened:
                image = opened.convert("RGB")
            draw, font = ImageDraw.Draw(image), ImageFont.load_default(40)
            at = (image.width / 2, image.height - 8)
            draw.text(at, words, "white", font, "md", stroke_width=3, stroke_fill="black")
            made.append(image)
        assert why(made[0], made[1], tmp_path).tier is None


def test_a_caption_that_was_saved_again_is_the_same(tmp_path: Path) -> None:
    one = captioned(LONG, SHORT)
    smaller = one.resize((448, 336), Image.Resampling.LANCZOS)
    assert why(one, smaller, tmp_path).tier is dedup.Tier.RESAVED
    assert why(one, one.crop((20, 10, 640, 480)), tmp_path).tier is dedup.Tier.NEAR
