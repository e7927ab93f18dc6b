"""Which of two images is the softer one: all over, faintly, or either in places of its own."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.ranks import median, percentiles
from dedup.proof.residual import contrast, mean

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.closely import Laid

    Floats = npt.NDArray[np.float32]

_BLURRED_RATIO = 1.5  # of fine detail at one size; ways of shrinking make up to 1.3
_NOISY_RATIO = 1.6
_FAINT_RATIO, _NOISIER = 1.25, 1.3
_FOCUS_WINDOW_PIXELS = 31
_FOCUS_CONTRAST_LEVELS = 6.0
_FOCUS_SHARE = 0.04  # of the textures, that each of the two has sharper
_KEPT_FOCUS_SHARE, _KEPT_LIGHT_LEVELS = 0.06, 6.0  # shots .08 and more; copies in one light .012
_FOCUS_CORRELATION = 0.7
_FOCUS_WINDOWS = 2  # at least as large as that


def _sparse(values: Floats) -> Floats:
    """Take every other pixel, which tells as much of shares and averages."""
    return np.ascontiguousarray(values[::2, ::2])


def _fine(image: Floats, sigma: float) -> Floats:
    """Give how much a blur takes, of every other pixel."""
    left = _sparse(image) - _sparse(np.asarray(cv2.GaussianBlur(image, (0, 0), sigma)))
    return np.asarray(np.abs(left, out=left))


_LEAST_FINE_LEVELS = 0.7  # in the finest band, for it to be more than what JPEG left
_BAND_SIGMAS, _EVENLY = (0.6, 1.2, 2.4), (0.88, 0.78)
"""Bands of detail, and what share each of the finer two may lose at least against the next: of 17
sharpened photographs .93 and .83 are the least, of 10 blurred ones .94 and .68 the most."""


def softer(laid: Laid) -> int:
    """Tell which of the pair, 1 or 2, is blurred against the other; 0 for neither.

    Noise makes sharper what has no detail as well, and is no sharpness.
    """
    ratio, noise = _detail(laid)
    if max(ratio, 1 / ratio) < _BLURRED_RATIO or max(noise, 1 / noise) > _NOISY_RATIO:
        return 0
    return laid.owner if ratio < 1 else 3 - laid.owner


def faintly_softer(laid: Laid) -> tuple[int, str]:
    """Tell which of two that differ in nothing else, 1 or 2, has less detail or noise; 0: neither.

    Returns
    -------
    With a name in `dedup.proof.drawn.LESS`.
    """
    ratio, noise = _detail(laid)
    grain = max(noise, 1 / noise)
    at = noise if grain > max(_NOISY_RATIO, _NOISIER * ratio, _NOISIER / ratio) else ratio
    if max(at, 1 / at) < _FAINT_RATIO:
        return 0, ""
    what = "noise" if at is noise else "faint" if max(at, 1 / at) < _BLURRED_RATIO else "blur"
    return laid.owner if at < 1 else 3 - laid.owner, what


def _detail(laid: Laid) -> tuple[float, float]:
    """Give how much more fine detail the owner has in textures, and on calm ground."""
    fine = [_fine(each, 1.0) for each in laid.greys]
    inside = laid.inside[::2, ::2]
    busy = np.minimum(*(contrast(each, 15, step=2) for each in laid.greys))
    some = busy[inside]
    if not some.size:
        return 1.0, 1.0
    low, high = percentiles(some, 20, 80)
    calm, rich = inside & (busy <= low), inside & (busy >= high)
    textures = [float(each[rich].mean()) + 0.5 for each in fine]
    grounds = [float(each[calm].mean()) + 0.5 for each in fine]
    return textures[0] / textures[1], grounds[0] / grounds[1]


def is_sharpened(laid: Laid) -> bool:
    """Tell whether the sharper of two has as much more of what is finest as of what is less fine.

    That is what sharpening gives it; what a blur takes is the more the finer it is.
    """
    bands = []
    for each in laid.greys:
        steps = [each, *(cv2.GaussianBlur(each, (0, 0), sigma) for sigma in _BAND_SIGMAS)]
        bands.append([_sparse(fine - coarse) for fine, coarse in pairwise(steps)])
    inside = laid.inside[::2, ::2]
    busy = mean(np.minimum(np.abs(bands[0][-1]), np.abs(bands[1][-1])), 7)
    if not inside.any():
        return False
    rich = inside & (busy >= percentiles(busy[inside], 80)[0])
    one, two = (np.array([np.abs(band[rich]).mean() for band in each]) for each in bands)
    soft, sharp = (one, two) if one[1] < two[1] else (two, one)
    if soft[0] < _LEAST_FINE_LEVELS:
        return False
    ratios = soft / sharp
    shares = ratios[:-1] / ratios[1:]
    return bool(shares[0] >= _EVENLY[0] and shares[1] >= _EVENLY[1])


def focused_apart(laid: Laid) -> bool:
    """Tell whether either is the sharper one in parts, as shots with another focus are."""
    window = _FOCUS_WINDOW_PIXELS // 2
    fine = [mean(_fine(each, 1.5), window) + 0.7 for each in laid.greys]
    one, two = map(_sparse, laid.greys)
    spread = [contrast(each, window) for each in (one, two)]
    textured = laid.inside[::2, ::2] & (np.minimum(*spread) > _FOCUS_CONTRAST_LEVELS)
    together = mean(one * two, window) - mean(one, window) * mean(two, window)
    # Words over one of them are sharp as well, and are no other focus.
    textured &= together > _FOCUS_CORRELATION * spread[0] * spread[1]
    sharper = fine[0][textured] / fine[1][textured]
    ratio = sharper * spread[1][textured] / spread[0][textured]
    if 4 * ratio.size < _FOCUS_WINDOW_PIXELS**2:
        return False
    # Of a small image one window is much, and says little.
    least = _FOCUS_WINDOWS * _FOCUS_WINDOW_PIXELS**2 / (4 * ratio.size)
    if _either_sharper(ratio) > max(_FOCUS_SHARE, least):
        return True
    # Blur takes contrast as well; where light was kept nothing else does, and detail tells alone.
    if _either_sharper(sharper) <= max(_KEPT_FOCUS_SHARE, least):
        return False
    return median(np.abs(one - two)) <= _KEPT_LIGHT_LEVELS


def _either_sharper(ratio: Floats) -> float:
    """Give the share that is plainly sharper in the one, or in the other, whichever is less."""
    count = max(1, ratio.size)
    return min(np.count_nonzero(each > _BLURRED_RATIO) / count for each in (ratio, 1 / ratio))
