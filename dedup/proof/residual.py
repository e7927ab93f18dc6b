"""Where two images on one raster show different things at fine scale.

The finer one is brought to the sharpness of the coarser by one filter for the whole image, which
is fitted and never assumed, and then compressed as the coarser was. What is left, over a few
pixels, is held against a share of the contrast that is there. Every bound is fixed, so that a
difference never becomes usual by being large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof import cells
from dedup.proof.ranks import median

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

WINDOW_PIXELS = 7
NO_LOSS = 100  # quality of what is no JPEG
OVERSAMPLED = 2
"""Pixels of the finer image per pixel of the raster, where it has so many: a filter that is fitted
to them knows what another way of shrinking made of lines thinner than a pixel."""

_SIGMAS = (0.35, 0.6, 0.9, 1.4, 2.4)  # raster pixels, of the filter's parts
_PLAIN_LEVELS = 6.0  # contrast below which nothing is said of sharpness
_FIT_ROUNDS = 3
_MIN_FIT_PIXELS = 64
_MAX_FIT_PIXELS = 16_000
_STIFFNESS = 1.0  # towards no filter at all
_SEEN_FREQUENCIES = (np.pi / 2, np.pi / 4)  # radians per pixel: periods of 4 and 8 pixels
_MAX_STEP_PIXELS = 0.35  # that another way of shrinking may leave locally
_MAX_SHARPER = 0.35  # of a pixel's second difference
_LOCAL_STEP = 4  # pixels between the places at which that is worked out
_LOCAL_SPAN = 3  # such places on a side
_TILE_PIXELS = 192  # that are looked at together
_AROUND_PIXELS = 20  # on which a place depends
_SECOND = np.array([[1, -2, 1]], np.float32)


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be left over.

    Parameters
    ----------
    floor : grey levels that nobody sees
    share : of the contrast in the same window
    noise : times the compression's own noise
    cap : grey levels that noise explains at most
    """

    floor: float
    share: float
    noise: float
    cap: float


@dataclass(frozen=True, slots=True)
class Response:
    """What the fitted filter does.

    Parameters
    ----------
    gain : of contrast altogether
    fine, middle : of details of 4 and of 8 pixels, as against `gain`
    offset : in grey levels
    """

    gain: float
    fine: float
    middle: float
    offset: float


def mean(values: Floats, size: int = WINDOW_PIXELS) -> Floats:
    """Average over a square window."""
    return np.asarray(cv2.boxFilter(values, -1, (size, size)), np.float32)


def contrast(values: Floats, size: int = WINDOW_PIXELS, step: int = 1) -> Floats:
    """Give the standard deviation over a square window, around every `step`-th pixel."""
    spread = np.asarray(cv2.sqrBoxFilter(values, cv2.CV_32F, (size, size)), np.float32)
    middle, spread = (
        np.ascontiguousarray(each[::step, ::step]) for each in (mean(values, size), spread)
    )
    middle *= middle
    spread -= middle
    return np.sqrt(np.maximum(spread, 0, out=spread), out=spread)


def blurred(fine: Floats, shape: tuple[int, ...]) -> list[Floats]:
    """Shrink to (H, W) by filters of rising width; the first is the plain average of areas."""
    size = (shape[1], shape[0])
    ratio = fine.shape[1] / shape[1]
    parts = [cv2.resize(fine, size, interpolation=cv2.INTER_AREA)]
    for sigma in _SIGMAS:
        smooth = cv2.GaussianBlur(fine, (0, 0), sigma * ratio)
        parts.append(cv2.resize(smooth, size, interpolation=cv2.INTER_LINEAR))
    return [np.asarray(part, np.float32) for part in parts]


def equalised(
    fine: Floats, coarse: Floats, inside: Mask, spread: Floats | None = None
) -> tuple[Floats, Response]:
    """Bring the finer image to the raster and the sharpness of the coarser.

    Parameters
    ----------
    fine : (h, w) grey, as large as the raster or up to `OVERSAMPLED` times
    coarse : (H, W) grey
    inside : (H, W), pixels that count
    spread : `contrast` of the coarser, where that is known
    """
    parts = blurred(fine, coarse.shape)
    spread = contrast(coarse) if spread is None else spread
    # Flat ground says nothing of sharpness.
    weights = _fitted(parts, coarse, inside & (spread > _PLAIN_LEVELS))
    made = np.full_like(coarse, weights[-1])
    for weight, part in zip(weights[:-1].tolist(), parts, strict=True):
        cv2.scaleAdd(part, weight, made, made)
    return made, _response(weights)


def _fitted(parts: Sequence[Floats], wanted: Floats, some: Mask) -> Floats:
    step = max(2, int((np.count_nonzero(some) / _MAX_FIT_PIXELS) ** 0.5))
    # By number, which is quicker than by mask for each of the parts.
    chosen = np.flatnonzero(some[1::step, 1::step])

    def sampled(image: Floats) -> Floats:
        return np.asarray(image[1::step, 1::step].ravel()[chosen], np.float32)

    count = len(parts) + 1
    weights = np.zeros(count)
    weights[0] = 1.0
    target = sampled(wanted).astype(np.float64)
    if len(target) < _MIN_FIT_PIXELS:
        return weights.astype(np.float32)
    rows = [sampled(part) for part in parts]
    table = np.stack([*rows, np.full(len(target), 16.0, np.float32)]).astype(np.float64)
    kept = np.zeros(0, np.float64)
    for _ in range(_FIT_ROUNDS):
        off = np.abs(weights @ table - target)
        before, kept = kept, (off < max(8.0, 3 * median(off))).astype(np.float64)
        if np.array_equal(before, kept):
            break
        trusted = table * kept
        stiff = _STIFFNESS * kept.sum()
        normal = trusted @ table.T + stiff * np.eye(count)
        pull = trusted @ target
        pull[0] += stiff
        weights = np.linalg.solve(normal, pull)
    weights[-1] *= 16.0
    return weights.astype(np.float32)


def _response(weights: Floats) -> Response:
    sigmas = np.array([0.0, *_SIGMAS])
    gain = float(weights[:-1].sum())
    fine, middle = (
        float(weights[:-1] @ np.exp(-0.5 * (sigmas * at) ** 2)) / (gain or 1.0)
        for at in _SEEN_FREQUENCIES
    )
    return Response(gain, fine, middle, float(weights[-1]))


def compressed(grey: Floats, quality: int) -> Floats:
    """Give what JPEG of this quality makes of a grey image."""
    source = np.clip(grey + 0.5, 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", source, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)).astype(np.float32)


def recompressed(
    made: Floats, seen: Floats, qualities: tuple[int, int]
) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Give either as it is, compressed as the other was, and the other, unless nothing was lost."""
    for mine, theirs, quality in ((made, seen, qualities[1]), (seen, made, qualities[0])):
        if quality < NO_LOSS:
            yield mine, compressed(mine, quality), theirs


def strangeness(
    made: Floats,
    seen: Floats,
    qualities: tuple[int, int],
    limits: Limits,
    least: int = 1,
    spread: Floats | None = None,
    lost: Floats | None = None,
) -> Floats:
    """Give what is left over what may be left, (H, W); above 1 is unexplained.

    Parameters
    ----------
    made, seen : (H, W), equally sharp
    qualities : of the JPEGs that either comes from; 100 where it comes from none
    least : pixels of a place that matters; where all are smaller no closer look is taken
    spread : `contrast` of what is seen, where that is known
    lost : (H, W), what saving took from the one that was made, where that is known
    """
    spread = contrast(seen) if spread is None else spread
    allowed = np.maximum(limits.floor, limits.share * np.maximum(contrast(made), spread))
    # Most pairs need no more than the first of these looks, which costs a fifth of all three.
    found = left_over(made - seen)
    strange = np.asarray(found / allowed, np.float32)
    if not _large(strange, least):
        return strange
    found = unlike_at(strange > 1, found, made, seen)
    strange = np.asarray(found / allowed, np.float32)
    if not _large(strange, least):
        return strange
    noise = np.zeros_like(seen) if lost is None else mean(lost**2, 9)
    for mine, again, theirs in recompressed(made, seen, qualities):
        found = np.minimum(found, unlike_at(strange > 1, found, again, theirs))
        noise += mean((again - mine) ** 2, 9)
    noise = np.asarray(
        cv2.dilate(np.sqrt(np.maximum(noise, 0)), np.ones((9, 9), np.uint8)), np.float32
    )
    allowed = np.maximum(allowed, np.minimum(limits.noise * noise, limits.cap))
    return np.asarray(found / allowed, np.float32)


def _large(strange: Floats, least: int) -> bool:
    """Tell whether a connected place above 1 has so many pixels."""
    mask = (strange > 1).view(np.uint8)
    if np.count_nonzero(mask) < least:
        return False
    side = int(least**0.5) + 1
    if cv2.erode(mask, np.ones((side, side), np.uint8), borderValue=0).any():
        return True
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return bool((stats[1:, cv2.CC_STAT_AREA] >= least).any())


def left_over(left: Floats) -> Floats:
    """Give the root mean square over a window."""
    window = (WINDOW_PIXELS, WINDOW_PIXELS)
    squares = np.asarray(cv2.sqrBoxFilter(left, cv2.CV_32F, window), np.float32)
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)


def unlike_at(places: Mask, found: Floats, one: Floats, two: Floats) -> Floats:
    """Give `unlike` at some places, and elsewhere what is found already, of which it is a part.

    Most images have few such places, and looking at these alone costs a fraction.
    """
    boxes = [
        (left + x, top + y, width, height)
        for top in range(0, places.shape[0], _TILE_PIXELS)
        for left in range(0, places.shape[1], _TILE_PIXELS)
        for x, y, width, height in [
            cv2.boundingRect(
                places[top : top + _TILE_PIXELS, left : left + _TILE_PIXELS].view(np.uint8)
            )
        ]
        if width
    ]
    around = 2 * _AROUND_PIXELS
    whole = sum((box[2] + around) * (box[3] + around) for box in boxes) >= found.size
    everywhere = unlike(one, two) if whole else None
    found = found.copy()
    for x, y, width, height in boxes:
        here = slice(y, y + height), slice(x, x + width)
        if everywhere is not None:
            found[here] = everywhere[here]
            continue
        begin = max(0, (y - _AROUND_PIXELS) & -_LOCAL_STEP)
        start = max(0, (x - _AROUND_PIXELS) & -_LOCAL_STEP)
        below, beyond = y + height + _AROUND_PIXELS, x + width + _AROUND_PIXELS
        down = slice(begin, below + -below % _LOCAL_STEP)
        across = slice(start, beyond + -beyond % _LOCAL_STEP)
        near = unlike(*(np.ascontiguousarray(each[down, across]) for each in (one, two)))
        found[here] = near[y - begin : y - begin + height, x - start : x - start + width]
    return found


def unlike(one: Floats, two: Floats) -> Floats:
    """Give what is left over a window, in levels, less what another way of resizing explains.

    That leaves details a part of a pixel off, and sharper here than there (Taylor's series, to the
    second order, around every place). It makes no stroke of none.
    """
    height, width = one.shape
    one, two = (cells.whole(each, _LOCAL_STEP) for each in (one, two))
    middle, left = (one + two) / 2, one - two

    # One below the other, so that all are averaged at once: most images are small ones.
    products = np.empty((5, *left.shape), np.float32)

    def explained(first: Floats, second: Floats, stiffness: float) -> tuple[Floats, Floats]:
        factors = (first, first), (first, second), (second, second), (first, left), (second, left)
        for pair, product in zip(factors, products, strict=True):
            np.multiply(*pair, out=product)
        small = cells.averaged(products.reshape(-1, left.shape[1]), _LOCAL_STEP)
        a, b, c, p, q = (
            np.asarray(cv2.boxFilter(each, -1, (_LOCAL_SPAN, _LOCAL_SPAN)))
            for each in small.reshape(5, -1, small.shape[1])
        )
        a, c = a + stiffness, c + stiffness  # keeps what has no texture as it is
        root = a * c - b * b
        x, y = (c * p - b * q) / root, (a * q - b * p) / root
        return np.asarray(x, np.float32), np.asarray(y, np.float32)

    across = np.asarray(cv2.Sobel(middle, -1, 1, 0, scale=1 / 8), np.float32)
    down = np.asarray(cv2.Sobel(middle, -1, 0, 1, scale=1 / 8), np.float32)
    shifts = explained(across, down, 4)
    long = np.maximum(np.hypot(*shifts) / _MAX_STEP_PIXELS, 1)
    wide = np.asarray(cv2.filter2D(middle, -1, _SECOND), np.float32)
    tall = np.asarray(cv2.filter2D(middle, -1, _SECOND.T), np.float32)
    sharper = explained(wide, tall, 8)
    weights = [np.asarray(shift / long, np.float32) for shift in shifts]
    weights += [np.clip(weight, -_MAX_SHARPER, _MAX_SHARPER) for weight in sharper]
    for weight, term in zip(weights, (across, down, wide, tall), strict=True):
        left -= cells.interpolated(weight, _LOCAL_STEP, left.shape) * term
    return left_over(left[:height, :width])


def blobs(strange: Floats, inside: Mask, least: int, peak: float = 1.0) -> tuple[Mask, int]:
    """Find connected places above 1.

    Parameters
    ----------
    least : pixels; smaller places are left out
    peak : places that nowhere reach it are left out
    """
    places = (strange > 1) & inside
    found = np.zeros_like(places)
    left, top, width, height = cv2.boundingRect(places.view(np.uint8))
    if not width:
        return found, 0
    # Most places are few, and close to each other.
    box = slice(top, top + height), slice(left, left + width)
    mask = np.ascontiguousarray(places[box]).view(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= least
    if peak > 1:
        high = np.bincount(labels[places[box] & (strange[box] > peak)], minlength=len(large)) > 0
        large &= high
    large[0] = False
    found[box] = large[labels]
    return found, int(large.sum())
