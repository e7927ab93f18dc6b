"""Raw images, by a DNG that the test writes: a mosaic of its pixels, with a preview or without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn import dng, encode, textured

from dedup.errors import ImageError
from dedup.images.decode import decode_square, pixel_digest

if TYPE_CHECKING:
    from drawn import Pixels

pytest.importorskip("rawpy")

PICTURE = textured(1200, 1600)
OTHER = encode(PICTURE[::-1], "JPEG")


def likeness(found: Pixels, wanted: Pixels) -> float:
    expected = decode_square(encode(wanted, "PNG"), 150, 200).pixels
    return float(np.corrcoef(found.ravel(), expected.ravel())[0, 1])


def test_a_large_preview_is_taken() -> None:
    found = decode_square(dng(PICTURE, OTHER), 150, 200, "a.DNG")
    assert (found.header.format, found.header.size) == ("RAW", (1200, 1600))
    assert likeness(found.pixels, PICTURE[::-1]) > 0.99


@pytest.mark.parametrize("preview", [b"", encode(PICTURE[::-4, ::4], "JPEG")])
def test_without_a_large_preview_it_is_developed(preview: bytes) -> None:
    found = decode_square(dng(PICTURE, preview, (400, 300)), 150, 200, "a.dng")
    assert (found.header.format, found.header.size) == ("RAW", (1200, 1600))
    assert likeness(found.pixels, PICTURE) > 0.98


def test_nothing_is_equal_to_it_bit_for_bit() -> None:
    assert pixel_digest(dng(PICTURE), "a.dng") is None


def test_a_cut_one_is_refused() -> None:
    with pytest.raises(ImageError, match=r"damaged|truncated|not supported"):
        decode_square(dng(PICTURE)[:3000], 150, 200, "a.dng")
