"""Netpbm as text, and with unusual largest values, which Pillow decodes in a slow loop."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dedup.images.late import LateImage

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_HEADER_BYTES: Final = 1 << 16
_FIELD = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])*(\d{1,10})")
_COMMENT = re.compile(rb"#[^\n\r]*")
_SPACE = re.compile(rb"\s")
_NO_NUMBER = re.compile(rb"[^0-9\s]")
_MOST, _BYTE = 65_535, 255
_SPACES: Final = b" \t\n\r\v\f"
_AS_TEXT: Final = frozenset((1, 2, 3))
_BITS_AS_TEXT, _BITS, _GREY = 1, 4, 5  # kinds whose values are bits, and grey ones
_COLOURS: Final = 3
_AT_ONCE: Final = 1 << 20


def open_netpbm(data: bytes) -> LateImage | None:
    """Open P1 to P3, and P5 and P6 whose largest value is not 255; None for others.

    Values are scaled to 255 as Pillow scales them.

    Raises
    ------
    ValueError : damaged
    """
    kind = data[1] - ord("0")
    fields, at = [], 2
    for _ in range(2 if kind in {_BITS_AS_TEXT, _BITS} else 3):
        found = _FIELD.match(data, at, at + _HEADER_BYTES)
        if found is None:
            raise ValueError("damaged header")
        fields.append(int(found[1]))
        at = found.end()
    width, height, most = (*fields, 1)[:3]
    by_pillow = kind == _BITS or most == _BYTE or (kind == _GREY and most == _MOST)
    if kind not in _AS_TEXT and by_pillow:
        return None
    if not (0 < most <= _MOST and width and height):
        raise ValueError("damaged header")
    channels = _COLOURS if kind in {3, 6} else 1

    shape = (height, width, 3) if channels == _COLOURS else (height, width)

    def decode() -> Pixels:
        if kind in _AS_TEXT:
            return _text(data[at:], kind, most, height * width * channels).reshape(shape)
        return _binary(data, at + 1, most, height * width * channels).reshape(shape)

    return LateImage((width, height), "RGB" if channels == _COLOURS else "L", decode)


def _binary(data: bytes, at: int, most: int, count: int) -> Pixels:
    kind = np.dtype("u1" if most <= _BYTE else ">u2")
    if len(data) - at < count * kind.itemsize:
        raise ValueError("truncated")
    values = np.frombuffer(data, kind, count, at)
    scaled = np.empty(count, np.uint8)
    for start in range(0, count, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        scaled[part] = _scaled(values[part], most)
    return scaled


def _text(raster: bytes, kind: int, most: int, count: int) -> Pixels:
    raster = _COMMENT.sub(b"", raster)
    if kind == _BITS_AS_TEXT:  # digits need nothing between them, and 1 is black
        digits = np.frombuffer(raster.translate(None, _SPACES), np.uint8)[:count]
        if len(digits) < count:
            raise ValueError("truncated")
        if not np.isin(digits, (ord("0"), ord("1"))).all():
            raise ValueError("no number")
        return np.where(digits == ord("0"), np.uint8(_BYTE), np.uint8(0))
    if _NO_NUMBER.search(raster):
        raise ValueError("no number")
    numbers = np.empty(count, np.int32)
    filled = at = 0
    while at < len(raster) and filled < count:
        end = at + _AT_ONCE
        gap = _SPACE.search(raster, end)  # numbers are not cut in two
        end = len(raster) if gap is None else gap.start()
        piece = raster[at:end].strip()  # of nothing but spaces NumPy makes a zero
        found = np.fromstring(piece, np.int32, sep=" ")[: count - filled] if piece else numbers[:0]
        numbers[filled : filled + len(found)] = found
        filled, at = filled + len(found), end
    if filled < count:
        raise ValueError("truncated")
    return _scaled(numbers, most)


def _scaled(values: npt.NDArray[Any], most: int) -> Pixels:
    """Scale to 255, half up; a table of all values costs less than dividing each."""
    table = np.minimum((np.arange(most + 1) * _BYTE * 2 + most) // (2 * most), _BYTE)
    scaled: Pixels = table.astype(np.uint8)[np.clip(values, 0, most)]
    return scaled
