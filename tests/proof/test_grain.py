"""Noise of their own tells two shots and two scans apart, and copies from neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from saved import side

from dedup.edits.catalogue import drawn
from dedup.images.decode import decode_bounded
from dedup.images.encode import as_jpeg
from dedup.proof import Verdict, prove
from dedup.proof.grain import OTHER_GRAIN, grain_apart
from dedup.proof.original import grey

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]


def grain(seed: int, levels: float, blur: float, shape: tuple[int, int]) -> Floats:
    noise = np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), blur) if blur else noise
    return np.asarray(soft * (levels / soft.std()), np.float32)


def on_paper(page: Pixels, seed: int, levels: float = 5.0, blur: float = 1.0) -> Pixels:
    """Give a page as printed on rough paper."""
    rough = grain(seed, levels, blur, page.shape[:2])
    return np.asarray(np.clip(page + rough[..., None], 0, 255), np.uint8)


def ticket(seat: str) -> Pixels:
    page = Image.new("RGB", (900, 420), (226, 206, 210))
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, 900, 70), (12, 62, 76))
    pen.text((20, 16), "DRAGON SERVER LIVE", "white", ImageFont.load_default(34))
    for column, (name, value) in enumerate(
        [("Row", "S"), ("Seat", seat), ("Gate", "3"), ("Date", "18 May")]
    ):
        pen.text((40 + 170 * column, 150), name, (30, 30, 30), ImageFont.load_default(22))
        pen.text((40 + 170 * column, 190), value, "black", ImageFont.load_default(40))
    return np.array(page)


def proven(one: Pixels, two: Pixels, qualities: tuple[int, int] = (90, 80)) -> Verdict:
    return prove(side(one, quality=qualities[0]), side(two, quality=qualities[1]))


@pytest.mark.parametrize("blur", [0.0, 1.0, 2.0])
def test_two_tickets_on_rough_paper_are_two(blur: float) -> None:
    one, two = (on_paper(ticket(seat), int(seat), blur=blur) for seat in ("88", "78"))
    assert not proven(one, two).near


@pytest.mark.parametrize("quality", [40, 90])
def test_a_part_of_a_page_on_rough_paper_is_a_part_of_it(quality: int) -> None:
    page = on_paper(ticket("88"), 3)
    assert proven(page, page[60:, 20:760].copy(), (92, quality)).near


@pytest.mark.parametrize(("scale", "quality"), [(1.0, 30), (0.6, 50), (1.4, 75)])
def test_a_copy_has_the_grain_of_the_other_or_none(scale: float, quality: int) -> None:
    image = on_paper(drawn(600, 800, np.random.default_rng(2)), 4, levels=6.0)
    seen = decode_bounded(as_jpeg(image, 90), 4000)
    copy = np.asarray(cv2.resize(seen, None, fx=scale, fy=scale), np.uint8)
    back = cv2.resize(decode_bounded(as_jpeg(copy, quality), 4000), (800, 600))
    one, two = (grey(np.asarray(each, np.uint8)) for each in (seen, back))
    assert not grain_apart(one, two, np.ones(one.shape, np.bool_))


def test_grain_of_its_own_is_told_and_a_part_that_does_not_count_is_not_asked() -> None:
    ground = grain(1, 30.0, 40.0, (400, 400)) + 128
    one, two = (ground + grain(seed, 3.0, 0.8, (400, 400)) for seed in (2, 3))
    everywhere = np.ones((400, 400), np.bool_)
    assert grain_apart(one, two, everywhere)
    assert not grain_apart(one, one + grain(3, 3.0, 0.8, (400, 400)), everywhere)
    assert not grain_apart(one, ground, everywhere)
    assert not grain_apart(one, two, ~everywhere)
    assert "grain" in OTHER_GRAIN
