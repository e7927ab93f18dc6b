"""Which of two versions is the other one with other tones, to within whole levels.

Where colours were changed by one rule and saved without loss, what that leaves is the rounding to
whole levels: off by any part of half a level, each equally often. Back again it is as much more or
less as the rule has changed contrast and colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.proof.lineage import fitted_weights
from dedup.proof.ranks import percentiles

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.lineage import Window

    Doubles = npt.NDArray[np.float64]
    Pixels = npt.NDArray[np.uint8]

_PIXELS: Final = 6_000
_FEWEST: Final = 500
_UNCLIPPED: Final = (3, 252)
_SHARE: Final = 90
"""Percentile of distances; .45 of a level where all up to half of one are equally frequent."""
_ROUNDED: Final = (0.434, 0.463)
_PERHAPS: Final = (0.425, 0.475)
"""Limits of that where an image is such a rounding, and where it may be one: six thousand pixels
tell it to .003 of a level."""

_AS_IT_WAS: Final = 0.1  # levels


def made_exactly(both: tuple[Window, Window], lossless: tuple[bool, bool]) -> int:
    """Tell which of two images, 1 or 2, was made from the other by one rule for all colours.

    Parameters
    ----------
    both : pixel on pixel
    lossless : whether either is saved without loss

    Returns
    -------
    0 where neither was, or where it may have been either.
    """
    if not any(lossless):
        return 0
    pixels = [each.pixels for each in both]
    sound = np.ones(pixels[0].shape[:2], np.bool_)
    for each in pixels:
        sound &= (each.min(axis=2) >= _UNCLIPPED[0]) & (each.max(axis=2) <= _UNCLIPPED[1])
    places = np.flatnonzero(sound)
    if len(places) < _FEWEST:
        return 0
    places = places[:: max(1, len(places) // _PIXELS)]
    there, back = _off(pixels[0], pixels[1], places), _off(pixels[1], pixels[0], places)
    second = lossless[1] and _is_rounded(there) and not _is_rounded(back, _PERHAPS)
    first = lossless[0] and _is_rounded(back) and not _is_rounded(there, _PERHAPS)
    return 0 if first == second else 1 if first else 2


def _is_rounded(off: Doubles, limits: tuple[float, float] = _ROUNDED) -> bool:
    """Tell whether what is left of each channel is rounding, or nothing, and rounding of one."""
    low, high = limits
    rounded = (off >= low) & (off <= high)
    return bool(rounded.any() and (rounded | (off <= _AS_IT_WAS)).all())


def _off(source: Pixels, made: Pixels, places: npt.NDArray[np.int64]) -> Doubles:
    """Give how far each channel is off what a rule makes of another image, (3,) levels."""
    height, width = source.shape[:2]
    colour = source.reshape(-1, 3)[places].T / np.float32(255) - np.float32(0.5)
    y, x = (places // width) / height - 0.5, (places % width) / width - 0.5
    far, light = x * x + y * y, colour.mean(axis=0)
    red, green, blue = colour
    table = np.stack([
        np.ones_like(light), *colour, *colour**2, red * green, green * blue, blue * red,
        *colour**3, *(colour * far), far, light * far * far, light**4,
    ])  # fmt: skip
    found = []
    for channel in made.reshape(-1, 3)[places].T.astype(np.float32):
        weights = fitted_weights(table, channel)
        found.append(percentiles(np.abs(channel - weights @ table), _SHARE)[0])
    return np.array(found)
