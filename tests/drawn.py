"""Images that the tests draw themselves, and the files made from them."""

from __future__ import annotations

import io
import os
import struct
import zlib
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from dedup.edits import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
ORIENTATION_TAG = 0x0112


def textured(height: int, width: int, seed: int = 0) -> Pixels:
    """Draw smooth noise with shapes on it; no two seeds look alike, no side is like another."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(2, height // 12), max(2, width // 12), 3), dtype=np.uint8)
    cubic = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image = np.asarray(cubic, np.uint8)
    for _ in range(8):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        colour = [int(value) for value in rng.integers(0, 256, 3)]
        if rng.random() < 0.5:
            cv2.circle(image, (x, y), max(2, min(height, width) // 6), colour, -1)
        else:
            cv2.rectangle(image, (x, y), (x + width // 5, y + height // 7), colour, -1)
    return image


@cache
def photograph(seed: int) -> Pixels:
    """Draw what stands for a photograph, 800 by 600; not to be changed."""
    pixels = catalogue.drawn(600, 800, np.random.default_rng(seed))
    pixels.setflags(write=False)
    return pixels


def encode(pixels: npt.NDArray[Any], kind: str, mode: str | None = None, **options: Any) -> bytes:
    """Write an image as Pillow does, in another mode if asked."""
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def heif(pixels: Pixels, **options: Any) -> bytes:
    from pillow_heif import from_pillow

    buffer = io.BytesIO()
    from_pillow(Image.fromarray(pixels)).save(buffer, **options)
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[ORIENTATION_TAG] = orientation
    return block.tobytes()


def stored_for(upright: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn an upright image into what a file of that orientation stores (CIPA DC-008, 4.6.4)."""
    inverse = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: p.swapaxes(0, 1)[::-1],
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: p.swapaxes(0, 1)[:, ::-1],
    }
    return np.ascontiguousarray(inverse[orientation](upright))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Lay down root's right to read everything, where tests are run by root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(samples: npt.NDArray[Any], colour_type: int, extra: bytes = b"") -> bytes:
    """Write a PNG sample by sample, in depths and with chunks that Pillow does not write."""
    height, width = samples.shape[:2]
    depth = 8 * samples.dtype.itemsize
    rows = samples.astype(samples.dtype.newbyteorder(">"))
    raw = b"".join(b"\x00" + row.tobytes() for row in rows)
    size = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", size)
        + extra
        + png_chunk(b"IDAT", zlib.compress(raw))
        + png_chunk(b"IEND", b"")
    )


def jpeg_claiming(height: int, width: int, data: bytes) -> bytes:
    """Change the size in a JPEG's frame header."""
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def tiff(tags: list[tuple[int, int, int, bytes]], start: int = 0) -> bytes:
    """Write a TIFF's header and its first directory, with (tag, type, count, values).

    Parameters
    ----------
    start : where in the file it will lie, eight bytes before the directory
    """
    directory, values = struct.pack("<H", len(tags)), b""
    base = start + (8 if start == 0 else 0) + 2 + 12 * len(tags) + 4
    for tag, kind, count, value in sorted(tags):
        if len(value) <= 4:
            directory += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
        else:
            directory += struct.pack("<HHII", tag, kind, count, base + len(values))
            values += value
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + values


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
