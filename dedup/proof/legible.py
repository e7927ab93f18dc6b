"""Whether the text of a page can be read at the resolution that two images share.

Where letters are a few pixels high, a page and the same page with another figure on it look one.
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
            _heights(np.asarray(cv2.morphologyEx(image, how, kernel), np.uint8))
            for how in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT)
        ),
        key=len,
    )
    return float(np.bincount(letters).argmax()) if len(letters) >= _FEWEST_LETTERS else 0.0


def _heights(ink: Bytes) -> npt.NDArray[np.int32]:
    mask = (ink > _INK_LEVELS).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    height = stats[1:, cv2.CC_STAT_HEIGHT]
    aspect = stats[1:, cv2.CC_STAT_WIDTH] / np.maximum(height, 1)
    kept = (height >= _LETTER_PIXELS[0]) & (height <= _LETTER_PIXELS[1])
    kept &= (aspect >= _LETTER_ASPECT[0]) & (aspect <= _LETTER_ASPECT[1])
    return np.asarray(height[kept], np.int32)
