"""Seams: where something ends and other things begin."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dedup.edits.catalogue import drawn
from dedup.proof.seams import seam

BOX = np.array([(0, 0), (200, 0), (200, 150), (0, 150)], float)
INNER = np.add(BOX, (90, 70))


def grey(height: int, width: int, seed: int) -> np.ndarray:
    pixels = drawn(height, width, np.random.default_rng(seed)).astype(np.uint8)
    return cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (0, 0), 1)


@pytest.mark.parametrize("seed", range(4))
def test_what_was_cut_out_has_no_seam(seed: int) -> None:
    found = seam(grey(300, 400, seed), INNER)
    assert found is not None
    assert found < 1.5


@pytest.mark.parametrize("seed", range(4))
def test_what_was_pasted_has_one(seed: int) -> None:
    sheet = grey(300, 400, seed)
    sheet[70:220, 90:290] = grey(150, 200, seed + 10)
    found = seam(sheet, INNER)
    assert found is not None
    assert found > 2


def test_white_of_a_photograph_ends_where_that_of_a_sheet_begins() -> None:
    sheet = np.full((300, 400), 255, np.uint8)
    sheet[70:220, 90:290] = 252
    found = seam(sheet, INNER)
    assert found is not None
    assert found > 2


def test_one_side_that_goes_on_is_enough_against_a_seam() -> None:
    sheet = grey(300, 400, 1)
    sheet[:, :90] = 255
    found = seam(sheet, INNER)
    assert found is not None
    assert found < 1.5


def test_the_edges_of_the_image_are_no_seams() -> None:
    sheet = grey(150, 400, 2)
    sheet[:, 200:] = grey(150, 200, 3)
    found = seam(sheet, BOX)
    assert found is not None
    assert found > 2
    assert seam(sheet[:, :200], BOX) is None
