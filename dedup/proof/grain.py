"""Whether two images have grain of their own, as two shots and two scans have.

A copy has the noise of what it was made from, or less of it, with noise of its own beside that.
Where plain ground is noisy in both and their noise has nothing in common, neither was made from the
other, and nor were both from one file, however much they look alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof import cells
from dedup.proof.residual import contrast

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

OTHER_GRAIN = "its grain is another: another shot, scan or print"

_SIDE = 352  # pixels that are looked at, in the middle
_PLAIN_LEVELS = 2.5  # contrast of ground, once blurred
_PLAIN_PIXELS, _BLUR = 7, 1.5
_EDGE_PIXELS = 9
_FEWEST_PIXELS = 1000
_FINE, _MIDDLE = 1.0, 2.5  # blurs that grain is taken between

_MOST_LEVELS = 8.0  # of fine grain; more is a pattern
_MIDDLE_LEVELS, _MIDDLE_MATCH = 0.6, 0.12
_FINE_LEVELS, _FINE_MATCH, _MIDDLE_MATCH_OF_FINE = 1.0, 0.03, 0.3
"""Noise from which on it is told, and the correlation up to which it is another. Of 350 copies with
JPEG of 30 to 75, resized, turned, blurred and with other tones, that are as noisy the least is .29
in middle grain but for screens of print, and .05 in fine grain, with .45 in middle grain."""


def grain_apart(one: Floats, two: Floats, inside: Mask) -> bool:
    """Tell two images by their noise; False as well where one has none, or none is seen.

    Parameters
    ----------
    one, two : (H, W) grey, laid on each other to a fraction of a pixel
    inside : (H, W), pixels that count
    """
    both = [np.ascontiguousarray(cells.middle(each, _SIDE)) for each in (one, two)]
    busy = np.maximum(*(contrast(each, _PLAIN_PIXELS) for each in _blurred(both, _BLUR)))
    plain = busy <= _PLAIN_LEVELS
    edge = np.ones((_EDGE_PIXELS, _EDGE_PIXELS), np.uint8)
    plain &= cv2.erode(cells.middle(inside, _SIDE).astype(np.uint8), edge, borderValue=0) > 0
    if np.count_nonzero(plain) < _FEWEST_PIXELS:
        return False
    fine = _blurred(both, _FINE)
    levels, match = _alike(_between(both, fine, plain))
    if max(levels) > _MOST_LEVELS:
        return False
    softest = _blurred(both, _MIDDLE)
    middle_levels, middle_match = _alike(_between(fine, softest, plain))
    if min(middle_levels) >= _MIDDLE_LEVELS and middle_match <= _MIDDLE_MATCH:
        return True
    grainy = min(levels) >= _FINE_LEVELS and match <= _FINE_MATCH
    return bool(grainy and middle_match <= _MIDDLE_MATCH_OF_FINE)


def _blurred(images: list[Floats], sigma: float) -> list[Floats]:
    return [np.asarray(cv2.GaussianBlur(each, (0, 0), sigma), np.float32) for each in images]


def _between(sharp: list[Floats], soft: list[Floats], plain: Mask) -> list[Floats]:
    return [each[plain] - softer[plain] for each, softer in zip(sharp, soft, strict=True)]


def _alike(both: list[Floats]) -> tuple[tuple[float, float], float]:
    """Give how far either varies, and their correlation."""
    one, two = both
    first, second = float(one.std()), float(two.std())
    shared = float(((one - one.mean()) * (two - two.mean())).mean())
    return (first, second), shared / max(first * second, 1e-6)
