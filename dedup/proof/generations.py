"""Which of two files of one image was saved from the other.

Of two JPEGs of one size, what was saved last lies on its own steps, and what it was saved from lies
anywhere between them: off by every part of a step equally often (Lukáš and Fridrich 2003 on double
compression). The other way round the distances are those that a later saving left, narrower or
wider than that.

Of two sizes, an enlargement has lost some of what is finest in the smaller one, and a larger image
that was reduced has not.
"""

from __future__ import annotations

from math import inf, log
from typing import TYPE_CHECKING

import numpy as np

from dedup.images.history import HISTORY_PLACES, coefficients, history_grey
from dedup.proof.ranks import median

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.original import Original

    Floats = npt.NDArray[np.float32]

_MOST_PIXELS = 12_000_000
_LEAST_QUALITY = 75
"""Below that the one that is compressed more is worse, whichever was first."""

_LEAST_STEP = 2  # in levels; whole levels of pixels hide finer ones
_FEWEST_VALUES, _FEWEST_PLACES = 100, 3
_MAX_OFF, _MIN_BETTER = 0.4, 0.4  # logarithms

_LEAST_RATIO = 1.1  # of sides; nearer ones say nothing
_FINE, _FINE_PER_RATIO, _MAX_FINE = 0.98, 0.06, 1.1
"""How sharp fine details of the smaller image may be against those of the larger, reduced to its
size: below that the larger was not enlarged. Of 594 enlargements 1.15 to 3 times, by six filters,
.3 % are below, and .70 of 594 reductions."""

_LEAST_FINE = 0.8  # what is enlarged and then sharpened is below as often as above
_SHARPENED = 1.45  # 98 % of enlargements leave less than 1.39; a reduction is often sharpened


def saved_from(one: Original, two: Original) -> int:
    """Tell which of two JPEGs of one size was saved from the other.

    Returns
    -------
    1 or 2, the one that was; 0 where that cannot be told.
    """
    both = one, two
    if one.size != two.size or np.prod(one.size) > _MOST_PIXELS:
        return 0
    if not all(each.opened.header.format == "JPEG" and not each.has_profile for each in both):
        return 0
    if min(each.quality for each in both) < _LEAST_QUALITY:
        return 0
    off = _off(two, one), _off(one, two)
    if not min(off) <= _MAX_OFF or not min(off) + _MIN_BETTER <= max(off) < inf:
        return 0
    return 1 if off[0] < off[1] else 2


def reduced_from(one: Original, two: Original, fine: float) -> int:
    """Tell which of two images of two sizes was reduced from the other.

    Parameters
    ----------
    fine : sharpness of fine details of the smaller against those of the larger, at its size

    Returns
    -------
    1 or 2, the one that was; 0 where the larger may as well have been enlarged.
    """
    ratio = (float(np.prod(one.size)) / float(np.prod(two.size))) ** 0.5
    smaller, ratio = (2, ratio) if ratio >= 1 else (1, 1 / ratio)
    limit = min(_MAX_FINE, _FINE + _FINE_PER_RATIO * (ratio - 1))
    told = ratio >= _LEAST_RATIO and (_LEAST_FINE <= fine < limit or fine > _SHARPENED)
    return smaller if told else 0


def _off(source: Original, saved: Original) -> float:
    """Give how far distances are from even ones, as if one file had been saved from the other."""
    tables = getattr(saved.opened.image, "quantization", None)
    if not tables:
        return inf
    steps = np.array(tables[min(tables)], np.float32).reshape(8, 8)
    header = saved.opened.header
    before, after = (
        coefficients(history_grey(each.pixels(*each.size), header) - 128)
        for each in (source, saved)
    )
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
    return abs(log(12 * max(median(np.array(found, np.float32)), 1e-3)))
