"""From what a decoder hands over to upright 8-bit RGB, the same for every format.

Transparent pixels are laid on one fixed grey, 16 bits keep their upper 8, CMYK and palettes become
RGB by Pillow's rules, colour profiles are ignored unless they are asked for. JPEG is decoded by
simplejpeg, in half of Pillow's time, nearly everything else by Pillow. Work goes in bands, so that
a large image is held once as decoded and once as RGB, and never a third time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, JpegImagePlugin

from dedup.errors import ImageError
from dedup.images.containers import is_cut_short
from dedup.images.header import DECODER_FAILURES, failure
from dedup.images.jpeg import TruncatedError, decode_jpeg, without_stray
from dedup.images.profiles import cmyk_to_srgb, profile_of
from dedup.images.silence import silence_opencv

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from dedup.images.header import Header, Opened

    Pixels = npt.NDArray[np.uint8]

silence_opencv()

BACKGROUND = 128
"""The grey that transparent pixels show: a white and a black drawing both stand out from it."""

BAND_PIXELS = 1 << 20
_UNREADABLE_MODES = {
    "F": "not supported: floating-point samples, whose white is unknown",
    "I": "not supported: 32-bit samples, whose white is unknown",
}
_ADOBE_TRANSFORMS = frozenset((0, 1, 2))
_SIGNS = np.array((0, 0x80, 0x80), np.uint8)
_TURNS = {
    3: cv2.ROTATE_180,
    6: cv2.ROTATE_90_CLOCKWISE,
    8: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


def decode_rgb(
    opened: Opened, path: str, scale: int = 1, *, srgb: bool = False
) -> tuple[Pixels, bool]:
    """Decode to upright 8-bit RGB.

    Parameters
    ----------
    scale : 1, 2, 4 or 8: the image is decoded at that fraction of its size, rounded up
    srgb : convert CMYK by its embedded profile; of other kinds the result keeps the values

    Returns
    -------
    (H, W, 3) uint8, contiguous, and whether stretches of the image are damaged

    Raises
    ------
    ImageError : as `load`
    """
    image, header, data = opened
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        found = _decode_jpeg(image, data, path, scale) if has_plain_colours(image) else None
        if found is not None:
            return upright(found[0], header.orientation), found[1]
        width, height = image.size
        image.draft(None, (width // scale, height // scale))
        scale = 1
    load(image, header, data, path)
    profile = profile_of(image) if srgb and image.mode == "CMYK" else None
    return upright(to_rgb(image, profile, scale), header.turn), False


def load(image: Image.Image, header: Header, data: bytes, path: str) -> None:
    """Decode, in the scale that was set before.

    Raises
    ------
    ImageError : damaged or truncated, or samples that cannot become 8-bit RGB
    """
    deep_netpbm = header.format == "PPM" and header.mode == "I"
    if header.mode in _UNREADABLE_MODES and not deep_netpbm:
        raise ImageError(path, _UNREADABLE_MODES[header.mode])
    try:
        image.load()
    except DECODER_FAILURES as error:
        raise ImageError(path, failure(data, header.format, error)) from error


def to_rgb(image: Image.Image, profile: bytes | None = None, scale: int = 1) -> Pixels:
    """Turn a decoded image into 8-bit RGB, as it is stored.

    Parameters
    ----------
    profile : by which CMYK is converted; None: by Pillow's rule
    scale : the result has that fraction of the size, rounded up, and no more is held

    Returns
    -------
    (H, W, 3) uint8, contiguous
    """
    width, height = image.size
    pixels = np.empty((-(-height // scale), -(-width // scale), 3), np.uint8)
    for top, band in bands(image, scale):
        converted = None if profile is None else cmyk_to_srgb(band, profile)
        made = _band_to_rgb(band) if converted is None else converted
        begin, rows = top // scale, -(-band.height // scale)
        if scale > 1:
            made = np.asarray(
                cv2.resize(made, (pixels.shape[1], rows), interpolation=cv2.INTER_AREA)
            )
        pixels[begin : begin + rows] = made
    return pixels


def bands(image: Image.Image, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Cut an image into full-width strips of about a megapixel, each with its first row.

    Parameters
    ----------
    multiple : of which all heights but the last are one
    """
    width, height = image.size
    rows = max(1, BAND_PIXELS // width // multiple) * multiple
    if rows >= height:
        yield 0, image
        return
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(top + rows, height)))


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation (CIPA DC-008, 4.6.4).

    Parameters
    ----------
    pixels : (H, W, C), any C
    orientation : 1 to 8; 5 to 8 swap height and width
    """
    if orientation in _TURNS:
        return np.asarray(cv2.rotate(pixels, _TURNS[orientation]))
    if orientation == 2:  # noqa: PLR2004 - EXIF's numbers
        return np.asarray(cv2.flip(pixels, 1))
    if orientation == 4:  # noqa: PLR2004
        return np.asarray(cv2.flip(pixels, 0))
    if orientation == 5:  # noqa: PLR2004
        return np.asarray(cv2.transpose(pixels))
    if orientation == 7:  # noqa: PLR2004
        return np.asarray(cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180))
    return pixels


def has_plain_colours(image: JpegImagePlugin.JpegImageFile) -> bool:
    """Leave CMYK to Pillow, and headers that libjpeg remarks on."""
    return (
        image.mode in {"L", "RGB"}
        and image.info.get("jfif_version", (1, 1))[0] == 1
        and image.info.get("adobe_transform", 0) in _ADOBE_TRANSFORMS
    )


def _decode_jpeg(
    image: JpegImagePlugin.JpegImageFile, data: bytes, path: str, scale: int
) -> tuple[Pixels, bool] | None:
    size = image.size[::-1]
    try:
        found = decode_jpeg(data, size, scale)
        if found is None and len(bare := without_stray(data)) < len(data):
            found = decode_jpeg(bare, size, scale)
    except TruncatedError as error:
        raise ImageError(path, "truncated") from error
    if found is not None and found[1] and is_cut_short(data, "JPEG"):
        raise ImageError(path, "truncated")
    return found


def _band_to_rgb(band: Image.Image) -> Pixels:
    if band.mode == "RGB" and "transparency" not in band.info:
        return np.asarray(band)
    if band.mode == "L" and "transparency" not in band.info:
        return np.asarray(cv2.cvtColor(np.asarray(band), cv2.COLOR_GRAY2RGB))
    if band.mode == "LAB":
        # Pillow hands a and b over as TIFF stores them, signed
        return np.asarray(cv2.cvtColor(np.asarray(band) ^ _SIGNS, cv2.COLOR_Lab2RGB))
    if band.mode.startswith("I"):
        return _deep_grey_to_rgb(band)
    if band.has_transparency_data:
        return _composited(band)
    return np.asarray(band.convert("RGB"))


def _composited(band: Image.Image) -> Pixels:
    transparent = with_alpha(band)
    opaque = Image.new("RGB", band.size, (BACKGROUND, BACKGROUND, BACKGROUND))
    opaque.paste(transparent, mask=transparent)
    return np.asarray(opaque)


def with_alpha(band: Image.Image) -> Image.Image:
    """Return an image as RGBA, a transparent colour or palette entry included."""
    key = band.info.get("transparency")
    if band.mode == "RGB" and isinstance(key, tuple) and max(key) > 0xFF:  # noqa: PLR2004
        # the colour of a 16-bit PNG, of whose samples Pillow keeps the upper 8 bits
        band = band.copy()
        band.info["transparency"] = tuple(value >> 8 for value in key)
    return band.convert("RGBA")


def _deep_grey_to_rgb(band: Image.Image) -> Pixels:
    samples = np.asarray(band)
    grey = (samples >> 8).astype(np.uint8)
    key = band.info.get("transparency")
    if key is not None:
        grey[samples == key] = BACKGROUND
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))
