"""Which of two JPEGs of one image was saved from the other.

What was saved last lies on its own steps, and what it was saved from lies anywhere between them:
off by every part of a step equally often (Lukáš and Fridrich 2003 on double compression). The other
way round the distances are those that a later saving left, narrower or wider than that.
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
