"""The one way from a file's bytes to pixels.

Every format goes through the same steps: judged by its header (`dedup.images.header`), decoded to
upright 8-bit RGB (`dedup.images.rgb`), resized (`dedup.images.resize`). A JPEG that is far
larger than asked for is decoded at a half, a quarter or an eighth, never below 1.15 times the
asked-for size. Other formats are shrunk so above 67 megapixels, while they become RGB, so that no
second array of their size is held. Every function may be called from many threads; decoding and
resizing run without the GIL, except for JPEG 2000.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace
from math import ceil
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING

import cv2
import PIL
from PIL import features

from dedup.errors import ImageError
from dedup.images.digest import pixel_digest
from dedup.images.header import open_image, read_header, too_large
from dedup.images.limits import LIMITS
from dedup.images.profiles import profile_of, to_srgb
from dedup.images.resize import resize
from dedup.images.rgb import BAND_PIXELS, decode_rgb
from dedup.records import is_url
from dedup.sources.opening import elsewhere

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from dedup.images.header import Header, Opened

    Pixels = npt.NDArray[np.uint8]

__all__ = [
    "DECODER",
    "Decoded",
    "bounded_size",
    "decode_bounded",
    "decode_bytes",
    "decode_square",
    "judged",
    "pixel_digest",
    "read_file",
    "read_header",
]

DECODER = "; ".join(
    (
        f"pillow {PIL.__version__.partition('.')[0]}",
        f"libjpeg-turbo {(features.version('libjpeg_turbo') or '0').partition('.')[0]}",
        f"opencv {cv2.__version__.partition('.')[0]}",
        "rules 1",
    )
)
"""What decides about pixels. Major versions only: smaller upgrades mend and do not redraw, and must
not part people from their collections. Optional decoders are left out: they add files and change
none."""

MAX_FILE_BYTES = 1 << 30
"""Larger than any photograph; an uncompressed 200-megapixel TIFF has 600 MB."""

TRIVIAL_SIDE = 8
"""Images with a side below this say nothing: icons, spacers, tracking pixels."""

STRIP_PIXELS = 4096
"""Except strips of so many pixels, such as the columns of a scanner or a rolling recording."""

TRIVIAL_DEVIATION = 2.0
"""Standard deviation of grey levels, of 255, that no channel of a blank image reaches. JPEG noise
on one colour stays below; a single line of text on a page is at about 10."""

LEAST_SCALE = 1.15
"""What is left of a JPEG against the asked-for size; from there on resizing hides how it was
decoded."""

DAMAGED = "damaged: parts of it are lost"
"""The note on an image that was decoded past damage."""

_SHRUNK_FROM_PIXELS = 1 << 26  # in formats other than JPEG
_FAR_LARGER = 4  # times as long as asked for: then an array worth the time to resize it
_FEW_ROWS = 16  # of which the first is looked at
_JPEG_SCALES = (8, 4, 2)
_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_TRANSIENT_REASONS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file",
    errno.ESTALE: "no such file",
    errno.EIO: "input/output error of the disk",
}

# Bytes per pixel at the peak: what Pillow holds, the RGB array, and a band that is worked on.
# Decoders that work on a whole image add to that.
_STORED_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # by Pillow's mode
_MOST_STORED_BYTES = 4
_BAND_BYTES = 20  # RGBA, its copy on a background, and what they are made of
_DECODER_BYTES_PER_PIXEL = {
    "WEBP": 12,  # two canvases and the frame handed over
    "AVIF": 14,  # planes of 16 bits, RGBA, and the frame handed over
    "HEIF": 14,
    "JPEG2000": 17,  # four components of 32 bits, and rows
    "TIFF": 4,  # a single strip of 16-bit samples, in addition to what it is decoded into
}
_RGB_BYTES = 3

# Nanoseconds per pixel, of one core of 2022, of the slowest kinds measured: to tell what may take
# seconds, not how many.
_PIXEL_NANOSECONDS = {"JPEG": 10, "JPEG2000": 200, "AVIF": 60, "WEBP": 60, "HEIF": 60, "RAW": 60}
_OTHER_NANOSECONDS = 50
_BYTE_NANOSECONDS = 20
_COEFFICIENT_BYTES_PER_PIXEL = 6  # progressive JPEG, three components of 16 bits
_DECODER_BYTES = 3 << 22  # tables, bands and buffers that do not depend on the image


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image, ready for an extractor."""

    pixels: Pixels
    """(H, W, 3) uint8 RGB of exactly the asked-for size"""
    header: Header
    trivial: bool
    """too small (`TRIVIAL_SIDE`) or too uniform (`TRIVIAL_DEVIATION`) to be alike or unlike"""
    note: str | None
    """what a person should know: that stretches are damaged, or what was left out"""
    bounded: Pixels | None = None
    """(h, w, 3) uint8 RGB, the same image in its aspect, where that was asked for"""
    larger: Pixels | None = None
    """the same again as it was decoded, or near to it, where that was asked for"""
    damaged: bool = False
    """whether the decoder read on past damage, so that stretches of it show something else"""


def read_file(path: str | bytes) -> bytes:
    """Read a whole file, a member of an archive, or what a URL names.

    Raises
    ------
    ImageError : empty, above `MAX_FILE_BYTES`, no regular file; or, transient, what the system
        says (permission, no such file, disk)
    """
    name = os.fsdecode(path)
    data = _read_file(path, name)
    if not data:
        raise ImageError(name, "empty file")
    return data


def _read_file(path: str | bytes, name: str) -> bytes:
    place = elsewhere(os.fsencode(path)) if is_url(os.fsencode(path)) else None
    if place is not None:
        return place.read(MAX_FILE_BYTES)
    try:
        descriptor = os.open(path, _READ_FLAGS)
        try:
            return _read_regular(descriptor, name)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno == errno.ENOTDIR and (place := elsewhere(os.fsencode(path))) is not None:
            return place.read(MAX_FILE_BYTES)
        known = _TRANSIENT_REASONS.get(error.errno or 0)
        reason = known or (error.strerror or "cannot be read").lower()
        raise ImageError(name, reason, transient=True) from error


def _read_regular(descriptor: int, name: str) -> bytes:
    status = os.fstat(descriptor)
    if S_ISDIR(status.st_mode):
        raise ImageError(name, "is a folder")
    if not S_ISREG(status.st_mode):
        raise ImageError(name, "not a regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise ImageError(name, f"too large: a file of {status.st_size >> 20} MB")
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        return file.readall()


def decode_square(
    data: bytes,
    height: int,
    width: int,
    path: str = "",
    *,
    bound: int = 0,
    larger: int = 0,
    opened: Opened | None = None,
    srgb: bool = False,
) -> Decoded:
    """Decode the whole image into exactly the given size, its aspect ignored, nothing cut off.

    Parameters
    ----------
    data : a whole file
    height, width : of the upright result
    bound : when above 0, the image is handed over in its aspect as well, as `decode_bounded`
        would with this longest side, from the same decoding
    larger : when above 0, what was decoded is handed over as well, with no side far longer than
        this
    opened : what `open_image` gave for the same data, where that was asked for already
    srgb : apply an embedded colour profile; extractors see values as they are stored

    Raises
    ------
    ImageError : with a reason for people; also when the estimate of `decode_bytes` is beyond
        `LIMITS`

    Notes
    -----
    Files with equal pixels give equal results, whatever their format. Equal bytes always do.
    """
    opened = opened or open_image(data, path)
    header = opened.header
    inner = bounded_size(header, bound)
    size = max(height, inner[0]), max(width, inner[1])
    decoded, damaged = _decode(opened, path, *size, srgb=srgb)
    bounded = resize(decoded, *inner) if bound else None
    closer = decoded if larger else None
    if max(decoded.shape) > _FAR_LARGER * larger:
        closer = resize(decoded, *_within(decoded.shape, larger)) if larger else None
    pixels = resize(decoded, height, width)
    if srgb:
        pixels = _in_srgb(pixels, opened)
        bounded = None if bounded is None else _in_srgb(bounded, opened)
    return replace(judged(pixels, header, bounded, damaged=damaged), larger=closer)


def judged(
    pixels: Pixels, header: Header, bounded: Pixels | None = None, *, damaged: bool = False
) -> Decoded:
    """Judge an image once it has its size: trivial or not, and what was left out.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 RGB, the whole image in the asked-for size
    bounded : the same in its aspect, where that was asked for
    """
    notes = [DAMAGED] if damaged else []
    notes += [note] if (note := left_out(header)) else []
    trivial = _is_trivial(pixels, header)
    return Decoded(pixels, header, trivial, "; ".join(notes) or None, bounded, damaged=damaged)


def bounded_size(header: Header, bound: int) -> tuple[int, int]:
    """Give height and width, each at least 1, of an image no side of which exceeds `bound`.

    Smaller images keep their size.
    """
    return _within((header.height, header.width), bound)


def _within(shape: tuple[int, ...], bound: int) -> tuple[int, int]:
    factor = min(1.0, bound / max(shape[:2]))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def decode_bounded(data: bytes, max_side: int, path: str = "", *, srgb: bool = False) -> Pixels:
    """Decode the whole image upright, in its aspect, no side longer than `max_side`.

    Smaller images are not enlarged.

    Parameters
    ----------
    srgb : as in `decode_square`

    Returns
    -------
    (h, w, 3) uint8 RGB; the short side is rounded, and at least 1

    Raises
    ------
    ImageError : as `decode_square`
    """
    opened = open_image(data, path)
    size = bounded_size(opened.header, max_side)
    pixels = resize(_decode(opened, path, *size, srgb=srgb)[0], *size)
    return _in_srgb(pixels, opened) if srgb else pixels


def _in_srgb(pixels: Pixels, opened: Opened) -> Pixels:
    """Apply the embedded profile of an RGB or grey image; that of CMYK was when it was decoded."""
    profile = profile_of(opened.image)
    return pixels if profile is None else to_srgb(pixels, profile)


def decode_bytes(header: Header, height: int, width: int) -> int:
    """Estimate from above what a decode to the given size needs at its peak, file not included."""
    pixels = header.width * header.height
    scale = _scale(header, height, width)
    whole = _DECODER_BYTES_PER_PIXEL.get(header.format, 0)
    if header.progressive:
        whole += _COEFFICIENT_BYTES_PER_PIXEL
    decoded = ceil(header.width / scale) * ceil(header.height / scale)
    asked = height * width
    # resizing may have an intermediate of twice the asked-for sides, smaller only than the image
    between = 4 * asked if decoded > asked else min(decoded, asked)
    resizing = _RGB_BYTES * (decoded + between + asked)
    held = _STORED_BYTES.get(header.mode, _MOST_STORED_BYTES)
    stored = decoded if header.format == "JPEG" else pixels
    loading = held * stored + _RGB_BYTES * decoded + _BAND_BYTES * min(decoded, BAND_PIXELS)
    return _DECODER_BYTES + pixels * whole + max(loading, resizing)


def decode_seconds(header: Header, size: int) -> float:
    """Estimate roughly, and from above, what a decode takes.

    Parameters
    ----------
    size : of the file, bytes
    """
    pixels = header.width * header.height
    each = _PIXEL_NANOSECONDS.get(header.format, _OTHER_NANOSECONDS)
    return 1e-9 * (pixels * each + size * _BYTE_NANOSECONDS)


def decode_whole(opened: Opened, path: str) -> Pixels:
    """Decode upright in full size.

    Raises
    ------
    ImageError : as `decode_square`
    """
    return _decode(opened, path, *opened.header.size)[0]


def _decode(
    opened: Opened, path: str, height: int, width: int, *, srgb: bool = False
) -> tuple[Pixels, bool]:
    """Decode upright at a scale that suffices for the given size."""
    header = opened.header
    pixels = header.width * header.height
    most = LIMITS.most_decode_bytes(pixels, len(opened.data))
    if decode_bytes(header, height, width) > most:
        raise ImageError(path, too_large(header))
    return decode_rgb(opened, path, _scale(header, height, width), srgb=srgb)


def jpeg_scale(size: tuple[int, int], height: int, width: int) -> int:
    """Give the strongest reduction that leaves a JPEG `LEAST_SCALE` times the asked-for size.

    Parameters
    ----------
    size : height and width of the JPEG

    Returns
    -------
    8, 4 or 2; 1 where there is none
    """
    for scale in _JPEG_SCALES:
        least = scale * LEAST_SCALE
        if size[0] >= least * height and size[1] >= least * width:
            return scale
    return 1


def _scale(header: Header, height: int, width: int) -> int:
    if header.format != "JPEG" and header.width * header.height < _SHRUNK_FROM_PIXELS:
        return 1
    return jpeg_scale(header.size, height, width)


def _is_trivial(pixels: Pixels, header: Header) -> bool:
    short, long = sorted(header.size)
    if short < TRIVIAL_SIDE and short * long < STRIP_PIXELS:
        return True
    # Few rows settle it for almost every photograph: the variance of all is at least that of a part
    # times the part's share of the rows.
    if _deviation(pixels[::_FEW_ROWS]) >= TRIVIAL_DEVIATION * _FEW_ROWS**0.5:
        return False
    return all(_deviation(some) < TRIVIAL_DEVIATION for some in (pixels[::4], pixels))


def _deviation(pixels: Pixels) -> float:
    return float(cv2.meanStdDev(pixels)[1].max())


def left_out(header: Header) -> str | None:
    """Say what of a file one image does not show."""
    if header.frames == 1:
        return None
    if header.format == "TIFF":
        return "multi-page: first page only"
    if header.format == "HEIF":
        return "several images: main image only"
    return "animated: first frame only"
