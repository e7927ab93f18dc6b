"""Whether one place of a page differs as saving it again makes no other place differ.

Letters of six pixels differ by less than compression may leave elsewhere, and where they were made
smaller and compressed another figure is within what is allowed (`dedup.proof.whole`). But what
saving does to a page it does all over: a place at which much more is left is another figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof import cells
from dedup.proof.legible import letter_height
from dedup.proof.paper import is_page
from dedup.proof.ranks import percentiles
from dedup.proof.residual import contrast, recompressed, unlike
from dedup.proof.verdict import Check
from dedup.proof.whole import PLACES_CHECK

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.whole import Frames

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

AT_PLACES = "words or figures on it differ"

MAX_ODD = 1.65
"""What is left over in one place, as against the thousandth of the textures elsewhere that has
most: of 600 pages saved again none has more than 1.6. Another figure, 5 to 7 pixels high, leaves 2
and more, unless JPEG of 45 and less does away with it."""

_MOST_PIXELS = 3 << 19  # print on larger pages is larger
_WRITTEN_LEVELS = 12.0  # contrast
_FEWEST_PIXELS = 200
_SIDE = 640  # pixels in the middle, in which lines of text are looked for
SAME_LEVELS = 30.0  # of light, where two show the same
_PLACE_PIXELS = (3, 2)  # at least as large
_BESIDE_PIXELS = (28, 14)  # across and down, as far as a figure reaches
_LEAST_LEVELS = 3.0
_USUAL_RATIO = 1.75  # as against the hundredth of the textures that has most


def odd_place(laid: Frames, found: tuple[Check, ...]) -> Check | None:
    """Look for one place that differs more than all others of a page.

    Parameters
    ----------
    laid, found : the two, frame on frame, and the checks of that

    Returns
    -------
    A check that failed; None where no place stands out, or it may be drawn over one of the two.
    """
    if laid.equalised is None or not (found[-1].passed or found[-1].name == PLACES_CHECK):
        return None
    (fine, seen), made = laid.greys, laid.equalised[0]
    if seen.size > _MOST_PIXELS or not _is_written(fine, seen):
        return None
    spreads = contrast(made), contrast(seen)
    written = np.maximum(*spreads) > _WRITTEN_LEVELS
    left = _left(made, seen, laid.qualities)
    places = np.where(written, cv2.erode(left, np.ones(_PLACE_PIXELS[::-1], np.uint8)), 0)
    y, x = np.unravel_index(int(np.argmax(places)), places.shape)
    across, down = _BESIDE_PIXELS
    around = slice(max(0, y - down), y + down + 1), slice(max(0, x - across), x + across + 1)
    elsewhere = written.copy()
    elsewhere[around] = False
    if np.count_nonzero(elsewhere) < _FEWEST_PIXELS:
        return None
    usual, most = (max(_LEAST_LEVELS, each) for each in percentiles(left[elsewhere], 99, 99.9))
    ratio = float(places[y, x]) / most
    if ratio <= MAX_ODD or places[y, x] <= _USUAL_RATIO * usual:
        return None
    if not found[-1].passed:
        inked = min(spread[y, x] for spread in spreads) > _WRITTEN_LEVELS
        odd = left > MAX_ODD * most
        if not inked or np.count_nonzero(odd) > np.count_nonzero(odd[around]):
            return None
    return Check("what one place differs by, against all others", ratio, MAX_ODD, passed=False)


def is_shared_page(laid: Frames, found: tuple[Check, ...]) -> bool:
    """Tell a page by what agrees of the larger of two, where only places differ.

    At the size of the smaller one its letters and cells may be too small to tell.

    Parameters
    ----------
    laid, found : as for `odd_place`
    """
    if laid.equalised is None or found[-1].name != PLACES_CHECK:
        return False
    fine, seen = laid.greys
    same = np.abs(laid.equalised[0] - seen) <= SAME_LEVELS
    used = cv2.resize(same.astype(np.uint8), fine.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return is_page(fine, used > 0)


def _is_written(fine: Floats, seen: Floats) -> bool:
    if is_page(seen) or is_page(fine):
        return True
    return letter_height(np.ascontiguousarray(cells.middle(seen, _SIDE), np.uint8)) > 0


def _left(made: Floats, seen: Floats, qualities: tuple[int, int]) -> Floats:
    """Give what is left over, in levels, (H, W), less what compression explains."""
    left = unlike(made, seen)
    for _, again, theirs in recompressed(made, seen, qualities):
        left = np.minimum(left, unlike(again, theirs))
    return left
