"""Photographs to make pairs from, no two of which are known to be one."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from hardset.files import scaled
from hardset.ink import grain

if TYPE_CHECKING:
    from hardset.files import Pixels, Rng

SUFFIXES = {".jpg", ".jpeg", ".png"}
CORRECTIONS = Path(__file__).parent.parent / "corrections.json"
LARGE = 500  # pixels of the longest side of a photograph that pairs are made from
MOST_OF_ONE_FOLDER = 160  # so that no folder is most of them
COMPANY = 320
COLOURFUL = 6  # levels between the channels, on average


class Photographs:
    """A folder of photographs, told apart into those to make pairs from and company for lists.

    Parameters
    ----------
    folder : in any depth
    groups : a list of {"tier", "members"}; members, and those of corrections.json, are left out
    """

    def __init__(self, folder: Path, groups: Path | None = None) -> None:
        given = json.loads(CORRECTIONS.read_text("utf-8"))
        if groups is not None:
            given += json.loads(groups.read_text("utf-8"))
        grouped = {member for group in given for member in group["members"]}
        large: dict[str, list[Path]] = {}
        small = []
        for path in sorted(folder.rglob("*")):
            known = path.relative_to(folder).as_posix() in grouped
            if known or path.suffix.lower() not in SUFFIXES:
                continue
            with Image.open(path) as image:
                if max(image.size) >= LARGE and min(image.size) * 2 >= LARGE:
                    large.setdefault(path.relative_to(folder).parts[0], []).append(path)
                else:
                    small.append(path)
        rng = np.random.default_rng(17)
        chosen = [
            paths[place]
            for paths in large.values()
            for place in sorted(rng.permutation(len(paths))[:MOST_OF_ONE_FOLDER])
        ]
        self._large = [path for path in chosen if _colourful(path)]
        self.company = [small[place] for place in rng.permutation(len(small))[:COMPANY]]

    def some(self, kind: str, number: int, count: int, rng: Rng) -> list[Pixels]:
        """Give photographs for a pair; of one kind, no two pairs share any while they last."""
        order = np.random.default_rng(zlib.crc32(kind.encode())).permutation(len(self._large))
        places = [order[(number * count + index) % len(order)] for index in range(count)]
        return [as_taken(_read(self._large[place]), rng) for place in places]


def as_taken(pixels: Pixels, rng: Rng) -> Pixels:
    """Give a photograph the size of one: some as they are, others enlarged and grained."""
    longest = max(pixels.shape[:2])
    if longest >= 700 and rng.random() < 0.5:
        return scaled(pixels, min(1.0, 1600 / longest))
    big = scaled(pixels, rng.uniform(850, 1500) / longest)
    soft = cv2.GaussianBlur(big, (0, 0), 1.5)
    return grain(np.asarray(cv2.addWeighted(big, 1.6, soft, -0.6, 0), np.uint8), rng, 3)


def _colourful(path: Path) -> bool:
    """Tell whether there are colours to take away or to change."""
    small = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_8)
    return small is not None and float(np.mean(np.ptp(small, axis=2))) > COLOURFUL


def _read(path: Path) -> Pixels:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise OSError(f"cannot read {path}")
    return np.ascontiguousarray(image[..., ::-1], np.uint8)
