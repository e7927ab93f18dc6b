"""Edited pictures as the bytes of a file, so that they can go through the one decode path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def as_jpeg(pixels: npt.NDArray[np.uint8], quality: int) -> bytes:
    """Encode a picture as people save theirs.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 RGB
    quality : 1 to 100

    Returns
    -------
    The bytes of a JPEG file.
    """
    done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV could not write a JPEG")
    return bytes(data)
