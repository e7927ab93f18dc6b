"""Which of two versions was made from the other, by what edits leave behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from saved import as_file, opened

from dedup.edits.catalogue import drawn
from dedup.images.decode import decode_bounded
from dedup.proof import WORKING_SIDE, Original, Side, describe, prove
from dedup.proof.exactly import made_exactly
from dedup.proof.lineage import windows
from dedup.proof.traces import left_of, levels_lost, traced, traced_again

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

AS_IT_IS = np.eye(3)


def photograph(seed: int, grain: float = 3.0) -> Image.Image:
    """Draw something with soft grain, that was never a JPEG."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(0, 2 * grain, (333, 429, 3)), (0, 0), 0.8)
    pixels = drawn(333, 429, rng) * 0.7 + 30 + noise
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def changed(how: Callable[[Pixels], npt.ArrayLike]) -> Callable[[Image.Image], Image.Image]:
    def edit(image: Image.Image) -> Image.Image:
        levels = np.rint(np.asarray(how(np.asarray(image)), np.float64))
        return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))

    return edit


def noisy(pixels: Pixels) -> npt.ArrayLike:
    return pixels + np.random.default_rng(5).normal(0, 8, pixels.shape)


def grainy(pixels: Pixels) -> npt.ArrayLike:
    return pixels + np.random.default_rng(6).normal(0, 5, pixels.shape[:2])[..., None]


def equalised(pixels: Pixels) -> npt.ArrayLike:
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(2.0, (8, 8)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def clearer(pixels: Pixels) -> npt.ArrayLike:
    return pixels + 0.4 * (pixels - cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), 14))


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "noise": changed(noisy),
    "grain": changed(grainy),
    "local contrast": changed(equalised),
    "clarity": changed(clearer),
    "sharpened": lambda image: image.filter(ImageFilter.UnsharpMask(2, 150, 0)),
}


@pytest.mark.parametrize("quality", [None, 85])
@pytest.mark.parametrize("name", EDITS)
def test_what_was_added_is_told(name: str, quality: int | None) -> None:
    original = as_file(photograph(1), quality)
    made = as_file(EDITS[name](opened(original)), 92)
    assert traced(original, made, AS_IT_IS) == 2
    assert traced(made, original, AS_IT_IS) == 1


@pytest.mark.parametrize("quality", [80, 85, 95])
def test_saving_again_leaves_no_trace(quality: int) -> None:
    original = as_file(photograph(2), 90)
    copy = as_file(opened(original), quality)
    assert traced(original, copy, AS_IT_IS) == 0
    assert traced(copy, original, AS_IT_IS) == 0


def test_noise_is_as_strong_everywhere_and_like_nothing() -> None:
    image = photograph(3)
    left = left_of(np.asarray(image), np.asarray(EDITS["noise"](image)))
    assert left is not None
    assert left.is_noise
    assert left.evenly == pytest.approx(1, abs=0.1)
    assert left.calm_like == pytest.approx(0, abs=0.05)
    assert left.fall == pytest.approx(1, abs=0.15)
    back = left_of(np.asarray(EDITS["noise"](image)), np.asarray(image))
    assert back is not None
    assert not back.is_noise
    assert back.calm_like < -0.3


@pytest.mark.parametrize("width", [0.5, 0.7])
def test_what_a_slight_blur_took_was_not_added_by_sharpening(width: float) -> None:
    sharp = Image.fromarray(cv2.GaussianBlur(np.asarray(photograph(3, 5)), (0, 0), 0.4))
    soft = sharp.filter(ImageFilter.GaussianBlur(width))
    blurred = left_of(np.asarray(soft), np.asarray(sharp))
    assert blurred is not None
    assert not blurred.is_sharpening
    stronger = sharp.filter(ImageFilter.UnsharpMask(2, 150, 0))
    sharpened = left_of(np.asarray(sharp), np.asarray(stronger))
    assert sharpened is not None
    assert sharpened.is_sharpening or sharpened.is_local_contrast


@pytest.mark.parametrize("size", [3, 5])
def test_a_filter_against_noise_is_told_by_what_it_took(size: int) -> None:
    original = as_file(photograph(4, grain=5), None)
    made = as_file(changed(lambda pixels: cv2.medianBlur(pixels, size))(opened(original)), 92)
    assert traced(original, made, AS_IT_IS) == 2
    assert traced(made, original, AS_IT_IS) == 1


@pytest.mark.parametrize("name", ["median", "bilateral"])
def test_a_filter_whose_outcome_is_still_the_same_image_is_told(name: str) -> None:
    image = photograph(2, 6)
    pixels = np.ascontiguousarray(np.asarray(image))
    filtered = (
        cv2.medianBlur(pixels, 3) if name == "median" else cv2.bilateralFilter(pixels, 3, 25, 5)
    )
    one, two = as_file(image, None), as_file(Image.fromarray(filtered), None)
    assert traced_again(one, two) == 2
    assert traced_again(two, one) == 1


def test_what_jpeg_took_is_no_trace_of_a_filter() -> None:
    image = photograph(2, 6)
    assert traced_again(as_file(image, 90), as_file(image, 80)) == 0


def test_black_and_white_alone_tell_nothing() -> None:
    levels = np.zeros((200, 200, 3), np.uint8)
    levels[::2] = 255
    assert left_of(levels, levels) is None


# -- levels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [None, 92])
@pytest.mark.parametrize("bits", [3, 4])
def test_posterised_levels_are_told(bits: int, quality: int | None) -> None:
    y, x = np.mgrid[0:300, 0:400]
    shades = np.stack([y * 0.7 + 20, x * 0.5 + 30, (x + y) * 0.3 + 10], axis=-1)
    image = changed(lambda pixels: pixels * 0.2 + shades)(photograph(5).crop((0, 0, 400, 300)))
    made = opened(as_file(ImageOps.posterize(image, bits), quality))
    both = np.asarray(image), np.asarray(made)
    assert levels_lost(both, (True, quality is None)) == 2
    assert levels_lost(both[::-1], (quality is None, True)) == 1


def test_levels_that_stretching_leaves_out_are_told_where_nothing_was_lost() -> None:
    image = photograph(6)
    stretched = np.asarray(ImageEnhance.Contrast(image).enhance(1.3))
    both = np.asarray(image), stretched
    assert levels_lost(both, (False, True)) == 2
    assert levels_lost(both, (True, False)) == 0
    once_more = np.asarray(opened(as_file(Image.fromarray(stretched), 85)))
    assert levels_lost((once_more, stretched), (False, True)) == 0  # its tones are the same


def warmer(pixels: Pixels) -> npt.ArrayLike:
    return np.asarray(pixels * np.array([1.09, 1, 0.92]))


def sepia(pixels: Pixels) -> npt.ArrayLike:
    rule = np.array([[0.393, 0.349, 0.272], [0.769, 0.686, 0.534], [0.189, 0.168, 0.131]])
    return np.asarray(pixels @ rule * 0.8)


@pytest.mark.parametrize("how", [warmer, sepia])
@pytest.mark.parametrize("quality", [None, 90])
def test_one_rule_to_whole_levels_is_told(
    how: Callable[[Pixels], npt.ArrayLike], quality: int | None
) -> None:
    original = as_file(photograph(7), quality)
    made = as_file(changed(how)(opened(original)), None)
    both = windows(original, made, AS_IT_IS)
    assert both is not None
    assert made_exactly(both, (original.is_lossless, True)) == 2
    assert made_exactly(both[::-1], (True, original.is_lossless)) == 1
    assert made_exactly(both, (False, False)) == 0
    copy = windows(original, original, AS_IT_IS)
    assert copy is not None
    assert made_exactly(copy, (True, True)) == 0


# -- the whole proof -------------------------------------------------------------------------------


def sided(original: Original) -> Side:
    return Side(describe(decode_bounded(original.data, WORKING_SIDE, srgb=True)), lambda: original)


@pytest.mark.parametrize("name", ["noise", "local contrast"])
def test_a_proof_says_which_was_made(name: str) -> None:
    original = as_file(photograph(8), 88)
    made = as_file(EDITS[name](opened(original)), 92)
    verdict = prove(sided(original), sided(made))
    assert verdict.near
    assert verdict.derived == 2
    assert prove(sided(made), sided(original)).derived == 1


def test_an_enlargement_of_what_was_never_compressed_is_told() -> None:
    original = as_file(photograph(9).resize((300, 233), Image.Resampling.LANCZOS), None)
    larger = as_file(opened(original).resize((600, 466), Image.Resampling.LANCZOS), 94)
    assert prove(sided(original), sided(larger)).derived == 2
    assert prove(sided(larger), sided(original)).derived == 1


def test_a_cell_of_a_collage_was_not_cropped_from_it() -> None:
    one, two = photograph(10), photograph(11)
    collage = Image.new("RGB", (2 * one.width + 36, one.height + 24), "white")
    collage.paste(one, (12, 12))
    collage.paste(two, (one.width + 24, 12))
    verdict = prove(sided(as_file(one, 90)), sided(as_file(collage, 90)))
    assert verdict.near
    assert verdict.derived == 2
    assert verdict.evidence.startswith("shows the other among other things")


def test_a_crop_is_cropped_still() -> None:
    image = photograph(12)
    crop = image.crop((40, 30, 320, 260))
    verdict = prove(sided(as_file(image, 90)), sided(as_file(crop, 90)))
    assert verdict.derived == 2
    assert verdict.evidence.startswith("cropped")
