"""Images that the tests draw themselves: seeded scenes that differ as photographs do."""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from pathlib import Path


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Draw soft clouds, sharp shapes and grain."""
    rng = np.random.default_rng(seed)
    clouds = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    image = Image.fromarray(clouds).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    dice = random.Random(seed)  # noqa: S311 - images are no secret
    for _ in range(25):
        left, top = dice.randrange(size[0]), dice.randrange(size[1])
        corner = (left + dice.randrange(8, 90), top + dice.randrange(8, 70))
        colour = (dice.randrange(256), dice.randrange(256), dice.randrange(256))
        dice.choice([draw.ellipse, draw.rectangle])((left, top, *corner), fill=colour)
    grain = rng.normal(0, 5, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def draw_folder(folder: Path) -> None:
    """Fill a folder with nine different scenes, copies of some, and files that are no images.

    a/0.jpg … a/8.jpg: scenes. b/0 copy.jpg, b/0 again.jpg: the same bytes as a/0. b/1.png, b/1.bmp:
    the same pixels as a/1. b/2 small.jpg: a/2 at half its size. blank.png, blank.bmp: white.
    cut.jpg: half of a file. text.jpg: no image.
    """
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    for seed in range(9):
        scene(seed).save(folder / "a" / f"{seed}.jpg", quality=92)
    shutil.copy(folder / "a/0.jpg", folder / "b/0 copy.jpg")
    shutil.copy(folder / "a/0.jpg", folder / "b/0 again.jpg")
    with Image.open(folder / "a/1.jpg") as decoded:
        decoded.save(folder / "b/1.png")
        decoded.save(folder / "b/1.bmp")
    with Image.open(folder / "a/2.jpg") as decoded:
        decoded.resize((160, 120), Image.Resampling.LANCZOS).save(folder / "b/2 small.jpg")
    blank = Image.new("RGB", (300, 200), "white")
    blank.save(folder / "blank.png")
    blank.save(folder / "blank.bmp")
    whole = (folder / "a/3.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("no image\n")
    for file in folder.rglob("*.*"):
        os.utime(file, (1.7e9, 1.7e9))  # one age, so that the keep order goes on to the path
