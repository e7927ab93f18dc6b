"""What is asked of three channels together, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from dedup.proof.channels import at_ends, gap_levels, off_levels

RNG = np.random.default_rng(0)
ONE, TWO = RNG.integers(0, 256, (2, 31, 43, 3), dtype=np.uint8)


def test_gaps_are_those_of_the_channel_that_differs_most() -> None:
    wide = np.abs(ONE.astype(int) - TWO).max(axis=2)
    assert np.array_equal(gap_levels(ONE, TWO), wide)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (3, 200, 77), (12.9, 0.5, 254.2)])
def test_colours_are_whole_levels(colour: tuple[float, ...]) -> None:
    whole = np.array(colour).astype(int)
    assert np.array_equal(off_levels(ONE, colour), np.abs(ONE.astype(int) - whole).max(axis=2))


def test_a_strip_as_wide_as_a_colour_is_an_image() -> None:
    strip = ONE[:4, :1]
    assert off_levels(strip, (9, 9, 9)).shape == (4, 1)


@pytest.mark.parametrize("image", [ONE, ONE[::-1, ::2], ONE.transpose(1, 0, 2)])
def test_one_channel_at_an_end_is_enough(image: np.ndarray) -> None:
    ends = ((image <= 6) | (image >= 249)).any(axis=2)
    assert np.array_equal(at_ends(image, 6, 249), ends)
