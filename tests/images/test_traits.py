"""What one image tells of its history."""

from __future__ import annotations

import io
import json
from functools import cache

import numpy as np
import pytest
from PIL import Image

from dedup.edits.catalogue import drawn
from dedup.errors import ImageError
from dedup.images.history import LOSSLESS
from dedup.images.metadata import Metadata
from dedup.images.traits import measure, parsed_traits


def photograph() -> Image.Image:
    """Give an image with a spectrum like a photograph's: falling with frequency."""
    return drawn_photograph().copy()


@cache
def drawn_photograph(side: int = 320) -> Image.Image:
    rng = np.random.default_rng(5)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))
    planes = []
    for _ in range(3):
        noise = np.fft.rfft2(rng.normal(size=(side, side))) / np.maximum(frequency, 1 / side)
        plane = np.fft.irfft2(noise, (side, side))
        planes.append(128 + 40 * plane / plane.std())
    return Image.fromarray(np.clip(np.stack(planes, 2), 0, 255).astype(np.uint8))


def saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("quality", [30, 50, 75, 85, 95])
def test_quality_is_that_of_the_tables(quality: int) -> None:
    found = measure(saved(photograph(), quality=quality)).quality
    assert abs(found - quality) <= 3


@pytest.mark.parametrize("quality", [50, 75, 85])
def test_a_jpeg_is_recognised_in_what_was_made_of_it(quality: int) -> None:
    jpeg = Image.open(io.BytesIO(saved(photograph(), quality=quality)))
    assert abs(measure(saved(jpeg, "PNG")).quality - quality) <= 5
    assert abs(measure(saved(jpeg, quality=97)).quality - quality) <= 5


def test_what_was_never_a_jpeg_shows_none() -> None:
    assert measure(saved(photograph(), "PNG")).quality == LOSSLESS
    assert (
        measure(saved(Image.fromarray(drawn(240, 320, np.random.default_rng(1))), "PNG")).quality
        == LOSSLESS
    )


@pytest.mark.parametrize("factor", [1.5, 2, 3])
def test_an_enlarged_image_reaches_as_far_as_it_did(factor: float) -> None:
    image = photograph()
    own = measure(saved(image, quality=95)).detail
    size = (round(320 * factor), round(320 * factor))
    enlarged = measure(saved(image.resize(size, Image.Resampling.BICUBIC), quality=95)).detail
    assert own > 0.9
    assert enlarged == pytest.approx(1 / factor, rel=0.25)


def test_margins_corners_and_holes_are_no_content() -> None:
    image = photograph()
    assert measure(saved(image)).content > 0.97
    framed = Image.new("RGB", (400, 400), "white")
    framed.paste(image, (40, 40))
    assert measure(saved(framed)).content == pytest.approx(0.64, abs=0.03)
    tilted = image.rotate(10, expand=True, fillcolor="white")
    share = 320 * 320 / (tilted.width * tilted.height)
    assert measure(saved(tilted)).content == pytest.approx(share, abs=0.03)
    mask = np.zeros((320, 320), np.uint8)
    mask[:, :240] = 255
    image.putalpha(Image.fromarray(mask))
    assert measure(saved(image, "PNG")).holes == pytest.approx(0.25, abs=0.01)


def test_metadata_are_told() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0132] = "Maker", "Model", "2021:01:01 00:00:00"
    exif.get_ifd(0x8769)[0x9003] = "2020:02:03 04:05:06"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 30.0), 3: "W", 4: (11.0, 30.0, 0.0)})
    exif[0x4746] = 4
    traits = measure(saved(photograph(), exif=exif))
    assert (traits.camera, traits.edited) == (True, True)
    assert traits.told == Metadata("2020:02:03 04:05:06", (48.141667, -11.5), 4)
    assert parsed_traits(json.dumps(traits)) == traits
    bare = measure(saved(photograph()))
    assert (bare.camera, bare.edited, bare.told) == (False, False, Metadata())


def test_grey_is_seen() -> None:
    assert measure(saved(photograph().convert("L").convert("RGB"))).grey
    assert not measure(saved(photograph())).grey


def test_noise_in_colours_makes_no_grey_image_one_in_colour() -> None:
    grey = np.asarray(photograph().convert("L").convert("RGB"), np.float64)
    noisy = grey + np.random.default_rng(2).normal(0, 4, grey.shape)
    image = Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    assert measure(saved(image, quality=95)).grey


def test_screens_are_seen() -> None:
    assert measure(saved(photograph().resize((2532, 1170)))).screen
    assert not measure(saved(photograph())).screen


def test_small_images_have_neutral_traits_and_broken_ones_none() -> None:
    tiny = measure(saved(photograph().resize((9, 7)), "PNG"))
    assert (tiny.detail, tiny.content, tiny.quality) == (1.0, 1.0, LOSSLESS)
    with pytest.raises(ImageError):
        measure(b"no image")
