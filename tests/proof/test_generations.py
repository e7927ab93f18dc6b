"""Which of two JPEGs of one image was saved from the other."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dedup.edits.catalogue import drawn
from dedup.proof import Original
from dedup.proof.generations import saved_from


def jpeg(image: Image.Image, quality: int, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality, subsampling=0, exif=exif)
    return sink.getvalue()


def photograph(seed: int) -> Image.Image:
    """Draw something with grain, at sides that are no whole blocks."""
    rng = np.random.default_rng(seed)
    pixels = drawn(333, 429, rng) + rng.normal(0, 5, (333, 429, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


TURNED = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize(("first", "second"), [(92, 88), (90, 92), (90, 90)])
def test_a_jpeg_stored_turned_came_of_the_other(orientation: int, first: int, second: int) -> None:
    for seed in range(2):
        original = jpeg(photograph(seed), first)
        turned = Image.open(io.BytesIO(original)).transpose(TURNED[orientation])
        copy = jpeg(turned, second, orientation)
        assert saved_from(Original(original), Original(copy)) == 2
        assert saved_from(Original(copy), Original(original)) == 1


def test_a_jpeg_compressed_more_came_of_the_other() -> None:
    original = jpeg(photograph(1), 94)
    copy = jpeg(Image.open(io.BytesIO(original)), 84)
    assert saved_from(Original(original), Original(copy)) == 2
    assert saved_from(Original(copy), Original(original)) == 1


def test_where_it_cannot_be_told_nothing_is() -> None:
    image = photograph(2)
    original = jpeg(image, 92)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    small = jpeg(image.resize((214, 166)), 92)
    for other in (original, buffer.getvalue(), small, jpeg(image, 60), jpeg(image, 98)):
        assert saved_from(Original(original), Original(other)) == 0
