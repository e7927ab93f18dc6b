"""What filters made of a coarse JPEG, and pages and reductions that tell of no origin wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import pytest
from PIL import Image
from saved import as_file, opened, side

from dedup.duplicates.ranking import _COPY
from dedup.edits.catalogue import drawn
from dedup.proof import prove
from dedup.proof.closely import Laid
from dedup.proof.filtered import filtered_from
from dedup.proof.hues import is_on_white
from dedup.proof.lineage import made_from_coarser
from dedup.proof.origin import burnt_out
from dedup.proof.sharpness import blurred_in_parts, evenly_sharper

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_PHOTOS: Final = Path(__file__).parents[3] / "shared" / "data" / "photos"


def photograph(seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    pixels = drawn(360, 480, rng) + rng.normal(0, 6, (360, 480, 3))
    smooth = cv2.GaussianBlur(np.clip(pixels, 0, 255).astype(np.uint8), (0, 0), 0.8)
    return np.asarray(smooth, np.uint8)


def page(ink: tuple[int, int, int] = (0, 0, 0)) -> Pixels:
    """Draw lines of letters on white."""
    pixels, rng = np.full((700, 500, 3), 255, np.uint8), np.random.default_rng(3)
    for row in range(18):
        words = "".join(chr(97 + letter) for letter in rng.integers(0, 26, 24))
        place = 30, 50 + 36 * row
        cv2.putText(pixels, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.9, ink, 2, cv2.LINE_AA)
    return pixels


def laid(one: Pixels, two: Pixels, ratio: float = 1.0) -> Laid:
    return Laid(one, two, np.ones(one.shape[:2], np.bool_), 1, (100, 100), ratio=ratio)


FILTERS: dict[str, Callable[[Pixels], object]] = {
    "median": lambda pixels: cv2.medianBlur(pixels, 3),
    "bilateral": lambda pixels: cv2.bilateralFilter(pixels, 9, 30, 5),
    "soft": lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 0.8),
}


@pytest.mark.parametrize("name", FILTERS)
def test_what_a_filter_makes_of_a_coarse_jpeg_lacks_what_that_rounded(
    name: str,
) -> None:
    def filtered(image: Image.Image) -> Image.Image:
        pixels = np.ascontiguousarray(np.asarray(image))
        return Image.fromarray(np.asarray(FILTERS[name](pixels), np.uint8))

    paths = sorted(_PHOTOS.glob("c*/*/*.jpg"))[::200]
    if not paths:
        pytest.skip("needs the photographs in ../shared/data/photos")
    told = 0
    for path in paths:
        original = Image.open(path).convert("RGB")
        coarse = as_file(original, 60)
        told += filtered_from(coarse, as_file(filtered(opened(coarse)), 93), np.eye(3)) == 2
        fine = as_file(original, 93)
        assert filtered_from(as_file(filtered(opened(fine)), 60), fine, np.eye(3)) == 0
    assert told >= len(paths) // 2


@pytest.mark.parametrize("seed", [0, 1])
def test_a_coarse_copy_is_no_source_of_what_it_was_saved_from(seed: int) -> None:
    fine = as_file(Image.fromarray(photograph(seed)), 93)
    assert filtered_from(as_file(opened(fine), 60), fine, np.eye(3)) == 0


@pytest.mark.parametrize("quality", [60, 90, 97])
def test_a_page_keeps_to_no_steps_of_the_jpeg_that_was_saved_from_it(quality: int) -> None:
    original = as_file(Image.fromarray(page()), None)
    copy = as_file(Image.fromarray(page()), quality)
    assert made_from_coarser(original, copy, np.eye(3)) == 0


def test_coloured_ink_on_white_is_no_tone_and_coloured_paper_is() -> None:
    inked = page((160, 20, 30))
    assert is_on_white(inked.reshape(-1, 3).astype(np.float32))
    grey = np.asarray(np.dstack([cv2.cvtColor(inked, cv2.COLOR_RGB2GRAY)] * 3), np.uint8)
    assert prove(side(inked, quality=92), side(grey, quality=92)).derived != 1
    black = page()
    toned = np.rint(black * (0.95, 0.85, 0.65)).astype(np.uint8)
    assert not is_on_white(toned.reshape(-1, 3).astype(np.float32))
    verdict = prove(side(black, quality=92), side(toned, quality=92))
    assert verdict.derived == 2
    assert "toned" in verdict.evidence


def test_paper_that_was_photographed_was_not_burnt_out() -> None:
    rng = np.random.default_rng(5)
    rough = cv2.GaussianBlur(rng.normal(0, 60, (700, 500)), (0, 0), 3)[..., None]
    photographed = np.clip(page() * 0.85 + rough, 0, 250).astype(np.uint8)
    assert burnt_out(laid(page(), photographed)) == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_grain_in_calm_places_is_no_blur_of_the_other_there(seed: int) -> None:
    pixels = drawn(360, 480, np.random.default_rng(seed))
    light = pixels.mean(axis=2, keepdims=True) / 255
    grain = np.random.default_rng(9).normal(0, 14, (360, 480, 1)) * 4 * light * (1 - light)
    grained = np.clip(pixels + grain, 0, 255).astype(np.uint8)
    assert blurred_in_parts(laid(pixels, grained)) == 0


def test_a_smaller_image_that_is_sharper_may_have_been_sharpened() -> None:
    pixels = photograph(2)
    soft = np.asarray(cv2.GaussianBlur(pixels, (0, 0), 5.0), np.uint8)
    assert not evenly_sharper(laid(pixels, soft))
    assert evenly_sharper(laid(pixels, soft, ratio=2.0))


@pytest.mark.parametrize(
    ("name", "is_copy"),
    [("IMG_1", False), ("photo-2", False), ("IMG_0541_1", True), ("IMG_0541~2", True)],
)
def test_a_number_behind_a_word_names_no_copy(name: str, is_copy: bool) -> None:  # noqa: FBT001
    assert bool(_COPY.search(name)) is is_copy
