"""Tell something laid over an image from something that moved in front of the camera.

Letters, stickers and watermarks are drawn: few colours, sharp edges, even strokes, one sign.
People and cars are not. Where the two cannot be told apart the answer leans to "moved", so that
another shot is not taken for a copy.
"""

from __future__ import annotations

import itertools
from math import inf
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof import overlay_table as table
from dedup.proof.alignment import jacobian

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.alignment import Raster
    from dedup.proof.photometry import Change

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_MIN_PIECE_PIXELS = 16  # pixels; fewer say nothing about what they are
_INK_LEVELS = 9  # grey levels that count as one colour after JPEG
_BLACK_WHITE_LEVELS = (12, 243)  # ink that is black or white for all practical purposes
_BLOCKS_JOINED_PIXELS = 9
_BLOCK_SHARE = 0.12  # of the side of what differs
_MAX_COARSE_SHARE = 0.3  # faces made of 6 to 10 blocks a side .08 to .33, other faces .5 and more
_MAX_FLAT_DEVIATION = 3.0  # standard deviation over 3 x 3 pixels


def overlay_log_odds(raster: Raster, change: Change, owner: Bytes, other: Bytes) -> float:
    """Judge the changed places as a whole.

    Returns
    -------
    Log odds that they were drawn onto one of the images; minus infinity where there is too
    little to judge.
    """
    seen = figures(raster, change, owner, other)
    return -inf if seen is None else float(max(_odds(row) for row in seen))


def averages_out(raster: Raster, change: Change) -> bool:
    """Tell whether what differs is detail alone, as where a face was made of a few blocks.

    Light is the same there on average; of another thing it is not.
    """
    kernel = np.ones((_BLOCKS_JOINED_PIXELS,) * 2, np.uint8)
    mask = cv2.morphologyEx(change.mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    weight = mask.astype(np.float32)
    sigma = max(3.0, _BLOCK_SHARE * float(np.sqrt(np.count_nonzero(mask))))
    gap = (raster.one - raster.two) * weight
    coarse = cv2.GaussianBlur(gap, (0, 0), sigma) / (cv2.GaussianBlur(weight, (0, 0), sigma) + 1e-3)
    inside = mask > 0
    return float(coarse[inside].std()) <= _MAX_COARSE_SHARE * float(gap[inside].std())


def figures(
    raster: Raster, change: Change, owner: Bytes, other: Bytes
) -> npt.NDArray[np.float64] | None:
    """(2, 13) what `overlay_table` weighs, for an overlay on the owner and on the other.

    They are measured at the owner's own resolution, unsmoothed, for strokes are thin.
    """
    height, width = owner.shape
    back = np.linalg.inv(raster.to_grid)
    spread = cv2.warpPerspective(change.mask.astype(np.float32), back, (width, height))
    mask = np.asarray(spread > 0.5, np.uint8)  # noqa: PLR2004 -- half
    pieces = _pieces(mask)
    if not pieces:
        return None
    images = (owner.astype(np.float32), _laid(other, raster, (width, height)))
    every = np.concatenate(pieces)
    parts = np.array([len(piece) for piece in pieces], np.float64)
    parts /= parts.sum()
    kernel = np.ones((3, 3), np.uint8)
    rim = (cv2.dilate(mask, kernel) - cv2.erode(mask, kernel)) > 0
    steep = [float(_slope(image)[rim].mean()) + 0.5 for image in images]
    gap = (images[0] - images[1]).ravel()
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3).ravel()
    sign = sum(part * abs(np.sign(gap[p]).mean()) for part, p in zip(parts, pieces, strict=True))
    stroke = sum(part * depth[p].max() for part, p in zip(parts, pieces, strict=True))
    agree = sum(
        part * _correlation(images[0].ravel()[p], images[1].ravel()[p])
        for part, p in zip(parts, pieces, strict=True)
    )
    swap = _shared(images[0].ravel()[every], images[1].ravel()[every])
    area = raster.inside.sum() / np.linalg.det(raster.to_grid)
    rows = []
    for side, image in enumerate(images):
        noise = _deviation(image).ravel()
        values = image.ravel()
        told = np.array([_inks(values[p], noise[p]) for p in pieces])
        calm = values[every][noise[every] <= np.percentile(noise[every], 40)]
        one_ink, flat, calmest, extreme = parts @ told
        rows.append([
            one_ink, flat, np.log1p(calmest), extreme,
            np.log(steep[side] / steep[1 - side]), sign, np.log(stroke), _peak(calm), agree,
            np.log(mask.sum() / area), np.log(len(pieces)),
            np.log(steep[side] / (float(np.abs(gap[every]).mean()) + 1)), swap,
        ])  # fmt: skip
    return np.array(rows)


def _odds(row: npt.NDArray[np.float64]) -> float:
    scaled = (row - table.MIDDLES) / table.SPREADS
    total = table.BIAS + float(scaled @ np.array(table.LINEAR))
    for index, weights in enumerate(table.PRODUCTS):
        total += scaled[index] * float(scaled[index:] @ np.array(weights))
    return total


def _pieces(mask: Bytes) -> list[npt.NDArray[np.intp]]:
    """Flat indices of the mask's pixels, per word or shape."""
    joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    count, labels = cv2.connectedComponents(joined)
    flat = np.where(mask > 0, labels, 0).ravel()
    order = np.argsort(flat, kind="stable")
    cuts = np.searchsorted(flat[order], np.arange(1, count + 1))
    ends = itertools.pairwise(cuts)
    return [order[start:end] for start, end in ends if end - start >= _MIN_PIECE_PIXELS]


def _laid(other: Bytes, raster: Raster, size: tuple[int, int]) -> Floats:
    """Lay the other on the owner's pixels, shrunk first where it is much finer."""
    matrix = raster.matrix
    slope = jacobian(matrix, other.shape[1] / 2, other.shape[0] / 2)
    scale = float(np.sqrt(abs(np.linalg.det(slope))))
    image = other.astype(np.float32)
    if scale < 0.7:  # noqa: PLR2004 -- from here on linear interpolation skips pixels
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / scale), np.float32)
    laid = cv2.warpPerspective(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid, np.float32)


def _slope(image: Floats) -> Floats:
    across = cv2.Sobel(image, -1, 1, 0, scale=1 / 8)
    return np.asarray(cv2.magnitude(across, cv2.Sobel(image, -1, 0, 1, scale=1 / 8)))


def _deviation(image: Floats) -> Floats:
    mean = cv2.boxFilter(image, -1, (3, 3))
    square = cv2.boxFilter(image * image, -1, (3, 3)) - mean * mean
    return np.asarray(np.sqrt(np.maximum(square, 0)), np.float32)


def _peak(values: Floats) -> float:
    """Share of the values within the best band of `_INK_LEVELS` grey levels."""
    levels = np.clip(values, 0, 255).astype(np.intp)
    counts = np.convolve(np.bincount(levels, minlength=256), np.ones(_INK_LEVELS), "same")
    return float(counts.max() / max(1, len(values)))


def _inks(values: Floats, noise: Floats) -> tuple[float, float, float, float]:
    """Of one piece: share of its main ink, share that is flat, calmest noise, share of extremes."""
    limit = float(np.partition(noise, int(0.4 * len(noise)))[int(0.4 * len(noise))])
    calm = values[noise <= limit]
    extreme = float(((calm < _BLACK_WHITE_LEVELS[0]) | (calm > _BLACK_WHITE_LEVELS[1])).mean())
    return _peak(calm), float((noise < _MAX_FLAT_DEVIATION).mean()), limit, extreme


def _shared(a: Floats, b: Floats) -> float:
    """How much two sets of grey levels have in common: 1 where ink and paper changed places."""
    counts = [np.histogram(values, 16, (0, 256))[0] / len(values) for values in (a, b)]
    return float(np.minimum(*counts).sum())


def _correlation(a: Floats, b: Floats) -> float:
    if min(float(a.std()), float(b.std())) < 0.5:  # noqa: PLR2004 -- one colour correlates with nothing
        return 0.0
    return abs(float(np.corrcoef(a, b)[0, 1]))
