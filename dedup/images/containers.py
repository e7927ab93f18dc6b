"""The few facts read straight from a file's bytes, because no decoder gives them safely.

Each function looks at one structure of one container and answers for any bytes at all: nothing
here raises on damage, allocates by what a file claims, or inflates anything.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from dedup.images.jpeg import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

_JPEG_SCAN = b"\xff\xda"
_JPEG_END = b"\xff\xd9"

# A Huffman code has at least one bit, and every 8x8 block of the largest component at least one
# code, its first coefficient (ITU-T T.81, F.1.2.1).
_JPEG_PIXELS_PER_BYTE = 8 * 64
# Deflate reaches at most 1032:1 (zlib, "Maximum Compression Factor").
_DEFLATE_RATIO = 1032

_PNG_SIGNATURE_BYTES = 8
_PNG_CHUNK_OVERHEAD = 12  # length, type and check sum
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by IHDR's colour type
_PNG_PIXELS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
_PNG_TEXT = frozenset((b"tEXt", b"zTXt", b"iTXt", b"iCCP"))
_PNG_TEXT_TOLERATED = 1000  # times the deflate ratio, that is 1 MB

_HEAD_BYTES = 1 << 17  # two segments and more, in which XMP comes
_GAIN_MAPS = (b"hdrgm:Version", b"urn:iso:std:iso:ts:21496:-1", b"HDRGainMap")

_EXIF_PREFIX = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112
_IFD_ENTRY_BYTES = 12
_SHORT = 3


def exif_orientation(exif: bytes) -> int:
    """Read the orientation from an EXIF block, 1 when it has none or makes no sense.

    Only the first directory is looked at, where the tag belongs (CIPA DC-008, 4.6.4).
    """
    block = exif.removeprefix(_EXIF_PREFIX)
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(block[:4])
    try:
        if order is None:
            return 1
        (start,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, start)
        for i in range(entries):
            at = start + 2 + _IFD_ENTRY_BYTES * i
            tag, kind, _, value = struct.unpack_from(order + "HHIH", block, at)
            if tag == _ORIENTATION_TAG:
                return value if kind == _SHORT and value in range(1, 9) else 1
    except struct.error:
        return 1
    return 1


def has_gain_map(data: bytes) -> bool:
    """Tell whether a JPEG says that it carries a gain map (Ultra HDR, ISO 21496-1, Apple's)."""
    return data[:2] == b"\xff\xd8" and any(mark in data[:_HEAD_BYTES] for mark in _GAIN_MAPS)


def without_png_text(data: bytes) -> bytes:
    """Leave the text and colour profile chunks out of a PNG that has much of them.

    They are of no use here, and a few of their bytes can inflate to hundreds of megabytes.
    """
    chunks = list(png_chunks(data))
    texts = sum(end - start for kind, start, end in chunks if kind in _PNG_TEXT)
    if texts < _PNG_TEXT_TOLERATED:
        return data
    kept = [data[start:end] for kind, start, end in chunks if kind not in _PNG_TEXT]
    return data[:_PNG_SIGNATURE_BYTES] + b"".join(kept)


def bare_png(data: bytes) -> bytes:
    """Keep what a PNG's pixels need, so that a decoder finds nothing else to complain about."""
    kept = []
    for kind, start, end in png_chunks(data):
        if kind in _PNG_PIXELS:
            body = data[start + 4 : end - 4]
            kept += [data[start : start + 4], body, zlib.crc32(body).to_bytes(4, "big")]
    return data[:_PNG_SIGNATURE_BYTES] + b"".join(kept)


def claims_too_much(data: bytes, name: str, pixels: int) -> bool:
    """Say whether a file is shorter than its claimed pixels allow by its format's own rules.

    Such a file is damaged in any case, and decoding it would cost what it claims.
    """
    if name == "JPEG":
        return pixels > _JPEG_PIXELS_PER_BYTE * len(data) and not layout(data).arithmetic
    if name == "PNG":
        bits = data[24] * _PNG_CHANNELS.get(data[25], 1)
        return pixels * bits > 8 * _DEFLATE_RATIO * len(data)
    return False


def jpeg_scans(data: bytes) -> int:
    """Count the passes over a JPEG, previews in its metadata included."""
    return data.count(_JPEG_SCAN)


def is_cut_short(data: bytes, name: str) -> bool:
    """Say whether a file lacks its end, which separates truncation from other damage."""
    if name == "JPEG":
        end = data.rfind(_JPEG_END)
        return end < 0 or _JPEG_SCAN not in data or data.find(_JPEG_SCAN, end) >= 0
    if name == "PNG":
        return b"IEND" not in data
    if name == "GIF":
        return not data.rstrip(b"\x00").endswith(b";")
    if name == "WEBP":
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    return False


def has_deep_samples(data: bytes, name: str) -> bool:
    """Say whether samples have more than 8 bits, where Pillow's mode does not."""
    if name == "PNG":
        return data[24:25] == b"\x10"  # IHDR's bit depth
    if name == "JPEG2000":
        size = _jpeg2000_size(data)
        return size is not None and size[2] > 8  # noqa: PLR2004 - bits of a byte
    if name == "AVIF":
        # AV1 codec configuration box (AV1-ISOBMFF, 2.3.3): high_bitdepth is bit 6 of its third byte
        box = data.partition(b"av1C")[2][:3]
        return len(box) == 3 and bool(box[2] & 0x40)  # noqa: PLR2004
    return False


def jpeg2000_pixels(data: bytes) -> int | None:
    """Count the pixels that a JPEG 2000 code stream announces, None when it has no header."""
    size = _jpeg2000_size(data)
    return None if size is None else size[0] * size[1]


def _jpeg2000_size(data: bytes) -> tuple[int, int, int] | None:
    """Read width, height and bits of the first component (ISO/IEC 15444-1, A.5.1)."""
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(data) < at + 43:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    return max(0, right - left), max(0, bottom - top), (data[at + 42] & 0x7F) + 1


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield every chunk's type and where it starts and ends, as far as the file goes."""
    at = _PNG_SIGNATURE_BYTES
    while at + _PNG_CHUNK_OVERHEAD <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = min(at + _PNG_CHUNK_OVERHEAD + length, len(data))
        yield data[at + 4 : at + 8], at, end
        at = end
