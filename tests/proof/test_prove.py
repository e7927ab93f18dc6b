"""The proof on two files: copies, versions with their direction, pages that differ in a digit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dedup.edits.catalogue import drawn, edit
from dedup.images.decode import decode_bounded
from dedup.images.encode import as_jpeg
from dedup.proof import WORKING_SIDE, Original, Side, Verdict, describe, prove


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
    assert "shows more: the other is cropped to 64%" in there.backwards
    assert "shows more" in back.evidence
    assert (there.derived, back.derived) == (2, 1)
