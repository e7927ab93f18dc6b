"""Raw images, by a DNG that the test writes: a mosaic of its pixels, with a preview or without."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn import encode, textured, tiff

from dedup.errors import ImageError
from dedup.images.decode import decode_square, pixel_digest

if TYPE_CHECKING:
    from drawn import Pixels

pytest.importorskip("rawpy")

PICTURE = textured(1200, 1600)
OTHER = encode(PICTURE[::-1], "JPEG")


def dng(pixels: Pixels, preview: bytes = b"", size: tuple[int, int] = (1600, 1200)) -> bytes:
    """Write a mosaic of 16-bit samples, red first (DNG specification 1.4)."""
    height, width = pixels.shape[:2]
    light = ((pixels / 255.0) ** 2.2 * 60_000).astype("<u2")
    mosaic = light[:, :, 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = light[::2, ::2, 0], light[1::2, 1::2, 2]
    long, short = struct.Struct("<I").pack, struct.Struct("<H").pack
    matrix = (3.24, -1.54, -0.5, -0.97, 1.88, 0.04, 0.06, -0.2, 1.06)
    start = 4096
    sub = start + mosaic.nbytes
    tags = [
        (254, 4, 1, long(0)),
        (256, 4, 1, long(width)),
        (257, 4, 1, long(height)),
        (258, 3, 1, short(16)),
        (259, 3, 1, short(1)),
        (262, 3, 1, short(32_803)),
        (271, 2, 5, b"Test\0"),
        (272, 2, 5, b"Test\0"),
        (273, 4, 1, long(start)),
        (277, 3, 1, short(1)),
        (278, 4, 1, long(height)),
        (279, 4, 1, long(mosaic.nbytes)),
        (33_421, 3, 2, struct.pack("<2H", 2, 2)),
        (33_422, 1, 4, bytes((0, 1, 1, 2))),
        (50_706, 1, 4, bytes((1, 4, 0, 0))),
        (50_708, 2, 5, b"Test\0"),
        (50_717, 4, 1, long(60_000)),
        (50_721, 10, 9, b"".join(struct.pack("<2i", int(v * 10_000), 10_000) for v in matrix)),
        (50_728, 5, 3, struct.pack("<6I", *(1,) * 6)),
        (50_778, 3, 1, short(21)),
    ]
    if preview:
        tags.append((330, 4, 1, long(sub)))
    head = tiff(tags).ljust(start, b"\0") + mosaic.tobytes()
    if not preview:
        return head
    inner = [
        (254, 4, 1, long(1)),
        (256, 4, 1, long(size[0])),
        (257, 4, 1, long(size[1])),
        (258, 3, 3, short(8) * 3),
        (259, 3, 1, short(7)),
        (262, 3, 1, short(6)),
        (273, 4, 1, long(sub + 4096)),
        (277, 3, 1, short(3)),
        (278, 4, 1, long(size[1])),
        (279, 4, 1, long(len(preview))),
    ]
    return head + tiff(inner, sub)[8:].ljust(4096, b"\0") + preview


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
