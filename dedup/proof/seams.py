"""Whether an image has a seam along an outline: something ends there, and other things begin.

What was cut out of a photograph goes on beyond the outline as it does within, so that levels step
there no more than on other lines beside it. Around what was pasted, framed or put beside something
else they do, if only from the white of a photograph to that of a sheet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Doubles = npt.NDArray[np.float64]

_REACH: Final = 20  # pixels on either side
_NEAR, _AWAY = 2, 7  # pixels from an outline up to which a seam is, and from which other lines are
_CORNER: Final = 6  # pixels of an outline that are left out
_FEWEST: Final = 40  # of a side
_ALONG: Final = 5  # pixels that are averaged
_USUAL, _LEVELS = 80, 0.3  # percentile of other lines, and what is added to it


def seam(grey: Bytes, outline: Doubles) -> float | None:
    """Give how much more an image steps across an outline than across lines beside it.

    Parameters
    ----------
    outline : (4, 2) x and y of corners, in order

    Returns
    -------
    Of the side where that is least, of those that lie within the image; None where none does.
    """
    found = [
        each
        for begin, end in zip(outline, np.roll(outline, -1, axis=0), strict=True)
        if (each := _across(grey, begin, end)) is not None
    ]
    return min(found, default=None)


def _across(grey: Bytes, begin: Doubles, end: Doubles) -> float | None:
    """Give that of one side; None where too little of it is in the image."""
    along = end - begin
    length = float(np.hypot(*along))
    if length < _FEWEST + 2 * _CORNER:
        return None
    along = along / length
    at = begin + np.arange(_CORNER, length - _CORNER)[:, None] * along
    depths = np.arange(-_REACH, _REACH + 1)
    points = at[:, None] + depths[None, :, None] * np.array([-along[1], along[0]])
    limits = np.array(grey.shape[::-1]) - 1
    inside = ((points >= 0) & (points <= limits)).all(axis=2)
    # Beside it there must be something to compare with, on the one side or the other.
    rows = inside[:, _REACH - _NEAR - 3 : _REACH + _NEAR + 4].all(axis=1)
    if np.count_nonzero(rows) < _FEWEST:
        return None
    x, y = (np.ascontiguousarray(points[rows, :, axis], np.float32) for axis in (0, 1))
    levels = cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    smooth = cv2.blur(levels.astype(np.float32), (1, _ALONG))
    pairs = smooth[:, 1:] + smooth[:, :-1]
    steps = np.abs(pairs[:, 3:] - pairs[:, :-3]) / 2  # of two pixels each, one apart
    known = inside[rows][:, 2:-2]
    count = known.sum(axis=0)
    means = np.where(known, steps, 0).sum(axis=0) / np.maximum(count, 1)
    off = np.abs(depths[2:-2])
    usual = means[(off >= _AWAY) & (count > 0)]
    if not usual.size:
        return None
    return float(means[off <= _NEAR].max() / (np.percentile(usual, _USUAL) + _LEVELS))
