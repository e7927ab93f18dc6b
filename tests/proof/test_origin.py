"""What two versions of one image tell of which was made from the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from dedup.proof.closely import Laid
from dedup.proof.origin import is_curved

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


def _photograph() -> Pixels:
    """(240, 320, 3) of all shades, with details of several sizes."""
    rng = np.random.default_rng(3)
    found = np.full((240, 320, 3), np.linspace(-1, 1, 320)[:, None], np.float32)
    for side in (4, 12, 40):
        part = rng.random((240 // side, 320 // side, 3), np.float32)
        found += 0.3 * cv2.resize(part, (320, 240), interpolation=cv2.INTER_LINEAR)
    found -= found.min()
    return np.asarray(found * (255 / found.max()), np.uint8)


def _levels(image: Pixels, curve: npt.NDArray[np.float64]) -> Pixels:
    return np.asarray(cv2.LUT(image, np.clip(curve, 0, 255).astype(np.uint8)), np.uint8)


_SHADES = np.arange(256.0)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda image: image, False),
        (lambda image: _levels(image, 40 + 0.7 * _SHADES), False),
        (lambda image: cv2.GaussianBlur(image, (0, 0), 3.0), False),
        (lambda image: _levels(image, 255 * (_SHADES / 255) ** 0.6), True),
        (lambda image: _levels(image, 127.5 - 127.5 * np.cos(np.pi * _SHADES / 255)), True),
        (lambda image: _levels(image, np.where(_SHADES < 128, _SHADES, 255 - _SHADES)), True),
    ],
    ids=["the same", "paler", "blurred", "gamma", "contrast in the middle", "solarised"],
)
def test_brightness_and_contrast_are_no_curve(
    made: Callable[[Pixels], Pixels],
    expected: bool,  # noqa: FBT001
) -> None:
    image = _photograph()
    laid = Laid(image, made(image), np.ones(image.shape[:2], np.bool_), 1, (100, 100))
    assert is_curved(laid) is expected
