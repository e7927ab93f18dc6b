"""From pixels to files and to Pillow's images: the one module of the package that writes images."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dedup.errors import DedupError
from dedup.files import output_file
from dedup.images.header import DECODER_FAILURES, holds_image
from dedup.images.resize import resize

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

_QUALITIES: Final = (72, 58, 44, 30, 15)
_DREW: Final = "dedup"
_BY_QUALITY: Final[dict[str, dict[str, Any]]] = {"AVIF": {"speed": 10}, "WEBP": {"method": 0}}
_RANGE: Final = 5, 95  # of qualities
_TRIES: Final = 4  # until a quality is within some of the one that makes as many bytes
_WEBP_EFFORT: Final = 2  # of 0 to 6: 4 takes twice the time, and saves a twentieth of the bytes


def write_png(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    """Write (H, W, 3) uint8 RGB as a drawing.

    Raises
    ------
    DedupError : the file cannot be written, or is an image that is no drawing.
    """
    if holds_photograph(path):
        raise DedupError(f"{path} is an image, and stays: name another file")
    mark = PngInfo()
    mark.add_text("Software", _DREW)
    with output_file(path) as file:
        Image.fromarray(pixels).save(file, "PNG", pnginfo=mark)


def holds_photograph(path: Path) -> bool:
    """Tell whether an image is there that `write_png` did not write, which may be written again."""
    return path.is_file() and holds_image(os.fsencode(path)) and not _is_drawing(path)


def _is_drawing(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.format == "PNG" and image.info.get("Software") == _DREW
    except DECODER_FAILURES:
        return False


def as_pillow(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    """Hand (H, W, 3) uint8 RGB over as an image of Pillow's, for code that takes those."""
    return Image.fromarray(pixels)


def as_jpeg(pixels: npt.NDArray[np.uint8], quality: int) -> bytes:
    """Encode as the bytes of a JPEG file.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 RGB
    quality : 1 to 100
    """
    done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV could not write a JPEG")
    return bytes(data)


def as_webp(pixels: npt.NDArray[np.uint8], most: int) -> bytes:
    """Encode as the bytes of a WebP file of at most so many bytes: coarser, then smaller.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 RGB
    most : at least 500
    """
    while True:
        for quality in _QUALITIES:
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "WEBP", quality=quality, method=_WEBP_EFFORT)
            if file.tell() <= most:
                return file.getvalue()
        height, width = pixels.shape[:2]
        pixels = np.ascontiguousarray(resize(pixels, max(1, height // 2), max(1, width // 2)))


def with_losses(
    pixels: npt.NDArray[np.uint8], kind: str, size: int
) -> npt.NDArray[np.uint8] | None:
    """Save in a format with losses, and read that; None for a format of which it is not known how.

    Parameters
    ----------
    kind : as Pillow names it
    size : bytes that are to be made, about
    """
    Image.init()
    if kind not in Image.SAVE:
        return None  # a Pillow that only reads it
    image = Image.fromarray(pixels)
    if kind == "JPEG2000":
        rates = {"quality_mode": "rates", "quality_layers": [pixels.size / size]}
        data = _encoded(image, kind, irreversible=True, **rates)
    elif kind in _BY_QUALITY:
        settings = _BY_QUALITY[kind]
        data = _as_large(lambda quality: _encoded(image, kind, quality=quality, **settings), size)
    else:
        return None
    with Image.open(io.BytesIO(data)) as read:
        return np.asarray(read.convert("RGB"))


def in_colours_of(
    like: Image.Image, pixels: npt.NDArray[np.uint8], *, dithered: bool
) -> npt.NDArray[np.uint8] | None:
    """Give an image in the colours of another one's palette; None where that has none."""
    palette = like.getpalette()
    if palette is None:
        return None
    table = Image.new("P", (1, 1))
    table.putpalette(palette)
    how = Image.Dither.FLOYDSTEINBERG if dithered else Image.Dither.NONE
    return np.asarray(Image.fromarray(pixels).quantize(palette=table, dither=how).convert("RGB"))


def _as_large(save: Callable[[int], bytes], size: int) -> bytes:
    """Find the quality that makes about so many bytes."""
    low, high = _RANGE
    made = []
    for _ in range(_TRIES):
        middle = (low + high) // 2
        made.append(save(middle))
        low, high = (low, middle) if len(made[-1]) > size else (middle, high)
    return min(made, key=lambda data: abs(len(data) - size))


def _encoded(image: Image.Image, kind: str, **settings: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **settings)
    return sink.getvalue()
