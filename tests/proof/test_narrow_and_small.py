"""Strips, what is too small to tell, and pages whose text is too small to read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from drawings import scene
from PIL import Image

import dedup
from dedup.images.decode import bounded_size, decode_square
from dedup.images.header import open_image
from dedup.proof import Original, Side, Verdict, describe, prove, working_side
from dedup.proof.legible import letter_height
from dedup.results import Tier

if TYPE_CHECKING:
    from pathlib import Path


def saved(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def side(data: bytes) -> Side:
    original, opened = Original(data), open_image(data, "")
    size = bounded_size(opened.header, working_side(*opened.header.size))
    return Side(describe(decode_square(data, *size).pixels), lambda: original)


def proven(first: Image.Image, second: Image.Image, quality: int = 80) -> Verdict:
    return prove(side(saved(first, 95)), side(saved(second, quality)))


STRIPS = [(600, 40), (40, 600), (1500, 60)]


@pytest.mark.parametrize("size", [*STRIPS, (20_000, 8), (1, 20_000)])
def test_a_strip_saved_again_is_resaved(size: tuple[int, int]) -> None:
    strip = scene(3, size)
    half = strip.resize((max(1, size[0] // 2), max(1, size[1] // 2)), Image.Resampling.LANCZOS)
    assert proven(strip, strip, 80).resaved
    assert min(size) == 8 or proven(strip, half, 85).resaved
    assert not proven(strip, scene(4, size)).near


@pytest.mark.parametrize("size", STRIPS)
def test_a_version_of_a_strip_is_near(size: tuple[int, int]) -> None:
    strip = scene(3, size)
    wide = size[0] > size[1]
    part = strip.crop((0, 0, size[0] * 4 // 5, size[1]) if wide else (0, 0, size[0], 480))
    crop = proven(strip, part)
    assert crop.near
    assert not crop.resaved
    assert crop.evidence == "cropped to 80%"
    assert proven(strip, strip.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).evidence == "mirrored"


def test_a_strip_of_a_few_pixels_says_that_it_is_too_narrow() -> None:
    strip = scene(3, (1000, 20))
    assert "too narrow" in proven(strip, strip.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).evidence


def page(number: str) -> Image.Image:
    sheet = np.full((1200, 900, 3), 255, np.uint8)
    for line in range(32):
        words = number if line == 3 else f"position {line * 37} of the order {line * 911}"
        cv2.putText(sheet, words, (50, 60 + 34 * line), 0, 0.7, (20,) * 3, 1, cv2.LINE_AA)
    return Image.fromarray(sheet)


def shrunk(image: Image.Image, share: float) -> Image.Image:
    size = [round(side * share) for side in image.size]
    return image.resize((size[0], size[1]), Image.Resampling.LANCZOS)


@pytest.mark.parametrize("share", [0.08, pytest.param(0.12, marks=pytest.mark.slow), 0.2])
def test_a_page_whose_text_cannot_be_read_proves_nothing(share: float) -> None:
    for number in ("Invoice 471108", "Invoice 471103"):
        verdict = proven(page("Invoice 471108"), shrunk(page(number), share))
        assert not verdict.near
        assert not verdict.resaved
        assert "too small to read" in verdict.evidence or "differ" in verdict.evidence
    assert "too small to read" in proven(page("1"), shrunk(page("1"), share)).evidence


def test_a_page_whose_text_can_be_read_is_resaved() -> None:
    assert proven(page("Invoice 471108"), shrunk(page("Invoice 471108"), 0.5)).resaved
    assert not proven(page("Invoice 471108"), shrunk(page("Invoice 471103"), 0.5)).near


def test_letters_are_measured_and_specks_are_none() -> None:
    level = np.asarray(page("Invoice 471108").convert("L"))
    assert letter_height(level) == 15  # of digits and capitals
    assert letter_height(np.full((200, 300), 90, np.uint8)) == 0
    specks = np.full((400, 400), 255, np.uint8)
    specks[5::20, 5::20] = 0
    assert letter_height(specks) == 0


def test_leaves_as_large_as_letters_are_no_text() -> None:
    rng = np.random.default_rng(4)
    level = np.full((600, 800), 250, np.uint8)
    for x, y in rng.integers(20, 580, (120, 2)).tolist():
        axes = rng.integers(3, 7, 2).tolist()
        cv2.ellipse(level, (x + 100, y), axes, float(rng.uniform(0, 180)), 0, 360, 60, -1)
    assert letter_height(level) == 0
    small = Image.fromarray(level).resize((200, 150), Image.Resampling.LANCZOS)
    assert proven(Image.fromarray(level).convert("RGB"), small.convert("RGB")).resaved


def test_lines_are_indexed_and_found_beside_photographs(tmp_path: Path) -> None:
    """One divider of a web page must not stop a run."""
    images = tmp_path / "images"
    images.mkdir()
    for size in ((1, 1), (20_000, 1), (1, 300), (6, 2000), (3000, 8), (20_000, 16)):
        line = Image.effect_noise(size, 60).convert("RGB")
        for suffix in ("png", "tif"):
            line.save(images / f"{size[0]}.{size[1]}.{suffix}")
    with dedup.Collection.create(tmp_path / "store") as collection:
        collection.index([images])
        groups = list(collection.duplicates())
    assert [(group.tier, len(group.duplicates)) for group in groups] == [(Tier.PIXELS, 1)] * 6
