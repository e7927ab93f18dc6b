"""How evenly one of two images is sharper than the other, over all that has details.

Sharpening strengthens details everywhere by about as much. A blur takes the more the finer they
are, and so more in one place than in another; and a blur of the ground around a thing, or above and
below a line, leaves some of the image as sharp as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np

from dedup.proof.ranks import median, percentiles

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.closely import Laid

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

_AROUND: Final = 9  # of every other pixel
_LEAST_LEVELS: Final = 1.5  # of fine detail, in the sharper one
_FLOOR: Final = 0.2
_FEWEST: Final = 200
_LIKE: Final = 0.05
_IN_PARTS: Final = (0.1, 1.1)
"""Share that is as sharp in both, and logarithm of how much sharper a tenth is at least. Of 150
copies sharpened, blurred, or without noise all over, .11 is the most, at .4; of 24 of which parts
were blurred half have both."""
_LIGHT, _LIGHT_LEVELS = 31, 4.0  # pixels that are averaged, and levels that a blur moves
_EVENLY: Final = 0.26
"""How far logarithms vary, against their median: of 40 sharpened images most have .2 and less, and
.26 the most but for one; of 25 blurred ones all but one have more than .15."""


class Sharper(NamedTuple):
    """By how much one image is sharper than the other.

    Parameters
    ----------
    side : 1 for the first of a pair, 2 for the second; 0 where too little tells
    in_parts : the other one is blurred in parts
    evenly : it may have been sharpened as well as the other one blurred
    """

    side: int = 0
    in_parts: bool = False
    evenly: bool = False


def sharper(laid: Laid) -> Sharper:
    """Compare how sharp two images are, place by place."""
    one, two = (_fine(each) for each in laid.greys)
    some = laid.inside[::2, ::2] & (np.maximum(one, two) > _LEAST_LEVELS)
    if np.count_nonzero(some) < _FEWEST:
        return Sharper()
    ratios: Floats = np.log((one[some] + _FLOOR) / (two[some] + _FLOOR))
    middle = median(ratios)
    if middle < 0:
        ratios, middle = -ratios, -middle
        side = 3 - laid.owner
    else:
        side = laid.owner
    like, most = _IN_PARTS
    alike = float((np.abs(ratios) < _LIKE).mean())
    in_parts = alike >= like and percentiles(ratios, 90)[0] >= most
    in_parts = in_parts and _as_light(laid, some, ratios > most)
    return Sharper(side, in_parts, float(ratios.std()) <= _EVENLY * middle)


def _as_light(laid: Laid, some: Mask, there: Mask) -> bool:
    """Tell whether light differs no more where one is much sharper: nothing is drawn there."""
    one, two = (cv2.blur(each, (_LIGHT,) * 2)[::2, ::2] for each in laid.greys)
    off = np.asarray(np.abs(one - two), np.float32)[some]
    return median(off[there]) <= _LIGHT_LEVELS + median(off[~there])


def blurred_in_parts(laid: Laid) -> int:
    """Tell which of two images, 1 or 2, is blurred in parts and else as sharp as the other."""
    found = sharper(laid)
    return 3 - found.side if found.in_parts else 0


def _fine(light: Floats) -> Floats:
    """Give how much fine detail there is around every other pixel."""
    fine = cv2.absdiff(light, cv2.GaussianBlur(light, (0, 0), 1.0))
    return np.asarray(cv2.blur(np.ascontiguousarray(fine[::2, ::2]), (_AROUND, _AROUND)))
