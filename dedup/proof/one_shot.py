"""Whether two files are one exposure: where both show the same, they differ by saving alone.

The noise of a camera is another one in every exposure, however still all is. What was made of a
file by resizing it, saving it, and drawing over parts of it has that file's noise wherever nothing
was drawn. So one is made from the other by the filters that programs have, and what is then left of
each coefficient is held against what rounding it to the steps of a JPEG leaves.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.images.history import all_coefficients, grey_of
from dedup.proof.original import MOST_PIXELS
from dedup.proof.resampling import (
    SHARPENED,
    Line,
    corrected,
    filters,
    middle_part,
    mixed,
    mixtures,
    placed_levels,
    unclipped,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from dedup.proof.original import Original

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

_BLOCK = 8
_SIDES = (256, 512)  # pixels of a side that are looked at: at first, and where that tells enough
_LEAST_SIDE = 64
_FEWEST_BLOCKS, _FEWEST_VALUES = 60, 500
_TIMES = 2.0  # the usual, that is left of a block beside which something is drawn
_LEAST_LEFT_LEVELS = 1.5  # of such a block
_MOST_STEP = 8.5
"""Levels. Noise of less than a tenth of a step is rounded away in both of two exposures, if they
are saved alike: then they agree as copies do."""
_NEAREST_SHARE = 0.9  # of the blocks, by weight; the others may be drawn over a little
_FEWEST_OF_A_BLOCK = 3.5
"""Coefficients, on average, that were not rounded to nothing. Drawn scenes have up to 2.5, and
photographs hardly ever less than this: what has no noise says nothing of exposures."""
_FAR, _FARTHEST = 3.0, 40.0
"""Times what may be left: from which on no more is looked at, and up to which; two exposures leave
less than that, and what covers all that is looked at leaves more."""
_NEARLY = 0.005, 1.5  # of a step, and pixels, by which files of one size lie on each other
_SAME_SCALE = 1.03
_MOST_SLOPE = 0.02
_SETTLINGS, _SETTLED = 5, 0.001

_MAX_LEFT = 1.0
"""Squared levels. Of copies of one size, drawn over by ten kinds of things, four of five leave
less, and of resized ones as many; two exposures with noise of .8 to 2.6 levels, drawn by code,
leave 1.9 and more."""
_FAR_LIGHTER = 1.8  # of encoded values; of light nearly two stops, and seldom done by hand
_MAX_LEFT_TONED = 1.6
"""The same of copies made lighter or darker, whose levels were rounded again: of 18 made 1.2 to
1.7 times as light, some resized, none leaves more than 1.4; two exposures leave 4.7 and more."""


def noise_apart(one: Original, two: Original, placed: Doubles, lighter: float) -> bool:
    """Tell two exposures by their noise; where that says nothing, by how much lighter one is.

    Parameters
    ----------
    placed : (3, 3), pixels of the second to those of the first, of the files' own sizes
    lighter : by what the first one's light is multiplied in the second
    """
    if not _is_upright(placed, two.size):
        return True  # a slider moves nothing, and a hand does
    left = list(_either_way(one, two, placed, lighter))
    if any(each <= _MAX_LEFT_TONED for each in left):
        return False
    far = max(lighter, 1 / lighter) >= _FAR_LIGHTER
    return far or (bool(left) and inf not in left)


def _either_way(one: Original, two: Original, placed: Doubles, lighter: float) -> Iterator[float]:
    """Give what is left of either as made from the other, as far as it may be and needs be told."""
    both = one, two
    if max(np.prod(each.size) for each in both) > MOST_PIXELS or one.is_part or two.is_part:
        return
    if any(each.opened.header.orientation != 1 for each in both):
        return
    if one.has_profile != two.has_profile or not _is_upright(placed, two.size):
        return
    if one.has_profile:
        one, two = one.as_stored(), two.as_stored()
    scale = float(placed[0, 0] * placed[1, 1]) ** 0.5
    least = inf
    if scale > 1 / _SAME_SCALE:
        least = _left(one, two, placed, lighter)
        yield least
    if scale < _SAME_SCALE and least > _MAX_LEFT:
        back = np.asarray(np.linalg.inv(placed), np.float64)
        yield _left(two, one, back, 1 / lighter)


def _is_upright(placed: Doubles, size: tuple[int, int]) -> bool:
    slopes = abs(placed[0, 1]), abs(placed[1, 0]), float(np.abs(placed[2, :2]).max()) * max(size)
    return bool(max(slopes) <= _MOST_SLOPE and min(placed[0, 0], placed[1, 1]) > 0)


def _left(source: Original, made: Original, placed: Doubles, lighter: float) -> float:
    """Give by how much more than saving explains one may differ from what it may be made from."""
    steps = made.steps
    if steps is None:
        if not made.is_lossless:
            return inf
        steps = np.ones((_BLOCK, _BLOCK), np.float32)
    before, after = source.pixels(*source.size), made.pixels(*made.size)
    if lighter != 1:
        before = np.asarray(cv2.convertScaleAbs(before, alpha=lighter))
    found = inf
    for most in _SIDES:
        told, clear = _left_of(before, after, steps, placed, most)
        found = found if told == inf else told
        if clear and _FAR * _MAX_LEFT < found < _FARTHEST * _MAX_LEFT:
            break
    return found


def _left_of(
    source: Pixels, made: Pixels, steps: Floats, placed: Doubles, most: int
) -> tuple[float, bool]:
    """Give what is left in the middle, and whether little is drawn over it."""
    lines = [
        Line(float(placed[at, at]), float(placed[at, 2] + (1 - placed[at, at]) / 2))
        for at in (1, 0)
    ]
    steady, near = _NEARLY
    same = source.shape == made.shape and all(
        abs(line.step - 1) < steady and abs(line.begin) < near for line in lines
    )
    if same:
        lines = [Line(1.0), Line(1.0)]
    sides = zip(source.shape[:2], made.shape[:2], strict=True)
    both = zip(lines, sides, strict=True)
    down, across = (middle_part(*line.within(*side), most) for line, side in both)
    if min(len(down), len(across)) < _LEAST_SIDE:
        return inf, False
    pixels = made[down.start : down.stop, across.start : across.stop]
    sound = unclipped(pixels).reshape(len(down) // _BLOCK, -1)
    seen = grey_of(pixels)
    if not same:
        lines = _settled(source, seen, lines, (down, across), sound)
    rows, columns = filters(source, lines, (down, across))
    parts = [
        np.ascontiguousarray(part[rows.inner, columns.inner])
        for part in mixtures(source[rows.taken, columns.taken], rows, columns)
    ]
    seen = seen - 128
    guess, kept = parts[SHARPENED], sound
    for _ in range(3):
        kept = _beside(seen - guess, sound)
        if np.count_nonzero(kept) < _FEWEST_BLOCKS:
            return inf, False
        guess = mixed(parts, seen, kept.ravel())
    clear = bool(2 * np.count_nonzero(kept) >= np.count_nonzero(sound))
    return _beyond_rounding(np.clip(guess, -128, 127), seen, steps, kept.ravel()), clear


def _settled(
    source: Pixels, seen: Floats, lines: list[Line], some: tuple[range, range], sound: Mask
) -> list[Line]:
    """Correct a placing to a small part of a pixel, where nothing is drawn."""
    for _ in range(_SETTLINGS):
        levels = placed_levels(source, lines, some)
        kept = _beside(seen - levels[0], sound, grown=False)
        used = np.flatnonzero(np.kron(kept, np.ones((_BLOCK, _BLOCK), np.bool_)))[::3]
        lines, moved = corrected(levels, seen, lines, some, used)
        if moved <= _SETTLED:
            break
    return lines


def _beside(left: Floats, sound: Mask, *, grown: bool = True) -> Mask:
    """Choose sound blocks, (h, w), of which no more is left than usual, and none beside others."""
    height, width = sound.shape
    blocks = left.reshape(height, _BLOCK, width, _BLOCK)
    apart = np.sqrt((blocks * blocks).mean(axis=(1, 3)))
    hit = apart > max(_LEAST_LEFT_LEVELS, _TIMES * float(np.median(apart[sound])))
    clear = sound & ~hit
    if not grown:
        return np.asarray(clear)
    far = sound & (cv2.dilate(hit.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    return np.asarray(far if np.count_nonzero(far) >= _FEWEST_BLOCKS else clear)


def _beyond_rounding(guess: Floats, seen: Floats, steps: Floats, kept: Mask) -> float:
    """Give the variance of coefficients about a guess, less what rounding the guess leaves of it.

    What is made by rounding something near the guess is off by as much more as that is, squared.
    """
    before, after = (all_coefficients(each)[:, kept] for each in (guess, seen))
    step = steps.reshape(64, 1)
    nearest = np.rint(before / step) * step
    some = (np.abs(after) > step / 2) | (nearest != 0)
    some[0] = False
    if np.count_nonzero(some) < _FEWEST_OF_A_BLOCK * some.shape[1]:
        return inf
    some &= step <= _MOST_STEP
    if np.count_nonzero(some) < _FEWEST_VALUES:
        return inf
    weight = some / (step * step / 12 + 1) ** 2
    beyond = (weight * ((before - after) ** 2 - (before - nearest) ** 2)).sum(axis=0)
    total = weight.sum(axis=0)
    told = total > 0
    beyond, total = beyond[told], total[told]
    order = np.argsort(beyond / total)
    near = order[np.cumsum(total[order]) <= _NEAREST_SHARE * total.sum()]
    return float(beyond[near].sum() / total[near].sum()) if near.size else inf
