"""Images of which one is the other by curves alone, and nothing else differs.

Posterised: each channel is a staircase of the other's. Next to a step a pixel may be on either side
of it, by noise; anywhere else it may not. Retoned: one curve makes all three channels, as
brightness, contrast and gamma do, and may run into black or white, where nothing is left to be
compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof import cells
from dedup.proof.residual import blobs

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]
    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_BIN_LEVELS = 2
_FEWEST_PIXELS = 4  # in a bin that tells
_MAX_FIT_PIXELS = 60_000
_MOST_STEPS = 20  # bins in which a staircase rises: 8 levels have 7 steps, each in some bins
_RISEN_SHARE = 0.52  # of all that it rises, in these, on average of the channels; others .2 to .46
_MIN_RISE_LEVELS = 40
_NOISE_LEVELS = 14
_WIDE_LEVELS = 16  # within which a step rises
_LEAST_LEVELS = 20.0
# But for plain ground photographs have .2 to .4 of their values on so many levels, posterised ones
# .35 to .9, drawings .65
_CROWDED_LEVELS = 24
_GROUND_LEVELS = 8  # on either side of the commonest level
_MAX_CROWDED, _MIN_MORE_CROWDED = 0.6, 0.07
_MIN_SPOT_PIXELS, _MAX_STRANGE_SHARE = 12, 0.01
_LIGHT = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue
_TONE_NOISE_LEVELS, _TONE_LEVELS = 6, 14.0
_MIN_TONE_SPOT_PIXELS, _MAX_OFF_TONE_SHARE = 6, 0.004
_NEAR = np.ones((3, 3), np.uint8)


def is_posterised(one: Bytes, two: Bytes, inside: Mask, *, page: bool) -> bool:
    """Tell whether one of two is the other posterised, and no more.

    Parameters
    ----------
    one, two : (H, W, 3) RGB on one raster
    page : edges have to lie where they lie, since letters are all edges; else within a pixel, as
        resizing and compression move them
    """
    crowded = [_crowded(each) for each in (one, two)]
    fine, coarse = (one, two) if crowded[0] < crowded[1] else (two, one)
    least, most = sorted(crowded)
    if least > _MAX_CROWDED or most - least < _MIN_MORE_CROWDED:
        return False
    curves = [_curve(fine[..., at], coarse[..., at], inside) for at in range(3)]
    rising = [_stepped(curve) for curve in curves if np.ptp(curve) >= _MIN_RISE_LEVELS]
    if not rising or np.mean(rising) < _RISEN_SHARE:
        return False
    if _in_steps(fine, coarse, inside, np.ones((1, 1) if page else (3, 3), np.uint8)):
        return True
    if page or not _in_steps(fine, coarse, inside, _NEAR, light=True):
        return False
    # Compression moves the colours of strong steps, and not their light, by more than a pixel.
    fine, coarse = (cells.averaged(cells.cut(each, 2), 2) for each in (fine, coarse))
    share = cells.averaged(cells.cut(inside.astype(np.float32), 2), 2)
    inside = np.asarray(share > 0.99)  # noqa: PLR2004 -- whole
    return _in_steps(fine, coarse, inside, _NEAR)


def _in_steps(
    fine: Bytes, coarse: Bytes, inside: Mask, around: Bytes, *, light: bool = False
) -> bool:
    """Tell whether next to nothing is off by half a step of the stairs between two images.

    Parameters
    ----------
    light : asked of light alone; else of each channel
    """
    left = []
    for at in range(3):
        mine, theirs = (np.ascontiguousarray(each[..., at]) for each in (fine, coarse))
        curve = _curve(mine, theirs, inside)
        step = float((curve[_WIDE_LEVELS:] - curve[:-_WIDE_LEVELS]).max())
        allowed = max(_LEAST_LEVELS, step / 2)
        left.append(
            [each / allowed for each in _bounds(mine, theirs, curve, around, _NOISE_LEVELS)]
        )
    below, above = np.moveaxis(np.asarray(left, np.float32), 1, 0)
    if light:
        below, above = (np.tensordot(_LIGHT, each, 1) for each in (below, above))
    strange = np.maximum(below, above) if light else np.maximum(below, above).max(axis=0)
    _, spots = blobs(np.asarray(strange, np.float32), inside, _MIN_SPOT_PIXELS)
    return not spots and float((strange > 1).mean()) <= _MAX_STRANGE_SHARE


def is_retoned(one: Bytes, two: Bytes, inside: Mask) -> bool:
    """Tell whether one rising curve, the same for all channels, makes one of two from the other.

    It can make no other hue, and no stroke where there is none.

    Parameters
    ----------
    one, two : (H, W, 3) RGB on one raster
    """
    return _follows(one, two, inside) or _follows(two, one, inside)


def _follows(fine: Bytes, coarse: Bytes, inside: Mask) -> bool:
    parts, wanted = (
        [np.ascontiguousarray(each[..., at]) for at in range(3)] for each in (fine, coarse)
    )
    curve = _curve(np.vstack(parts), np.vstack(wanted), np.tile(inside, (3, 1)))
    if np.ptp(curve) < _MIN_RISE_LEVELS:
        return False
    curve = np.asarray(cv2.blur(curve[None], (2 * _BIN_LEVELS - 1, 1))[0], np.float32)
    left = [
        _beyond(*both, curve, _NEAR, _TONE_NOISE_LEVELS) for both in zip(parts, wanted, strict=True)
    ]
    strange = np.asarray(np.max(left, axis=0) / _TONE_LEVELS, np.float32)
    _, spots = blobs(strange, inside, _MIN_TONE_SPOT_PIXELS)
    return not spots and float((strange[inside] > 1).mean()) <= _MAX_OFF_TONE_SHARE


def _crowded(image: Bytes) -> float:
    """Give the share of an image's values, but for its ground, that its commonest levels have."""
    shares = []
    for at in range(3):
        counts = np.bincount(image[..., at].ravel(), minlength=256)
        ground = int(np.convolve(counts, np.ones(2 * _GROUND_LEVELS + 1), "same").argmax())
        counts[max(0, ground - _GROUND_LEVELS) : ground + _GROUND_LEVELS + 1] = 0
        shares.append(np.sort(counts)[-_CROWDED_LEVELS:].sum() / max(1, counts.sum()))
    return float(np.mean(shares))


def _curve(fine: Bytes, coarse: Bytes, inside: Mask) -> Floats:
    """Give (256,) the other's level for each level, never falling."""
    step = max(1, int((inside.size / _MAX_FIT_PIXELS) ** 0.5))
    some = inside[::step, ::step]
    bins = fine[::step, ::step][some] // _BIN_LEVELS
    wanted = coarse[::step, ::step][some].astype(np.float64)
    places = 256 // _BIN_LEVELS
    count, total = np.bincount(bins, None, places), np.bincount(bins, wanted, places)
    known = np.flatnonzero(count >= _FEWEST_PIXELS)
    if not known.size:
        return np.zeros(256, np.float32)
    means = _rising(total[known] / count[known], count[known].astype(np.float64))
    at = np.searchsorted(known, np.arange(256) // _BIN_LEVELS, "right") - 1
    return np.asarray(means[np.maximum(at, 0)], np.float32)


def _rising(values: Doubles, weights: Doubles) -> Doubles:
    """Fit what never falls by least squares: neighbours that fall are averaged."""
    runs: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        level, total, length = value, weight, 1
        while runs and runs[-1][0] >= level:
            before, more, count = runs.pop()
            level = (before * more + level * total) / (more + total)
            total, length = total + more, length + count
        runs.append((level, total, length))
    return np.repeat([run[0] for run in runs], [run[2] for run in runs])


def _stepped(curve: Floats) -> float:
    """Give the share of what a curve rises that it rises in its steepest bins."""
    rises = np.sort(np.diff(curve[::_BIN_LEVELS]))
    return float(rises[-_MOST_STEPS:].sum() / rises.sum())


def _beyond(fine: Bytes, coarse: Bytes, curve: Floats, around: Bytes, noise: int) -> Floats:
    """Give by how many levels pixels are off what the curve makes of those around them."""
    below, above = _bounds(fine, coarse, curve, around, noise)
    return np.asarray(np.maximum(np.maximum(below, above), 0), np.float32)


def _bounds(
    fine: Bytes, coarse: Bytes, curve: Floats, around: Bytes, noise: int
) -> tuple[Floats, Floats]:
    """Give by how much pixels are below, and above, what the curve makes of those around them."""
    levels = np.arange(256)
    least = curve[np.maximum(levels - noise, 0)]
    most = curve[np.minimum(levels + noise, 255)]
    seen = coarse.astype(np.float32)
    below = cv2.LUT(cv2.erode(fine, around), least) - seen
    above = seen - cv2.LUT(cv2.dilate(fine, around), most)
    return np.asarray(below, np.float32), np.asarray(above, np.float32)
