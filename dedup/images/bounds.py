"""How much work a file's structure asks of a decoder, counted before one sees it.

Pixels say little: passes over a JPEG, chunks, strips, tags and comments each cost time or memory
that a few bytes can ask for without end. Nothing here allocates by what a file claims, and every
walk ends at its limit.
"""

from __future__ import annotations

import struct
from itertools import islice
from typing import TYPE_CHECKING

from dedup.images.containers import jpeg_scans, png_chunks
from dedup.images.jpeg import layout

if TYPE_CHECKING:
    from dedup.images.limits import Limits

_STRIP_TAGS = frozenset((273, 279, 324, 325))  # offsets and sizes of strips and tiles
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TIFF_SIZES |= {16: 8, 17: 8, 18: 8}  # of BigTIFF
_GIF_IMAGE, _GIF_EXTENSION, _GIF_COMMENT = 0x2C, 0x21, 0xFE
_BMP_RUNS = frozenset((1, 2))


def structure_refusal(data: bytes, name: str, limits: Limits) -> str | None:
    """Say why a file of the named format is not opened, None where nothing speaks against it."""
    judge = _JUDGES.get(name)
    return None if judge is None else judge(data, limits)


def passes_refusal(data: bytes, pixels: int, limits: Limits) -> str | None:
    """Say why a JPEG with several passes is not decoded."""
    scans = jpeg_scans(data)
    if scans > limits.scans:
        return f"damaged: more than {limits.scans} passes"
    if scans * pixels > limits.scan_pixels:
        return f"too large: {scans} passes over {pixels / 1e6:.0f} megapixels"
    return None


def _jpeg_refusal(data: bytes, limits: Limits) -> str | None:
    found = layout(data, max(limits.segments, limits.stray_bytes))
    if found.segments > limits.segments:
        return f"damaged: more than {limits.segments} segments"
    if found.stray > limits.stray_bytes:
        return "damaged: much that is no part of it"
    return None


def _png_refusal(data: bytes, limits: Limits) -> str | None:
    if next(islice(png_chunks(data), limits.chunks, None), None) is None:
        return None
    return f"damaged: more than {limits.chunks} chunks"


def _bitmap_refusal(data: bytes, limits: Limits) -> str | None:
    if int.from_bytes(data[30:34], "little") not in _BMP_RUNS:
        return None
    width, height = struct.unpack_from("<ii", data[:26].ljust(26, b"\0"), 18)
    if abs(width * height) <= limits.run_pixels:
        return None
    return f"too large: {abs(width)}×{abs(height)} pixels"


def _gif_refusal(data: bytes, limits: Limits) -> str | None:
    """Count comments up to the second frame, which is as far as a GIF is looked at."""
    at = 13 + _colour_table(data[10:11])
    comments = comment_bytes = frames = 0
    while at + 1 < len(data):
        kind = data[at]
        if kind == _GIF_IMAGE:
            frames += 1
            if frames > 1:
                break
            at += 11 + _colour_table(data[at + 9 : at + 10])
            comment = False
        elif kind == _GIF_EXTENSION:
            comments += 1
            comment = data[at + 1] == _GIF_COMMENT
            at += 2
        else:
            at += 1  # nothing that a decoder knows: it looks at the next byte, too
            continue
        start = at
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
        comment_bytes += at - start if comment else 0
        if comments > limits.comments or comment_bytes > limits.comment_bytes:
            return "damaged: comments without end"
    return None


def _colour_table(flags: bytes) -> int:
    """Give the bytes of a GIF's colour table, by the byte that announces it."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _tiff_refusal(data: bytes, limits: Limits) -> str | None:
    order = "<" if data[:2] == b"II" else ">"
    try:
        if data[2:4] in (b"+\0", b"\0+"):
            (start,) = struct.unpack_from(order + "Q", data, 8)
            (count,) = struct.unpack_from(order + "Q", data, start)
            start, fields, step = start + 8, order + "HHQ", 20
        else:
            (start,) = struct.unpack_from(order + "I", data, 4)
            (count,) = struct.unpack_from(order + "H", data, start)
            start, fields, step = start + 2, order + "HHI", 12
        if count > limits.tags:
            return f"damaged: more than {limits.tags} tags"
        total = 0
        for at in range(start, start + step * count, step):
            tag, kind, values = struct.unpack_from(fields, data, at)
            if tag in _STRIP_TAGS and values > limits.strips:
                return f"damaged: more than {limits.strips} strips"
            size = values * _TIFF_SIZES.get(kind, 0)
            total += size if size <= len(data) else 0  # what is longer is not read
    except struct.error:
        return None  # too short, which the decoder says
    if total > 2 * len(data):
        return "damaged: tags that share their values"
    return None


_JUDGES = {
    "JPEG": _jpeg_refusal,
    "PNG": _png_refusal,
    "GIF": _gif_refusal,
    "TIFF": _tiff_refusal,
    "BMP": _bitmap_refusal,
}
