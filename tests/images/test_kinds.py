"""Rarer kinds of known formats, written sample by sample."""

from __future__ import annotations

import io
import struct
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn import encode, textured, tiff
from PIL import Image, ImageCms

from dedup.errors import ImageError
from dedup.images.decode import decode_square, pixel_digest
from dedup.images.jxl import jxl_size

if TYPE_CHECKING:
    from drawn import Pixels

PICTURE = textured(48, 64)


def whole(data: bytes, path: str = "x") -> Pixels:
    return decode_square(data, 48, 64, path).pixels


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"P1\n2 2\n0110", [[255, 0], [0, 255]]),
        (b"P1\n2 2\n0 1 #x\n1 0\n", [[255, 0], [0, 255]]),
        (b"P2 2 2 15 1 2 3 4 \n", [[17, 34], [51, 68]]),
        (b"P5 2 2 100 \x01\x32\x64\x63", [[3, 128], [255, 252]]),
        (b"P5 1 1 1023 \x02\x00", [[128]]),
    ],
)
def test_unusual_netpbm_is_scaled_as_pillow_does(data: bytes, expected: list[list[int]]) -> None:
    grey = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    side = len(expected)
    found = decode_square(data, side, side).pixels
    assert found[:, :, 0].tolist() == expected
    assert data[1:2] == b"5" or np.array_equal(grey, expected)


def test_netpbm_as_text_has_the_pixels_of_the_binary_kind() -> None:
    numbers = b" ".join(str(value).encode() for value in PICTURE.ravel())
    assert np.array_equal(whole(b"P3\n# by hand\n64 48\n255\n" + numbers + b"\n"), PICTURE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"P2 2 2 9 1 2 3", "truncated"),
        (b"P1 2 2 9", "truncated"),
        (b"P5 2 2 9 abc", "truncated"),
        (b"P2 2 2 9 1 2 x 3", "damaged"),
        (b"P1 2 2 0120", "damaged"),
        (b"P2 2 2", "damaged"),
        (b"P2 3000 3000 9 1", "too large"),
    ],
)
def test_damaged_netpbm_says_so(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as refused:
        decode_square(data, 2, 2)
    assert refused.value.reason == reason


def test_lab_tiff_has_the_colours_it_was_made_of() -> None:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(Image.fromarray(PICTURE), to_lab)
    buffer = io.BytesIO()
    assert lab is not None
    lab.save(buffer, "TIFF")
    assert np.abs(whole(buffer.getvalue()).astype(int) - PICTURE).mean() < 6


def tiff_of(parts: list[bytes], tags: list[tuple[int, int, int, bytes]]) -> bytes:
    """Write 48 × 64 pixels of three samples in parts, the first of which lies where it falls."""
    size = len(tiff([*tags, *([(273, 4, len(parts), bytes(4 * len(parts)))] * 2)]))
    starts = [size + sum(map(len, parts[:number])) for number in range(len(parts))]
    offsets = struct.pack(f"<{len(parts)}I", *starts)
    sizes = struct.pack(f"<{len(parts)}I", *map(len, parts))
    places = [(273, 4, len(parts), offsets), (279, 4, len(parts), sizes)]
    return tiff([*tags, *places]) + b"".join(parts)


def tags_of(
    bits: int, compression: int, planar: int, rows: int
) -> list[tuple[int, int, int, bytes]]:
    long, short = struct.Struct("<I").pack, struct.Struct("<H").pack
    return [
        (256, 4, 1, long(64)),
        (257, 4, 1, long(48)),
        (258, 3, 3, short(bits) * 3),
        (259, 3, 1, short(compression)),
        (262, 3, 1, short(2)),
        (277, 3, 1, short(3)),
        (278, 4, 1, long(rows)),
        (284, 3, 1, short(planar)),
    ]


@pytest.mark.parametrize("rows", [48, 20])
def test_webp_in_tiff_is_read(rows: int) -> None:
    parts = [encode(PICTURE[top : top + rows], "WEBP", lossless=True) for top in range(0, 48, rows)]
    assert np.array_equal(whole(tiff_of(parts, tags_of(8, 50001, 1, rows))), PICTURE)
    with pytest.raises(ImageError, match="damaged"):
        whole(tiff_of([b"RIFF", *parts[1:]], tags_of(8, 50001, 1, rows)))


def test_deep_samples_in_planes_are_not_taken_for_others() -> None:
    deep = np.ascontiguousarray((PICTURE.astype(np.uint16) * 257).transpose(2, 0, 1))
    data = tiff_of([plane.tobytes() for plane in deep], tags_of(16, 1, 2, 48))
    assert np.array_equal(whole(data), PICTURE)
    assert pixel_digest(data) is None


def test_jpeg_xl_is_read_with_its_extra() -> None:
    pytest.importorskip("pillow_jxl")
    with warnings.catch_warnings():
        for width, height in ((64, 48), (777, 1333), (1920, 1080), (5001, 9)):
            buffer = io.BytesIO()
            Image.new("RGB", (width, height)).save(buffer, "JXL")
            assert jxl_size(buffer.getvalue()) == (width, height)
        buffer = io.BytesIO()
        Image.fromarray(PICTURE).save(buffer, "JXL", lossless=True)
    found = decode_square(buffer.getvalue(), 48, 64)
    assert found.header.format == "JXL"
    assert np.array_equal(found.pixels, PICTURE)


def test_an_empty_jpeg_xl_of_many_pixels_is_refused_before_it_is_decoded() -> None:
    pytest.importorskip("pillow_jxl")
    # the size alone: not small, 18 bits of height, and a square
    size = 2 << 1 | (12_000 - 1) << 3 | 1 << 21
    with pytest.raises(ImageError, match="too large"):
        decode_square(b"\xff\x0a" + size.to_bytes(4, "little") + bytes(200), 48, 64)
