"""The proof on two files: copies, versions with their direction, pages that differ in a digit."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from colour_profiles import ADOBE, profile
from PIL import Image

from dedup.edits.catalogue import drawn, edit
from dedup.images.decode import decode_bounded
from dedup.images.encode import as_jpeg
from dedup.proof import WORKING_SIDE, Original, Side, Verdict, describe, prove
from dedup.proof.whole import Frames

if TYPE_CHECKING:
    from pathlib import Path


def side(data: bytes) -> Side:
    original = Original(data)
    return Side(describe(decode_bounded(data, WORKING_SIDE)), lambda: original)


def proven(first: np.ndarray, second: np.ndarray, quality: int = 90) -> Verdict:
    return prove(side(as_jpeg(first, 95)), side(as_jpeg(second, quality)))


def invoice(number: str) -> np.ndarray:
    page = np.full((900, 700, 3), 255, np.uint8)
    for line in range(24):
        words = number if line == 1 else f"position {line * 37} of the order {line * 911}"
        at = (40, 60 + 34 * line)
        cv2.putText(page, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.7, (20,) * 3, 1, cv2.LINE_AA)
    return page


SCENE = drawn(600, 800, np.random.default_rng(3))


@pytest.mark.parametrize(("scale", "quality"), [(1.0, 40), (0.5, 80), (0.25, 85), (1.5, 85)])
def test_a_copy_of_another_size_or_quality_is_resaved(scale: float, quality: int) -> None:
    copy = edit("resize", scale, SCENE, np.random.default_rng(0))
    assert proven(SCENE, copy, quality).resaved


def test_a_page_with_another_digit_is_no_copy() -> None:
    assert proven(invoice("Invoice 471108"), invoice("Invoice 471108"), 70).resaved
    assert not proven(invoice("Invoice 471108"), invoice("Invoice 471103")).near


def test_what_is_cropped_is_said_of_the_crop() -> None:
    crop = SCENE[60:540, 80:720]
    there, back = proven(SCENE, crop), proven(crop, SCENE)
    assert there.near
    assert not there.resaved
    assert "cropped to 64%" in there.evidence
    assert "shows more (the other is cropped to 64%)" in there.backwards
    assert "shows more" in back.evidence
    assert (there.derived, back.derived) == (2, 1)


def test_a_copy_that_lost_its_colour_profile_is_a_copy_and_the_lesser_one() -> None:
    with_profile = io.BytesIO()
    Image.fromarray(SCENE).save(with_profile, "JPEG", quality=95, icc_profile=profile(ADOBE, 2.2))
    without = as_jpeg(decode_bounded(as_jpeg(SCENE, 95), 800), 80)
    verdict = prove(side(with_profile.getvalue()), side(without))
    assert verdict.resaved
    assert (verdict.evidence, verdict.derived) == ("the same image, without its colour profile", 2)
    back = prove(side(without), side(with_profile.getvalue()))
    assert back.evidence == "the same image, with the colour profile that the other has lost"
    assert back.derived == 1


def test_a_crop_of_what_has_plain_ground_is_no_original_that_got_a_border() -> None:
    shot = np.full((600, 800, 3), 250, np.uint8)
    shot[150:520, 200:700] = SCENE[150:520, 200:700]
    verdict = proven(shot, shot[:, 160:])  # plain ground was cut off, and only that
    assert verdict.near
    assert verdict.derived != 1
    saved = as_jpeg(shot, 85)
    verdict = prove(side(saved), side(as_jpeg(decode_bounded(saved, 800)[:, 160:], 90)))
    assert verdict.derived == 2
    assert "cropped to 80%" in verdict.evidence
    framed = np.full((700, 900, 3), 255, np.uint8)
    framed[50:650, 50:850] = SCENE
    verdict = proven(SCENE, framed)
    assert "border added around it" in verdict.evidence
    assert verdict.derived == 2


def test_noise_of_compression_somewhere_in_a_large_photograph_is_no_difference(
    shared: Path,
) -> None:
    data = (shared / "data" / "photos" / "exif" / "Portrait_2.jpg").read_bytes()
    again = as_jpeg(decode_bounded(data, 4000), 50)
    assert prove(side(data), side(again)).resaved


@pytest.mark.parametrize(("level", "last"), [(40, "one place"), (0, "another colour")])
def test_a_sticker_is_told_by_light_before_a_filter_is_fitted(level: int, last: str) -> None:
    image = drawn(600, 800, np.random.default_rng(5))
    other = image.copy()
    other[200:260, 300:400] = np.clip(other[200:260, 300:400].astype(int) + 2 * level, 0, 255)
    found = Frames.of(image, other, (100, 100)).checks()
    assert last in found[-1].name
    assert found[-1].passed is (level == 0)
