"""Pictures that repeat, drawn: no part of one is unlike all of its others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.images.encode import as_jpeg

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


def polka_dots(step: int = 40) -> Pixels:
    image = np.full((480, 640, 3), (60, 120, 200), np.uint8)
    for y in range(step // 2, 480, step):
        for x in range(step // 2, 640, step):
            cv2.circle(image, (x, y), step // 4, (255, 255, 255), -1, cv2.LINE_AA)
    return image


def plaid() -> Pixels:
    y, x = np.indices((480, 640))
    image = np.full((480, 640, 3), 238.0)
    image[x % 50 < 20] = 0.5 * image[x % 50 < 20] + 0.5 * np.array((204, 0, 0))
    image[y % 44 < 14] = 0.5 * image[y % 44 < 14] + 0.5 * np.array((51, 51, 51))
    return image.astype(np.uint8)


def tiles() -> Pixels:
    """Lay one smooth scrawl side by side."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    tile = np.asarray(cv2.resize(coarse, (96, 96), interpolation=cv2.INTER_CUBIC), np.uint8)
    return np.tile(tile, (5, 7, 1))


def chess() -> Pixels:
    """Draw a board with a few men on it."""
    rng = np.random.default_rng(4)
    y, x = np.indices((560, 560)) // 70
    image = np.full((560, 560, 3), (240, 217, 181), np.uint8)
    image[(x + y) % 2 == 1] = (181, 136, 99)
    for place in rng.permutation(64)[:20].tolist():
        centre = (place % 8 * 70 + 35, place // 8 * 70 + 35)
        man = (250, 250, 250) if place % 2 else (30, 30, 30)
        cv2.circle(image, centre, 24, man, -1, cv2.LINE_AA)
        cv2.circle(image, centre, 24, (0, 0, 0), 2, cv2.LINE_AA)
    return image


REPEATING = {"polka dots": polka_dots, "plaid": plaid, "tiles": tiles, "chess": chess}


def with_copies(folder: Path) -> list[tuple[str, str]]:
    """Save each beside a smaller copy."""
    folder.mkdir()
    pairs = []
    for name, draw in REPEATING.items():
        image = draw()
        size = tuple(round(0.8 * side) for side in image.shape[1::-1])
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        paths = folder / f"{name} 1.jpg", folder / f"{name} 2.jpg"
        for path, pixels, quality in zip(paths, (image, small), (92, 85), strict=True):
            path.write_bytes(as_jpeg(pixels, quality))
        pairs.append((str(paths[0]), str(paths[1])))
    return pairs
