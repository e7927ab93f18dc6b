"""Other words over one photograph: bright letters with a dark outline on both images, or dark ones.

So captions and subtitles are written, to be read over anything. Of two such lines the longer one
covers the shorter, and all that differs would be steep on its side alone; but a letter is bright,
and dark all around, and where both images have letters that the other has not, both carry words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_BRIGHT, _NOT_DARK = 170, 105  # levels of light, of bright letters at least, of dark ones at most
_DARK: Final = 90  # up to which its outline is, at its darkest within a pixel
_MIN_OUTLINED: Final = 0.8  # share of what is just around it
_HEIGHTS: Final = (7, 160)
_LEAST_PIXELS: Final = 14
_MIN_OWN: Final = 0.4  # share of a letter that is not bright in the other image
_FEWEST: Final = 2  # letters of its own in one line, on either
_AS_HIGH: Final = 1.5  # ratio of heights of letters, of a line and of both images, at most
_OFF_LINE: Final = 0.15  # of its height, that a letter stands off its line


def other_captions(one: Bytes, two: Bytes, places: Mask) -> int:
    """Count the letters of the image that has fewer of its own; 0 where either has hardly any.

    Parameters
    ----------
    one, two : (H, W, 3) RGB
    places : (H, W), where they differ
    """
    lights = [np.asarray(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY), np.uint8) for each in (one, two)]
    negatives = [np.asarray(~each) for each in lights]
    return max(
        _bright_letters(lights, places, _BRIGHT),
        _bright_letters(negatives, places, 255 - _NOT_DARK),
    )


def _bright_letters(lights: list[Bytes], places: Mask, least: int) -> int:
    """Count bright letters with dark outlines, as `other_captions`; of negatives dark ones."""
    bright = [(light >= least).view(np.uint8) for light in lights]
    if not all(cv2.countNonZero(each) for each in bright):
        return 0
    first = _line(_own_letters(lights[0], bright[0], bright[1], places))
    if len(first) < _FEWEST:
        return 0
    second = _line(_own_letters(lights[1], bright[1], bright[0], places))
    if len(second) < _FEWEST:
        return 0
    high = first[:, 1].mean(), second[:, 1].mean()
    return min(len(first), len(second)) if max(high) <= _AS_HIGH * min(high) else 0


def _line(letters: list[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """Give the letters, (L, 2) feet and heights, that most others stand beside.

    Lights at night are bright before what is dark, too, and dots of a drawing: of all sizes, and
    anywhere.
    """
    lines = [
        [
            (foot, height)
            for foot, height in letters
            if abs(foot - base) <= 1 + _OFF_LINE * high
            and max(height, high) <= _AS_HIGH * min(height, high)
        ]
        for base, high in letters
    ]
    return np.array(max(lines, key=len, default=[]), np.int64).reshape(-1, 2)


def _own_letters(light: Bytes, bright: Bytes, theirs: Bytes, places: Mask) -> list[tuple[int, int]]:
    """Give the feet and heights of the letters of one image that the other has not."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(bright, connectivity=4)
    heights, areas = stats[:, cv2.CC_STAT_HEIGHT], stats[:, cv2.CC_STAT_AREA]
    some = (heights >= _HEIGHTS[0]) & (heights <= _HEIGHTS[1]) & (areas >= _LEAST_PIXELS)
    some[0] = False
    apart = np.bincount(labels[(theirs == 0) & places], minlength=count)
    some &= apart >= _MIN_OWN * areas
    # The pixel between a letter and its outline is neither.
    darkest = cv2.erode(light, np.ones((3, 3), np.uint8))
    found = []
    for number in np.flatnonzero(some).tolist():
        left, top, width, height, _ = stats[number].tolist()
        rows = slice(max(0, top - 2), top + height + 2)
        columns = slice(max(0, left - 2), left + width + 2)
        own = (labels[rows, columns] == number).view(np.uint8)
        ring = (cv2.dilate(own, np.ones((5, 5), np.uint8)) > 0) & (own == 0)
        if float((darkest[rows, columns][ring] <= _DARK).mean()) >= _MIN_OUTLINED:
            found.append((top + height, height))
    return found
