"""Images to files: the one place where the package writes an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from dedup.errors import DedupError

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
    try:
        Image.fromarray(pixels).save(path, "PNG")
    except OSError as error:
        raise DedupError(f"{path}: cannot be written: {error.strerror or error}") from error
