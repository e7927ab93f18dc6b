"""Whether one place has ink where the other image has ground, and ground where that has ink.

Another figure, hand of a clock or scratch is drawn in the tones of the one that it stands for: in a
part of the place the first image has the one tone and the second the other, and in another part it
is the other way round. What was drawn over one image has tones of its own, and covers what is there
in whatever tones that has. Neither ground nor strokes need be wide enough to be seen by themselves,
so that this tells small figures, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.channels import gap_levels
from dedup.proof.ranks import percentiles

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

_MOST_PIXELS = 1 << 13  # of a piece; what is larger has ground and strokes to be told by
_PLAIN_LEVELS, _PLAIN_SHARE = 40.0, 0.5  # of the largest difference of a piece
_MANY_TIMES = 4  # as many pixels, of which two colours tell
_MIN_EITHER_PIXELS, _MIN_EITHER_SHARE = 4, 0.05  # of what plainly differs, either way
_MIN_APART_LEVELS, _MAX_OFF_SHARE, _MAX_OFF_LARGE = 45.0, 0.27, 0.1
"""Between the two colours, and of that between what either image has for one of them. Figures on
signs, in stamps and on screens are off by .25 at most, large letters on stickers by .02; what lies
over one image alone is off by .32 and more, where it is large by .2."""
_MAX_LOOSE_SHARE = 0.5
"""The same, along the line between the two colours, and the largest deviation within one of them
together. Noise, edges that were compressed, and letters with an outline over a photograph have .54
and more of it, of 58 figures that are others all but four less."""

_STROKE_LEVELS, _MIN_STROKE_PIXELS = 60, 8
_ALIKE_LEVELS, _END = 32, 0.25  # between what is beside a stroke, and of the way from ink to ground
_MIN_BESIDE, _MIN_EITHER_BESIDE = 0.1, 0.9  # of what is beside a stroke: a colour, and either


def exchanged(one: Bytes, two: Bytes, own: Mask) -> bool:
    """Tell one piece of what differs.

    Parameters
    ----------
    one, two : (H, W, 3) RGB, around the piece
    own : (H, W), the piece
    """
    if np.count_nonzero(own) > _MOST_PIXELS * _MANY_TIMES:
        return False
    return _in_two_colours(one[own].astype(np.float32), two[own].astype(np.float32))


def continued(one: Bytes, two: Bytes, own: Mask) -> bool | None:
    """Tell whether a piece is a stroke more or less of what stands there in both, as F is of E.

    The ink that it has and the ground that it lies on are both next to it, alike in both images;
    what was laid over one of them has one of its colours for itself.

    Parameters
    ----------
    one, two, own : as for `exchanged`

    Returns
    -------
    None where next to nothing differs.
    """
    if np.count_nonzero(own) > _MOST_PIXELS:
        return False
    gap = gap_levels(one, two)
    plain = own & (gap >= max(_STROKE_LEVELS, percentiles(gap[own].astype(np.float32), 95)[0] / 2))
    if np.count_nonzero(plain) < _MIN_STROKE_PIXELS:
        return None
    colours = [np.median(each[plain], axis=0) for each in (one, two)]
    mark = plain.view(np.uint8)
    near, far = (cv2.dilate(mark, np.ones((side, side), np.uint8)) > 0 for side in (3, 11))
    beside = far & ~near & (gap <= _ALIKE_LEVELS)
    if np.count_nonzero(beside) < np.count_nonzero(far & ~near) / 2:
        return False
    around = one[beside].astype(np.float32)
    along = (colours[1] - colours[0]).astype(np.float32)
    at = (around - colours[0]) @ along / max(float(along @ along), 1.0)
    off = np.abs(around - colours[0] - at[:, None] * along).max(axis=1)
    flat = off <= _ALIKE_LEVELS
    shares = [float((flat & (np.abs(at - end) <= _END)).mean()) for end in (0, 1)]
    return min(shares) >= _MIN_BESIDE and sum(shares) >= _MIN_EITHER_BESIDE


def _in_two_colours(one: Floats, two: Floats) -> bool:
    """Tell by the (N, 3) colours of both: what differs has the same two, here so and there so."""
    gap = one - two
    largest = np.abs(gap).max(axis=1)
    plain = gap[largest > percentiles(largest, 95)[0] * _PLAIN_SHARE]
    line = np.linalg.eigh(plain.T @ plain)[1][:, -1]
    along = gap @ line
    least = percentiles(np.abs(along), 95)[0] * _PLAIN_SHARE
    here, there = along > least, along < -least
    if not _are_many(here, there):
        return False
    first, second = (
        np.stack([np.median(mine[here], axis=0), np.median(theirs[there], axis=0)])
        for mine, theirs in ((one, two), (two, one))
    )
    apart = float(np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)))
    off = max(float(np.abs(each[0] - each[1]).max()) for each in (first, second))
    most = _MAX_OFF_SHARE if len(one) <= _MOST_PIXELS else _MAX_OFF_LARGE
    return (
        apart >= _MIN_APART_LEVELS
        and off <= most * apart
        and _are_tight([each @ line for each in (one[here], two[there], two[here], one[there])])
    )


def _are_many(here: Mask, there: Mask) -> bool:
    """Tell whether enough differs either way, of all that plainly does."""
    counts = int(np.count_nonzero(here)), int(np.count_nonzero(there))
    return min(counts) >= max(_MIN_EITHER_PIXELS, _MIN_EITHER_SHARE * sum(counts))


def _are_tight(levels: list[Floats]) -> bool:
    """Tell by what either image has for the one colour, and for the other."""
    a, b, c, d = (float(np.median(each)) for each in levels)
    loose = max(abs(a - b), abs(c - d)) + max(float(each.std()) for each in levels)
    return loose <= _MAX_LOOSE_SHARE * abs((a + b) - (c + d)) / 2
