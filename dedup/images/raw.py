"""Raw images of cameras: the preview that the camera developed, or a development at half size."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import JpegImagePlugin

from dedup.images.bounds import structure_refusal
from dedup.images.formats import EXTENSIONS
from dedup.images.jpeg import layout
from dedup.images.late import LateImage
from dedup.images.limits import LIMITS

if TYPE_CHECKING:
    from PIL import Image

_EXTENSIONS = tuple(f".{extension}" for extension in EXTENSIONS["RAW"])
_SIGNATURES: Final = (
    b"FUJIFILMCCD-RAW",
    b"II\x55\x00",  # Panasonic
    b"IIRO",
    b"IIRS",
    b"MMOR",  # Olympus
    b"FOVb",
    b"\x00MRM",
)
_TURNS: Final = {3: 3, 5: 8, 6: 6}  # LibRaw's flips to EXIF's orientations
_PREVIEW_SIDE: Final = 1024
"""Pixels of a preview's longer side from which on it is taken: more than any extractor sees."""
_PREVIEW_ASPECT: Final = 0.1  # by which a preview may differ; some cameras add black bars


def is_raw(head: bytes, path: str) -> bool:
    """Say whether a file is a raw image; those that are TIFFs inside are known by their names.

    Parameters
    ----------
    head : its first `SIGNATURE_BYTES`
    """
    if head.startswith(_SIGNATURES) or head[8:10] == b"CR" or head[4:12] == b"ftypcrx ":
        return True
    if head[6:14] == b"HEAPCCDR":
        return True
    tiff = head[:4] in (b"II*\x00", b"MM\x00*")
    return tiff and path.lower().endswith(_EXTENSIONS)


def open_raw(data: bytes) -> tuple[Image.Image, bytes, tuple[int, int], int]:
    """Open a raw image.

    Returns
    -------
    What holds its pixels, the bytes that it is decoded from, its upright width and height, and
    the EXIF orientation of a preview that names none itself

    Raises
    ------
    ImportError : rawpy is not installed
    what decoders raise
    """
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            sizes = raw.sizes
            width, height = sizes.width, sizes.height
            turn = _TURNS.get(sizes.flip, 1)
            if sizes.flip in {5, 6}:
                width, height = height, width
            preview = _preview(raw, (width, height))
    except rawpy.LibRawError as error:
        raise OSError(str(error)) from error
    if preview is not None:
        return JpegImagePlugin.JpegImageFile(io.BytesIO(preview)), preview, (width, height), turn
    half = (-(-width // 2), -(-height // 2))
    return LateImage(half, "RGB", lambda: _developed(data, half)), data, (width, height), 1


def _preview(raw: Any, size: tuple[int, int]) -> bytes | None:
    """Take the camera's own JPEG where it is large and whole."""
    import rawpy

    try:
        thumb = raw.extract_thumb()
    except rawpy.LibRawError:
        return None
    if thumb.format != rawpy.ThumbFormat.JPEG:
        return None
    data = bytes(thumb.data)
    if structure_refusal(data, "JPEG", LIMITS) or layout(data).several_scans:
        return None
    try:
        found = JpegImagePlugin.JpegImageFile(io.BytesIO(data)).size
    except (OSError, SyntaxError, ValueError):
        return None
    aspect = max(found) / min(found) / (max(size) / min(size))
    if max(found) < _PREVIEW_SIDE or abs(aspect - 1) > _PREVIEW_ASPECT:
        return None
    return data


def _developed(data: bytes, size: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Develop at half size, as the camera saw it."""
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            pixels = raw.postprocess(half_size=True, use_camera_wb=True, output_bps=8)
    except rawpy.LibRawError as error:
        raise OSError(str(error)) from error
    # Borders of a few pixels are left out by some cameras' files.
    return np.ascontiguousarray(pixels[: size[1], : size[0]])
