"""Blurs of parts, blurs of all of an image, and sharpening; places that were made coarse."""

from __future__ import annotations

import io

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from dedup.edits.catalogue import drawn
from dedup.images.decode import decode_bounded
from dedup.proof import WORKING_SIDE, Original, Side, Verdict, describe, prove
from dedup.proof.closely import Laid
from dedup.proof.sharpness import as_soft

Pixels = npt.NDArray[np.uint8]


def photograph(seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    pixels = drawn(360, 480, rng) + rng.normal(0, 6, (360, 480, 3))
    smooth = cv2.GaussianBlur(np.clip(pixels, 0, 255).astype(np.uint8), (0, 0), 0.6)
    return np.asarray(smooth, np.uint8)


def side(pixels: Pixels) -> Side:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    original = Original(sink.getvalue())
    return Side(describe(decode_bounded(original.data, WORKING_SIDE)), lambda: original)


def proven(one: Pixels, two: Pixels) -> Verdict:
    return prove(side(one), side(two))


def blurred_around(pixels: Pixels, width: float) -> Pixels:
    """Blur all but what is in the middle, as portrait modes do."""
    height, wide = pixels.shape[:2]
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : wide * 1j]
    kept = np.clip((0.6 - np.hypot(x, y)) * 6, 0, 1)[..., None]
    soft = cv2.GaussianBlur(pixels, (0, 0), width)
    return np.rint(pixels * kept + soft * (1 - kept)).astype(np.uint8)


def blurred_in_the_middle(pixels: Pixels) -> Pixels:
    made = pixels.copy()
    made[120:216, 160:256] = cv2.GaussianBlur(pixels[120:216, 160:256], (0, 0), 6)
    return made


@pytest.mark.parametrize("seed", [0, 1])
def test_what_was_blurred_in_parts_was_made_of_what_is_sharp(seed: int) -> None:
    pixels = photograph(seed)
    verdict = proven(pixels, blurred_around(pixels, 3))
    assert verdict.near
    assert verdict.derived == 2


@pytest.mark.parametrize("seed", [2, 3])
def test_what_was_made_coarse_in_one_place_is_no_original(seed: int) -> None:
    pixels = photograph(seed)
    verdict = proven(pixels, blurred_in_the_middle(pixels))
    assert verdict.near
    assert verdict.derived == 2
    assert "made coarse over" in verdict.evidence


def test_words_over_a_part_are_no_detail_that_the_other_lost() -> None:
    pixels = photograph(4)
    made = pixels.copy()
    for row in range(3):
        place = 60, 140 + 50 * row
        cv2.putText(made, "HELLO THERE", place, cv2.FONT_HERSHEY_SIMPLEX, 1.6, (255, 255, 255), 4)
    verdict = proven(pixels, made)
    assert verdict.near
    assert verdict.derived == 2
    assert "added" in verdict.evidence


def stamped(pixels: Pixels, words: str) -> Pixels:
    made = np.asarray(cv2.resize(pixels, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    place, yellow = (480, 660), (255, 220, 60)
    cv2.putText(made, words, place, cv2.FONT_HERSHEY_SIMPLEX, 2, yellow, 5, cv2.LINE_AA)
    return made


@pytest.mark.parametrize("width", [3, 4])
def test_a_blur_of_one_hides_no_other_figures(width: float) -> None:
    """They are told as soft as the softer one is: what is soft alone is steep on the other."""
    one, two = (stamped(photograph(1), words) for words in ("98 2 14", "94 2 57"))
    soft, other = (
        np.asarray(cv2.GaussianBlur(each, (0, 0), width), np.uint8) for each in (one, two)
    )
    assert not proven(one, other).near
    copy = proven(one, soft)
    assert copy.near
    assert not copy.resaved
    assert "added" not in copy.evidence


def laid(one: Pixels, two: Pixels) -> Laid:
    return Laid(one, two, np.ones(one.shape[:2], np.bool_), 1, (100, 100))


@pytest.mark.parametrize("width", [1.4, 2.8])
def test_the_sharper_is_blurred_as_much_as_the_other_was(width: float) -> None:
    pixels = photograph(4)
    blurred = np.asarray(cv2.GaussianBlur(pixels, (0, 0), width), np.uint8)
    for both in ((pixels, blurred), (blurred, pixels)):
        soft = as_soft(laid(*both))
        assert soft is not None
        assert np.abs(soft.one.astype(int) - soft.two).max() <= 2
    assert as_soft(laid(pixels, pixels)) is None
