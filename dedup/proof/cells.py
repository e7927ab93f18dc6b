"""Averages over squares of pixels.

OpenCV averages whole pixels five to twenty times as fast as areas that cut pixels, so images are
made a whole number of squares first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

Values = TypeVar("Values", "npt.NDArray[np.uint8]", "npt.NDArray[np.float32]")
Scalar = TypeVar("Scalar", bound=np.generic)


def whole(values: Values, side: int, border: int = cv2.BORDER_REPLICATE) -> Values:
    """Extend an image down and to the right to whole squares, at most by `side` - 1 pixels.

    Parameters
    ----------
    values : (H, W) or (H, W, C)
    border : OpenCV's rule for what is there
    """
    down, across = -values.shape[0] % side, -values.shape[1] % side
    if not down and not across:
        return values
    return np.asarray(cv2.copyMakeBorder(values, 0, down, 0, across, border), values.dtype)


def cut(values: Values, side: int) -> Values:
    """Leave out what is beyond whole squares, at the bottom and on the right."""
    height, width = (max(1, each // side) * side for each in values.shape[:2])
    return values[:height, :width]


def averaged(values: Values, side: int) -> Values:
    """Average over squares; quick where `values` is whole or cut.

    Returns
    -------
    (H / side, W / side), 1 at least
    """
    height, width = (max(1, each // side) for each in values.shape[:2])
    made: npt.NDArray[Any] = values
    if side == 4 and values.dtype == np.float32 and values.shape[:2] == (4 * height, 4 * width):  # noqa: PLR2004 -- halved twice
        # Half as long as at once, and the same but for what rounding leaves.
        made = cv2.resize(made, (2 * width, 2 * height), interpolation=cv2.INTER_AREA)
    made = cv2.resize(made, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(made, values.dtype)


def interpolated(values: Floats, side: int, shape: tuple[int, ...]) -> Floats:
    """Give every pixel what lies between the squares around it.

    Parameters
    ----------
    values : one for each square of an image that `whole` made of (H, W)
    shape : (H, W)
    """
    size = (values.shape[1] * side, values.shape[0] * side)
    made = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(made[: shape[0], : shape[1]], np.float32)


def middle(values: npt.NDArray[Scalar], most: int) -> npt.NDArray[Scalar]:
    """Give the middle of an image, of so many pixels a side at most."""
    top, left = (max(0, side - most) // 2 for side in values.shape[:2])
    return values[top : top + most, left : left + most]
