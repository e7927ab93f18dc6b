"""The pages of a file that has several: frames of an animation, pages of a TIFF."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from dedup.errors import ImageError
from dedup.images.header import DECODER_FAILURES, failure, open_image
from dedup.images.resize import resize
from dedup.images.rgb import to_rgb, upright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from dedup.images.header import Opened

    Pixels = npt.NDArray[np.uint8]

Converted = TypeVar("Converted")

MAX_PAGES = 300
"""More are neither digested nor compared: an hour of animation would be."""


def page_count(opened: Opened, path: str = "") -> int:
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
        raise ImageError(path, failure(opened.data, opened.header.format, error)) from error


def converted_pages(
    opened: Opened,
    path: str,
    convert: Callable[[Image.Image], Converted],
    numbers: Iterable[int] | None = None,
) -> Iterator[Converted]:
    """Load page after page, and give what each is converted to.

    Parameters
    ----------
    numbers : of the pages, from 0, rising; None: all of them

    Raises
    ------
    ImageError : a page is damaged or of another kind than the first.
    """
    image, header, data = opened
    for number in range(page_count(opened, path)) if numbers is None else numbers:
        try:
            image.seek(number)
            image.load()
            converted = convert(image)
        except DECODER_FAILURES as error:
            raise ImageError(path, failure(data, header.format, error)) from error
        yield converted


def pages(data: bytes, most_pixels: int, numbers: Iterable[int] | None = None) -> Iterator[Pixels]:
    """Decode page after page, upright, each shrunk to this many pixels at most.

    Parameters and what is raised as in `converted_pages`.
    """
    opened = open_image(data, "")
    for stored in converted_pages(opened, "", to_rgb, numbers):
        pixels = upright(stored, opened.header.turn)
        factor = min(1.0, (most_pixels / (pixels.shape[0] * pixels.shape[1])) ** 0.5)
        height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
        yield resize(pixels, height, width)
