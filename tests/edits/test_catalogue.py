"""Every way of editing: repeatable by seed, and harmless to its input."""

from __future__ import annotations

import numpy as np
import pytest

from dedup.edits.catalogue import EDITS, drawn, edit, visible


@pytest.mark.parametrize("kind", list(EDITS))
def test_an_edit_is_a_new_image_that_the_seed_decides(kind: str) -> None:
    pixels = drawn(96, 128, np.random.default_rng(0))
    before = pixels.copy()
    for strength in EDITS[kind].strengths:
        one, two = (edit(kind, strength, pixels, np.random.default_rng(7)) for _ in range(2))
        np.testing.assert_array_equal(one, two)
        assert one.dtype == np.uint8
        assert one.ndim == 3
        assert one.shape[2] == 3
        assert one.shape != pixels.shape or (one != pixels).any()
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("kind", list(EDITS))
def test_no_more_is_visible_than_there_is(kind: str) -> None:
    shares = [visible(kind, strength) for strength in EDITS[kind].strengths]
    assert all(0 < share <= 1 for share in shares)


def test_what_is_visible_of_edits_in_turn_is_the_product() -> None:
    assert visible("crop", 0.5) == 0.5
    assert visible("crop+jpeg", 2) == 0.5
    assert visible("crop+text+jpeg", 1) == pytest.approx(0.75 * 0.9)
    assert visible("jpeg", 8) == 1


def test_a_crop_leaves_the_share_of_the_area_that_it_is_named_for() -> None:
    pixels = drawn(200, 300, np.random.default_rng(0))
    for area in EDITS["crop"].strengths:
        height, width = edit("crop", area, pixels, np.random.default_rng(1)).shape[:2]
        assert height * width / (200 * 300) == pytest.approx(area, abs=0.02)
