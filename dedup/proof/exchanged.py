"""Whether one place has ink where the other image has ground, and ground where that has ink.

Another figure, hand of a clock or scratch is drawn in the tones of the one that it stands for: in a
part of the place the first image has the one tone and the second the other, and in another part it
is the other way round. What was drawn over one image has tones of its own, and covers what is there
in whatever tones that has. Neither ground nor strokes need be wide enough to be seen by themselves,
so that this tells small figures, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.proof.ranks import percentiles

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

_JOINED_PIXELS = 5  # between the strokes of a piece
_MOST_PIECES = 40
_FEWEST_PIXELS = 12  # of a piece
_PLAIN_LEVELS, _PLAIN_SHARE = 40.0, 0.5  # of the largest difference of a piece
_MIN_EITHER_PIXELS, _MIN_EITHER_SHARE = 4, 0.2  # of what plainly differs, either way


class _Limits(NamedTuple):
    """What a piece may be off; all but `apart` in shares of that.

    Parameters
    ----------
    apart : levels between the two tones, at least
    tones : between what either image has for one tone
    mean : between the means of both images
    """

    apart: float
    tones: float
    mean: float


_LIMITS, _SMALL_LIMITS = _Limits(40.0, 0.12, 0.06), _Limits(60.0, 0.2, 0.12)
_SMALL_PIXELS = 200
_SPREADS = 0.87, 1.15  # of the one against the other's
"""Of ten stickers, words and losses over photographs that exchange two tones loosely, each is
beyond one of these; twelve small figures, clocks, plates and coins that are others are not."""


def exchanged(one: Floats, two: Floats, places: Mask) -> int:
    """Count the pieces of places in which two tones are exchanged.

    Parameters
    ----------
    one, two : (H, W) grey, light of one mapped onto the other's
    places : (H, W), where they differ
    """
    left, top, width, height = cv2.boundingRect(places.view(np.uint8))
    if not width:
        return 0
    around = slice(top, top + height), slice(left, left + width)
    mask = np.ascontiguousarray(places[around]).view(np.uint8)
    one, two = one[around], two[around]
    joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((_JOINED_PIXELS,) * 2, np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    count = 0
    for number in 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:_MOST_PIECES]:
        left, top, width, height, area = stats[number].tolist()
        if area < _FEWEST_PIXELS:
            break
        around = slice(top, top + height), slice(left, left + width)
        own = labels[around] == number
        count += _exchanged(one[around][own], two[around][own])
    return count


def _exchanged(one: Floats, two: Floats) -> bool:
    """Tell one piece by the (N,) levels of both."""
    gap = one - two
    least = max(_PLAIN_LEVELS, percentiles(np.abs(gap), 95)[0]) * _PLAIN_SHARE
    over, under = gap > least, gap < -least
    counts = int(np.count_nonzero(over)), int(np.count_nonzero(under))
    if min(counts) < max(_MIN_EITHER_PIXELS, _MIN_EITHER_SHARE * sum(counts)):
        return False
    bright = float(one[over].mean()), float(two[under].mean())
    dark = float(two[over].mean()), float(one[under].mean())
    apart = min(bright) - max(dark)
    limits = _SMALL_LIMITS if len(gap) < _SMALL_PIXELS else _LIMITS
    if apart < limits.apart or abs(float(gap.mean())) > limits.mean * apart:
        return False
    # As much ink, in other places, leaves the spread of levels as it was.
    low, high = _SPREADS
    if not low <= float(one.std() / two.std()) <= high:
        return False
    return max(abs(bright[0] - bright[1]), abs(dark[0] - dark[1])) <= limits.tones * apart
