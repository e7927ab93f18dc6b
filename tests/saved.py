"""Images saved as files, as a proof takes them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from PIL import Image

from dedup.images.decode import decode_bounded
from dedup.proof import WORKING_SIDE, Original, Side, describe

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def as_file(image: Image.Image, quality: int | None) -> Original:
    """Save as a JPEG of that quality, or as PNG."""
    buffer = io.BytesIO()
    if quality is None:
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=quality)
    return Original(buffer.getvalue())


def opened(file: Original) -> Image.Image:
    """Decode a file in full."""
    return Image.fromarray(file.pixels(*file.size))


def side(pixels: npt.NDArray[np.uint8], **options: Any) -> Side:
    """Save an image as a JPEG; `options` as of Pillow, such as `quality`."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return side_of(Original(buffer.getvalue()))


def side_of(original: Original) -> Side:
    """Describe a file as a proof takes it."""
    return Side(describe(decode_bounded(original.data, WORKING_SIDE, srgb=True)), lambda: original)
