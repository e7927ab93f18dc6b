"""Whether the text of a page can be read at the resolution that two images share.

Where letters are a few pixels high, a page and the same page with another figure on it look one.
Text is letters that stand in lines: what is as small in a photograph on plain ground is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.alignment import jacobian, overlap
from dedup.proof.paper import is_page

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.original import Original

    Bytes = npt.NDArray[np.uint8]
    Doubles = npt.NDArray[np.float64]

TOO_SMALL = "the text is too small to read in one of them: words or figures may differ"

MIN_LETTER_PIXELS = 3.25
"""Height of small letters: of 50 pages with another digit at less than 3 pixels 27 passed for the
same page, of 90 from here to 5 pixels six, as `resaved`. What is above can still be wrong."""

_MIN_SHRINK = 1.2  # less hides no letter that is there
_MAX_PIXELS = 3 << 19
_INK_LEVELS = 40
_STROKE_PIXELS = 31  # wider than any stroke of a letter
_LETTER_PIXELS = (5, 60)  # specks are smaller
_LETTER_ASPECT = (0.15, 1.6)  # width to height
_FEWEST_LETTERS = 30
_MOST_LOOKED_AT = 600  # letters, of lines one below the other

_BASE, _GAP, _ALIKE = 0.15, 0.8, 1.7
"""Of a letter's height: how far the next one's base may be off and how far it may stand away, and
how many times as high it may be."""

_FEWEST_IN_LINES, _MIN_LINED_SHARE = 15, 0.15
"""Letters that another one stands beside. Pages, tables, cards, charts and screens have 15 to 1,300
and .16 to .97, but for the faces of clocks; what is as large in photographs of things on plain
ground has 0 to 20, of those with 15 and more .10."""


def is_illegible(one: Original, two: Original, matrix: Doubles) -> bool:
    """Tell whether what both show is text that can be read in one of them only.

    Parameters
    ----------
    matrix : (3, 3), the second's pixels to the first's
    """
    slope = jacobian(matrix, two.size[1] / 2, two.size[0] / 2)
    shrink = float(np.sqrt(abs(np.linalg.det(slope))))
    fine, coarse = one, two
    if shrink < 1:
        fine, coarse = two, one
        shrink, matrix = 1 / shrink, np.asarray(np.linalg.inv(matrix), np.float64)
    if shrink < _MIN_SHRINK:
        return False
    whole, part = ((0, 0, each.size[1], each.size[0]) for each in (fine, coarse))
    outline = overlap(whole, part, matrix / matrix[2, 2])
    if outline is None:
        return False
    factor = min(1.0, (_MAX_PIXELS / float(np.prod(fine.size))) ** 0.5)
    pixels = fine.pixels(*(max(1, round(side * factor)) for side in fine.size))
    left, top = np.maximum(np.round(outline.min(axis=0) * factor), 0).astype(int)
    right, bottom = np.round(outline.max(axis=0) * factor).astype(int) + 1
    image = cv2.cvtColor(pixels[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    if not is_page(np.asarray(image, np.float32)):
        return False
    height = letter_height(np.asarray(image, np.uint8)) / factor
    return bool(0 < height < MIN_LETTER_PIXELS * shrink)


def letter_height(image: Bytes) -> float:
    """Measure how high most letters of a page are, in pixels; 0 where there is no text.

    Parameters
    ----------
    image : (H, W) grey
    """
    kernel = np.ones((_STROKE_PIXELS, _STROKE_PIXELS), np.uint8)
    letters = max(
        (
            _letters(np.asarray(cv2.morphologyEx(image, how, kernel), np.uint8))
            for how in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT)
        ),
        key=len,
    )
    if len(letters) < _FEWEST_LETTERS or not _in_lines(letters):
        return 0.0
    return float(np.bincount(letters[:, cv2.CC_STAT_HEIGHT]).argmax())


def _letters(ink: Bytes) -> npt.NDArray[np.int32]:
    """Give the left, top, width and height of what is as large as letters are, (N, 4)."""
    mask = (ink > _INK_LEVELS).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    height = stats[1:, cv2.CC_STAT_HEIGHT]
    aspect = stats[1:, cv2.CC_STAT_WIDTH] / np.maximum(height, 1)
    kept = (height >= _LETTER_PIXELS[0]) & (height <= _LETTER_PIXELS[1])
    kept &= (aspect >= _LETTER_ASPECT[0]) & (aspect <= _LETTER_ASPECT[1])
    return np.asarray(stats[1:, :4][kept], np.int32)


def _in_lines(letters: npt.NDArray[np.int32]) -> bool:
    """Tell text by letters that stand one beside the other, as specks and leaves do not."""
    letters = letters[np.argsort(letters[:, 1] + letters[:, 3], kind="stable")]
    spare = max(0, len(letters) - _MOST_LOOKED_AT) // 2
    left, top, width, height = letters[spare : len(letters) - spare].T.astype(np.float32)
    base = top + height
    gap = left[None] - (left + width)[:, None]
    beside = (gap >= -1) & (gap <= _GAP * height[:, None])
    beside &= np.abs(base[None] - base[:, None]) <= _BASE * height[:, None] + 0.5  # half a pixel
    ratio = height[None] / height[:, None]
    beside &= (ratio <= _ALIKE) & (ratio >= 1 / _ALIKE)
    np.fill_diagonal(beside, val=False)
    lined = int(np.count_nonzero(beside.any(axis=0) | beside.any(axis=1)))
    return lined >= max(_FEWEST_IN_LINES, _MIN_LINED_SHARE * len(left))
