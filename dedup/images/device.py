"""JPEGs that a device decodes by itself: which it may, and what makes of them what the host makes.

A device hands over a whole picture. The host decodes at a fraction of the size and resizes in one
step or two (`dedup.images.decode`, `dedup.images.resize`), all of which is linear: one matrix for
each side says the same. A reduced JPEG is the mean of whole pixels, because libjpeg's smaller
inverse transforms are derived as such means (libjpeg-turbo, jidctred.c).
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from PIL import JpegImagePlugin

from dedup.images.containers import is_baseline_jpeg, is_cut_short
from dedup.images.decode import LEAST_SCALE, jpeg_scale
from dedup.images.resize import in_two_steps
from dedup.images.rgb import suits_opencv

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


class Side(NamedTuple):
    """What the host makes of one side of a JPEG.

    Parameters
    ----------
    length : in pixels
    wanted : at the end
    scale : by which it is decoded smaller
    two_steps : whether it is interpolated before it is averaged
    """

    length: int
    wanted: int
    scale: int
    two_steps: bool

    def weights(self) -> Weights:
        """Give the same as a matrix.

        Returns
        -------
        (wanted, length) float32, rows of sum 1
        """
        reduced = ceil(self.length / self.scale)
        # In place where it can be: to get such memory anew takes longer than all the arithmetic.
        if self.two_steps:
            resizing = _interpolation(reduced, 2 * self.wanted)
            resizing[::2] += resizing[1::2]
            resizing = resizing[::2]
            resizing /= 2 * self.scale
        else:
            resizing = _means(reduced, self.wanted)
            resizing /= self.scale
        whole = resizing.repeat(self.scale, axis=1)
        # The last block may reach beyond the picture, whose last pixel is repeated there.
        whole[:, self.length - 1] += whole[:, self.length :].sum(axis=1)
        return whole[:, : self.length]


def sides(size: tuple[int, int], height: int, width: int) -> tuple[Side, Side]:
    """Tell what the host makes of a whole JPEG.

    Parameters
    ----------
    size : H and W of the JPEG, at least as large as asked for
    height, width : asked for

    Returns
    -------
    down, across : the picture that the host makes is down.weights() @ picture @ across.weights().T
    """
    scale = jpeg_scale(size, height, width)
    rows, columns = (ceil(length / scale) for length in size)
    two_steps = in_two_steps((rows / height, columns / width))
    return Side(size[0], height, scale, two_steps), Side(size[1], width, scale, two_steps)


def _has_known_colour(image: JpegImagePlugin.JpegImageFile, scale: int) -> bool:
    """Tell whether colour has a half or the whole of both sides, or is decoded in full anyway.

    Colour that has half of one side alone is reduced by the host along both.
    """
    factors = [(across, down) for _, across, down, _ in image.layer]
    (across, down), *colours = factors
    usual = all(colour == _WHOLE_COLOUR for colour in colours) and max(across, down) <= 2  # noqa: PLR2004
    return usual and (scale == 1 or across == down)


def _means(length: int, wanted: int) -> Weights:
    """Average areas: (wanted, length), by how much of a step lies in each pixel."""
    step = length / wanted
    starts = np.arange(wanted)[:, None] * step
    pixels = starts.astype(np.intp) + np.arange(ceil(step) + 1)
    held = np.minimum(starts + step, pixels + 1) - np.maximum(starts, pixels)
    weights = np.zeros((wanted, length + ceil(step) + 1), np.float32)
    np.put_along_axis(weights, pixels, held.clip(0) / step, axis=1)
    return weights[:, :length]


def _interpolation(length: int, wanted: int) -> Weights:
    """Interpolate between the centres of pixels: (wanted, length)."""
    at = ((np.arange(wanted) + 0.5) * (length / wanted) - 0.5).clip(0, length - 1)
    below = at.astype(np.intp)
    weights = np.zeros((wanted, length), np.float32)
    weights[np.arange(wanted), below] = 1 - (at - below)
    weights[np.arange(wanted), np.minimum(below + 1, length - 1)] += at - below
    return weights
