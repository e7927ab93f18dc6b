"""A picture decoded whole and multiplied becomes what the host makes of it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from drawn import SHARED, encode, exif, textured

from dedup.images.decode import decode_square, jpeg_scale
from dedup.images.device import sides, suits_device
from dedup.images.header import open_image


def multiplied(data: bytes, height: int, width: int) -> np.ndarray[Any, Any]:
    """Decode in full, by another way than a device does, and multiply."""
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    whole = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), flags))
    down, across = sides((whole.shape[0], whole.shape[1]), height, width)
    return np.asarray(
        np.einsum("ih,hwc,jw->ijc", down.weights(), whole, across.weights(), optimize=True)
    )


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((375, 500), (224, 224)),  # in two steps
        ((260, 270), (224, 224)),
        ((333, 501), (96, 96)),  # at a half, which cuts the last block
        ((480, 1601), (96, 224)),
        ((1003, 1507), (96, 96)),  # at an eighth
        ((450, 2000), (96, 400)),  # at a quarter
    ],
)
@pytest.mark.parametrize("subsampling", [0, 2])
def test_weights_make_of_a_whole_picture_what_the_host_makes_of_the_file(
    shape: tuple[int, int], size: tuple[int, int], subsampling: int
) -> None:
    data = encode(textured(*shape, seed=5), "JPEG", quality=90, subsampling=subsampling)
    assert suits_device(open_image(data, ""), data, *size)
    difference = np.abs(multiplied(data, *size) - decode_square(data, *size).pixels)
    assert difference.mean() < 1.0  # 0.3 is half a level of rounding in two places
    assert np.percentile(difference, 99) < 6


def test_sides_are_reduced_by_the_scale_of_the_host() -> None:
    assert jpeg_scale((375, 500), 224, 224) == 1
    assert jpeg_scale((333, 501), 96, 96) == 2
    assert jpeg_scale((450, 2000), 96, 400) == 4
    assert jpeg_scale((1003, 1507), 96, 96) == 8


@pytest.mark.parametrize(("size", "wanted"), [((375, 500), 224), ((999, 1203), 96), ((57, 41), 32)])
def test_every_pixel_counts_and_no_light_is_lost(size: tuple[int, int], wanted: int) -> None:
    rows, columns = (side.weights() for side in sides(size, wanted, wanted))
    assert (rows.shape, columns.shape) == ((wanted, size[0]), (wanted, size[1]))
    for weights in (rows, columns):
        assert weights.dtype == np.float32
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
        assert weights.min() >= 0
        assert (weights.sum(axis=0) > 0).all()


def jpeg(mode: str = "RGB", size: tuple[int, int] = (400, 300), **options: Any) -> bytes:
    return encode(textured(size[1], size[0]), "JPEG", mode, **options)


@pytest.mark.parametrize(
    ("data", "side", "suits"),
    [
        (jpeg(), 224, True),
        (jpeg(), 96, True),
        (jpeg() + b"after the end", 224, True),
        (jpeg(exif=exif(1)), 224, True),
        (jpeg(subsampling=1), 224, True),  # half the colour along one side, decoded in full
        (jpeg(subsampling=1), 96, False),  # the host halves it along both
        (jpeg(), 261, False),  # not larger by enough to hide how colour was interpolated
        (jpeg(exif=exif(6)), 224, False),
        (jpeg(progressive=True), 224, False),
        (jpeg("L"), 224, False),
        (jpeg("CMYK"), 224, False),
        (jpeg(keep_rgb=True), 224, False),
        (jpeg()[:-200], 224, False),
        (jpeg(size=(2100, 2100)), 224, False),  # many of these would fill the device
        (encode(textured(300, 400), "PNG"), 224, False),
    ],
)
def test_what_a_device_would_decode_otherwise_is_left_to_the_host(
    data: bytes, side: int, *, suits: bool
) -> None:
    assert suits_device(open_image(data, ""), data, side, side) is suits


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared photographs")
@pytest.mark.parametrize("side", [96, 224])
def test_photographs_differ_by_a_grey_level_or_less(side: int) -> None:
    differences = []
    for path in sorted((SHARED / "photos").glob("*/**/*.jpg"))[::15]:
        data = path.read_bytes()
        if suits_device(open_image(data, ""), data, side, side):
            difference = multiplied(data, side, side) - decode_square(data, side, side).pixels
            differences.append(float(np.abs(difference).mean()))
    assert len(differences) > 50
    assert np.median(differences) < 0.5
    # Drawings of few colours, compressed hard, overshoot and are cut off before they are averaged.
    assert max(differences) < 2.5
