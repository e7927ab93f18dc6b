"""Whether two sheets of several images differ in one of them: a collage, a catalogue, a gallery.

A panel that holds another image is no overlay, even where that image is so plain that the other
seems laid over it. Both show something there, or both are framed there alike, and nothing of what
is in it agrees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dedup.proof.alignment import corners
from dedup.proof.geometry import project
from dedup.proof.photometry import toned_apart
from dedup.proof.ranks import median
from dedup.proof.residual import contrast

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.alignment import Raster
    from dedup.proof.description import Features
    from dedup.proof.photometry import Change

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

_MIN_OTHER_SHARE = 0.004  # of textures that differ; a panel has more
_MAX_PANEL_SHARE = 0.8  # of the image; more is no sheet
_SAME_PLACE = 0.3  # of two panels, of what either covers
_RIM_PIXELS = 6  # of a panel, in which windows reach over its frame
_MIN_PIXELS = 60
_MIN_TEXTURED_SHARE = 0.08  # of a panel
_CLEAN_CORRELATION = 0.95  # median over both images
_MAX_CORRELATIONS = 0.3, 0.6
"""Median over a panel where much was lost, and where nothing was: other images have -.1 to .45, one
under noise .45 and more."""

_PLAIN_LEVELS, _OVER_USUAL = 8.0, 3.0
_OTHER_CORRELATIONS = 0.4, 0.8
_SAME_LEVELS = 8.0
_MAX_SAME_SHARES = (
    0.5,
    0.35,
)  # of a panel: where both have textures there, and where one may be plain
_MAX_SAME_TEXTURES = 0.35
_FRAME_STEP_LEVELS = 8.0
_FRAMED_SHARE = 0.7  # of a side, along which both step
_FRAMED_SIDES = 3
_REACH_PIXELS = 2  # that a side may be off


class Rect(NamedTuple):
    """A part of a raster, ends excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """In pixels; 0 where there is none."""
        return max(0, self.right - self.left) * max(0, self.bottom - self.top)

    def common(self, other: Rect) -> Rect:
        """Give what both cover."""
        return Rect(*map(max, self[:2], other[:2]), *map(min, self[2:], other[2:]))

    def joined(self, other: Rect) -> Rect:
        """Give the smallest that holds both."""
        return Rect(*map(min, self[:2], other[:2]), *map(max, self[2:], other[2:]))

    @property
    def inner(self) -> tuple[slice, slice]:
        """Rows and columns of it, without its rim."""
        across = slice(self.left + _RIM_PIXELS, max(0, self.right - _RIM_PIXELS))
        return slice(self.top + _RIM_PIXELS, max(0, self.bottom - _RIM_PIXELS)), across


def other_panels(
    raster: Raster, owner: Features, other: Features, change: Change, correlation: float
) -> int:
    """Count the panels in which two sheets show other images.

    Parameters
    ----------
    correlation : median over the textures of both
    """
    if change.other < _MIN_OTHER_SHARE:
        return 0
    mine, theirs = _placed(owner, raster.to_grid), _placed(other, raster.to_grid @ raster.matrix)
    both = {
        one.joined(two)
        for one in mine
        for two in theirs
        if one.common(two).area >= _SAME_PLACE * (one.area + two.area - one.common(two).area)
    }
    if not mine and not theirs:
        return 0
    look = _Look.at(raster, change, clean=correlation >= _CLEAN_CORRELATION)
    found = sum(look.unlike(place) or look.other(place) for place in both)
    framed = [(place, raster.two) for place in mine] + [(place, raster.one) for place in theirs]
    return found or sum(_is_framed(image, place) and look.other(place) for place, image in framed)


def _placed(image: Features, matrix: Doubles) -> list[Rect]:
    """Give the panels of an image on the raster."""
    height, width = image.grey.shape
    frame = corners((0, 0, 1, 1)) + 0.5
    placed = []
    for box in image.panels:
        if box.area < _MAX_PANEL_SHARE:
            outline = frame * (box.right - box.left, box.bottom - box.top) + (box.left, box.top)
            points = project(matrix, outline * (width, height) - 0.5)
            low = np.maximum(np.round(points.min(axis=0)), 0).astype(int).tolist()
            placed.append(Rect(*low, *np.round(points.max(axis=0)).astype(int).tolist()))
    return [place for place in placed if place.area]


class _Look(NamedTuple):
    """What of two images agrees, pixel by pixel of their raster.

    Parameters
    ----------
    same : textures, or plain ground
    both, either : where they have texture
    """

    alike: Floats
    same: Mask
    both: Mask
    either: Mask
    clean: bool

    @classmethod
    def at(cls, raster: Raster, change: Change, *, clean: bool) -> _Look:
        least = max(_PLAIN_LEVELS, _OVER_USUAL * change.usual)
        spread = np.maximum(*(contrast(each, 11) for each in (raster.one, raster.two)))
        left = toned_apart(raster.one, raster.two, raster.inside)
        same = (change.alike >= _OTHER_CORRELATIONS[clean]) | (np.abs(left) <= _SAME_LEVELS)
        either = np.asarray(spread > least) & raster.inside
        return cls(change.alike, np.asarray(same), change.textured, either, clean)

    def unlike(self, place: Rect) -> bool:
        """Tell whether both have textures there, and not the same."""
        textured = self.both[place.inner]
        some = self.alike[place.inner][textured]
        return (
            some.size >= _enough(textured)
            and median(some) < _MAX_CORRELATIONS[self.clean]
            and float(self.same[place.inner].mean()) <= _MAX_SAME_SHARES[0]
        )

    def other(self, place: Rect) -> bool:
        """Tell whether next to nothing there agrees, though one of the two may be plain."""
        textured, same = self.either[place.inner], self.same[place.inner]
        return (
            int(textured.sum()) >= _enough(textured)
            and float(same.mean()) <= _MAX_SAME_SHARES[1]
            and float(same[textured].mean()) <= _MAX_SAME_TEXTURES
        )


def _enough(textured: Mask) -> float:
    return max(_MIN_PIXELS, _MIN_TEXTURED_SHARE * textured.size)


def _is_framed(image: Floats, place: Rect) -> bool:
    """Tell whether an image steps along the outline of a panel that the other has there.

    Whatever is laid over a panel, or lay there before, leaves no such outline.
    """
    sides = 0
    for lines, ends, (begin, end) in (
        (image, (place.top, place.bottom), (place.left, place.right)),
        (image.T, (place.left, place.right), (place.top, place.bottom)),
    ):
        for at in ends:
            if at <= _REACH_PIXELS or at >= len(lines) - _REACH_PIXELS:
                sides += 1  # the image ends there
                continue
            near = lines[max(0, at - _REACH_PIXELS - 2) : at + _REACH_PIXELS + 2, begin:end]
            steps = np.abs(near[3:] - near[:-3]) > _FRAME_STEP_LEVELS
            # None of them where the panel lies outside this image.
            sides += bool(steps.size) and bool(steps.mean(axis=1).max() >= _FRAMED_SHARE)
    return sides >= _FRAMED_SIDES
