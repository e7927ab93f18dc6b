"""Which of two versions was made from the other, a coarse JPEG, by a filter against its noise.

What is made from a coarse JPEG holds nothing of what that rounded away, whatever was done to it:
what filters make of the coarse one is nearer to it than the coarse one is to what it was saved
from. The other way round, and where both were made from a third, they are as far apart as rounding
leaves them.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.images.history import all_coefficients, grey_of
from dedup.proof.lineage import (
    coarseness,
    comparable,
    mixed_of,
    parts_of,
    sound,
    steps_left,
)
from dedup.proof.ranks import median

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from dedup.proof.lineage import Window
    from dedup.proof.original import Original

    Doubles = npt.NDArray[np.float64]
    Floats = npt.NDArray[np.float32]
    Pixels = npt.NDArray[np.uint8]

_BLOCK = 8
_SIDE = 256  # pixels that are looked at
_FITTED_PIXELS = 4_000
_LEAST_STEP, _COARSER = 3.0, 1.3  # levels, and times the other one's steps
_FEWEST_VALUES, _FEWEST_PLACES = 20, 5
_ROUNDED = 0.25
"""Of a step: the median distance of what was rounded to it, all being equally frequent."""

_MADE, _PERHAPS = 0.5, 1.5
"""Up to which distance, against what rounding leaves, one is made of the other, and up to which
slower filters are tried. Of 24 coarse JPEGs (50 to 79) each, filtered and saved at 85 to 97, 22 are
told of medians, 20 of slight blurs, 17 of bilateral filters and 8 of non-local means; of 120 that
were saved coarsely from a fine one, filtered or not, none is said to be its source."""

_SAVED = 0.96
"""Share of coefficients that lie within half a step of the other one's, from which on the coarse
one is that, saved: of 24 such 22 have more, and of 96 that were filtered 6."""

_EARLIER = 1.2  # times its own steps, those of an earlier JPEG


def filtered_from(one: Original, two: Original, placed: Doubles) -> int:
    """Tell which of two images was made from the other, a coarser JPEG, by filters and tones.

    Parameters
    ----------
    placed : (3, 3), pixels of the second to those of the first, of the files' own sizes

    Returns
    -------
    1 or 2, the one that was; 0 where that cannot be told: neither was, or they do not lie on each
    other pixel on pixel.
    """
    quality = one.quality, two.quality
    coarse = 0 if quality[0] < quality[1] else 1
    if (one, two)[coarse].opened.header.format != "JPEG" or max(quality) == min(quality):
        return 0
    cut = comparable(one, two, placed)
    if cut is None:
        return 0
    source, made = cut[coarse], cut[1 - coarse]
    if source.steps is None or not source.lossy:
        return 0
    return 2 - coarse if _is_filtered(source, made) else 0


def _is_filtered(source: Window, made: Window) -> bool:
    """Tell whether one image is what filters and tones make of another, a coarse JPEG."""
    some = _middle(source)
    if _is_saved(source, made, some):
        return False
    found = _apart(source, made, some, (_quick,))
    if _MADE <= found < _PERHAPS:
        found = _apart(source, made, some, (_quick, _by_likeness))
    return found < _MADE and not _was_coarser(made)


def _is_saved(source: Window, made: Window, some: tuple[slice, slice]) -> bool:
    """Tell whether the coarse one may be the other one, saved, as most coarse ones are."""
    if source.steps is None:
        return True
    now, then = (all_coefficients(grey_of(each.pixels[some]) - 128) for each in (source, made))
    half = source.steps.reshape(-1, 1) / 2
    told = (np.abs(now) > half) & (half >= _LEAST_STEP / 2)
    told[0] = False
    near = np.abs(now - then) <= half + 1
    return bool(np.count_nonzero(near & told) >= _SAVED * np.count_nonzero(told))


def _was_coarser(window: Window) -> bool:
    """Tell whether it keeps to the steps of an earlier JPEG, to which others may be near."""
    own = coarseness(window.steps) if window.lossy else 1.0
    return coarseness(steps_left(window)) > _EARLIER * own


def _middle(window: Window) -> tuple[slice, slice]:
    """Give whole blocks in the middle."""
    found = []
    for side, first in zip(window.pixels.shape[:2], window.grid, strict=True):
        begin = first + (max(0, side - first - _SIDE) // 2 & -_BLOCK)
        found.append(slice(begin, begin + (min(_SIDE, side - begin) & -_BLOCK)))
    return found[0], found[1]


def _apart(
    source: Window,
    made: Window,
    some: tuple[slice, slice],
    filters: tuple[Callable[[Pixels], list[Floats]], ...],
) -> float:
    """Give how far what is made is from what filters make, against what rounding leaves: 1.

    Infinity where too little tells.
    """
    before, after = (np.ascontiguousarray(each.pixels[some]) for each in (source, made))
    if source.steps is None or min(before.shape[:2]) < _BLOCK:
        return inf
    wanted = grey_of(after)
    more = [each.ravel() / 255 for filtered in filters for each in filtered(before)]
    parts = np.concatenate([parts_of(before), np.stack(more)])
    mixed = mixed_of(parts, wanted, _FITTED_PIXELS)
    was, became, seen = (all_coefficients(each - 128) for each in (grey_of(before), mixed, wanted))
    own = made.steps if made.lossy and made.steps is not None else np.ones_like(source.steps)
    kept = sound(before, np.abs(became - seen).mean(axis=0))
    found = []
    for place in range(1, _BLOCK * _BLOCK):
        rounding, finer = float(source.steps.flat[place]), float(own.flat[place])
        least = max(_LEAST_STEP, _COARSER * finer)
        if rounding < least:
            continue
        there = kept & (np.abs(was[place]) > rounding / 2)
        if np.count_nonzero(there) < _FEWEST_VALUES:
            continue
        old, new = was[place, there], became[place, there]
        rounding *= min(1.0, abs(float(old @ new)) / float(old @ old))
        if rounding < least:
            continue  # what is filtered loses what was rounded as well
        off = median(np.abs(seen[place, there] - new)) ** 2 - (_ROUNDED * finer) ** 2
        found.append(max(0.0, off) ** 0.5 / (_ROUNDED * rounding))
    return median(np.array(found, np.float32)) if len(found) >= _FEWEST_PLACES else inf


def _quick(pixels: Pixels) -> list[Floats]:
    """Filter by ranks, and by what is near and about as light."""
    some = (
        cv2.medianBlur(pixels, 3),
        cv2.bilateralFilter(pixels, 5, 20, 5),
        cv2.bilateralFilter(pixels, 9, 45, 5),
    )
    return [grey_of(np.asarray(each, np.uint8)) for each in some]


def _by_likeness(pixels: Pixels) -> list[Floats]:
    """Filter by what is alike (Buades 2005)."""
    light = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    some = (cv2.fastNlMeansDenoising(light, None, strength, 7, 11) for strength in (4, 9))
    return [np.asarray(each, np.float32) for each in some]
