"""How evenly one of two images is sharper than the other, over all that has details.

Sharpening strengthens details everywhere by about as much. A blur takes the more the finer they
are, and so more in one place than in another; and a blur of the ground around a thing, or above and
below a line, leaves some of the image as sharp as it was.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np

from dedup.proof.ranks import median, percentiles

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.closely import Laid

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

_NEAR, _AROUND = 9, 21  # of every other pixel
_LEAST_LEVELS: Final = 1.5  # of fine detail, in the sharper one
_FLOOR: Final = 0.2
_FEWEST: Final = 200
_LIKE: Final = 0.05
_IN_PARTS: Final = (0.07, 1.1)
"""Share that is as sharp in both, and logarithm of how much sharper a tenth is at least. Of 170
copies sharpened, blurred, posterised or without noise all over, none has both; of 24 of which parts
were blurred 19 have."""
_COARSE: Final = (2.0, 6.0)  # widths of blurs
_LIGHT, _LIGHT_LEVELS = 31, 4.0  # pixels that are averaged, and levels that a blur moves
_BLURS: Final = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
_KNOWN_BLUR: Final = 1.0  # pixels, up to which the judges know what blur leaves
_COARSE_PIXELS: Final = 12
_REDUCED: Final = 1.1  # times, of sides
_EVENLY, _SHARPENED = 0.26, 0.8
"""How far logarithms vary, against their median, and the most that this is: of 40 sharpened images
most have .2 and less, and .26 the most but for one, and medians of .36 to .85; of 25 blurred ones
all but one have more than .15, with medians of .33 to 2.4."""


def evenly_sharper(laid: Laid) -> bool:
    """Tell whether one of two may have been sharpened as well as the other one blurred."""
    found = _ratios(laid, _NEAR)
    if found is None:
        return False
    if found.side == laid.owner and laid.ratio >= _REDUCED:
        return True  # and what is reduced often is
    middle = median(found.ratios)
    return middle <= _SHARPENED and float(found.ratios.std()) <= _EVENLY * middle


def as_soft(laid: Laid) -> Laid | None:
    """Blur the sharper of two as much as the other is; None where that is little."""
    fine = [float(_fine(each, 1).mean()) for each in laid.greys]
    at = int(fine[1] < fine[0])
    inside = laid.inside[::2, ::2]
    wanted, sharp = _fine_bands(laid.greys[at]), _fine_bands(laid.greys[1 - at])
    best, most, blurred = 0.0, -1.0, 0.0
    for sigma in _BLURS:
        # What is blurred already needs less, and a smaller filter.
        sharp = np.asarray(cv2.GaussianBlur(sharp, (0, 0), (sigma**2 - blurred**2) ** 0.5))
        blurred = sigma
        like = _like(sharp[::2, ::2][inside], wanted[::2, ::2][inside])
        if like < most:
            break  # of blurs the likeness has one peak
        best, most = sigma, like
    if best <= _KNOWN_BLUR:
        return None
    images = [laid.one, laid.two]
    images[1 - at] = np.asarray(cv2.GaussianBlur(images[1 - at], (0, 0), best))
    return replace(laid, one=images[0], two=images[1])


def _fine_bands(light: Floats) -> Floats:
    """Leave out what is coarse."""
    return np.asarray(light - cv2.GaussianBlur(light, (0, 0), _COARSE_PIXELS), np.float32)


def _like(one: Floats, two: Floats) -> float:
    return float(one @ two / (np.linalg.norm(one) * np.linalg.norm(two) + 1e-6))


def blurred_in_parts(laid: Laid) -> int:
    """Tell which of two images, 1 or 2, is blurred in parts and else as sharp as the other."""
    found = _ratios(laid, _AROUND)
    if found is None or _is_grain(laid, found):
        return 0
    like, most = _IN_PARTS
    alike = float((np.abs(found.ratios) < _LIKE).mean())
    if alike < like or percentiles(found.ratios, 90)[0] < most:
        return 0
    return 3 - found.side if _as_light(laid, found.some, found.ratios > most) else 0


class _Ratios(NamedTuple):
    """Logarithms of how much sharper one image is, 1 or 2, where there are details, (H, W)."""

    side: int
    some: Mask
    ratios: Floats


def _ratios(laid: Laid, around: int) -> _Ratios | None:
    """Compare how sharp two images are, place by place; None where too little tells."""
    one, two = (_fine(each, around) for each in laid.greys)
    some = laid.inside[::2, ::2] & (np.maximum(one, two) > _LEAST_LEVELS)
    if np.count_nonzero(some) < _FEWEST:
        return None
    ratios: Floats = np.log((one[some] + _FLOOR) / (two[some] + _FLOOR))
    if median(ratios) < 0:
        return _Ratios(3 - laid.owner, some, -ratios)
    return _Ratios(laid.owner, some, ratios)


def _is_grain(laid: Laid, found: _Ratios) -> bool:
    """Tell whether what is sharper is so in calm places only: there it has grain."""
    rich = np.minimum(*(_contrasts(each) for each in laid.greys))[found.some]
    return percentiles(found.ratios[rich >= median(rich)], 90)[0] < _IN_PARTS[1]


def _contrasts(light: Floats) -> Floats:
    """Give how much there is around every other pixel that is coarser than grain."""
    soft, softer = (cv2.GaussianBlur(light, (0, 0), sigma) for sigma in _COARSE)
    coarse = cv2.absdiff(soft, softer)
    return np.asarray(cv2.blur(np.ascontiguousarray(coarse[::2, ::2]), (_AROUND, _AROUND)))


def _as_light(laid: Laid, some: Mask, there: Mask) -> bool:
    """Tell whether light differs no more where one is much sharper: nothing is drawn there."""
    one, two = (cv2.blur(each, (_LIGHT,) * 2)[::2, ::2] for each in laid.greys)
    off = np.asarray(np.abs(one - two), np.float32)[some]
    return median(off[there]) <= _LIGHT_LEVELS + median(off[~there])


def _fine(light: Floats, around: int) -> Floats:
    """Give how much fine detail there is around every other pixel."""
    fine = cv2.absdiff(light, cv2.GaussianBlur(light, (0, 0), 1.0))
    return np.asarray(cv2.blur(np.ascontiguousarray(fine[::2, ::2]), (around, around)))
