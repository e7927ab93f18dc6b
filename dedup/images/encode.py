"""From pixels to files: the one module of the package that writes images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
from PIL import Image

from dedup.files import output_file

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt


def write_png(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    """Write (H, W, 3) uint8 RGB.

    Raises
    ------
    DedupError : the file cannot be written.
    """
    with output_file(path) as file:
        Image.fromarray(pixels).save(file, "PNG")


def as_jpeg(pixels: npt.NDArray[np.uint8], quality: int) -> bytes:
    """Encode as the bytes of a JPEG file.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 RGB
    quality : 1 to 100
    """
    done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV could not write a JPEG")
    return bytes(data)
