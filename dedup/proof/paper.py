"""Whether an image is a page, a table, a chart or a screen: flat ground, sharp strokes."""

from __future__ import annotations

from itertools import combinations
from math import ceil
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from dedup.proof.residual import contrast

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

_TILE_PIXELS = 16
_MOST_TILES = 2000  # that are looked at
_GROUND_LEVELS = 8  # around a tile's commonest level
_MIN_GROUND_SHARE = 0.4
_STROKE_LEVELS = 40.0  # between a tile's ground and its ink
_FLAT_LEVELS = 3.0
_MIN_STROKED_SHARE = 0.55
_EVENLY_LEVELS, _MIN_EVENLY_SHARE, _MIN_STROKED_OF_REST = 4, 0.75, 0.65
"""Around a tile's ground; the share of the tile there from which on what is faint on it is a rule,
a shade or what JPEG leaves beside letters; and the least share of strokes in all other tiles. Faint
tiles are most of a page of small print; of 1,842 photographs none is a page by this."""
_TIGHT_LEVELS = 3
_MIN_TIGHT_QUARTER, _MIN_TIGHT_HALF, _MIN_TWO_TONED = 0.72, 0.66, (0.53, 0.6)
"""Of a tile's ground, the share that is within so few levels of its commonest: the least of the
quarter of the tiles that has most; and of half of them, below which the second limit holds of what
three quarters of the tiles have of two tones, else the first. Wood, walls, coats and skies have one
tone with light and grain on it, and things cut out have many tones, which is no paper: of 1,800
pages, as they were drawn to JPEG of 25 at .45 of the size, all but ten, of photographs in an app
and on cards, are pages by this; of 179 photographs with strokes 90 are none."""

_MIN_FLAT_SHARE = 0.12  # a sheet full of figures has .2
# Of the flat tiles. Photographs on plain ground have .5 at most of either, but for those cut out
_EVEN_LEVELS = 1.2
_MIN_EVEN_SHARE = 0.6
_TONE_LEVELS = 3  # on either side of the commonest
_MIN_TONE_SHARE = 0.6


_WHOLE_PIXELS = 640  # a side of what is asked for its tones as a whole
_PATCHES, _PATCH_PIXELS = 3, 180  # a side of larger ones, and pixels a side of each
_PLAIN_LEVELS, _MIN_PLAIN_SHARE = 3.0, 0.3  # contrast of an even tone, and the least of it
_FEW_TONES, _MIN_FEW_SHARE = 6, 0.98  # of what is even
_CELL_PIXELS, _CELL_LEVELS = 12, 40.0  # that is looked at for two tones, and between these
_FEWEST_CELLS = 8
_MIN_TWO_SHARE, _MIN_TWO_QUARTER = 0.74, 0.66
"""Of the pixels of half of the cells, and of three quarters, that have one of two tones. Boards,
tables in colours and charts at a few pixels a letter have .77 and .64 and more, at JPEG 30 too;
ten of 900 photographs, of which the tiles make 50 pages, have so much, on few tones."""


def is_page(image: Floats, used: Mask | None = None) -> bool:
    """Tell a page by its tiles, of ground with strokes, or by its tones, of which it has few.

    Parameters
    ----------
    image : (H, W) grey
    used : (H, W), pixels that all have to be set for a tile to count; without, all tiles do
    """
    return _is_written(image, used) or _has_few_tones(image, used)


def _has_few_tones(image: Floats, used: Mask | None) -> bool:
    """Tell a board or a table in colours, whose cells are filled, each with one thing on it."""
    there = np.ones(image.shape, np.bool_) if used is None else used
    image, there = np.asarray(_patched(image), np.float32), _patched(there)
    even = there & (contrast(image, 5) <= _PLAIN_LEVELS)
    count = int(np.count_nonzero(even))
    if not count or count < _MIN_PLAIN_SHARE * np.count_nonzero(there):
        return False
    tones = np.bincount(np.rint(cv2.blur(image, (3, 3))[even]).astype(np.intp), minlength=256)
    seen = 0
    for _ in range(_FEW_TONES):
        around = np.convolve(tones, np.ones(2 * _TONE_LEVELS + 1), "same")
        at = int(around.argmax())
        seen += int(around[at])
        tones[max(0, at - _TONE_LEVELS) : at + _TONE_LEVELS + 1] = 0
    return seen >= _MIN_FEW_SHARE * count and _in_two_tones(image, there)


def _patched(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Put patches from all over an image side by side; a small one is taken whole."""
    for axis, side in enumerate(values.shape):
        if side > _WHOLE_PIXELS:
            spare = side - _PATCH_PIXELS
            starts = [spare * at // (_PATCHES - 1) for at in range(_PATCHES)]
            rows = np.concatenate([np.arange(at, at + _PATCH_PIXELS) for at in starts])
            values = values.take(rows, axis=axis)
    return np.ascontiguousarray(values)


def _in_two_tones(image: Floats, there: Mask) -> bool:
    """Tell whether what is in most cells has two tones, each of which an edge may cross."""
    side, size = _CELL_PIXELS, _CELL_PIXELS**2
    height, width = (each // side for each in image.shape)

    def tiled(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        whole = values[: height * side, : width * side].reshape(height, side, width, side)
        return whole.swapaxes(1, 2).reshape(-1, size)

    tiles = np.sort(tiled(image)[tiled(there).all(axis=1)], axis=1)
    tiles = tiles[tiles[:, -1] - tiles[:, 0] >= _CELL_LEVELS]
    if len(tiles) < _FEWEST_CELLS:
        return False
    quarter, half = np.percentile(_of_two_tones(tiles), (25, 50))
    return bool(half >= _MIN_TWO_SHARE and quarter >= _MIN_TWO_QUARTER)


def _of_two_tones(tiles: Floats) -> Floats:
    """Give the share of each tile, of (N, P) in order of level, that has one of two tones, (N,)."""
    size = tiles.shape[1]
    near = {
        place: np.abs(tiles - tiles[:, place, None]) <= _GROUND_LEVELS
        for place in (size // 8, size // 4, size // 2, 3 * size // 4, 7 * size // 8)
    }
    pairs = ((one | two).mean(axis=1) for one, two in combinations(near.values(), 2))
    return np.asarray(np.max(list(pairs), axis=0), np.float32)


def _is_written(image: Floats, used: Mask | None) -> bool:
    height, width = (side // _TILE_PIXELS for side in image.shape)
    if min(height, width) < 4:  # noqa: PLR2004 -- too few to tell
        return False
    some = max(1, ceil((height * width / _MOST_TILES) ** 0.5))

    def tiled(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        whole = values[: height * _TILE_PIXELS, : width * _TILE_PIXELS]
        tiles = whole.reshape(height, _TILE_PIXELS, width, _TILE_PIXELS).swapaxes(1, 2)
        return tiles[::some, ::some].reshape(-1, _TILE_PIXELS**2)

    tiles = tiled(image.astype(np.uint8))
    if used is not None:
        tiles = tiles[tiled(used).all(axis=1)]
    # Floats are sorted by vector instructions that more processors have than those for short ones.
    tiles = tiles.astype(np.float32)
    spread = tiles.std(axis=1)
    textured = spread > 2 * _FLAT_LEVELS
    flat = spread < _FLAT_LEVELS
    if not textured.any() or flat.sum() < _MIN_FLAT_SHARE * len(tiles):
        return False
    if not _is_paper(tiles[flat], spread[flat]):
        return False
    return _are_stroked(tiles[textured])


def _are_stroked(tiles: Floats) -> bool:
    """Tell whether most of the textured tiles, (N, P), are strokes on one ground.

    Faint rules on even ground speak neither for a page nor against it.
    """
    tiles = np.sort(tiles, axis=1)
    # Of two tones the commoner is the ground; the median is in it, or the quarter below or above.
    ground = np.zeros(len(tiles), np.float32)
    level = np.zeros(len(tiles), np.float32)
    for place in (64, 128, 192):
        middle = tiles[:, place]
        share = (np.abs(tiles - middle[:, None]) <= _GROUND_LEVELS).mean(axis=1)
        better = share > ground
        ground[better], level[better] = share[better], middle[better]
    reach = np.maximum(tiles[:, -1] - level, level - tiles[:, 0])
    strong = reach >= _STROKE_LEVELS
    stroked = strong & (ground >= _MIN_GROUND_SHARE)
    if not stroked.any() or not _is_tight(tiles, level, ground, stroked):
        return False
    if stroked.sum() >= _MIN_STROKED_SHARE * len(tiles):
        return True
    faint, level = tiles[~strong], level[~strong]
    evenly = (np.abs(faint - level[:, None]) <= _EVENLY_LEVELS).mean(axis=1)
    told = len(tiles) - int((evenly >= _MIN_EVENLY_SHARE).sum())
    return bool(stroked.sum() >= _MIN_STROKED_OF_REST * told)


def _is_tight(tiles: Floats, level: Floats, ground: Floats, stroked: Mask) -> bool:
    """Tell ground of one tone from that which light and grain lie on.

    Parameters
    ----------
    tiles : (N, P) in order of level
    level, ground : (N,), each tile's ground, and how much of it that is
    stroked : (N,), tiles that have strokes
    """
    near = np.abs(tiles[stroked] - level[stroked, None]) <= _TIGHT_LEVELS
    half, quarter = np.percentile(near.mean(axis=1) / ground[stroked], (50, 75))
    if quarter < _MIN_TIGHT_QUARTER:
        return False
    wide = tiles[tiles[:, -1] - tiles[:, 0] >= _STROKE_LEVELS]
    least = _MIN_TWO_TONED[int(half < _MIN_TIGHT_HALF)]
    return bool(np.percentile(_of_two_tones(wide), 25) >= least)


def _is_paper(tiles: Floats, spread: Floats) -> bool:
    """Tell ground without noise or of one tone, as paper and screens have it, from a plain wall."""
    if not len(tiles) or float((spread < _EVEN_LEVELS).mean()) >= _MIN_EVEN_SHARE:
        return True
    counts = np.bincount(np.rint(tiles.mean(axis=1)).astype(np.intp), minlength=256)
    near = np.convolve(counts, np.ones(2 * _TONE_LEVELS + 1), "same")
    return bool(near.max() >= _MIN_TONE_SHARE * len(tiles))
