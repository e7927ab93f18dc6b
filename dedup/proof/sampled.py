"""Images that were shrunk by taking some pixels and passing over others.

Many programs shrink by the pixels around evenly spaced places, however far apart these are, or
average pixels that they count in whole or not at all. What is finer than that is then seen as
something else (aliasing), and no filter of averages explains it: only the same places do. They hang
on the scale, which rounded sides leave open by up to half a pixel at the far edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from dedup.images.resize import by_whole_pixels
from dedup.proof.original import MOST_PIXELS, grey
from dedup.proof.residual import contrast
from dedup.proof.whole import PLACES_CHECK, Frames

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.original import Original
    from dedup.proof.verdict import Check

    Bytes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]
    Scale = tuple[float, float]

_WHOLE_PIXELS: Final = -1  # Pillow's BOX: of all whose middle is in the place of one
_NEAREST: Final = {cv2.INTER_NEAREST: 0.0, cv2.INTER_NEAREST_EXACT: 0.5}
"""Of the pixels from the place of one, that at its corner, as OpenCV takes it, or at its middle."""

_FILTERS: Final = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, *_NEAREST, _WHOLE_PIXELS)
_SCALES: Final = 9  # that are tried between those that round to the sides
_LEAST_SHRINK: Final = 1.02
_MOST_SIDE: Final = 32_000  # OpenCV's bound of what is interpolated at places
_ASKED_PIXELS: Final = 4096  # of the smaller image, where it has contrast
_PLAIN_LEVELS: Final = 6.0

_BETTER: Final = 0.98
"""Mean difference by such a filter, as against that by averages of areas, from which on the closer
look is not worth its while."""


def sampled(
    one: Original, two: Original, laid: Frames, found: tuple[Check, ...]
) -> tuple[Frames, tuple[Check, ...]]:
    """Lay two files on each other by one of these filters, where that explains their differences.

    Parameters
    ----------
    laid, found : how they lie by averages of areas, and the checks on that

    Returns
    -------
    Frames and their checks, all passed; else what was given.
    """
    large, small = (one, two) if np.prod(one.size) >= np.prod(two.size) else (two, one)
    asked = laid.equalised is not None and found[-1].name == PLACES_CHECK
    shrinks = large.size[0] >= _LEAST_SHRINK * small.size[0]
    if not (asked and shrinks) or laid.coarse.shape[:2] != small.size:
        return laid, found
    if np.prod(large.size) > MOST_PIXELS or max(large.size) > _MOST_SIDE:
        return laid, found
    made = _made(large.pixels(*large.size), laid)
    if made is None:
        return laid, found
    again = Frames(made, laid.coarse, laid.qualities, sampled=True)
    checks = tuple(again.checks())
    return (again, checks) if all(check.passed for check in checks) else (laid, found)


def _made(whole: Bytes, laid: Frames) -> Bytes | None:
    """Shrink an image as the smaller one probably was; None where averages explain that as well."""
    _, seen = laid.greys
    rows = np.flatnonzero(contrast(seen) > _PLAIN_LEVELS)
    if not len(rows) or laid.equalised is None:
        return None
    rows = rows[:: max(1, len(rows) // _ASKED_PIXELS)]
    wanted, light = seen.ravel()[rows], grey(whole)
    places = np.unravel_index(rows, seen.shape)
    tried = {
        (how, scale): float(np.abs(_taken(light, places, scale, how) - wanted).mean())
        for how in _FILTERS
        for scale in _scales(light.shape, seen.shape)
    }
    how, scale = min(tried, key=tried.__getitem__)
    usual = float(np.abs(laid.equalised[0].ravel()[rows] - wanted).mean())
    if tried[how, scale] > _BETTER * usual:
        return None
    return _shrunk(whole, seen.shape, scale, how)


def _scales(large: tuple[int, ...], small: tuple[int, ...]) -> list[Scale]:
    """List by what sides may have been multiplied, down and across."""
    sides = list(zip(small, large, strict=True))
    given = [(small[0] / large[0], small[1] / large[1])]
    low = max((after - 0.5) / before for after, before in sides)
    high = min((after + 0.5) / before for after, before in sides)
    if low >= high:
        return given
    return given + [(each, each) for each in np.linspace(low, high, _SCALES + 2)[1:-1].tolist()]


def _taken(light: Floats, places: tuple[Numbers, ...], scale: Scale, how: int) -> Floats:
    """Give what a filter makes of some pixels of the smaller image; (F,)."""
    if how == _WHOLE_PIXELS:
        return _averaged(light, places, scale)
    both = list(zip(places, scale, strict=True))
    if how in _NEAREST:
        y, x = (
            np.minimum(((place + _NEAREST[how]) / factor).astype(np.int64), side - 1)
            for (place, factor), side in zip(both, light.shape, strict=True)
        )
        return np.asarray(light[y, x])
    y, x = (((place + 0.5) / factor - 0.5).astype(np.float32)[None] for place, factor in both)
    taken = cv2.remap(light, x, y, how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(taken[0], np.float32)


def _averaged(light: Floats, places: tuple[Numbers, ...], scale: Scale) -> Floats:
    """Average the pixels whose middles lie in the places of some pixels of the smaller image."""
    sums = cv2.integral(light, sdepth=cv2.CV_64F)
    begins, ends = (
        [
            np.clip(np.floor((place + edge) / factor + 0.5).astype(np.int64), 0, side)
            for place, factor, side in zip(places, scale, light.shape, strict=True)
        ]
        for edge in (0, 1)
    )
    (top, left), (bottom, right) = begins, ends
    found = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return np.asarray(found / ((bottom - top) * (right - left)), np.float32)


def _shrunk(whole: Bytes, shape: tuple[int, ...], scale: Scale, how: int) -> Bytes:
    if how == _WHOLE_PIXELS:
        return by_whole_pixels(whole, shape[0], shape[1])
    if scale[0] == scale[1]:
        made = cv2.resize(whole, None, fx=scale[1], fy=scale[0], interpolation=how)
        if made.shape[:2] == shape:
            return np.asarray(made, np.uint8)
    return np.asarray(cv2.resize(whole, shape[::-1], interpolation=how), np.uint8)
