"""JPEG: how a file is laid out before its pixels, and its pixels with what the decoder remarks.

libjpeg reads on past most damage and says so in a remark. simplejpeg hands that remark over (OpenCV
prints it, Pillow drops it); it has the same library as OpenCV and gives the same pixels in the same
time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import simplejpeg

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_ARITHMETIC = frozenset((0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
_END, _SCAN, _PREFIX = 0xD9, 0xDA, 0xFF
_SCALES_OF = 8  # a decoder's scales are eighths

_TRUNCATED = "Premature end of JPEG file"
_SURPLUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_HARMLESS = ("Invalid SOS parameters", "Warning: unknown JFIF", "Unknown Adobe")


class Layout(NamedTuple):
    """What a JPEG has before its first pass.

    Parameters
    ----------
    frame : the marker of its frame header, which says the kind of coding; None: there is none
    segments : how many there are
    stray : bytes between them that belong to none
    several_scans : whether one pass does not hold every component, or not whole: the decoder then
        keeps every coefficient
    """

    frame: int | None
    segments: int
    stray: int
    several_scans: bool

    @property
    def arithmetic(self) -> bool:
        """Whether it is coded without Huffman's codes, so that its bytes say little of its size."""
        return self.frame in _ARITHMETIC


def layout(data: bytes, most: int = 1 << 16) -> Layout:
    """Walk through a JPEG's markers to its first pass (ITU-T T.81, B.1).

    Parameters
    ----------
    most : segments, and stray bytes, after which the walk ends
    """
    frame, components, count, stray = None, 0, 0, 0
    at = 2
    while count <= most and stray <= most:
        start = data.find(b"\xff", at, at + most + 1)
        if start < 0:
            stray += min(most + 1, max(0, len(data) - at))
            break
        if start + 4 > len(data):
            break
        stray += start - at
        marker = data[start + 1]
        if marker in (0, _PREFIX):  # a stuffed or a fill byte
            stray += 1
            at = start + 1 + (marker == 0)
            continue
        count += 1
        if marker == _SCAN:
            several = components > int.from_bytes(data[start + 4 : start + 5], "big") > 0
            return Layout(frame, count, stray, several or frame in (0xC2, 0xCA))
        at = start + 2
        if marker not in _BARE:
            if marker in _FRAMES:
                frame, components = marker, data[start + 9] if start + 9 < len(data) else 0
            at += int.from_bytes(data[at : at + 2], "big")
    return Layout(frame, count, stray, several_scans=False)


class TruncatedError(ValueError):
    """A JPEG that ends before its pixels do."""


def decode_jpeg(data: bytes, size: tuple[int, int], scale: int) -> tuple[Pixels, bool] | None:
    """Decode a JPEG of one or three components.

    Parameters
    ----------
    size : height and width as stored
    scale : 1, 2, 4 or 8: the fraction of its size at which it is decoded, rounded up

    Returns
    -------
    (H, W, 3) uint8 RGB and whether stretches of it are damaged; None where this decoder does not
    read the kind (unusual subsampling).

    Raises
    ------
    TruncatedError : it ends too early
    """
    height, width = (-(-side // scale) for side in size)
    if scale > 1 and max(size) < _SCALES_OF:
        return None  # several scales have this size, and the decoder would take the smallest
    asked = {"colorspace": "RGB", "min_height": height, "min_width": width}
    if scale == 1:
        asked = {"colorspace": "RGB"}
    try:
        return simplejpeg.decode_jpeg(data, **asked), False
    except ValueError as error:
        remark = str(error)
    if _TRUNCATED in remark:
        raise TruncatedError
    try:
        pixels = simplejpeg.decode_jpeg(data, **asked, strict=False)
    except ValueError:
        return None
    return pixels, _tells_damage(remark, data)


def _tells_damage(remark: str, data: bytes) -> bool:
    """Tell remarks about pixels from those about what surrounds them."""
    if remark.startswith(_HARMLESS):
        return False
    surplus = _SURPLUS.search(remark)
    if surplus is None:
        return True
    # Some cameras fill up with one value before the end; bytes that differ are image data for which
    # the decoder found no place.
    end = data.rfind(b"\xff\xd9")
    return len(set(data[max(0, end - int(surplus[1])) : end])) > 1


def without_stray(data: bytes) -> bytes:
    """Leave out what lies between the segments before the first pass.

    libjpeg passes over it, and its wrapper takes the remark about it for an error.
    """
    kept, at = [data[:2]], 2
    while (start := data.find(b"\xff", at)) >= 0 and start + 4 <= len(data):
        marker = data[start + 1]
        if marker in (0, _PREFIX):
            at = start + 1 + (marker == 0)
            continue
        if marker == _SCAN:
            kept.append(data[start:])
            return b"".join(kept)
        at = start + 2
        if marker not in _BARE:
            at += int.from_bytes(data[at : at + 2], "big")
        kept.append(data[start:at])
    return data


_STANDARD_SUM = 3688  # of the luminance table at quality 50 (ITU-T T.81, K.1)


def quality(table: Sequence[int]) -> int:
    """Give the quality, 1 to 100 as libjpeg counts, of which a quantisation table is as coarse.

    Parameters
    ----------
    table : (64,) of the luminance, in any order
    """
    scale = 100 * sum(table) / _STANDARD_SUM
    found = (200 - scale) / 2 if scale <= 100 else 5000 / scale  # noqa: PLR2004 -- libjpeg's rule
    return round(min(100, max(1, found)))
