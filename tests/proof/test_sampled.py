"""Images shrunk by passing over pixels, as many programs do, are one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from PIL import Image

from dedup.edits.catalogue import drawn
from dedup.images.decode import bounded_size
from dedup.images.encode import as_jpeg
from dedup.proof import Original, Side, outlined, prove_copy, working_side

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


def side(data: bytes) -> Side:
    original = Original(data)
    pixels = original.pixels(*original.size)
    height, width = bounded_size(original.opened.header, working_side(*original.size))
    described = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return Side(outlined(np.asarray(described, np.uint8)), lambda: original)


def scene(seed: int) -> Pixels:
    """Draw a scene under fine grain, of which other filters make other things."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 60, (480, 640, 1)).astype(np.float32), (0, 0), 0.7)
    return np.asarray(np.clip(drawn(480, 640, rng) + grain[..., None], 0, 255), np.uint8)


def resize(**how: Any) -> Callable[[Pixels], Pixels]:
    return lambda image: np.asarray(cv2.resize(image, **how), np.uint8)


def by_whole_pixels(image: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(image).resize((400, 300), Image.Resampling.BOX))


def by_middles(image: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(image).resize((420, 315), Image.Resampling.NEAREST))


SHRUNK = {
    "linear, by a factor": resize(dsize=None, fx=0.31, fy=0.31, interpolation=cv2.INTER_LINEAR),
    "linear, to a size": resize(dsize=(300, 225), interpolation=cv2.INTER_LINEAR),
    "cubic, by a factor": resize(dsize=None, fx=0.63, fy=0.63, interpolation=cv2.INTER_CUBIC),
    "nearest": resize(dsize=(420, 315), interpolation=cv2.INTER_NEAREST),
    "nearest to the middle": by_middles,
    "whole pixels": by_whole_pixels,
}


@pytest.mark.parametrize("how", SHRUNK)
def test_the_shrunk_one_is_saved_again_and_comes_of_the_other(how: str) -> None:
    image = scene(1)
    small = SHRUNK[how](image)
    one, two = side(as_jpeg(image, 95)), side(as_jpeg(small, 88))
    found = prove_copy(one, two)
    assert found is not None
    assert (found.resaved, found.derived) == (True, 2)
    back = prove_copy(two, one)
    assert back is not None
    assert (back.resaved, back.derived) == (True, 1)


@pytest.mark.parametrize("how", SHRUNK)
def test_what_was_changed_as_well_is_not(how: str) -> None:
    image = scene(2)
    small = SHRUNK[how](image).copy()
    height, width = small.shape[:2]
    small[height // 2 : height // 2 + 9, width // 2 : width // 2 + 9] += np.uint8(90)
    assert prove_copy(side(as_jpeg(image, 95)), side(as_jpeg(small, 88))) is None
