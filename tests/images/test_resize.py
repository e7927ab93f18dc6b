from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from drawn import textured

from dedup.images.resize import resize

SIZES = [(224, 224), (64, 64), (17, 40)]


def area_weights(source: int, target: int) -> npt.NDArray[np.float64]:
    """Say how much of each target pixel each source pixel covers."""
    edges = np.arange(target + 1) * source / target
    starts = np.arange(source)
    low = np.maximum(edges[:-1, None], starts[None, :])
    high = np.minimum(edges[1:, None], starts[None, :] + 1)
    return np.asarray(np.maximum(0, high - low) * target / source)


def area_mean(pixels: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[np.float64]:
    """Average the exact area under every target pixel: the oracle."""
    rows, columns = area_weights(pixels.shape[0], height), area_weights(pixels.shape[1], width)
    mean = np.einsum("ih,hwc,jw->ijc", rows, pixels.astype(float), columns, optimize=True)
    return np.asarray(mean, np.float64)


@pytest.mark.parametrize("size", SIZES)
def test_shrinking_averages_areas(size: tuple[int, int]) -> None:
    for factor in (1.0, 1.2, 1.49, 1.5, 1.8, 2.0, 2.7, 3.9, 7.3):
        pixels = textured(round(size[0] * factor), round(size[1] * factor * 1.1), seed=3)
        difference = np.abs(resize(pixels, *size) - area_mean(pixels, *size))
        assert difference.mean() < 1.5, factor


@pytest.mark.parametrize(
    "shape", [(300, 310), (300, 800), (301, 227), (229, 900), (900, 1000), (448, 448)]
)
def test_outside_the_two_step_range_it_is_opencv_area(shape: tuple[int, int]) -> None:
    pixels = textured(*shape)
    expected = cv2.resize(pixels, (224, 224), interpolation=cv2.INTER_AREA)
    assert np.array_equal(resize(pixels, 224, 224), expected)


def test_no_pixel_is_passed_over() -> None:
    for side in (230, 333, 336, 448, 449, 700, 784, 1000, 3001):
        for row in (0, 1, side // 3, side // 2 + 1, side - 1):
            pixels = np.zeros((side, side, 3), np.uint8)
            pixels[row] = 255
            light = float(resize(pixels, 224, 224).mean()) * side
            assert light == pytest.approx(255, rel=0.9), (side, row)


def test_one_colour_stays_that_colour() -> None:
    for shape in ((1, 1), (3, 900), (500, 375), (2000, 10)):
        pixels = np.full((*shape, 3), (9, 128, 255), np.uint8)
        assert np.array_equal(resize(pixels, 40, 30), np.full((40, 30, 3), (9, 128, 255)))


def test_enlarging_interpolates_linearly() -> None:
    pixels = textured(50, 60)
    expected = cv2.resize(pixels, (224, 100), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(resize(pixels, 100, 224), expected)


def test_a_side_that_shrinks_is_averaged_while_the_other_grows() -> None:
    pixels = np.zeros((20, 4000, 3), np.uint8)
    pixels[:, ::2] = 200
    assert np.abs(resize(pixels, 224, 224).astype(int) - 100).max() <= 2


def test_size_that_fits_is_left_alone() -> None:
    pixels = textured(224, 200)
    assert resize(pixels, 224, 200) is pixels
