"""Images for the examples: a folder named by PHOTOS, or drawn ones."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1] / "scripts"))

from draw_pictures import draw_collection, scene


def photographs(more: int = 0) -> Path:
    """Give the folder that PHOTOS names, or draw a small one with duplicates and `more` others."""
    given = os.environ.get("PHOTOS")
    if given:
        return Path(given)
    folder = Path(tempfile.mkdtemp(prefix="dedup-example-")) / "photos"
    draw_collection(folder)
    for seed in range(100, 100 + more):
        scene(seed).resize((320, 240)).save(folder / "web" / f"other_{seed}.jpg", quality=90)
    return folder


def two_classes(count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw stripes that lie (class 0) or stand (class 1), in any colours, widths and slight turns.

    Returns
    -------
    images (N, side, side, 3) uint8 and labels (N,)
    """
    images, labels = [], []
    for number in range(count):
        rng = np.random.default_rng(number)
        ground, colour = (tuple(rng.integers(0, 256, 3).tolist()) for _ in range(2))
        image = Image.new("RGB", (2 * side, 2 * side), ground)
        draw = ImageDraw.Draw(image)
        step = int(rng.integers(side // 8, side // 3))
        for x in range(0, 2 * side, step):
            draw.line((x, 0, x, 2 * side), fill=colour, width=step // 2)
        label = number % 2
        angle = float(rng.normal(0, 20)) + (0 if label else 90)
        turned = image.rotate(angle, Image.Resampling.BICUBIC)
        corner = side // 2
        cut = turned.crop((corner, corner, corner + side, corner + side))
        noise = rng.normal(0, 25, (side, side, 3))
        images.append(np.clip(np.asarray(cut) + noise, 0, 255).astype(np.uint8))
        labels.append(label)
    return np.stack(images), np.array(labels)


def splits() -> tuple[Path, Path]:
    """Draw a training and a test folder; three test images leak from the training set."""
    folder = Path(tempfile.mkdtemp(prefix="dedup-example-"))
    train, test = folder / "train", folder / "test"
    train.mkdir()
    test.mkdir()
    for seed in range(20):
        scene(seed).save(train / f"{seed:02}.jpg", quality=92)
    for seed in range(20, 26):
        scene(seed).save(test / f"{seed:02}.jpg", quality=92)
    (test / "leak-exact.jpg").write_bytes((train / "03.jpg").read_bytes())
    scene(7).resize((320, 240)).save(test / "leak-small.jpg", quality=85)
    scene(11).crop((60, 40, 620, 460)).save(test / "leak-cropped.jpg", quality=90)
    return train, test
