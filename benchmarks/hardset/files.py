"""Images as the files that people have: JPEG, PNG, WebP, TIFF and GIF at the usual settings."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Rng = np.random.Generator

ORIENTATION = 0x0112


class File(NamedTuple):
    """A whole file and how its name ends."""

    data: bytes
    suffix: str


Pair = tuple[File, File]


def _encoded(pixels: Pixels, form: str, **settings: Any) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(sink, form, **settings)
    return sink.getvalue()


def jpeg(pixels: Pixels, quality: int = 92, subsampling: int = 2, **settings: Any) -> File:
    """Encode by Pillow; subsampling 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0."""
    return File(
        _encoded(pixels, "JPEG", quality=quality, subsampling=subsampling, **settings), ".jpg"
    )


def png(pixels: Pixels) -> File:
    """Encode quickly."""
    return File(_encoded(pixels, "PNG", compress_level=1), ".png")


def webp(pixels: Pixels, quality: int) -> File:
    """Encode with losses."""
    return File(_encoded(pixels, "WEBP", quality=quality, method=1), ".webp")


def tiff(pages: Sequence[Pixels]) -> File:
    """Encode pages as a scanner does."""
    first, *others = (Image.fromarray(page) for page in pages)
    sink = io.BytesIO()
    first.save(sink, "TIFF", compression="jpeg", save_all=True, append_images=others)
    return File(sink.getvalue(), ".tif")


def gif(frames: Sequence[Pixels]) -> File:
    """Encode an animation."""
    first, *others = (Image.fromarray(frame).quantize(128) for frame in frames)
    sink = io.BytesIO()
    first.save(sink, "GIF", save_all=True, append_images=others, duration=200)
    return File(sink.getvalue(), ".gif")


def decoded(file: File) -> Pixels:
    """Decode as RGB, not turned by metadata."""
    with Image.open(io.BytesIO(file.data)) as image:
        return np.asarray(image.convert("RGB"))


def camera(orientation: int = 1) -> Image.Exif:
    """Give the metadata that a camera writes."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Example", "Camera 1"
    exif[0x0132] = "2024:05:17 10:21:33"
    exif[ORIENTATION] = orientation
    return exif


def resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """Resize well in both directions."""
    shrinks = width < pixels.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (max(1, width), max(1, height)), interpolation=how))


def scaled(pixels: Pixels, factor: float) -> Pixels:
    """Resize by a factor."""
    height, width = pixels.shape[:2]
    return resized(pixels, round(width * factor), round(height * factor))


def fitted(pixels: Pixels, width: int, height: int) -> Pixels:
    """Crop the middle to a shape and resize it to that size."""
    factor = max(width / pixels.shape[1], height / pixels.shape[0])
    big = scaled(pixels, factor + 1e-3)
    top, left = (big.shape[0] - height) // 2, (big.shape[1] - width) // 2
    return np.ascontiguousarray(big[top : top + height, left : left + width])


def as_photo(pixels: Pixels, rng: Rng) -> File:
    """Encode as cameras and editors do."""
    return jpeg(pixels, int(rng.integers(82, 97)), int(rng.integers(0, 3)), exif=camera())


def as_page(pixels: Pixels, rng: Rng) -> File:
    """Encode as scanners and screens do."""
    return png(pixels) if rng.random() < 0.5 else jpeg(pixels, int(rng.integers(75, 96)))


def photographs(
    make: Callable[[Rng, Sequence[Pixels]], tuple[Pixels, Pixels]],
) -> Callable[[Rng, Sequence[Pixels]], Pair]:
    """Encode both as photographs; one in four seconds comes smaller."""

    def pair(rng: Rng, photos: Sequence[Pixels]) -> Pair:
        first, second = make(rng, photos)
        if rng.random() < 0.25:
            second = scaled(second, rng.uniform(0.5, 1))
        return as_photo(first, rng), as_photo(second, rng)

    return pair


def pages(
    draw: Callable[[Rng, Rng], Image.Image],
) -> Callable[[Rng, Sequence[Pixels]], Pair]:
    """Draw two of one template; one in four seconds comes smaller.

    Parameters
    ----------
    draw : by a generator for what both share, and one for what each has of its own
    """

    def pair(rng: Rng, _: Sequence[Pixels]) -> Pair:
        first, second = twice(draw, rng)
        if rng.random() < 0.25:
            second = scaled(second, rng.uniform(0.7, 1))
        return as_page(first, rng), as_page(second, rng)

    return pair


def once(draw: Callable[[Rng, Rng], Image.Image], rng: Rng) -> Pixels:
    """Draw one of a template."""
    return np.asarray(draw(rng, rng).convert("RGB"))


def twice(draw: Callable[[Rng, Rng], Image.Image], rng: Rng) -> tuple[Pixels, Pixels]:
    """Draw two that share a template and are not equal."""
    seed = int(rng.integers(1 << 30))
    drawn: list[Pixels] = []
    for own in range(20):
        image = draw(np.random.default_rng(seed), np.random.default_rng((seed, own)))
        drawn.append(np.asarray(image.convert("RGB")))
        if own and (drawn[own].shape != drawn[0].shape or (drawn[own] != drawn[0]).any()):
            return drawn[0], drawn[own]
    raise AssertionError("nothing that differs was drawn")
