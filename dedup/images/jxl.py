"""JPEG XL: its size before anything is decoded, which the plugin for Pillow does when it opens."""

from __future__ import annotations

_CODESTREAM = b"\xff\x0a"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIZE_BITS = (9, 13, 18, 30)
_BOX_HEADER = 8
_PART_NUMBER_BYTES = 4


def jxl_size(data: bytes) -> tuple[int, int]:
    """Read width and height, as stored (ISO/IEC 18181-1, D.2).

    Raises
    ------
    ValueError : there is no code stream
    """
    start = 0 if data.startswith(_CODESTREAM) else _codestream(data)
    bits = int.from_bytes(data[start + 2 : start + 16], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if small else take(_SIZE_BITS[take(2)]) + 1

    height = side()
    ratio = take(3)
    if not ratio:
        return side(), height
    over, under = _RATIOS[ratio - 1]
    return height * over // under, height


def _codestream(data: bytes) -> int:
    """Find the first bytes of the code stream among a container's boxes (ISO/IEC 18181-2)."""
    at = 0
    while at + _BOX_HEADER <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = at + _BOX_HEADER
        if length == 1:
            length = int.from_bytes(data[body : body + 8], "big")
            body += 8
        kind = data[at + 4 : at + 8]
        if kind in (b"jxlc", b"jxlp"):
            body += _PART_NUMBER_BYTES if kind == b"jxlp" else 0
            if data[body : body + 2] == _CODESTREAM:
                return body
        if length < _BOX_HEADER:
            break
        at += length
    raise ValueError("no code stream")
