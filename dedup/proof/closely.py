"""A pair that the proof on small copies found near, looked at again at the files' own resolution.

Both are laid on the coarser one's pixels. From there the pair is compared at falling resolution,
down to the first at which noise and compression leave its textures recognisable; what differs there
has to be something drawn over one side, and the other side has to be clean beneath it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof import cells
from dedup.proof.alignment import at_sizes, jacobian, overlap, refined, warp_colour
from dedup.proof.colour_fit import fitted
from dedup.proof.description import Features
from dedup.proof.original import LOSSLESS, grey
from dedup.proof.ranks import percentiles
from dedup.proof.residual import WINDOW_PIXELS, contrast, equalised, left_over, unlike_at

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.original import Original
    from dedup.proof.verdict import Verdict

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

MAX_RASTER_PIXELS = 3 << 19
MAX_PHOTO_PIXELS = 3 << 18
"""Photographs have no small print: half as many pixels show what differs in them."""

MAX_DECODED_PIXELS = 12_000_000
_SELDOM_SHARE = 0.0002
_FLOOR_LEVELS = 8.0  # that may be left over
_LOST_LEVELS = 64.0  # that are left over of what posterising took away, at most
_LEFT_SHARE = 0.6  # of the contrast there, that may be left over
_BLACK_WHITE_LEVELS = (4, 251)
_WINDOW = (WINDOW_PIXELS, WINDOW_PIXELS)
_FEWEST_CLIPPED, _FIRST_CLIPPED, _FAR_LEVELS = 400, 3, 40.0
"""Clipped pixels, the percentile of what the other shows there, and how far beyond that is no
loss."""
_REGISTERED_SIDE = 512
_SMALLEST_SIDE = 150
_SMALLEST_HALF = 96  # of what was small before; JPEG and noise leave nothing of it at its own size


@dataclass(frozen=True, eq=False)
class Laid:
    """The part that two images share, on one raster.

    Parameters
    ----------
    one, two : (H, W, 3) RGB of the raster's owner and of the other
    inside : (H, W), where both have pixels
    owner : 1 or 2, which of the pair the raster is of
    qualities : of the JPEGs that they come from, at this size; 100 where from none
    reduced : whether it has fewer pixels than the files only because of a limit that was given
    halvings : how often its resolution was halved
    ratio : pixels of a side that the other one has for each of the raster's owner
    """

    one: Bytes
    two: Bytes
    inside: Mask
    owner: int
    qualities: tuple[int, int]
    reduced: bool = False
    halvings: int = 0
    ratio: float = 1.0

    @cached_property
    def greys(self) -> tuple[Floats, Floats]:
        """Both in grey levels."""
        return grey(self.one), grey(self.two)

    @cached_property
    def contrasts(self) -> tuple[Floats, Floats]:
        """What `contrast` gives of either."""
        one, two = self.greys
        return contrast(one), contrast(two)

    @property
    def least(self) -> bool:
        """Whether half of it would be too little to judge by."""
        height, width = self.inside.shape
        smallest = _SMALLEST_SIDE if self.halvings else _SMALLEST_HALF
        return bool(max(height, width) < 2 * smallest or min(height, width) < smallest // 2)

    def halved(self) -> Laid:
        """Give the same at half the resolution."""
        one, two = (cells.averaged(cells.cut(each, 2), 2) for each in (self.one, self.two))
        share = cells.averaged(cells.cut(self.inside.astype(np.float32), 2), 2)
        first, second = ((each + LOSSLESS) // 2 for each in self.qualities)
        inside = np.asarray(share > 0.99)  # noqa: PLR2004 -- whole
        halvings = self.halvings + 1
        return Laid(one, two, inside, self.owner, (first, second), halvings=halvings)


def lay(
    one: Original,
    two: Original,
    verdict: Verdict,
    described: tuple[tuple[int, int], ...],
    most: int = MAX_RASTER_PIXELS,
) -> Laid | None:
    """Lay both on the coarser one's pixels, cut to the overlap.

    Parameters
    ----------
    verdict : with its placing
    described : (H, W) of both as they were described
    most : pixels of the raster

    Returns
    -------
    None where they cannot be placed at that resolution.
    """
    placed = verdict.transform
    if placed is None:
        return None
    matrix = at_sizes(placed, described, (one.size, two.size))
    matrix = matrix / matrix[2, 2]
    middle = (two.size[1] / 2, two.size[0] / 2)
    scale = float(np.sqrt(abs(np.linalg.det(jacobian(matrix, *middle)))))
    owner, other, ratio = (two, one, scale) if scale > 1 else (one, two, 1 / scale)
    if scale > 1:
        matrix = np.linalg.inv(matrix)
    # ratio: pixels of the other per pixel of the owner, at least 1
    whole = [(0, 0, each.size[1], each.size[0]) for each in (owner, other)]
    outline = overlap(whole[0], whole[1], matrix / matrix[2, 2])
    if outline is None:
        return None
    shared = float(cv2.contourArea(outline.astype(np.float32)))
    largest = min(
        1.0,
        (MAX_DECODED_PIXELS / float(np.prod(owner.size))) ** 0.5,
        (MAX_DECODED_PIXELS / float(np.prod(other.size))) ** 0.5 * max(ratio, 1),
    )
    factor = min(largest, (most / max(shared, 1)) ** 0.5)
    first = owner.pixels(*(max(1, round(side * factor)) for side in owner.size))
    middle = (other.size[1] / 2, other.size[0] / 2)
    steps = factor * np.linalg.norm(jacobian(matrix, *middle), axis=0)[::-1]
    sides = (max(1, round(n * min(1.0, s))) for n, s in zip(other.size, steps, strict=True))
    second = other.pixels(*sides)
    matrix = at_sizes(matrix, (owner.size, other.size), (first.shape[:2], second.shape[:2]))
    qualities = owner.noise_at(first.shape[0]), other.noise_at(second.shape[0])
    laid = _warped(first, second, matrix / matrix[2, 2], 2 if scale > 1 else 1, qualities)
    return None if laid is None else replace(laid, reduced=factor < largest, ratio=ratio)


def _warped(
    first: Bytes, second: Bytes, matrix: Doubles, owner: int, qualities: tuple[int, int]
) -> Laid | None:
    placed = refined(_plain(first), _plain(second), matrix, _REGISTERED_SIDE)
    if placed is None:
        return None
    matrix = placed
    height, width = second.shape[:2]
    outline = overlap((0, 0, first.shape[1], first.shape[0]), (0, 0, width, height), matrix)
    if outline is None:
        return None
    low = np.maximum(np.ceil(outline.min(axis=0)), 0).astype(int)
    high = np.floor(outline.max(axis=0)).astype(int) + 1
    part = np.ascontiguousarray(first[low[1] : high[1], low[0] : high[0]])
    if min(part.shape[:2]) < 32:  # noqa: PLR2004 -- too little to judge
        return None
    moved = np.array([[1.0, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]]) @ matrix
    laid = warp_colour(second, moved, part.shape)
    full = np.full((height, width), 255, np.uint8)
    cover = cv2.warpPerspective(full, moved, (part.shape[1], part.shape[0]))
    inside = cv2.erode(cover, np.ones((9, 9), np.uint8), borderValue=0) > 250  # noqa: PLR2004 -- whole
    return Laid(part, laid, np.asarray(inside), owner, qualities)


def _plain(pixels: Bytes) -> Features:
    """Take an image as `refined` wants it, without local features."""
    level = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    return Features(np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8), level, pixels)


def strange_places(laid: Laid) -> Floats:
    """Give what is left over what may be left, (H, W); above 1 is unexplained."""
    one, two = laid.greys
    inside = laid.inside
    weigh = _Scales(laid)
    strange = weigh.as_they_are()
    if _is_seldom(strange):
        return strange
    made = fitted(laid.two, one, inside), fitted(laid.one, two, inside)
    strange = weigh.strangeness(made)
    if not _is_seldom(strange):
        # What sharpening and blur leave is no content.
        even = [
            equalised(mine, theirs, inside, spread)[0]
            for mine, theirs, spread in zip(made, laid.greys, laid.contrasts, strict=True)
        ]
        # Where nothing is strange already, nothing more need be explained.
        strange = np.minimum(strange, weigh.strangeness((even[0], even[1]), strange > 1))
    return strange


def _is_seldom(strange: Floats) -> bool:
    return float(np.count_nonzero(strange > 1)) / max(1, strange.size) <= _SELDOM_SHARE


class _Scales:
    """What may be left over in each of two images, made once for several guesses."""

    def __init__(self, laid: Laid) -> None:
        self._images, self._inside = laid.greys, laid.inside
        self._allowed = [
            np.maximum(_FLOOR_LEVELS, _LEFT_SHARE * spread) for spread in laid.contrasts
        ]

    @cached_property
    def _either(self) -> bool:
        return any(few_levels(each, self._inside) for each in self._images)

    @cached_property
    def _hidden(self) -> Mask:
        """Where what is clipped hides what the other shows."""
        one, two = self._images
        return _hiding(one, two) | _hiding(two, one)

    def as_they_are(self) -> Floats:
        """Weigh what is left over where neither is changed."""
        found = left_over(self._images[0] - self._images[1])
        strange = found / np.minimum(*self._allowed)
        strange[~self._inside] = 0
        return np.asarray(strange, np.float32)

    def strangeness(self, made: tuple[Floats, Floats], places: Mask | None = None) -> Floats:
        """Weigh what guesses at the images leave over, closely only at some places."""
        among = self._inside if places is None else places
        ratios, lefts = [], []
        for image, guess, allowed in zip(self._images, made, self._allowed, strict=True):
            found = left_over(image - guess)
            strange = (found > allowed) & among
            if strange.any():
                found = unlike_at(strange, found, image, guess)
            ratios.append(found / allowed)
            lefts.append(found)
        # Tones that were taken away leave less than strokes that either image lacks.
        lost = np.maximum(*lefts) <= _LOST_LEVELS if self._either else self._hidden
        strange = np.where(lost, np.minimum(*ratios), np.maximum(*ratios))
        strange[~self._inside] = 0
        return np.asarray(strange, np.float32)


def _hiding(image: Floats, other: Floats) -> Mask:
    """Mark where an image is clipped, but for what is far from all that it clips elsewhere.

    A tone that is clipped in one place is so in all: a bird before a blown-out sky is not lost.
    """
    black, white = _BLACK_WHITE_LEVELS
    dark, bright = image <= black, image >= white
    count = cv2.boxFilter((dark | bright).view(np.uint8), -1, _WINDOW, normalize=False)
    found = np.asarray(count > WINDOW_PIXELS**2 // 2)  # most of the window
    for mask, sign in ((bright, 1), (dark, -1)):
        clipped = sign * other[mask]
        if clipped.size >= _FEWEST_CLIPPED:
            least = percentiles(clipped, _FIRST_CLIPPED)[0] - _FAR_LEVELS
            found &= ~(mask & (sign * other < least))
    return found


def few_levels(image: Floats, inside: Mask) -> bool:
    """Tell a posterised image by its levels."""
    mask = inside.astype(np.uint8)
    counts = cv2.calcHist([image.astype(np.uint8)], [0], mask, [256], [0, 256]).ravel()
    top = np.sort(counts)[::-1][:16].sum()
    return bool(top > 0.9 * counts.sum())
