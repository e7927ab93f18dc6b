"""Whether an image is explained as another one that was resampled and saved."""

from __future__ import annotations

import io
from math import isnan

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from dedup.edits.catalogue import drawn
from dedup.proof.resampling import Line, resampled

Pixels = npt.NDArray[np.uint8]

FLAT = np.ones((8, 8), np.float32)
PILLOW = {
    "box": Image.Resampling.BOX,
    "triangle": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "cubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
OPENCV = {"linear": cv2.INTER_LINEAR, "steep cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


def photograph(seed: int) -> Pixels:
    """Draw something with grain, at sides that are no whole blocks."""
    rng = np.random.default_rng(seed)
    pixels = drawn(267, 333, rng) + rng.normal(0, 5, (267, 333, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def scaled(pixels: Pixels, factor: float, how: str) -> Pixels:
    size = round(pixels.shape[1] * factor), round(pixels.shape[0] * factor)
    if how in PILLOW:
        return np.asarray(Image.fromarray(pixels).resize(size, PILLOW[how]))
    return np.asarray(cv2.resize(pixels, size, interpolation=OPENCV[how]), np.uint8)


def saved(pixels: Pixels, quality: int) -> tuple[Pixels, npt.NDArray[np.float32]]:
    """Save as JPEG; gives its pixels and the steps of its luminance."""
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=quality)
    with Image.open(sink) as image:
        tables = image.quantization  # type: ignore[attr-defined]
        return np.asarray(image.convert("RGB")), np.reshape(tables[0], (8, 8)).astype(np.float32)


@pytest.mark.parametrize("how", [*PILLOW, *OPENCV])
@pytest.mark.parametrize("factor", [2.2, 1.3, 0.7])
def test_what_was_resampled_is_explained(factor: float, how: str) -> None:
    first, steps = saved(photograph(1), 88)
    second, finer = saved(scaled(first, factor, how), 80)
    explained = resampled(first, second, finer, 320)
    assert explained > -0.1
    assert resampled(second, first, steps, 320) < explained - 0.05


@pytest.mark.parametrize("factor", [1.5, 0.7])
@pytest.mark.parametrize("spared", [0, 3])
def test_what_was_resampled_and_sharpened_is_explained(factor: float, spared: int) -> None:
    first, steps = saved(photograph(1), 88)
    large = Image.fromarray(scaled(first, factor, "lanczos"))
    second, finer = saved(np.asarray(large.filter(ImageFilter.UnsharpMask(2, 100, spared))), 90)
    explained = resampled(first, second, finer, 320)
    assert explained > -0.1
    assert resampled(second, first, steps, 320) < explained - 0.1


@pytest.mark.parametrize("factor", [1.6, 0.8])
def test_a_part_that_was_resampled_is_explained_where_it_lies(factor: float) -> None:
    first, steps = saved(photograph(5), 88)
    second, finer = saved(scaled(first[21:240, 13:290], factor, "cubic"), 90)
    rough = Line(1.002 / factor, 21.3), Line(0.999 / factor, 12.8)
    explained = resampled(first, second, finer, 320, rough)
    assert explained > -0.1
    down, across = (Line(1 / line.step, -line.begin / line.step) for line in rough)
    assert resampled(second, first, steps, 320, (down, across)) < explained - 0.1


def test_what_was_not_quantised_is_explained_to_the_level() -> None:
    first, _ = saved(photograph(2), 85)
    assert resampled(first, scaled(first, 1.7, "cubic"), FLAT, 320) > 0
    assert resampled(scaled(first, 0.6, "cubic"), first, FLAT, 320) < -0.8


def test_a_soft_original_lies_closer_than_its_own_steps_would_leave_it() -> None:
    soft = Image.fromarray(photograph(3)).filter(ImageFilter.GaussianBlur(1.5))
    first, steps = saved(np.asarray(soft), 60)
    small, fine = saved(scaled(first, 0.8, "cubic"), 95)
    assert resampled(first, small, fine, 320) > -0.05
    assert resampled(small, first, steps, 320) < -0.25


def test_too_few_coefficients_tell_nothing() -> None:
    first, steps = saved(photograph(4), 90)
    assert isnan(resampled(first, first[:15], steps, 320))
    assert isnan(resampled(first, np.full_like(first, 255), steps, 320))
    assert isnan(resampled(first, scaled(first, 0.2, "cubic"), steps, 320))
    assert isnan(resampled(first, first, steps, 7))
