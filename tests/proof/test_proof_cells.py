"""Averages over squares of pixels, against plain loops."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dedup.proof import cells


@pytest.mark.parametrize("side", [2, 4, 8])
@pytest.mark.parametrize("shape", [(16, 24), (17, 23), (1, 9)])
def test_averages_are_those_of_whole_squares(side: int, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(1).uniform(0, 255, shape).astype(np.float32)
    held = cells.whole(values, side)
    assert held.shape == tuple(-(-each // side) * side for each in shape)
    np.testing.assert_array_equal(held[: shape[0], : shape[1]], values)
    found = cells.averaged(held, side)
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            square = held[row * side : (row + 1) * side, column * side : (column + 1) * side]
            assert found[row, column] == pytest.approx(square.mean(), rel=1e-5)


def test_beyond_an_image_is_its_edge_or_nothing() -> None:
    values = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    assert cells.whole(values, 4)[3].tolist() == [4, 5, 6, 6]
    assert cells.whole(values, 4, cv2.BORDER_CONSTANT)[3].tolist() == [0, 0, 0, 0]
    assert cells.cut(values, 2).tolist() == [[1, 2], [4, 5]]
    assert cells.cut(values, 4).shape == (2, 3)  # less than one square


def test_pixels_get_what_lies_between_squares() -> None:
    ramp = np.tile(np.arange(32, dtype=np.float32), (32, 1))
    found = cells.interpolated(cells.averaged(ramp, 4), 4, (30, 31))
    assert found.shape == (30, 31)
    assert np.abs(found - ramp[:30, :31])[:, 2:29].max() < 1e-3
