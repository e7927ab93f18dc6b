"""Kinds of TIFF that Pillow's libtiff does not read, or reads wrongly."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from PIL import Image, WebPImagePlugin

from dedup.images.late import LateImage

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import TiffImagePlugin

    Pixels = npt.NDArray[np.uint8]

_BITS, _COMPRESSION, _PLANAR, _ORIENTATION = 258, 259, 284, 274
_STRIPS, _STRIP_BYTES, _ROWS = 273, 279, 278
_TILES, _TILE_BYTES, _TILE_WIDTH, _TILE_HEIGHT = 324, 325, 322, 323
_WEBP: Final = 50001
_IN_PLANES: Final = 2
_DEEP_BITS: Final = 16


def reopened(image: TiffImagePlugin.TiffImageFile, data: bytes) -> LateImage | None:
    """Give what stands for an image that is decoded otherwise than by Pillow; None: it is not.

    Raises
    ------
    ValueError : of a kind that nothing here decodes
    """
    tags = image.tag_v2
    if tags.get(_COMPRESSION) == _WEBP:
        return LateImage(image.size, "RGB", lambda: _webp_parts(tags, image.size, data))
    if tags.get(_PLANAR) == _IN_PLANES and max(tags.get(_BITS, (1,))) == _DEEP_BITS:
        # Pillow takes each plane's bytes for those of one sample.
        if image.mode != "RGB" or tags.get(_ORIENTATION, 1) != 1:
            raise ValueError("not supported: 16-bit samples in planes of this kind")
        return LateImage(image.size, "RGB", lambda: _by_opencv(data))
    return None


def _by_opencv(data: bytes) -> Pixels:
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    found = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if found is None:
        raise ValueError("damaged")
    return np.asarray(found, np.uint8)


def _webp_parts(tags: Any, size: tuple[int, int], data: bytes) -> Pixels:
    """Put together strips or tiles, each a WebP file of its own."""
    width, height = size
    tiled = _TILES in tags
    step = (tags[_TILE_HEIGHT], tags[_TILE_WIDTH]) if tiled else (tags.get(_ROWS, height), width)
    if min(step) < 1:
        raise ValueError("damaged")
    offsets, sizes = (
        (tags[_TILES], tags[_TILE_BYTES]) if tiled else (tags[_STRIPS], tags[_STRIP_BYTES])
    )
    pixels = np.zeros((height, width, 3), np.uint8)
    places = [(y, x) for y in range(0, height, step[0]) for x in range(0, width, step[1])]
    for (top, left), start, length in zip(places, offsets, sizes, strict=True):
        part: Image.Image = WebPImagePlugin.WebPImageFile(io.BytesIO(data[start : start + length]))
        if part.size[0] > max(step[1], width) or part.size[1] > step[0]:
            raise ValueError("damaged")
        room = pixels[top : top + step[0], left : left + step[1]]
        found = np.asarray(part.convert("RGB"))[: room.shape[0], : room.shape[1]]
        if found.shape != room.shape:
            raise ValueError("damaged")
        room[:] = found
    return pixels
