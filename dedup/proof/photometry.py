"""Where two aligned images show different things, whatever was done to light and colour.

The tone of one image is mapped onto the other's, first by a plain curve, and where that leaves
something, by a model with chroma and smooth changes over the frame. What is still left is weighed
against what is usual in this very pair at equally steep places: noise, blur and compression raise
the usual, while something that moved stands out of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.ranks import median, percentiles

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_OUTLIER_FACTOR = 5.0  # times the usual residual; a normal deviate does that once in two million
_MIN_USUAL_LEVELS = 1.5  # grey levels; below this nobody sees a difference
_UNALIKE_CORRELATION = 0.6  # local correlation below which content differs where much was lost
_CLEAN_UNALIKE_CORRELATION = 0.9  # and where nothing was
_OTHER_CORRELATION = 0.4  # and below which nothing of it is the same
_FAINT_LEVELS, _PLAIN_LEVELS = 4, 8  # grey levels of standard deviation that make a texture
_WINDOW_PIXELS = 11  # of that correlation


@dataclass(frozen=True, slots=True)
class Change:
    """Where content differs.

    Parameters
    ----------
    mask : (H, W), pixels that differ beyond what this pair shows elsewhere
    share : of the overlap's pixels
    usual : median residual in grey levels after the tone was mapped
    alike : (H, W) float32, local correlation in [-1, 1]
    textured : (H, W), where both have something to correlate
    other : share of the overlap where either has plain texture that the other has not
    """

    mask: Mask
    share: float
    usual: float
    alike: Floats
    textured: Mask
    other: float


def changes(
    one: Floats, two: Floats, inside: Mask, colours: tuple[Bytes, Bytes] | None = None
) -> Change:
    """Find what differs.

    Parameters
    ----------
    one, two : (H, W) float32 grey on one raster
    inside : (H, W), where both are
    colours : (H, W, 3) uint8 RGB of both, for the richer model; the plain curve without
    """
    core = cv2.erode(inside.astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=0) > 0
    alike, textured, plain = _alike(one, two)
    # In a clean pair everything agrees almost wholly, so that less tells of other content there,
    # down to lines of text too small to be read.
    some = alike[::4, ::4][(textured & core)[::4, ::4]]
    typical = percentiles(some, 20)[0] if some.size else 0.0
    unalike = min(_CLEAN_UNALIKE_CORRELATION, max(_UNALIKE_CORRELATION, 1 - 10 * (1 - typical)))
    out, usual = np.full(one.shape, np.inf, np.float32), np.inf
    mask = core
    for mine, theirs, chroma in ((one, two, 1), (two, one, 0)):
        left = toned_apart(mine, theirs, core)
        if colours is not None:
            left = _model(mine, mine - left, colours[chroma], core)
        left -= _slow(left, core)
        weighed, middle = _weighed(left, mine, core)
        # Clipped or posterised light maps well one way only, so the kinder way counts.
        out = np.minimum(out, weighed)
        usual = min(usual, middle)
        mask = (out > _OUTLIER_FACTOR) & (alike < unalike) & core
        if not mask.any():
            break
    mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)) > 0
    share = float(mask.sum() / max(1, core.sum()))
    other = float((plain & (alike < _OTHER_CORRELATION) & core).sum() / max(1, core.sum()))
    return Change(mask, share, usual, alike, textured & core, other)


def _alike(one: Floats, two: Floats) -> tuple[Floats, Mask, Mask]:
    """Give local correlation, where both are textured, and where either is plainly so."""

    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.boxFilter(values, -1, (_WINDOW_PIXELS, _WINDOW_PIXELS)), np.float32)

    a, b = mean(one), mean(two)
    spread = np.maximum(mean(one * one) - a * a, 0), np.maximum(mean(two * two) - b * b, 0)
    together = (mean(one * two) - a * b) / np.sqrt(spread[0] * spread[1] + 4)
    both, either = np.minimum(*spread) > _FAINT_LEVELS**2, np.maximum(*spread) > _PLAIN_LEVELS**2
    return together, np.asarray(both), np.asarray(either)


def toned_apart(mine: Floats, theirs: Floats, core: Mask) -> Floats:
    """Find what is left of mine when their tone is mapped onto it by one curve.

    Parameters
    ----------
    core : (H, W), pixels that count
    """
    source = np.clip(theirs + 0.5, 0, 255).astype(np.uint8)
    some = core[::3, ::3]
    levels_there = source[::3, ::3][some]
    bins = (levels_there >> 2).astype(np.intp)
    wanted = mine[::3, ::3][some]
    weight = np.ones(len(wanted), np.float32)
    table = np.zeros(256, np.float32)
    for _ in range(2):
        count = np.convolve(np.bincount(bins, weight, 64), (0.25, 0.5, 0.25), "same")
        total = np.convolve(np.bincount(bins, weight * wanted, 64), (0.25, 0.5, 0.25), "same")
        known = np.flatnonzero(count > 2)  # noqa: PLR2004 -- two pixels are no tone
        if not known.size:
            break
        levels = np.interp(np.arange(256), known * 4 + 1.5, total[known] / count[known])
        table = levels.astype(np.float32)
        off = np.abs(wanted - table[levels_there])
        weight = (off < max(4.0, 4 * median(off))).astype(np.float32)
    return np.asarray(mine - cv2.LUT(source, table), np.float32)


def _model(mine: Floats, guess: Floats, colour: Bytes, core: Mask) -> Floats:
    """Find what is left when chroma and smooth changes over the frame are allowed as well.

    The model is an offset and a gain on the guess, either depending on place and chroma; as both
    are smooth they are worked out at half size.
    """
    size = (mine.shape[1], mine.shape[0])
    some = core[::2, ::2]
    height, width = some.shape
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.ones((1, width), np.float32)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None] * np.ones((height, 1), np.float32)
    few = colour[::2, ::2].astype(np.float32) / 128 - 1
    u, v = few[..., 0] - few[..., 1], few[..., 2] - few[..., 1]
    place = (np.ones_like(x), x, y, x * x, y * y, x * y, (x * x + y * y) ** 2)
    offsets = [*place, u, v, u * u, v * v, u * v, np.abs(u), np.abs(v), np.abs(u - v)]
    gains = [*place, u, v]
    g = guess / 128 - 1
    terms = np.stack([*offsets, *(term * g[::2, ::2] for term in gains)])
    chosen = np.flatnonzero(some)[::3]  # by number, which is quicker than by mask for each term
    table, wanted = terms.reshape(len(terms), -1)[:, chosen], mine[::2, ::2].ravel()[chosen]
    weight = np.ones(len(wanted), np.float32)
    solved = np.zeros(len(terms), np.float32)
    for _ in range(4):
        heavy = table * weight
        normal = (heavy @ table.T).astype(np.float64) + 1e-2 * np.eye(len(terms))
        solved = np.linalg.solve(normal, heavy @ wanted).astype(np.float32)
        off = np.abs(wanted - solved @ table)
        scale = max(2.0, 2 * median(off))
        weight = 1 / (1 + (off / scale) ** 4)
    split = len(offsets)
    offset = np.tensordot(solved[:split], terms[:split], 1)
    gain = np.tensordot(solved[split:], np.stack(gains), 1)
    left = mine - cv2.resize(offset, size) - g * cv2.resize(gain, size)
    return np.asarray(left * core, np.float32)


def _slow(left: Floats, core: Mask) -> Floats:
    """Smooth a residual, outliers left out."""
    size = np.abs(left)
    some = core[::4, ::4]
    middle = median(size[::4, ::4][some]) if some.any() else 0.0
    weight = (core & (size < max(4.0, 4 * middle))).astype(np.float32)
    span = (41, 41)
    total = cv2.boxFilter(left * weight, -1, span)
    return np.asarray(total / (cv2.boxFilter(weight, -1, span) + 0.05), np.float32)


def _weighed(left: Floats, mine: Floats, core: Mask) -> tuple[Floats, float]:
    """Give the residual over what is usual at equally steep places, and the median residual."""
    across, down = cv2.Sobel(mine, -1, 1, 0, scale=1 / 8), cv2.Sobel(mine, -1, 0, 1, scale=1 / 8)
    steep = cv2.dilate(cv2.magnitude(across, down), np.ones((3, 3), np.uint8))
    some = core[::3, ::4]
    slope, size = steep[::3, ::4][some], np.abs(left[::3, ::4][some])
    if not size.size:
        return np.zeros_like(left), 0.0
    order = np.argsort(slope)
    parts = np.split(order, [len(order) * share // 100 for share in (30, 60, 80, 92)])
    known = [part for part in parts if len(part) > 10]  # noqa: PLR2004 -- else no median
    if not known:
        return np.zeros_like(left), 0.0
    places = np.array([slope[part[len(part) // 2]] for part in known])
    spread = np.array([1.48 * median(size[part]) for part in known])
    table = np.interp(np.arange(256) / 4, places, np.maximum.accumulate(spread))
    table = np.maximum(table, _MIN_USUAL_LEVELS).astype(np.float32)
    usual = cv2.LUT(np.clip(steep * 4, 0, 255).astype(np.uint8), table)
    return np.asarray(np.abs(left) / usual, np.float32), median(size)
