"""What JPEG 2000, AVIF, WebP or a palette took away is no other image, and hides no figure."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, features

from dedup.edits.catalogue import drawn
from dedup.images.decode import decode_bounded
from dedup.proof import WORKING_SIDE, Original, Side, describe, prove
from dedup.proof.saved_alike import saved_alike
from dedup.proof.whole import frames

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

FORMATS: dict[str, dict[str, Any]] = {
    "JPEG2000": {"irreversible": True, "quality_mode": "rates", "quality_layers": [24]},
    "WEBP": {"quality": 30},
    "AVIF": {"quality": 40, "speed": 10},
    "GIF": {},
}
NEEDED = {"JPEG2000": "jpg_2000", "WEBP": "webp", "AVIF": "avif"}


def scene() -> Pixels:
    """Draw a scene under fine grain, which such formats take away here and keep there."""
    rng = np.random.default_rng(4)
    grain = cv2.GaussianBlur(rng.normal(0, 36, (480, 640, 1)).astype(np.float32), (0, 0), 0.8)
    return np.asarray(np.clip(drawn(480, 640, rng) + grain[..., None], 0, 255), np.uint8)


def page(figure: str) -> Pixels:
    image = Image.new("RGB", (640, 480), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(18)
    for row in range(14):
        pen.text((40, 20 + 32 * row), f"Row {row}, of which each is another", "black", font)
        pen.text((480, 20 + 32 * row), figure if row == 6 else str(4127 + 31 * row), "black", font)
    return np.asarray(image)


def saved(pixels: Pixels, kind: str, size: tuple[int, int] | None = None) -> bytes:
    if kind in NEEDED and not features.check(NEEDED[kind]):
        pytest.skip(f"no {kind}")
    image = Image.fromarray(pixels)
    image = image.resize(size) if size else image
    if kind == "GIF":
        image = image.quantize(palette=image.quantize(256))
    sink = io.BytesIO()
    image.save(sink, kind, **FORMATS[kind])
    return sink.getvalue()


def of(data: bytes) -> Side:
    original = Original(data)
    return Side(describe(decode_bounded(data, WORKING_SIDE, srgb=True)), lambda: original)


def png(pixels: Pixels) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [None, (480, 360)])
def test_saving_alike_explains_what_was_lost(kind: str, size: tuple[int, int] | None) -> None:
    pixels = scene()
    if kind == "GIF":  # which has few colours
        pixels = pixels // 3 + 80
    one, two = Original(png(pixels)), Original(saved(pixels, kind, size))
    laid = frames(one, two)
    _, checks = saved_alike(one, two, laid, tuple(laid.checks()))
    assert all(check.passed for check in checks), checks[-1]


@pytest.mark.parametrize("kind", FORMATS)
def test_another_figure_stays_one(kind: str) -> None:
    assert not prove(of(png(page("4813"))), of(saved(page("4313"), kind))).near


@pytest.mark.parametrize("kind", FORMATS)
def test_another_thing_in_a_scene_stays_one(kind: str) -> None:
    other = scene()
    other[200:260, 300:360] = other[20:80, 20:80]
    assert not prove(of(png(scene())), of(saved(other, kind))).resaved
