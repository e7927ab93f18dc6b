"""JPEGs that a device decodes by itself: which it may, and what makes of them what the host makes.

A device hands over a whole picture. The host decodes at a fraction of the size and resizes in one
step or two (`dedup.images.decode`, `dedup.images.resize`), all of which is linear: one matrix for
each side says the same. A reduced JPEG is the mean of whole pixels, because libjpeg's smaller
inverse transforms are derived as such means (libjpeg-turbo, jidctred.c).
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import JpegImagePlugin

from dedup.images.containers import is_baseline_jpeg, is_cut_short
from dedup.images.decode import LEAST_SCALE, jpeg_scale
from dedup.images.pixels import suits_opencv
from dedup.images.resize import in_two_steps

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.images.header import Opened

    Weights = npt.NDArray[np.float32]

_MOST_PIXELS: Final = 1 << 22  # of a device's memory, which many pictures share
_WHOLE_COLOUR: Final = (1, 1)  # sampling factors of colour that has a sample for every unit


def suits_device(opened: Opened, data: bytes, height: int, width: int) -> bool:
    """Tell whether a device gives what `decode_square` would, up to rounding.

    That is a baseline JPEG in colour, whole and upright, larger than asked for by as much as hides
    that decoders interpolate colour each in its way, and whose colour the host does not leave
    smaller than a device does.

    Parameters
    ----------
    data : the whole file
    height, width : asked for
    """
    image, header = opened
    return (
        isinstance(image, JpegImagePlugin.JpegImageFile)
        and image.mode == "RGB"
        and header.orientation == 1
        and header.height >= LEAST_SCALE * height
        and header.width >= LEAST_SCALE * width
        and header.width * header.height <= _MOST_PIXELS
        and suits_opencv(image)
        and image.info.get("adobe_transform", 1) == 1  # 0 is RGB as it stands
        and _has_known_colour(image, jpeg_scale(header.size, height, width))
        and is_baseline_jpeg(data)
        and not is_cut_short(data, "JPEG")
    )


def side_weights(size: tuple[int, int], height: int, width: int) -> tuple[Weights, Weights]:
    """Give what a whole JPEG has to be multiplied by, to become what the host makes of it.

    Parameters
    ----------
    size : H and W of the JPEG, at least as large as asked for
    height, width : asked for

    Returns
    -------
    (height, H) and (width, W) float32, rows of sum 1: rows @ picture @ columns.T
    """
    scale = jpeg_scale(size, height, width)
    rows, columns = (ceil(length / scale) for length in size)
    two_steps = in_two_steps((rows / height, columns / width))
    return (
        _weights(size[0], rows, height, scale, two_steps=two_steps),
        _weights(size[1], columns, width, scale, two_steps=two_steps),
    )


def _has_known_colour(image: JpegImagePlugin.JpegImageFile, scale: int) -> bool:
    """Tell whether colour has a half or the whole of both sides, or is decoded in full anyway.

    Colour that has half of one side alone is reduced by the host along both.
    """
    factors = [(across, down) for _, across, down, _ in image.layer]
    (across, down), *colours = factors
    usual = all(colour == _WHOLE_COLOUR for colour in colours) and max(across, down) <= 2  # noqa: PLR2004
    return usual and (scale == 1 or across == down)


def _weights(length: int, reduced: int, wanted: int, scale: int, *, two_steps: bool) -> Weights:
    if two_steps:
        resizing = _means(2 * wanted, wanted) @ _interpolation(reduced, 2 * wanted)
    else:
        resizing = _means(reduced, wanted)
    # The last block may reach beyond the picture, whose last pixel is repeated there.
    whole = resizing @ _means(reduced * scale, reduced)
    whole[:, length - 1] += whole[:, length:].sum(axis=1)
    return whole[:, :length].astype(np.float32)


def _means(length: int, wanted: int) -> npt.NDArray[np.float64]:
    """Average areas: (wanted, length), by how much of a step lies in each pixel."""
    edges = np.arange(wanted + 1)[:, None] * (length / wanted)
    pixels = np.arange(length)
    held = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return np.asarray(held.clip(0) * (wanted / length), np.float64)


def _interpolation(length: int, wanted: int) -> npt.NDArray[np.float64]:
    """Interpolate between the centres of pixels: (wanted, length)."""
    at = ((np.arange(wanted) + 0.5) * (length / wanted) - 0.5).clip(0, length - 1)
    weights: npt.NDArray[np.float64] = 1 - np.abs(at[:, None] - np.arange(length))
    return weights.clip(0)
