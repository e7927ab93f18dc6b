"""What OpenCV does, where the decode path leans on it or works around it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from drawn import encode, exif, png, stored_for, textured

PICTURE = textured(64, 96)


def opencv(data: bytes, flags: int = cv2.IMREAD_COLOR_RGB) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


def test_truncated_jpeg_is_none_at_every_scale() -> None:
    data = encode(textured(400, 600), "JPEG")
    for reduction in (
        0,
        cv2.IMREAD_REDUCED_GRAYSCALE_2,
        cv2.IMREAD_REDUCED_GRAYSCALE_4,
        cv2.IMREAD_REDUCED_GRAYSCALE_8,
    ):
        for size in (len(data) // 2, len(data) - 1):
            assert opencv(data[:size], cv2.IMREAD_COLOR_RGB | reduction) is None


def test_reduced_grey_flags_with_the_colour_flag_give_colour() -> None:
    data = encode(textured(400, 600), "JPEG")
    reduced = opencv(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_2)
    named = opencv(data, cv2.IMREAD_REDUCED_COLOR_2)
    assert np.array_equal(reduced, named[:, :, ::-1])


def test_orientation_is_applied_to_some_formats_only() -> None:
    turned = stored_for(PICTURE, 6)
    for name in ("JPEG", "PNG", "WEBP"):
        assert opencv(encode(turned, name, exif=exif(6))).shape == PICTURE.shape
    assert opencv(encode(turned, "AVIF", exif=exif(6))).shape == turned.shape
    tiff = encode(turned, "TIFF", exif=exif(6))
    reduced = opencv(tiff, cv2.IMREAD_REDUCED_COLOR_2)
    assert reduced.shape[0] > reduced.shape[1]


def test_orientation_can_be_ignored() -> None:
    turned = stored_for(PICTURE, 6)
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    assert opencv(encode(turned, "JPEG", exif=exif(6)), flags).shape == turned.shape


def test_alpha_is_dropped_so_that_hidden_colours_show() -> None:
    hidden = np.dstack([PICTURE, np.zeros(PICTURE.shape[:2], np.uint8)])
    assert np.array_equal(opencv(encode(hidden, "PNG")), PICTURE)


def test_deep_samples_are_whole_only_when_unchanged() -> None:
    deep = PICTURE.astype(np.uint16) * 257 + 3
    assert opencv(png(deep, 2)).dtype == np.uint8
    assert np.array_equal(opencv(png(deep, 2), cv2.IMREAD_UNCHANGED)[:, :, ::-1], deep)
