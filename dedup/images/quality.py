"""How good one image is to look at: sharp, lit, varied; measured on a small version of it.

Every measure lies in [0, 1], and lower is worse. What counts as bad is for `dedup.datasets.check`,
which knows the others of the collection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np

from dedup.images.decode import decode_bounded

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

SIDE: Final = 192
"""Pixels of the longest side that is looked at: a photograph of 500 pixels is decoded at half its
size. Of 29 blurred photographs (sigma .6 to 2.5 % of the long side) all, and of 14 moved ones 11,
are below the hundredth of 500 others in `sharpness` at 192, 216 and 256 pixels; at these sides
decoding takes 1.3 to 1.8 ms."""

_REBLUR: Final = 7  # pixels; 9 and 13 find fewer images that were moved
_BRIGHTEST, _DARKEST = 0.99, 0.05  # quantiles
_MAIN: Final = 12  # levels around the main colour, which JPEG's noise on one colour stays within
_BITS: Final = 8.0


class Quality(NamedTuple):
    """Measures of one image, in [0, 1].

    Parameters
    ----------
    sharpness : share of the differences between neighbouring pixels that blurring takes, along the
        axis where it takes less (after Crete et al. 2007); a blurred image has little to lose
    light : luminance that a hundredth of the image exceeds
    dark : what the luminance that a twentieth of the image does not reach lacks of white
    information : entropy of the luminance in bits, of 8
    variety : share of the image that is not its main colour
    """

    sharpness: float
    light: float
    dark: float
    information: float
    variety: float


def measure_quality(data: bytes, path: str = "") -> Quality:
    """Measure the image in a file's bytes.

    Raises
    ------
    ImageError : it cannot be read as an image.
    """
    return quality_of(decode_bounded(data, SIDE, path))


def quality_of(pixels: Pixels) -> Quality:
    """Measure an image.

    Parameters
    ----------
    pixels : (H, W, 3) uint8, RGB
    """
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    counts = np.bincount(grey.ravel(), minlength=256) / grey.size
    upto = np.cumsum(counts)
    some = counts[counts > 0]
    middle = np.median(pixels[::2, ::2].reshape(-1, 3), axis=0)
    low, high = np.clip(middle - _MAIN, 0, 255), np.clip(middle + _MAIN, 0, 255)
    return Quality(
        sharpness=min(_lost(grey), _lost(np.ascontiguousarray(grey.T))),
        light=int(np.searchsorted(upto, _BRIGHTEST)) / 255,
        dark=1 - int(np.searchsorted(upto, _DARKEST)) / 255,
        information=max(0.0, float(-(some * np.log2(some)).sum())) / _BITS,
        variety=1 - float(cv2.inRange(pixels, low, high).mean()) / 255,
    )


def _lost(grey: npt.NDArray[np.uint8]) -> float:
    """Give the share of vertical differences that a vertical blur takes away."""
    if len(grey) == 1:
        return 0.0
    blurred = np.asarray(cv2.blur(grey, (1, _REBLUR)))
    before = cv2.absdiff(grey[1:], grey[:-1])
    left = cv2.absdiff(blurred[1:], blurred[:-1])
    whole = float(cv2.sumElems(before)[0])
    return float(cv2.sumElems(cv2.subtract(before, left))[0]) / whole if whole else 0.0
