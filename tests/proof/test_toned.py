"""Which of two versions was saved from the other with other tones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from saved import as_file, opened

from dedup.edits.catalogue import drawn
from dedup.images.decode import decode_bounded
from dedup.proof import WORKING_SIDE, Original, Side, describe, prove
from dedup.proof.closely import lay
from dedup.proof.lineage import windows
from dedup.proof.softness import is_sharpened
from dedup.proof.toned import explained, saved_toned

if TYPE_CHECKING:
    from collections.abc import Callable

    from dedup.proof.closely import Laid

AS_IT_IS = np.eye(3)
EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "stretched": lambda image: ImageOps.autocontrast(image, cutoff=0.5),
    "brighter": lambda image: image.point([round(255 * (i / 255) ** 0.7) for i in range(256)] * 3),
    "more colour": lambda image: ImageEnhance.Color(image).enhance(1.6),
    "sharpened": lambda image: image.filter(ImageFilter.UnsharpMask(2, 100, 0)),
}


TONES = list(EDITS)[:-1]


def photograph(seed: int) -> Image.Image:
    """Draw something with grain, that was never a JPEG."""
    rng = np.random.default_rng(seed)
    pixels = drawn(333, 429, rng) * 0.8 + 20 + rng.normal(0, 4, (333, 429, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("how", "quality"), [*((how, 75) for how in TONES), *((how, 92) for how in EDITS)]
)
def test_a_jpeg_is_made_from_what_was_never_one(how: str, quality: int) -> None:
    original = as_file(photograph(1), None)
    made = as_file(EDITS[how](opened(original)), quality)
    assert saved_toned(original, made, AS_IT_IS) == 2
    assert saved_toned(made, original, AS_IT_IS) == 1


@pytest.mark.parametrize("how", TONES)
def test_a_coarser_jpeg_is_made_from_a_finer_one(how: str) -> None:
    original = as_file(photograph(2), 95)
    made = as_file(EDITS[how](opened(original)), 75)
    assert saved_toned(original, made, AS_IT_IS) == 2


@pytest.mark.parametrize("how", ["stretched", "brighter"])
def test_what_is_saved_without_loss_is_made_from_a_jpeg(how: str) -> None:
    original = as_file(photograph(3), 80)
    made = as_file(EDITS[how](opened(original)), None)
    assert saved_toned(original, made, AS_IT_IS) == 2
    assert saved_toned(made, original, AS_IT_IS) == 1


def test_two_without_loss_tell_nothing() -> None:
    original = photograph(5)
    made = as_file(EDITS["brighter"](original), None)
    assert saved_toned(as_file(original, None), made, AS_IT_IS) == 0


def test_what_is_noisy_is_explained_by_nothing() -> None:
    original = as_file(photograph(6), 80)
    noise = np.random.default_rng(7).normal(0, 10, (333, 429, 3))
    pixels = np.clip(np.asarray(opened(original)) + noise, 0, 255).astype(np.uint8)
    made = as_file(Image.fromarray(pixels), 90)
    cut = windows(original, made, AS_IT_IS)
    assert cut is not None
    assert explained(cut[0], cut[1]) < -0.2
    assert saved_toned(original, made, AS_IT_IS) == 0


def sided(file: Original) -> Side:
    return Side(describe(decode_bounded(file.data, WORKING_SIDE)), lambda: file)


def laid_of(original: Image.Image, copy: Image.Image) -> Laid:
    files = as_file(original, 92), as_file(copy, 88)
    sides = [sided(file) for file in files]
    shapes = sides[0].features.grey.shape, sides[1].features.grey.shape
    laid = lay(*files, prove(*sides), shapes)
    assert laid is not None
    return laid


@pytest.mark.parametrize(("radius", "percent"), [(2, 100), (3, 200)])
def test_what_is_sharpened_gains_all_fine_bands_alike(radius: int, percent: int) -> None:
    original = photograph(8).filter(ImageFilter.GaussianBlur(0.8))
    copy = original.filter(ImageFilter.UnsharpMask(radius, percent, 0))
    assert is_sharpened(laid_of(original, copy))


@pytest.mark.parametrize("radius", [1.0, 2.0])
def test_what_is_blurred_loses_the_finest_most(radius: float) -> None:
    original = photograph(9).filter(ImageFilter.GaussianBlur(0.8))
    assert not is_sharpened(laid_of(original, original.filter(ImageFilter.GaussianBlur(radius))))
