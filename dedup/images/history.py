"""What JPEG left in pixels: on which steps the coefficients of their blocks sit.

`earlier_quality` reads off one image how strongly a JPEG was compressed that it once was;
`dedup.proof.generations` compares two by the same coefficients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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
_MOST_STEP = 64
_LEAST_VALUES = 100
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
    if grey.size < 64 * _LEAST_VALUES:
        return LOSSLESS
    scales: list[float] = []
    values = coefficients(grey)[::-1]
    for left, (place, at) in enumerate(zip(HISTORY_PLACES[::-1], values, strict=True)):
        if len(scales) + len(HISTORY_PLACES) - left < _LEAST_PLACES:
            return LOSSLESS  # too few are left to tell
        if (step := _step(at)) > 1:
            scales.append(100 * step / _LUMINANCE[place])
    return _quality(float(np.median(scales))) if len(scales) >= _LEAST_PLACES else LOSSLESS


def coefficients(grey: Floats) -> Floats:
    """Transform 8 × 8 blocks as JPEG does.

    Parameters
    ----------
    grey : (H, W), luminance; its corner is on the grid

    Returns
    -------
    (10, N), one row per place of `HISTORY_PLACES`, one column per block
    """
    height, width = grey.shape[0] // 8, grey.shape[1] // 8
    blocks = grey[: height * 8, : width * 8].reshape(height, 8, width, 8).transpose(0, 2, 1, 3)
    places = np.array(HISTORY_PLACES)
    basis = _cosines()[places[:, 0], :, None] * _cosines()[places[:, 1], None, :]
    flat = basis.reshape(len(places), 64).astype(np.float32)
    return np.ascontiguousarray((blocks.reshape(-1, 64) @ flat.T).T, np.float32)


def _cosines() -> npt.NDArray[np.float64]:
    """Give the (8, 8) orthonormal basis of the discrete cosine transform, rows by frequency."""
    angle = np.pi * np.arange(8)[:, None] * (2 * np.arange(8)[None] + 1) / 16
    scale = np.where(np.arange(8) == 0, np.sqrt(1 / 8), 0.5)[:, None]
    return np.asarray(scale * np.cos(angle))


def _step(values: npt.NDArray[np.floating[Any]]) -> int:
    """Find the largest step on whose multiples coefficients sit; 1 for none."""
    sizes = np.sort(np.abs(values))
    steps = range(_MOST_STEP, 1, -1)
    # Those that were not quantised to zero, without looking at each of them for each step.
    starts = np.searchsorted(sizes, np.array(steps, sizes.dtype) / 2, "right").tolist()
    angles, one = np.empty_like(sizes), np.ones_like(sizes)
    for step, start in zip(steps, starts, strict=True):
        count = len(sizes) - start
        if count < _LEAST_VALUES:
            continue
        # Written to one place, and summed as a product: so short are they that calls cost most.
        turned = np.multiply(sizes[start:], 2 * np.pi / step, out=angles[start:])
        if np.cos(turned, out=turned).dot(one[start:]) > _COMB * count:
            return step
    return 1


def history_grey(pixels: Pixels, header: Header) -> Floats:
    """Give the luminance of the middle of an image as it is stored, on the grid of its blocks.

    Parameters
    ----------
    pixels : (H, W, 3) uint8, upright
    header : of the file whose grid it is
    """
    return grey_of(_middle(_as_stored(pixels, header)))


def grey_of(pixels: Pixels) -> Floats:
    """Give luminance, (H, W)."""
    weights = np.array((0.299, 0.587, 0.114), np.float32)  # ITU-R BT.601, as JPEG has it
    return pixels.astype(np.float32) @ weights


def _as_stored(pixels: Pixels, header: Header) -> Pixels:
    """Undo the EXIF orientation, so that the corner is that of the first block."""
    turn = 1 if header.format == "TIFF" else header.orientation
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
