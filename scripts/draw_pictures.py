"""Draw a small collection of images with duplicates in it: draw_pictures.py FOLDER.

Twelve seeded scenes; of some of them a copy, the same pixels in another format, a smaller version,
a re-compressed one; and one broken file.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = (640, 480)


def scene(seed: int) -> Image.Image:
    """Draw a scene of soft clouds and sharp shapes that no other seed gives."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    dice = random.Random(seed)  # noqa: S311 - images are no secret
    for _ in range(40):
        x, y = dice.randrange(SIZE[0]), dice.randrange(SIZE[1])
        w, h = dice.randrange(10, 160), dice.randrange(10, 120)
        colour = tuple(dice.randrange(256) for _ in range(3))
        shape = dice.choice([draw.ellipse, draw.rectangle])
        shape((x, y, x + w, y + h), fill=colour)
    noise = rng.normal(0, 6, (SIZE[1], SIZE[0], 3))
    grainy = np.clip(np.asarray(picture.filter(ImageFilter.GaussianBlur(0.7))) + noise, 0, 255)
    return Image.fromarray(grainy.astype(np.uint8))


def draw_collection(folder: Path) -> None:
    """Fill a folder."""
    for name in ("holiday", "holiday/copies", "web"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for seed in range(12):
        scene(seed).save(folder / "holiday" / f"scene_{seed:02}.jpg", quality=92)
    shutil.copy(folder / "holiday/scene_00.jpg", folder / "holiday/copies/scene_00 (1).jpg")
    shutil.copy(folder / "holiday/scene_00.jpg", folder / "holiday/copies/scene_00 (2).jpg")
    decoded = Image.open(folder / "holiday/scene_01.jpg")
    decoded.save(folder / "holiday/copies/scene_01.png")
    decoded.save(folder / "holiday/copies/scene_01.bmp")
    Image.open(folder / "holiday/scene_02.jpg").resize((320, 240), Image.Resampling.LANCZOS).save(
        folder / "web/scene_02_small.jpg", quality=85
    )
    Image.open(folder / "holiday/scene_03.jpg").save(folder / "web/scene_03_web.jpg", quality=60)
    whole = (folder / "holiday/scene_04.jpg").read_bytes()
    (folder / "web/half_downloaded.jpg").write_bytes(whole[: len(whole) // 2])


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and FOLDER
        sys.exit(__doc__)
    draw_collection(Path(sys.argv[1]))
