"""Originals beside copies that were saved a little better: the original is kept."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageFilter

from dedup.collection import Collection
from dedup.edits.catalogue import drawn
from dedup.results import Tier
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def saved(image: Image.Image, quality: int, orientation: int = 0) -> bytes:
    """Save as a camera does; 0 without what a camera writes."""
    exif = Image.Exif()
    if orientation:
        exif[0x010F], exif[0x0110], exif[0x0112] = "Example", "Camera 1", orientation
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality, subsampling=0, exif=exif)
    return sink.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def photograph() -> Image.Image:
    rng = np.random.default_rng(0)
    pixels = drawn(333, 429, rng) + rng.normal(0, 4, (333, 429, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def turned() -> tuple[bytes, bytes]:
    original = saved(photograph(), 90, 1)
    return original, saved(opened(original).transpose(Image.Transpose.ROTATE_90), 92, 6)


def sharpened() -> tuple[bytes, bytes]:
    original = saved(opened(saved(photograph(), 60)), 92, 1)
    return original, saved(opened(original).filter(ImageFilter.UnsharpMask(2, 90, 0)), 95)


@pytest.mark.parametrize(
    ("pair", "tier"), [(turned, Tier.RESAVED), (sharpened, Tier.NEAR)], ids=["turned", "sharpened"]
)
def test_the_original_is_kept(
    pair: Callable[[], tuple[bytes, bytes]], tier: Tier, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, data in zip(("b.jpg", "a.jpg"), pair(), strict=True):
        (folder / name).write_bytes(data)
        os.utime(folder / name, (1.7e9, 1.7e9))
    with Collection.create(tmp_path / "store", ModelSpec(views="details")) as made:
        made.index([folder])
        (group,) = made.duplicates()
    assert group.tier is tier
    assert group.keeper == os.fspath(folder / "b.jpg")


@pytest.mark.parametrize(("later", "kept"), [(2.0, "IMG_1.jpg"), (7200.0, "IMG_1 (1).jpg")])
def test_files_copied_one_after_the_other_are_of_one_age(
    later: float, kept: str, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    data = saved(photograph(), 90, 1)
    for name, time in (("IMG_1 (1).jpg", 1.7e9), ("IMG_1.jpg", 1.7e9 + later)):
        (folder / name).write_bytes(data)
        os.utime(folder / name, (time, time))
    with Collection.create(tmp_path / "store", ModelSpec(views="details")) as made:
        made.index([folder])
        (group,) = made.duplicates()
    assert group.keeper == os.fspath(folder / kept)
