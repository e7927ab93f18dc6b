"""Originals beside what was made from them, and which of them a list keeps."""

from __future__ import annotations

import os
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

import dedup
from hardset import copies
from hardset.files import File, camera, decoded, jpeg, png, scaled, webp
from hardset.ink import scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardset.files import Pixels, Rng
    from hardset.photos import Photographs

    Derive = Callable[[File, Rng], File]

GROUPS = 12


def _edited(edit: copies.Edit, quality: tuple[int, int] = (80, 96)) -> Derive:
    return lambda file, rng: jpeg(edit(decoded(file), rng), int(rng.integers(*quality)))


def _again(save: copies.Save) -> Derive:
    return lambda file, rng: save(decoded(file), rng)


def _framed(pixels: Pixels, rng: Rng) -> Pixels:
    """Add a passe-partout and a frame."""
    wide = round(max(pixels.shape) * rng.uniform(0.05, 0.09))
    thin = wide // 3
    inner = cv2.copyMakeBorder(
        pixels, wide, wide, wide, wide, cv2.BORDER_CONSTANT, value=(245, 242, 235)
    )
    outer = cv2.copyMakeBorder(
        inner, thin, thin, thin, thin, cv2.BORDER_CONSTANT, value=(70, 45, 25)
    )
    return np.asarray(outer, np.uint8)


def _tilted(pixels: Pixels, rng: Rng) -> Pixels:
    """Turn by some degrees on a larger white sheet, so that nothing is lost."""
    image = Image.fromarray(pixels)
    angle = rng.uniform(2, 8) * float(rng.choice((-1, 1)))
    return np.asarray(image.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor="white"))


def _cut_out(file: File, _: Rng) -> File:
    """Make all around an oval transparent."""
    pixels = decoded(file)
    height, width = pixels.shape[:2]
    mask = Image.new("L", (width, height), 0)
    ImageDraw.Draw(mask).ellipse(
        (width // 14, height // 14, width * 13 // 14, height * 13 // 14), 255
    )
    return png(np.dstack([pixels, np.asarray(mask)]))


def _stripped(file: File, _: Rng) -> File:
    return copies.without_metadata(file)


def _quarter(pixels: Pixels, _: Rng) -> Pixels:
    return np.rot90(pixels).copy()


def _enlarged(pixels: Pixels, rng: Rng) -> Pixels:
    return scaled(pixels, float(rng.choice((1.5, 2))))


def _big_screenshot(file: File, rng: Rng) -> File:
    return png(copies.screenshot(decoded(file), rng))


DERIVED: dict[str, Derive] = {
    "resized": _again(copies.shrunk(0.4, 0.8)),
    "thumbnail": _again(copies.shrunk(0.125, 0.25)),
    "enlarged": _edited(_enlarged),
    "enlarged, JPEG 98": _edited(_enlarged, (97, 99)),
    "recompressed worse": _again(copies.quality(50, 80)),
    "recompressed better": _again(copies.quality(96, 99)),
    "PNG": _again(copies.lossless),
    "WebP": _again(copies.as_webp),
    "WebP 98": lambda file, _: webp(decoded(file), 98),
    "progressive": _again(copies.progressive),
    "EXIF stripped": _stripped,
    "turned by a quarter": _edited(_quarter),
    "turned by EXIF": _again(copies.turned),
    "cropped": _edited(copies.crop(0.7)),
    "cropped and enlarged": _edited(copies.both(copies.crop(0.7), _enlarged)),
    "bordered": _edited(copies.bordered),
    "framed": _edited(_framed),
    "tilted": _edited(_tilted),
    "screenshot": _edited(copies.screenshot),
    "screenshot, PNG": _big_screenshot,
    "watermark": _edited(copies.watermark, (94, 98)),
    "caption": _edited(copies.caption_bar),
    "words": _edited(copies.meme_text, (94, 98)),
    "stamp": _edited(copies.stamped, (94, 98)),
    "greyscale": _edited(copies.greyed, (94, 98)),
    "filter": _edited(copies.filtered, (94, 98)),
    "mirrored": _edited(copies.mirrored, (94, 98)),
    "sharpened": _edited(copies.sharpened, (94, 98)),
    "blurred": _edited(copies.blurred, (97, 99)),
    "transparent around": _cut_out,
    "story": lambda file, rng: jpeg(copies.in_a_story(rng, decoded(file), ()), 95),
    "on a page": lambda file, rng: png(copies.on_a_page(rng, decoded(file), ())),
}


TAKEN = {"turned by EXIF", "EXIF stripped"}
"""Of these, what tells nothing where the original has no camera's data."""


def original(
    name: str, number: int, photographs: Photographs | None, rng: Rng, *, web: bool
) -> File:
    """Give a file as a camera writes it, or as it is found on the web: with no camera's data."""
    if photographs is None:
        pixels = scene(rng, 1200, 900)
    else:
        (pixels,) = photographs.some(name, number, 1, rng)
    if web:
        return jpeg(pixels, int(rng.integers(60, 88)))
    return jpeg(pixels, int(rng.integers(90, 96)), int(rng.choice((0, 2))), exif=camera())


def kept(
    name: str, photographs: Photographs | None, groups: int, seed: int, *, web: bool
) -> tuple[int, int, int]:
    """Put originals and one derivative each into a collection, and list its duplicates.

    Parameters
    ----------
    web : originals are as found on the web, not as a camera writes them

    Returns
    -------
    Groups made, of these found, and of those found how many keep the original.
    """
    found = right = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photos"
        folder.mkdir()
        pairs = []
        for number in range(groups):
            rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
            first = original(name, number, photographs, rng, web=web)
            numbers = rng.choice(10_000, 2, replace=False)  # so that names do not tell
            paths = []
            for file, each in zip((first, DERIVED[name](first, rng)), numbers, strict=True):
                paths.append(folder / f"IMG_{number:02}{each:04}{file.suffix}")
                paths[-1].write_bytes(file.data)
                os.utime(paths[-1], (1.7e9, 1.7e9))
            pairs.append(tuple(map(os.fspath, paths)))
        with dedup.Collection.create(Path(place) / "store") as collection:
            collection.index([folder])
            groups_found = collection.duplicates().groups
        for one, two in pairs:
            for group in groups_found:
                if {one, two} <= {group.keeper, *(each.path for each in group.duplicates)}:
                    found += 1
                    right += group.keeper == one
    return groups, found, right
