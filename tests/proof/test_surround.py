"""An image on its own blurred enlargement was made from it; what is cropped was made from more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from dedup.edits.catalogue import drawn
from dedup.images.encode import as_jpeg
from dedup.proof import Original, Side, describe, prove

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


def side(pixels: Pixels, quality: int = 92) -> Side:
    original = Original(as_jpeg(pixels, quality))
    return Side(describe(original.pixels(*original.size)), lambda: original)


def on_its_blur(image: Pixels, width: int, light: float = 0.8) -> Pixels:
    """Fill a wider frame with an image, as apps do."""
    height = image.shape[0]
    tall = round(height * width / image.shape[1])
    large = np.asarray(cv2.resize(image, (width, tall)), np.float32)
    top = (tall - height) // 2
    around = light * cv2.GaussianBlur(large[top : top + height], (0, 0), width / 50)
    frame = around.astype(np.uint8)
    left = (width - image.shape[1]) // 2
    frame[:, left : left + image.shape[1]] = image
    return frame


@pytest.mark.parametrize("width", [300, 400])
def test_what_fills_a_frame_with_its_blur_was_made_from_it(width: int) -> None:
    image = drawn(225, 168, np.random.default_rng(1))
    one, two = side(image), side(on_its_blur(image, width))
    found, back = prove(one, two), prove(two, one)
    assert (found.near, found.derived) == (True, 2)
    assert (back.near, back.derived) == (True, 1)
    assert back.evidence.startswith("shown on")


def test_the_middle_of_an_image_was_made_from_it() -> None:
    whole = drawn(225, 400, np.random.default_rng(2))
    found = prove(side(whole), side(np.ascontiguousarray(whole[:, 100:300])))
    assert (found.near, found.derived) == (True, 2)


def test_a_thing_before_a_soft_background_was_made_from_the_whole() -> None:
    rng = np.random.default_rng(3)
    whole = np.asarray(cv2.GaussianBlur(drawn(225, 400, rng), (0, 0), 6), np.uint8)
    whole[40:185, 130:270] = drawn(145, 140, rng)
    found = prove(side(whole), side(np.ascontiguousarray(whole[:, 110:290])))
    assert (found.near, found.derived) == (True, 2)


def test_the_middle_of_a_thing_on_black_was_made_from_the_whole(shared: Path) -> None:
    """What falls off to black around it is like an enlargement of it, as that is dark as well."""
    path = shared / "data" / "photos" / "caltech101" / "brain" / "image_0025.jpg"
    whole = Original(path.read_bytes())
    height, width = whole.size
    pixels = whole.pixels(height, width)
    left = (width - height) // 2
    middle = side(np.ascontiguousarray(pixels[:, left : left + height]), 90)
    found = prove(Side(describe(pixels), lambda: whole), middle)
    assert (found.near, found.derived) == (True, 2)
    assert found.evidence.startswith("cropped to 94%")
