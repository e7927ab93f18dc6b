"""Which of two files of one image was saved from the other.

Of two JPEGs of one size, what was saved last lies on its own steps, and what it was saved from lies
anywhere between them: off by every part of a step equally often (Lukáš and Fridrich 2003 on double
compression). The other way round the distances are those that a later saving left, narrower or
wider than that.

Of two sizes, that of which the other one, resampled, leaves as much as its own steps do was saved
last (`resampling`). Where steps or filters are not known, an enlargement keeps to the steps of the
smaller one, whose errors it has, and has lost some of what is finest in it; a larger image that was
reduced has neither.
"""

from __future__ import annotations

from math import inf, isinf, isnan, log, nan
from operator import truediv
from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.images.history import HISTORY_PLACES, as_stored, coefficients, grey_of, history_grey
from dedup.proof.original import MOST_PIXELS
from dedup.proof.ranks import median
from dedup.proof.resampling import Line, resampled
from dedup.proof.saved_as import LEAST_QUALITY, saved_as
from dedup.proof.turns import turned, turning

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.original import Original

    Doubles = npt.NDArray[np.float64]
    Floats = npt.NDArray[np.float32]

_LEAST_STEP = 2  # in levels; whole levels of pixels hide finer ones
_FEWEST_VALUES, _FEWEST_PLACES = 100, 3
_MAX_OFF, _MIN_BETTER = 0.4, 0.4  # logarithms

_LEAST_RATIO = 1.1  # of sides; nearer ones say nothing
_MOST_SIDE = 320  # pixels of the larger image that are asked
_PART_SIDE = 160  # the same of parts at first; as many as of wholes where these tell nothing
_LEAST_SIDE = 80  # of the smaller one, where that has them

_ROUGHLY, _MARGIN = -0.2, 0.02
"""How well one of two is explained at least as the other one resampled, as `resampled` has it, and
by how much better than the other way round."""

_CLOSELY, _CLEARLY, _AT_ONE_SIZE, _HELD = -0.1, 0.05, 0.1, -0.3
"""The same of parts, where tones may have been changed as well, and the margin at one size, where
more of the image has to say roughly so as well: of 60 blurred, sharpened, grey and stamped copies
and some with words, at one size, 55 are told, none wrongly, at half of that margin."""

_EXACTLY, _EXACTLY_AHEAD = 0.03, 0.3
"""What of files without loss is needed for `is_exact`: the little that the finest JPEG leaves looks
like levels being whole, and so one that it was made of like one that was made of it."""

_LIKELY, _LIKELY_DOUBLED, _DOUBLED, _FAR = -0.08, -0.25, 1.6, -1.0
"""From which score on the larger of two is the smaller one enlarged, whatever the way back says, up
to this ratio of sides and beyond it, and below which it is not. What is enlarged holds no more than
the smaller one, to which it is thus reduced as well as any reduction is. Of 594 enlargements (1.12
to 4 times, by three filters, half of them sharpened, JPEG 60 to 97 and PNG) 573 are told and 3
wrongly; of as many reductions, of JPEG 40 to 95 and PNG, 532 and 3, which were very soft PNGs."""

_FINELY_SAVED, _NOT_MORE = 85, 0.06
"""Where the smaller one was never compressed, and is not much smaller: the least JPEG quality of an
enlargement of it, whose own steps then explain little, and by how much the way back may be
explained better."""

_LEAST_FRESH = 0.05
"""Logarithm of how far the larger of two images, at the size of the smaller, is off the steps of
the smaller, against what quantising leaves. What was enlarged has the smaller's own errors: of 312
reductions (1.25 to 2.5 times, by five filters, JPEG 75 to 92) none is below, and of as many
enlargements two thirds at 1.25 times, nine of ten at twice."""

_MOST_FINE = 1.12
"""How sharp fine details of the smaller image may be against those of the larger, reduced to its
size: of 594 enlargements by six filters half are above, of reductions 2 %."""

_REPEATED: Final = 0.72
"""How far neighbouring pixels that would be one of the smaller image differ, at most, against those
that would be two of it, where the larger one repeats its pixels. Of 976 photographs enlarged so
(1.1 to 3 times, JPEG 95) all but 6 of 1.5 times are below; of as many that are larger for
themselves, and of 1,200 stretched ones, none."""
_REPEATED_FROM: Final = (0.0, 0.49, 0.51)  # where in a pixel programs ask, but for rounding
_ROUNDING_LEVELS, _FEWEST_REPEATED = 0.05, 1 / 16  # the share of a side that has to be

_FINE, _FINE_PER_RATIO = 0.98, 0.06
"""The same where steps tell nothing: below that .3 % of enlargements are, and .70 of reductions."""

_LEAST_FINE = 0.8  # what is enlarged and then sharpened is below as often as above
_SHARPENED = 1.45  # 98 % of enlargements leave less than 1.39; a reduction is often sharpened


def saved_from(one: Original, two: Original) -> int:
    """Tell which of two files of one size, with the same tones, was saved from the other.

    Returns
    -------
    1 or 2, the one that was; 0 where that cannot be told.
    """
    both = one, two
    if one.size != two.size or np.prod(one.size) > MOST_PIXELS:
        return 0
    if all(map(_has_steps, both)):
        off = _off(two, one), _off(one, two)
        if min(off) <= _MAX_OFF and min(off) + _MIN_BETTER <= max(off) < inf:
            return 1 if off[0] < off[1] else 2
    return saved_as(one, two)


def resized_from(one: Original, two: Original, larger: Floats, fine: float) -> int:
    """Tell which of two images of two sizes was resized from the other.

    Parameters
    ----------
    larger : (H, W) grey, the larger image at the size of the smaller, as sharp as that
    fine : sharpness of fine details of the smaller against those of the larger, at its size

    Returns
    -------
    1 or 2, the one that was; 0 where that cannot be told.
    """
    large, small, number, ratio = _by_size(one, two)
    if ratio < _LEAST_RATIO:
        return 0
    enlarged = _enlarged(large, small, ratio)
    if enlarged is not None:
        return 3 - number if enlarged else number
    fresh = _fresh(small, larger)
    if fresh < _LEAST_FRESH:
        return 3 - number
    limit = _MOST_FINE
    if isinf(fresh):
        limit = min(limit, _FINE + _FINE_PER_RATIO * (ratio - 1))
    return number if _LEAST_FINE <= fine < limit or fine > _SHARPENED else 0


def resampled_from(one: Original, two: Original) -> int:
    """Tell what `resized_from` does of two whole images that may have been edited as well."""
    large, small, number, ratio = _by_size(one, two)
    if one.size == two.size:
        return resampled_part(one, two, np.eye(3))
    if max(map(truediv, large.size, small.size)) < _LEAST_RATIO:
        return 0
    enlarged = _enlarged(large, small, ratio)
    return 0 if enlarged is None else 3 - number if enlarged else number


def resampled_part(one: Original, two: Original, placed: Doubles, asked: int = 0) -> int:
    """Tell which of two was resampled from the other where both show the same.

    Parameters
    ----------
    placed : (3, 3), pixels of the second to those of the first, turned by quarters at most
    asked : 1 or 2, the only one that may have been; 0: either

    Returns
    -------
    1 or 2, the one that was; 0 where that cannot be told, or where it is not the one asked for.
    """
    both = one, two
    if max(np.prod(each.size) for each in both) > MOST_PIXELS:
        return 0
    if any(each.opened.header.orientation != 1 for each in both):
        return 0
    step = abs(float(np.linalg.det(placed[:2, :2]))) ** 0.5
    back = np.asarray(np.linalg.inv(placed), np.float64)
    if not (_can_be_asked(two, one) and _can_be_asked(one, two)):
        return 0
    found: dict[int, float] = {}
    for number in (2, 1) if asked == 2 else (1, 2):  # noqa: PLR2004 - the second
        if number == 1:
            found[1] = _explained_part(two, one, 1 / step, back)
        else:
            found[2] = _explained_part(one, two, step, placed)
        if isnan(found[number]) or (number == asked and found[number] < _CLOSELY):
            return 0  # whatever the other one is
    margin = _AT_ONE_SIZE if one.size == two.size else _CLEARLY
    made = _likelier(found[1], found[2], _CLOSELY, margin)
    if not made or made != (asked or made) or not _is_told(both[made - 1], found[1], found[2]):
        return 0
    if one.size == two.size:  # where what was asked may lie in a plain part
        source, where = (two, back) if made == 1 else (one, placed)
        made = made if _explained(source, both[made - 1], _MOST_SIDE, where) >= _HELD else 0
    return made


def _explained_part(source: Original, made: Original, reduced: float, placed: Doubles) -> float:
    """Give what `_explained` does of a part, reduced so many times; of more where few tell."""
    found = _explained(source, made, _asked(_PART_SIDE, reduced), placed)
    if isnan(found):
        found = _explained(source, made, _asked(_MOST_SIDE, reduced), placed)
    return found


def _asked(most: int, reduced: float) -> int:
    """Give how many pixels of a side are asked of a part that was reduced so many times."""
    reduced = max(1, reduced)
    return round(min(_MOST_SIDE / reduced, max(_LEAST_SIDE, most / reduced)))


def _likelier(first: float, second: float, least: float = _ROUGHLY, margin: float = _MARGIN) -> int:
    """Give which of two, 1 or 2, is explained better as the other one resampled; 0: neither is."""
    if isnan(first) or isnan(second):
        return 0
    if max(first, second) < least or abs(first - second) < margin:
        return 0
    return 1 if first > second else 2


def is_exact(explained: float, ahead: float) -> bool:
    """Tell whether a file without loss was made of another one.

    Parameters
    ----------
    explained : as `resampling.resampled` gives it
    ahead : by how much that is more than the other way round
    """
    return explained >= _EXACTLY and ahead >= _EXACTLY_AHEAD


def _is_told(made: Original, first: float, second: float) -> bool:
    """Tell whether the one that is explained better is so closely enough."""
    return not made.is_lossless or is_exact(max(first, second), abs(first - second))


def _by_size(one: Original, two: Original) -> tuple[Original, Original, int, float]:
    """Give the larger, the smaller, the number of the smaller, and the ratio of their sides."""
    ratio = (float(np.prod(one.size)) / float(np.prod(two.size))) ** 0.5
    return (one, two, 2, ratio) if ratio >= 1 else (two, one, 1, 1 / ratio)


def _enlarged(large: Original, small: Original, ratio: float) -> bool | None:
    """Tell whether the larger of two images was made from the smaller; None: that is open."""
    if np.prod(large.size) > MOST_PIXELS:
        return None
    as_shown = large, small
    if large.has_profile and small.has_profile:
        large, small = large.as_stored(), small.as_stored()
    enlarged = _explained(small, large, _MOST_SIDE)
    likely = enlarged >= (_LIKELY if ratio < _DOUBLED else _LIKELY_DOUBLED)
    steps_tell = likely and not (small.is_lossless and ratio < _DOUBLED)
    if steps_tell or is_repeated(*as_shown):
        return True
    if isnan(enlarged):
        return None
    reduced = _explained(large, small, round(_MOST_SIDE / ratio))
    if isnan(reduced):
        return False if enlarged < _FAR else True if likely else None
    likelier = _likelier(enlarged, reduced)
    if likelier and _is_told((large, small)[likelier - 1], enlarged, reduced):
        return likelier == 1
    finely = likely and large.quality >= _FINELY_SAVED
    return True if finely and reduced - enlarged <= _NOT_MORE else None


def is_repeated(large: Original, small: Original) -> bool:
    """Tell whether the larger of two images has pixels of the smaller one several times over.

    The smaller one is then what any program makes of the larger that takes some of its pixels, and
    the larger holds nothing else.
    """
    light = grey_of(large.pixels(*large.size))
    return min(_within_pixels(light, small.size, begin) for begin in _REPEATED_FROM) < _REPEATED


def _within_pixels(light: Floats, size: tuple[int, int], begin: float) -> float:
    """Give what `_REPEATED` limits, of (H, W) grey levels and height and width of the smaller."""
    found = []
    for axis, (side, fewer) in enumerate(zip(light.shape, size, strict=True)):
        steps = np.abs(np.diff(light, axis=axis)).mean(axis=1 - axis) + _ROUNDING_LEVELS
        pixel = ((np.arange(side) + begin) * fewer / side).astype(int)
        one = pixel[1:] == pixel[:-1]
        # By sides, as light may change more along one of them.
        if _FEWEST_REPEATED * one.size <= np.count_nonzero(one) < one.size:
            found.append(float(steps[one].mean() / steps[~one].mean()))
    return sum(found) / len(found) if found else inf


def _explained(source: Original, made: Original, most: int, placed: Doubles | None = None) -> float:
    """Give what `resampled` does of two files; not a number where steps cannot be asked.

    Parameters
    ----------
    placed : (3, 3), pixels of what is made to those of the source; without, all of one is all of
        the other
    """
    if not _can_be_asked(source, made):
        return nan
    header, steps = made.opened.header, made.steps
    if steps is None:
        steps = np.ones((8, 8), np.float32)
    before, after = (as_stored(each.pixels(*each.size), header) for each in (source, made))
    if placed is None:
        return resampled(before, after, steps, most)
    turn = np.rint(placed[:2, :2] / np.abs(placed[:2, :2]).max()).astype(np.int64).T
    upright = turning(source.size, turn) @ placed
    down, across = (
        Line(float(upright[at, at]), float(upright[at, 2] + (1 - upright[at, at]) / 2))
        for at in (1, 0)
    )
    if min(down.step, across.step) <= 0:
        return nan
    return resampled(turned(before, turn), after, steps, most, (down, across))


def _can_be_asked(source: Original, made: Original) -> bool:
    """Tell whether it is known how an image that may be made from another was quantised."""
    known = made.steps is not None or made.is_lossless
    return known and made.has_profile == source.has_profile


def _has_steps(file: Original) -> bool:
    """Tell whether a file's steps can be asked."""
    is_jpeg = file.opened.header.format == "JPEG" and not file.has_profile
    return is_jpeg and file.quality >= LEAST_QUALITY


def _fresh(saved: Original, larger: Floats) -> float:
    """Give what `_LEAST_FRESH` limits; infinity where it cannot be told."""
    is_on_grid = larger.shape == saved.size and saved.opened.header.orientation == 1
    if not is_on_grid or not _has_steps(saved):
        return inf
    after = grey_of(saved.pixels(*saved.size))
    return _apart(saved, coefficients(larger - 128), coefficients(after - 128))


def _off(source: Original, saved: Original) -> float:
    """Give how far distances are from even ones, as if one file had been saved from the other."""
    header = saved.opened.header
    before, after = (
        coefficients(history_grey(each.pixels(*each.size), header) - 128)
        for each in (source, saved)
    )
    return abs(_apart(saved, before, after))


def _apart(saved: Original, before: Floats, after: Floats) -> float:
    """Give the logarithm of the spread of distances from a file's steps against an even one.

    Parameters
    ----------
    before, after : coefficients of what it may have been saved from, and its own

    Returns
    -------
    Infinity where too few tell.
    """
    steps = saved.steps
    if steps is None:
        return inf
    found = []
    for place, was, now in zip(HISTORY_PLACES, before, after, strict=True):
        step = float(steps[place])
        nearest = np.rint(now / step) * step
        some = nearest != 0
        if step >= _LEAST_STEP and np.count_nonzero(some) >= _FEWEST_VALUES:
            # Pixels are whole levels, which adds as much to what was as to what is.
            apart = (was - nearest)[some].var() - (now - nearest)[some].var()
            found.append(float(apart) / step**2)
    if len(found) < _FEWEST_PLACES:
        return inf
    return log(12 * max(median(np.array(found, np.float32)), 1e-3))
