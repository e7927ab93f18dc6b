"""What JPEG left in pixels: on which steps the coefficients of their blocks sit.

`earlier_quality` reads off one image how strongly a JPEG was compressed that it once was;
`dedup.proof.generations` compares two by the same coefficients.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.images.header import Header

    Floats = npt.NDArray[np.float32]
    Pixels = npt.NDArray[np.uint8]

LOSSLESS: Final = 100

_BLOCKS = 1600
HISTORY_PLACES: Final = (
    (0, 1),
    (1, 0),
    (1, 1),
    (0, 2),
    (2, 0),
    (1, 2),
    (2, 1),
    (2, 2),
    (0, 3),
    (3, 0),
)
_ALL_PLACES: Final = tuple(np.ndindex(8, 8))
_MOST_STEP = 64
_LEAST_VALUES = 100
_BINS_A_LEVEL, _BINS = 8, 1 << 13
_COMB = 0.45
"""How well coefficients must sit on multiples of a step, where 1 is perfectly and 0 not at all."""
_LEAST_PLACES = 4

_LUMINANCE: Final = np.array(
    [
        16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
        14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
        18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
        49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
    ],
    np.float64,
).reshape(8, 8)  # fmt: skip
"""The table that libjpeg's qualities scale (ITU-T T.81, K.1)."""


def table_quality(tables: dict[int, list[int]]) -> int:
    """Give the quality at which libjpeg's table of luminance is nearest to the first of a JPEG.

    Parameters
    ----------
    tables : as Pillow hands them over, in natural order
    """
    if not tables:
        return LOSSLESS - 1
    table = np.array(tables[min(tables)], np.float64).reshape(8, 8)
    return _quality(float((100 * table / _LUMINANCE).mean()))


def _quality(scale: float) -> int:
    quality = 100 - scale / 2 if scale <= 100 else 5000 / scale  # noqa: PLR2004 - libjpeg's rule
    return int(np.clip(round(quality), 1, LOSSLESS - 1))


def earlier_quality(grey: Floats) -> int:
    """Tell at which quality a JPEG was that these pixels once were; `LOSSLESS` for none.

    Coefficients of 8 × 8 blocks that were quantised still sit on multiples of the steps (Fan and
    de Queiroz 2003). A later JPEG of half the steps or finer leaves that to be seen, and so does a
    conversion without loss; resizing, turning and cropping off the grid do not.

    Parameters
    ----------
    grey : (H, W), luminance; its corner is on the grid
    """
    steps = steps_in(grey)
    if steps is None:
        return LOSSLESS
    found = steps > 1
    return _quality(float(np.median(100 * steps[found] / _LUMINANCE[found])))


def steps_in(grey: Floats) -> Floats | None:
    """Give the steps of a JPEG that these pixels once were, as far as they tell.

    Parameters
    ----------
    grey : as for `earlier_quality`

    Returns
    -------
    (8, 8), 1 where it cannot be told; None for none.
    """
    if grey.size < 64 * _LEAST_VALUES:
        return None
    found = np.ones((8, 8), np.float32)
    found[tuple(zip(*HISTORY_PLACES, strict=True))] = _steps(coefficients(grey))
    return found if np.count_nonzero(found > 1) >= _LEAST_PLACES else None


def coefficients(grey: Floats) -> Floats:
    """Transform 8 × 8 blocks as JPEG does.

    Parameters
    ----------
    grey : (H, W), luminance; its corner is on the grid

    Returns
    -------
    (10, N), one row per place of `HISTORY_PLACES`, one column per block
    """
    return _transformed(grey, HISTORY_PLACES)


def all_coefficients(grey: Floats) -> Floats:
    """Give all coefficients as `coefficients` does, (64, N) in natural order."""
    return _transformed(grey, _ALL_PLACES)


def _transformed(grey: Floats, at: tuple[tuple[int, ...], ...]) -> Floats:
    height, width = grey.shape[0] // 8, grey.shape[1] // 8
    blocks = grey[: height * 8, : width * 8].reshape(height, 8, width, 8).transpose(0, 2, 1, 3)
    return np.ascontiguousarray((blocks.reshape(-1, 64) @ _basis(at).T).T, np.float32)


@cache
def _basis(at: tuple[tuple[int, ...], ...]) -> Floats:
    """Give (P, 64), the blocks of which coefficients at some places are the products."""
    places = np.array(at)
    basis = _cosines()[places[:, 0], :, None] * _cosines()[places[:, 1], None, :]
    return basis.reshape(len(places), 64).astype(np.float32)


def _cosines() -> npt.NDArray[np.float64]:
    """Give the (8, 8) orthonormal basis of the discrete cosine transform, rows by frequency."""
    angle = np.pi * np.arange(8)[:, None] * (2 * np.arange(8)[None] + 1) / 16
    scale = np.where(np.arange(8) == 0, np.sqrt(1 / 8), 0.5)[:, None]
    return np.asarray(scale * np.cos(angle))


def _steps(values: Floats) -> list[int]:
    """Find, for each row, the largest step on whose multiples coefficients sit; 1 for none.

    Parameters
    ----------
    values : (P, N)
    """
    # Counted first: a product with a table then tests all steps at once.
    bins = np.minimum(np.abs(values) * _BINS_A_LEVEL, _BINS - 1).astype(np.intp)
    counts = np.stack([np.bincount(row, minlength=_BINS) for row in bins])
    waves, starts = _combs()
    # Those that were quantised to zero say nothing.
    many = counts.sum(axis=1)[:, None] - np.cumsum(counts, axis=1)[:, starts - 1]
    sits = (counts.astype(np.float32) @ waves > _COMB * many) & (many >= _LEAST_VALUES)
    largest = np.argmax(sits, axis=1)
    return [
        _MOST_STEP - at if found else 1
        for at, found in zip(largest.tolist(), sits.any(axis=1).tolist(), strict=True)
    ]


@cache
def _combs() -> tuple[Floats, npt.NDArray[np.int64]]:
    """Give how well counted values sit on multiples of the steps, the largest step first.

    Returns
    -------
    (bins, steps), 1 on a multiple and -1 between two, 0 for values that a step makes zero; and
    (steps,) the first bin of each that is not zero.
    """
    steps = np.arange(_MOST_STEP, 1, -1)
    middles = (np.arange(_BINS) + 0.5) / _BINS_A_LEVEL
    waves = np.cos(2 * np.pi * middles[:, None] / steps)
    starts = steps * _BINS_A_LEVEL // 2
    waves[np.arange(_BINS)[:, None] < starts] = 0
    return waves.astype(np.float32), starts


def history_grey(pixels: Pixels, header: Header) -> Floats:
    """Give the luminance of the middle of an image as it is stored, on the grid of its blocks.

    Parameters
    ----------
    pixels : (H, W, 3) uint8, upright
    header : of the file whose grid it is
    """
    return grey_of(_middle(as_stored(pixels, header)))


def grey_of(pixels: Pixels | Floats) -> Floats:
    """Give luminance, (H, W)."""
    weights = np.array((0.299, 0.587, 0.114), np.float32)  # ITU-R BT.601, as JPEG has it
    return pixels.astype(np.float32) @ weights


def as_stored(pixels: Pixels, header: Header) -> Pixels:
    """Undo the EXIF orientation, so that the corner is that of the first block."""
    turn = header.turn
    if turn in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if turn in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    if turn in (3, 4, 6, 7):
        pixels = pixels[::-1]
    return pixels


def _middle(pixels: Pixels) -> Pixels:
    """Cut out a square of whole blocks."""
    side = int(_BLOCKS**0.5) * 8
    top, left = (max(0, (length - side) // 2) & ~7 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]
