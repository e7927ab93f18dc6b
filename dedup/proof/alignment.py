"""The two images brought onto one raster, placed to a fraction of a pixel.

The raster is the coarser image's own grid, cut to the overlap. The placing found from local
features is refined on the pixels themselves, cell by cell (Lucas and Kanade 1981), tied together
by one homography: an edit leaves nothing over, while parallax and other motion do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.proof.geometry import homography, project
from dedup.proof.ranks import median

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from dedup.proof.description import Features

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

CELL_PIXELS = 8
MAX_RASTER_PIXELS = 256
"""Longest side of the raster: a walker who fills 0.5 % of a street is 11 x 23 pixels on it."""

MIN_RASTER_PIXELS = 3 * CELL_PIXELS
"""Shortest side of one that anything can be measured on."""

_NARROW_PIXELS = 8 * CELL_PIXELS
"""Short side that strips keep on the raster, whatever that makes of the other."""

_MAX_ROUNDS = 4
_MAX_STEP_PIXELS = (4.0, 3.0, 2.0, 1.5)  # steps longer than this are no measurement of a cell
_MIN_STEP_PIXELS = 0.06  # pixels; a smaller step is not worth another round
_STIFFNESS = 2e-4  # keeps textureless cells from moving


@dataclass(frozen=True, slots=True)
class Raster:
    """Both images on one grid, slightly smoothed.

    Parameters
    ----------
    one, two : (H, W) float32 grey of the grid's owner and of the other
    inside : (H, W), where the other has pixels
    matrix : (3, 3), the other's described pixels to the owner's
    to_grid : (3, 3), the owner's described pixels to the grid's
    flow : (H / 8, W / 8) float32, how far each cell still is from its place, in raster pixels,
        averaged over 5 x 5 cells; motion that neighbours share survives this, noise does not
    firm : (H / 8, W / 8), cells with texture enough to measure that
    """

    one: Floats
    two: Floats
    inside: Mask
    matrix: Doubles
    to_grid: Doubles
    flow: Floats
    firm: Mask


def corners(frame: tuple[int, int, int, int]) -> Doubles:
    """(4, 2) outline of left, top, right, bottom, ends excluded; pixels lie on whole numbers."""
    left, top, right, bottom = (edge - 0.5 for edge in frame)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def overlap(
    owner: tuple[int, int, int, int], other: tuple[int, int, int, int], matrix: Doubles
) -> Doubles | None:
    """(N, 2) outline of the other's frame within the owner's; None where they do not meet."""
    placed = project(matrix, corners(other)).astype(np.float32)
    area, outline = cv2.intersectConvexConvex(corners(owner).astype(np.float32), placed)
    return None if outline is None or area <= 0 else np.asarray(outline[:, 0], np.float64)


def jacobian(matrix: Doubles, x: float, y: float) -> Doubles:
    """(2, 2) derivative of the homography at a point."""
    u, v, w = matrix @ (x, y, 1)
    return np.asarray((matrix[:2, :2] - np.outer((u / w, v / w), matrix[2, :2])) / w)


def register(
    owner: Features, other: Features, matrix: Doubles, longest: int = MAX_RASTER_PIXELS
) -> Raster | None:
    """Refine a placing and lay both images on the owner's grid.

    Parameters
    ----------
    owner, other : compared within their plain margins
    matrix : (3, 3), the other's pixels to the owner's; the owner should be the coarser one
    longest : side of the raster; more where the overlap is a strip

    Returns
    -------
    None where the overlap is smaller than three cells on a side.
    """
    begun = _begin(owner, other, matrix, longest)
    if begun is None:
        return None
    placed = _converge(begun)
    two, inside, flow, firm = _measured(begun, placed)
    return Raster(begun.one, two, inside, begun.placing(placed), begun.to_grid, flow, firm)


def refined(
    owner: Features, other: Features, matrix: Doubles, longest: int = MAX_RASTER_PIXELS
) -> Doubles | None:
    """Refine a placing; as `register`, of which it gives the matrix alone."""
    begun = _begin(owner, other, matrix, longest)
    return None if begun is None else begun.placing(_converge(begun))


class _Begun(NamedTuple):
    """Two images before they are brought onto one raster.

    Parameters
    ----------
    one : (H, W) the owner's part on the raster
    small : (h, w) the other, at about the raster's resolution
    within : (h, w), 255 within its plain margins
    placed : (3, 3), pixels of `small` to the raster's
    to_grid, from_small : (3, 3), the owner's described pixels to the raster's, and those of `small`
        to the other's described ones
    """

    one: Floats
    small: Floats
    within: Bytes
    placed: Doubles
    to_grid: Doubles
    from_small: Doubles

    def placing(self, placed: Doubles) -> Doubles:
        """Give the map between described pixels."""
        final = np.linalg.inv(self.to_grid) @ placed @ np.linalg.inv(self.from_small)
        return np.asarray(final / final[2, 2], np.float64)


def _begin(owner: Features, other: Features, matrix: Doubles, longest: int) -> _Begun | None:
    outline = overlap(owner.frame, other.frame, matrix)
    if outline is None:
        return None
    low = np.maximum(np.ceil(outline.min(axis=0) - 0.5), owner.frame[:2]).astype(int)
    high = np.minimum(np.floor(outline.max(axis=0) + 0.5) + 1, owner.frame[2:]).astype(int)
    part = owner.grey[low[1] : high[1], low[0] : high[0]]
    fine = min(1.0, max(longest / max(part.shape), _NARROW_PIXELS / min(part.shape)))
    width, height = (int(side * fine) // CELL_PIXELS * CELL_PIXELS for side in part.shape[::-1])
    if min(width, height) < MIN_RASTER_PIXELS:
        return None
    to_grid = scaling(part.shape, (height, width)) @ _shift(-low)
    one = _smooth(part, (height, width))
    small, from_small = _shrunk(other.grey, to_grid @ matrix, outline_centre(matrix, outline))
    placed = to_grid @ matrix @ from_small
    within = _within(other, small.shape)
    return _Begun(one, small, within, np.asarray(placed, np.float64), to_grid, from_small)


def _within(image: Features, shape: tuple[int, ...]) -> Bytes:
    """Mark what lies within an image's plain margins by 255, on a copy of it of this (H, W)."""
    if image.frame == image.whole:
        return np.full(shape, 255, np.uint8)
    within = np.zeros(image.grey.shape, np.uint8)
    left, top, right, bottom = image.frame
    within[top:bottom, left:right] = 255
    return np.asarray(cv2.resize(within, shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def outline_centre(matrix: Doubles, outline: Doubles) -> Doubles:
    """Middle of the overlap in the other's pixels."""
    back = np.asarray(np.linalg.inv(matrix), np.float64)
    return np.asarray(project(back, outline.mean(axis=0, keepdims=True))[0])


def warp(image: Floats, matrix: Doubles, shape: tuple[int, ...]) -> Floats:
    """Lay a grey image on a grid of this (H, W); beyond its edge the edge is repeated."""
    size = (shape[1], shape[0])
    warped = cv2.warpPerspective(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def warp_colour(image: Bytes, matrix: Doubles, shape: tuple[int, ...]) -> Bytes:
    """Lay a colour image on a grid of this (H, W); beyond its edge the edge is repeated."""
    size = (shape[1], shape[0])
    warped = cv2.warpPerspective(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def cells(values: Floats) -> Floats:
    """Mean over each cell: (H, W) to (H / 8, W / 8)."""
    height, width = values.shape
    size = (width // CELL_PIXELS, height // CELL_PIXELS)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _halved_cells(values: Floats) -> Floats:
    """Mean over each cell of a raster of which every other row and column is given."""
    height, width = values.shape
    size = (2 * width // CELL_PIXELS, 2 * height // CELL_PIXELS)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _shift(by: npt.NDArray[np.int_]) -> Doubles:
    return np.array([[1.0, 0, by[0]], [0, 1, by[1]], [0, 0, 1]])


def scaling(old: tuple[int, ...], new: tuple[int, ...]) -> Doubles:
    """(3, 3) map between the pixels of an image of one (H, W) and those of its copy of another."""
    y, x = new[0] / old[0], new[1] / old[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def at_sizes(
    placed: Doubles, old: Sequence[tuple[int, ...]], new: Sequence[tuple[int, ...]]
) -> Doubles:
    """Give the placing of a second image on a first for copies of both of other sizes.

    Parameters
    ----------
    placed : (3, 3), pixels of the second to those of the first
    old, new : (H, W) of the first and of the second
    """
    return np.asarray(scaling(old[0], new[0]) @ placed @ scaling(new[1], old[1]), np.float64)


def _smooth(image: Bytes, shape: tuple[int, int]) -> Floats:
    size = (shape[1], shape[0])
    sized = cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(sized, (5, 5), 0.9), np.float32)


def _shrunk(image: Bytes, placed: Doubles, centre: Doubles) -> tuple[Floats, Doubles]:
    """Bring a finer image down to about the grid's resolution, so that warping skips no pixel."""
    slopes = np.linalg.norm(jacobian(placed, *centre), axis=0)
    x, y = (min(1.0, float(slope)) for slope in slopes)
    height, width = image.shape
    shape = (max(CELL_PIXELS, round(height * y)), max(CELL_PIXELS, round(width * x)))
    return _smooth(image, shape), scaling(shape, image.shape)


def _normal(image: Floats) -> Floats:
    """Even out light and contrast over 25 pixels."""
    mean = np.asarray(cv2.boxFilter(image, -1, (25, 25)), np.float32)
    spread = np.asarray(cv2.sqrBoxFilter(image, cv2.CV_32F, (25, 25)), np.float32)
    spread -= mean * mean
    np.maximum(spread, 0, out=spread)
    spread += 25
    even = np.subtract(image, mean, out=mean)
    even /= np.sqrt(spread, out=spread)
    return even


def _slopes(image: Floats) -> tuple[Floats, Floats]:
    x = cv2.Sobel(image, -1, 1, 0, scale=1 / 8)
    return np.asarray(x), np.asarray(cv2.Sobel(image, -1, 0, 1, scale=1 / 8))


def _laid(begun: _Begun, placed: Doubles) -> tuple[Floats, Mask]:
    """Lay the other image on the raster; gives where it is whole as well."""
    height, width = begun.one.shape
    cover = cv2.warpPerspective(begun.within, placed, (width, height))
    return warp(begun.small, placed, (height, width)), np.asarray(cover > 250)  # noqa: PLR2004 -- whole


def _converge(begun: _Begun) -> Doubles:
    """Give the placing after some rounds, pixels of `small` to the raster's."""
    one, placed = begun.one, begun.placed
    target = _Target.of(one)
    rows, columns = one.shape[0] // CELL_PIXELS, one.shape[1] // CELL_PIXELS
    y, x = np.mgrid[0:rows, 0:columns]
    middles = np.stack([x.ravel(), y.ravel()], 1) * float(CELL_PIXELS) + CELL_PIXELS / 2 - 1
    for turn in range(_MAX_ROUNDS):
        dx, dy, grip = _steps(target, *_laid(begun, placed))
        long = np.hypot(dx, dy).ravel()
        weight = grip.ravel() * (long < _MAX_STEP_PIXELS[turn]) / (0.3 + long * long)
        used = weight > 0
        if used.sum() < 2 * CELL_PIXELS:
            break
        steps = np.stack([dx.ravel(), dy.ravel()], 1)
        step = homography(middles[used] + steps[used], middles[used], weight[used] / weight.max())
        if step is None:
            break
        edge = corners((0, 0, one.shape[1], one.shape[0]))
        moved = float(np.abs(project(step, edge) - edge).max())
        if moved > max(one.shape) / 8:
            break
        placed = step @ placed
        if moved < _MIN_STEP_PIXELS:
            break
    return np.asarray(placed / placed[2, 2], np.float64)


def _measured(begun: _Begun, placed: Doubles) -> tuple[Floats, Mask, Floats, Mask]:
    """Lay the other image where it was placed, and measure how far its cells still are from it."""
    two, inside = _laid(begun, placed)
    dx, dy, grip = _steps(_Target.of(begun.one), two, inside)
    shared = [cv2.boxFilter(step * grip, -1, (5, 5)) for step in (dx, dy)]
    total = cv2.boxFilter(grip, -1, (5, 5)) + 1e-9
    flow = np.hypot(shared[0] / total, shared[1] / total).astype(np.float32)
    held = grip[grip > 0]
    firm = grip > (median(held) / 2 if held.size else np.inf)
    return two, inside, flow, np.asarray(firm)


class _Target(NamedTuple):
    """What steps are measured against, of every other pixel.

    Every other pixel of a smoothed image says as much, at a quarter of the cost.
    """

    even: Floats
    across: Floats
    down: Floats

    @classmethod
    def of(cls, image: Floats) -> _Target:
        even = _normal(image)
        across, down = _slopes(even)
        return cls(*(np.ascontiguousarray(each[::2, ::2]) for each in (even, across, down)))


def _steps(target: _Target, two: Floats, inside: Mask) -> tuple[Floats, Floats, Floats]:
    """Per cell (over 3 x 3 of them) the step x, y that `two` should make, and how firm that is."""
    other = _Target.of(two)
    across, down = (other.across + target.across) / 2, (other.down + target.down) / 2
    change = (other.even - target.even) * inside[::2, ::2]
    sums = [
        cv2.boxFilter(_halved_cells(np.asarray(product, np.float32)), -1, (3, 3))
        for product in (across * across, across * down, down * down, across * change, down * change)
    ]
    a, b, c, p, q = sums
    root = (a + _STIFFNESS) * (c + _STIFFNESS) - b * b
    dx, dy = ((c + _STIFFNESS) * p - b * q) / root, ((a + _STIFFNESS) * q - b * p) / root
    grip = (a * c - b * b) / (a + c + 1e-9) * (cells(inside.astype(np.float32)) > 0.99)  # noqa: PLR2004 -- whole
    return np.asarray(dx), np.asarray(dy), np.asarray(grip, np.float32)
