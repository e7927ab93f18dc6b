"""Which of two files of one size and of the same tones was saved from the other, of any formats.

A JPEG moves each coefficient of what it was saved from by any part of half a step, each equally
often, and none farther. What was made from the JPEG is off it in another way, and without loss not
at all.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.images.history import history_grey, steps_in
from dedup.proof.resampling import quantised

if TYPE_CHECKING:
    from dedup.proof.original import Original

_SAVED, _CLEARLY, _NOT_SAVED = -0.02, 0.25, -0.25
"""From which score on, as `resampling.quantised` has it, a JPEG is another file saved, by how much
that is above the other way round, and below which it is not. Of 24 such pairs (JPEG 60 to 99)
21 have .01 and more, and three of like or finer steps -.17 and less; the other way round, where
that is a JPEG as well, the most is -.08, of JPEG 60 of JPEG 70."""

LEAST_QUALITY: Final = 75
"""Below that the one that is compressed more is worse, whichever was first, and copies of one
lost original would be said to come of each other."""


def saved_as(one: Original, two: Original) -> int:
    """Tell which of two files was saved from the other, if one of them is a JPEG.

    Returns
    -------
    1 or 2, the one that was; 0 where that cannot be told.
    """
    if one.has_profile or two.has_profile:
        return 0  # whose steps are of other colours than are seen
    jpeg = [each.opened.header.format == "JPEG" and each.steps is not None for each in (one, two)]
    if all(jpeg):
        return _later(one, two)
    if jpeg[0]:
        return _beside_jpeg(two, one, 1)
    return _beside_jpeg(one, two, 2) if jpeg[1] else 0


def _later(one: Original, two: Original) -> int:
    """Tell whether the finer of two JPEGs was saved from the coarser one.

    The other way round, two that were both saved from a third would explain each other.
    """
    if min(one.quality, two.quality) < LEAST_QUALITY or one.quality == two.quality:
        return 0
    finer = 1 if one.quality > two.quality else 2
    made, source = (one, two) if finer == 1 else (two, one)
    score, back = _explained(source, made), _explained(made, source)
    return finer if score >= _SAVED and score - back >= _CLEARLY else 0


def _beside_jpeg(other: Original, jpeg: Original, number: int) -> int:
    """Tell whether a JPEG, 1 or 2 of a pair, was saved from what is none, or a HEIC from that."""
    header = other.opened.header
    if header.mode == "P":
        return 0
    score = _explained(other, jpeg)
    if score >= _SAVED:
        # What was saved from a JPEG without loss would be that one.
        return 0 if other.is_lossless and _was_jpeg(other) else number
    # Phones take HEIC, and hand over JPEGs of that; sites save WebP and JPEG of one original.
    return 3 - number if header.format == "HEIF" and score < _NOT_SAVED else 0


def _explained(source: Original, saved: Original) -> float:
    """Give how well a JPEG is explained as another file saved, as `resampling.quantised` has it."""
    header, steps = saved.opened.header, saved.steps
    if steps is None:
        return nan
    before, after = (
        history_grey(each.pixels(*each.size), header) - 128 for each in (source, saved)
    )
    height, width = (side & -8 for side in after.shape)
    before, after = before[:height, :width], after[:height, :width]
    return quantised(before, after, steps, np.ones(height * width // 64, np.bool_))


def _was_jpeg(file: Original) -> bool:
    return steps_in(history_grey(file.pixels(*file.size), file.opened.header) - 128) is not None
