"""Colour profiles are applied where colours are looked at, and ignored where they make no sense."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from colour_profiles import ADOBE, P3, profile
from PIL import Image, ImageCms

from dedup.images.containers import has_gain_map
from dedup.images.decode import decode_bounded, decode_square, pixel_digest
from dedup.images.profiles import profile_of

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def stored(
    colour: tuple[int, ...], icc: bytes | None, mode: str = "RGB", kind: str = "PNG"
) -> bytes:
    image = Image.new(mode, (40, 30), colour if len(colour) > 1 else colour[0])
    image.putpixel((3, 3), 0 if mode == "L" else (0,) * len(colour))
    buffer = io.BytesIO()
    image.save(buffer, kind, icc_profile=icc)
    return buffer.getvalue()


def seen(data: bytes) -> list[int]:
    found: list[int] = decode_bounded(data, 40, srgb=True)[20, 20].tolist()
    return found


@pytest.mark.parametrize(("primaries", "gamma"), [(P3, 2.2), (ADOBE, 2.2)])
def test_a_wide_gamut_becomes_srgb(
    primaries: tuple[tuple[float, float, float], ...], gamma: float
) -> None:
    colour = (180, 120, 60)
    data = stored(colour, profile(primaries, gamma))
    # The oracle: linear light, XYZ, sRGB's inverse matrix (D50) and curve.
    linear = (np.array(colour) / 255) ** gamma @ np.array(primaries)
    to_linear = np.array(
        [
            [3.1338561, -1.6168667, -0.4906146],
            [-0.9787684, 1.9161415, 0.0334540],
            [0.0719453, -0.2289914, 1.4052427],
        ]
    )
    light = np.clip(to_linear @ linear, 0, 1)
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert seen(data) == pytest.approx(expected, abs=2)
    assert decode_square(data, 30, 40, srgb=True).pixels[20, 20].tolist() == seen(data)
    assert decode_bounded(data, 40)[20, 20].tolist() == list(colour)
    assert decode_square(data, 30, 40).pixels[20, 20].tolist() == list(colour)


def test_grey_has_its_own_curve() -> None:
    data = stored((64,), profile(None, 1.0), "L")
    expected = 255 * (1.055 * (64 / 255) ** (1 / 2.4) - 0.055)
    assert seen(data) == pytest.approx([expected] * 3, abs=2)
    assert decode_bounded(data, 40)[20, 20].tolist() == [64, 64, 64]


@pytest.mark.parametrize(
    "icc", [None, SRGB, b"", b"no profile", profile(P3, 2.2)[:200], profile(None, 1.8)]
)
def test_srgb_and_what_makes_no_sense_change_nothing(
    icc: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert seen(stored((180, 120, 60), icc)) == [180, 120, 60]
    assert capfd.readouterr() == ("", "")


def test_a_profile_that_is_srgb_is_none() -> None:
    for icc, wanted in ((SRGB, False), (profile(P3, 2.2), True)):
        with Image.open(io.BytesIO(stored((1, 2, 3), icc))) as image:
            assert (profile_of(image) is not None) == wanted


def test_equal_values_with_another_profile_are_another_image() -> None:
    bare, srgb, wide = (
        pixel_digest(stored((9, 8, 7), icc)) for icc in (None, SRGB, profile(P3, 2.2))
    )
    assert bare == srgb
    assert bare != wide
    assert wide == pixel_digest(stored((9, 8, 7), profile(P3, 2.2), kind="TIFF"))


def test_a_gain_map_is_seen() -> None:
    jpeg = stored((1, 2, 3), None, kind="JPEG")
    assert not has_gain_map(jpeg)
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version="1.0"/>'
    assert has_gain_map(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp + jpeg[2:])
    assert not has_gain_map(b"hdrgm:Version")
