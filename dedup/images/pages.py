"""The pages of a file that has several: frames of an animation, pages of a TIFF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dedup.errors import ImageError
from dedup.images.header import DECODER_FAILURES, failure, open_image
from dedup.images.resize import resize
from dedup.images.rgb import to_rgb, upright

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from dedup.images.header import Opened

    Pixels = npt.NDArray[np.uint8]


def page_count(opened: Opened) -> int:
    """Count the pages; 1 for stills.

    Raises
    ------
    ImageError : the file is damaged.
    """
    if opened.header.frames == 1:
        return 1
    try:
        return int(getattr(opened.image, "n_frames", 1))
    except DECODER_FAILURES as error:
        raise ImageError("", failure(opened.data, opened.header.format, error)) from error


def pages(data: bytes, most_pixels: int) -> Iterator[Pixels]:
    """Decode page after page, upright, each shrunk to this many pixels at most.

    Raises
    ------
    ImageError : a page is damaged or of another kind than the first.
    """
    opened = open_image(data, "")
    image, header, _ = opened
    for number in range(page_count(opened)):
        try:
            image.seek(number)
            image.load()
            pixels = to_rgb(image)
        except DECODER_FAILURES as error:
            raise ImageError("", failure(data, header.format, error)) from error
        pixels = upright(pixels, 1 if header.format == "TIFF" else header.orientation)
        factor = min(1.0, (most_pixels / (pixels.shape[0] * pixels.shape[1])) ** 0.5)
        height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
        yield resize(pixels, height, width)
