"""A photograph in one panel of a page, a collage or a screen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.descriptors.panels import MOST, Box
from dedup.proof.alignment import at_sizes, corners, warp
from dedup.proof.description import describe, working_side
from dedup.proof.geometry import project
from dedup.proof.original import Original
from dedup.proof.residual import contrast, mean
from dedup.proof.side import Side
from dedup.proof.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from dedup.proof.description import Features
    from dedup.proof.verdict import Verdict

    Bytes = npt.NDArray[np.uint8]
    Doubles = npt.NDArray[np.float64]
    Floats = npt.NDArray[np.float32]
    Look = Callable[[Side, Side, Verdict], Verdict]

_MIN_SHOWN_SHARE = 0.4  # of the photograph, that the panel shows
_MIN_ROUGHLY_SHOWN_SHARE = 0.35  # by a placing that is not refined
_THUMB = 16, 16
_ALL_SHARE = 0.8  # of an image, that its largest panel is where it is no page or collage

_WHOLLY_SHOWN_SHARE = 0.97
_LONGEST_PIXELS = 256  # a side of what is looked at beyond a panel
_WINDOW_PIXELS, _TEXTURED_LEVELS, _ALIKE = 9, 6.0, 0.6
_LEAST_SHARE, _GOES_ON_SHARE = 0.005, 0.09
"""Of the holder, and of the textures beyond the panel, that are the photograph's: beneath other
captions .28 and more, beside panels of pages and collages .05 at most."""

_ALL = Box(0, 0, 1, 1)


@dataclass(eq=False)
class Region(Original):
    """A panel of a file, as if it were a file.

    Parameters
    ----------
    box : of the upright image
    """

    box: Box = _ALL

    @property
    def is_part(self) -> bool:
        """It is one panel."""
        return True

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = super().size
        return (
            max(1, round(height * (self.box.bottom - self.box.top))),
            max(1, round(width * (self.box.right - self.box.left))),
        )

    @property
    def pages(self) -> int:
        """One: of an animation, its first."""
        return 1

    def as_stored(self) -> Original:
        """Give the same without the file's colour profile."""
        return replace(self, srgb=False)

    def pixels(self, height: int, width: int) -> npt.NDArray[np.uint8]:
        """Decode the panel into exactly this size; (height, width, 3) uint8 RGB."""
        box = self.box
        whole = super().pixels(
            max(height, round(height / (box.bottom - box.top))),
            max(width, round(width / (box.right - box.left))),
        )
        top, left = round(whole.shape[0] * box.top), round(whole.shape[1] * box.left)
        top, left = min(top, whole.shape[0] - height), min(left, whole.shape[1] - width)
        return np.ascontiguousarray(whole[top : top + height, left : left + width])


def in_a_panel(one: Side, two: Side, verdict: Verdict, look: Look) -> Verdict:
    """Prove a pair once more, of which one may show the other in a panel.

    Where both have panels nothing is proven: two pages that share a photograph are two pages.

    Parameters
    ----------
    verdict : refused, for the pair as a whole
    look : compares two sides at their own resolution, once `verify` has placed them
    """
    if not may_be_in_a_panel(one, two):
        return verdict
    holder, other = (one, two) if _is_parted(one) else (two, one)
    for box in _likeliest(holder.features, other.features):
        region = Region(holder.open().data, holder.open().name, box=box)
        known = holder.features.described_panels
        if box not in known:
            known[box] = _described(region)
        panel = Side(known[box], partial(_given, region))
        inner = verify(panel.features, other.features)
        if inner.near:
            inner = look(panel, other, inner)
        if inner.near and inner.overlap[1] >= _MIN_SHOWN_SHARE:
            found = _of_all(inner, box, panel.features, holder.features, first=holder is one)
            if not continues(one.features, two.features, found, box, first=holder is one):
                return found
    return verdict


def continues(one: Features, two: Features, found: Verdict, box: Box, *, first: bool) -> bool:
    """Tell whether the photograph goes on beyond the panel, which then is but a part of it.

    Parameters
    ----------
    found : with the placing of the second in the first
    box : the panel; of the first image if `first`, else of the second
    """
    if found.transform is None or found.overlap[first] >= _WHOLLY_SHOWN_SHARE:
        return False
    holder, other, placed, growth = one.grey, two.grey, found.transform, found.scale
    if not first:
        holder, other, growth = other, holder, 1 / growth
        placed = np.asarray(np.linalg.inv(placed), np.float64)
    factor = min(1.0, _LONGEST_PIXELS / max(holder.shape))
    small, part = (
        cv2.resize(each, None, fx=by, fy=by, interpolation=cv2.INTER_AREA).astype(np.float32)
        for each, by in ((holder, factor), (other, min(1.0, factor * growth)))
    )
    matrix = at_sizes(placed, (holder.shape, other.shape), (small.shape, part.shape))
    laid = warp(part, matrix, small.shape)
    height, width = small.shape
    beyond = cv2.warpPerspective(np.ones(part.shape, np.uint8), matrix, (width, height)) > 0
    reach = _WINDOW_PIXELS // 2
    top, left = (max(0, int(each) - reach) for each in (height * box.top, width * box.left))
    beyond[top : int(height * box.bottom) + reach, left : int(width * box.right) + reach] = False
    spreads = [contrast(each, _WINDOW_PIXELS) for each in (small, laid)]
    textured = beyond & (np.minimum(*spreads) > _TEXTURED_LEVELS)
    middles = (mean(each, _WINDOW_PIXELS) for each in (small, laid))
    together = mean(small * laid, _WINDOW_PIXELS) - np.multiply(*middles)
    alike = np.count_nonzero(textured & (together > _ALIKE * spreads[0] * spreads[1]))
    return bool(
        alike >= max(_LEAST_SHARE * small.size, _GOES_ON_SHARE * np.count_nonzero(textured))
    )


def may_be_in_a_panel(one: Side, two: Side, placed: Doubles | None = None) -> bool:
    """Tell whether one of two, and not the other, has panels.

    Parameters
    ----------
    placed : (3, 3), roughly, the second's described pixels to the first's; then a panel has to show
        enough of the other as well
    """
    if _is_parted(one) == _is_parted(two):
        return False
    if placed is None:
        return True
    holds = _is_parted(one)
    holder, other = (one.features, two.features) if holds else (two.features, one.features)
    matrix = placed if holds else np.asarray(np.linalg.inv(placed), np.float64)
    outline = project(matrix, corners(other.whole)).astype(np.float32)
    area = float(cv2.contourArea(outline))
    if not cv2.isContourConvex(outline) or not area:
        return True
    height, width = holder.grey.shape
    return any(
        cv2.intersectConvexConvex(_outline(box, width, height), outline)[0]
        >= _MIN_ROUGHLY_SHOWN_SHARE * area
        for box in holder.panels
    )


def _likeliest(holder: Features, other: Features) -> list[Box]:
    """Choose `MOST` panels, those first that look most like an image; sheets have many more."""
    height, width = holder.grey.shape
    likeness = {}
    for box in holder.panels:
        down = slice(round(box.top * height), max(1, round(box.bottom * height)))
        across = slice(round(box.left * width), max(1, round(box.right * width)))
        panel = holder.grey[down, across]
        likeness[box] = max(
            float((_thumb(panel) * _thumb(part)).mean())
            for part in _cuts(other.grey, panel.shape[1] / panel.shape[0])
        )
    return sorted(holder.panels, key=lambda box: -likeness[box])[:MOST]


def _cuts(image: Bytes, aspect: float) -> Iterator[Bytes]:
    """Cut an image to an aspect, width by height, at either end and in the middle."""
    height, width = image.shape
    tall, wide = (
        min(height, max(1, round(width / aspect))),
        min(width, max(1, round(height * aspect))),
    )
    for place in (0.5, 0.0, 1.0):
        top, left = round(place * (height - tall)), round(place * (width - wide))
        yield image[top : top + tall, left : left + wide]


def _thumb(image: Bytes) -> Floats:
    """Shrink an image to a few pixels, of mean 0 and spread 1."""
    small = cv2.resize(image, _THUMB, interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean()
    return np.asarray(small / (small.std() + 1), np.float32)


def _outline(box: Box, width: int, height: int) -> npt.NDArray[np.float32]:
    edges = np.array([[box.left, box.top], [box.right, box.top], [box.right, box.bottom],
                      [box.left, box.bottom]])  # fmt: skip
    return (edges * (width, height) - 0.5).astype(np.float32)


def _is_parted(side: Side) -> bool:
    boxes = side.features.panels
    return bool(boxes) and boxes[0].area < _ALL_SHARE


def _given(region: Region) -> Original:
    return region


def _described(region: Region) -> Features:
    height, width = region.size
    factor = min(1.0, working_side(height, width) / max(height, width))
    return describe(region.pixels(max(1, round(height * factor)), max(1, round(width * factor))))


def _of_all(inner: Verdict, box: Box, panel: Features, holder: Features, *, first: bool) -> Verdict:
    """Say of the two files what was found of a panel and a file."""
    height, width = panel.grey.shape
    tall, wide = holder.grey.shape
    across = wide * (box.right - box.left) / width
    down = tall * (box.bottom - box.top) / height
    moved = np.array([
        [across, 0, wide * box.left + (across - 1) / 2],
        [0, down, tall * box.top + (down - 1) / 2],
        [0, 0, 1.0],
    ])  # fmt: skip
    placed = inner.transform
    if placed is not None:
        whole = moved @ placed if first else np.linalg.inv(moved @ placed)
        placed = np.asarray(whole / whole[2, 2], np.float64)
    overlap = (inner.overlap[0] * box.area, inner.overlap[1])
    scale = inner.scale * float(np.sqrt(across * down))
    holds = f"shows the other among other things, on {overlap[0]:.0%} of it"
    shown = f"shown on {overlap[0]:.0%} of the other, among other things"
    return replace(
        inner,
        evidence=shown if first else holds,
        backwards=holds if first else shown,
        overlap=overlap if first else overlap[::-1],
        transform=placed,
        rotation=inner.rotation if first or inner.mirrored else -inner.rotation,
        scale=scale if first else 1 / scale,
        derived=1 if first else 2,
        softer=0,
        resaved=False,
    )
