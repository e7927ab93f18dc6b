"""Images in memory turned into the bytes of files: arrays, tensors, Pillow's images, bytes.

Bytes stay as they are; pixels are kept without loss, in PNG, or in TIFF where that takes a mode
which PNG has not. From there on they are read as any file is.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageOps

from dedup.errors import ImageError
from dedup.images.decode import decode_square, read_file, read_header
from dedup.images.formats import SIGNATURE_BYTES, listed_extensions, sniff

if TYPE_CHECKING:
    import numpy.typing as npt

_PNG_MODES: Final = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}
_VALUES: Final = {"I", "F", "I;16B", "I;16L", "I;16N"}  # modes that are taken as arrays are
_UNMULTIPLIED: Final = {"La": "LA", "RGBa": "RGBA"}
_QUICK: Final = 1  # of PNG's levels: three times the speed of the default for a tenth more bytes
_CHANNELS: Final = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def encoded(image: Any, name: str) -> bytes:
    """Give the bytes of a file that holds an image.

    Parameters
    ----------
    image : bytes of a file; a path; a Pillow image (modes I and F are taken as arrays are); an
        array or tensor of (H, W), (H, W, C) or (C, H, W), C from 1 to 4, of bool, of integers in
        [0, 255] (uint16: in [0, 65535]), or of floats in [0, 1]; or a mapping with "bytes" or
        "path"
    name : of the image, for errors

    Raises
    ------
    ImageError : it is none of these, or its values are out of range.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return read_file(os.fspath(image))
    if isinstance(image, Image.Image):
        upright = ImageOps.exif_transpose(image)
        if image.mode in _VALUES:
            upright = _from_array(np.asarray(upright), name)
        return _saved(upright, name)
    if isinstance(image, dict) and ("bytes" in image or "path" in image):
        if image.get("bytes") is not None:
            return bytes(image["bytes"])
        if image.get("path") is not None:
            return read_file(os.fspath(image["path"]))
        raise ImageError(name, "no image: neither bytes nor a path")
    if hasattr(image, "detach"):  # a tensor, perhaps on another device
        image = image.detach().cpu()
    if not hasattr(image, "__array__"):
        raise ImageError(name, f"no image: {type(image).__name__}")
    return _saved(_from_array(np.asarray(image), name), name)


def extension_of(data: bytes) -> str:
    """Name the usual ending of a file's format; "bin" where it is no image that is read."""
    kind = sniff(data[:SIGNATURE_BYTES])
    found = (kind or "bin").lower().replace("jpeg2000", "jp2").replace("jpeg", "jpg")
    return found if os.fsencode(found) in listed_extensions() else "png"


def cropped(data: bytes, box: tuple[int, int, int, int], name: str) -> bytes:
    """Give a part of an image as a file of its own.

    Parameters
    ----------
    box : left, top, width and height in pixels of the upright image

    Raises
    ------
    ImageError : it cannot be read, or the box does not lie in it.
    """
    left, top, width, height = box
    header = read_header(data, name)
    if left + width > header.width or top + height > header.height:
        raise ImageError(
            name,
            f"the box {left},{top},{width},{height} leaves it: it has {header.width} × "
            f"{header.height} pixels",
        )
    pixels = decode_square(data, header.height, header.width, name).pixels
    return _saved(Image.fromarray(pixels[top : top + height, left : left + width]), name)


def _from_array(array: npt.NDArray[Any], name: str) -> Image.Image:
    shape = array.shape
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    match shape:
        case (first, _, last) if first in _CHANNELS and last not in _CHANNELS:
            array = np.moveaxis(array, 0, 2)
    match array.shape:
        case (_, _, 1):
            array, channels = array[..., 0], 1
        case (_, _):
            channels = 1
        case (_, _, channels):
            pass
        case _:
            channels = 0
    if channels not in _CHANNELS or not array.size:
        raise ImageError(name, f"no image: an array of shape {shape}; give one image at a time")
    if array.dtype == np.uint16 and channels == 1:
        return Image.fromarray(np.ascontiguousarray(array))
    return Image.fromarray(np.ascontiguousarray(_bytes(array, name)), _CHANNELS[channels])


def _bytes(array: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint8]:
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    if kind not in "iuf":
        raise ImageError(name, f"no image: an array of {array.dtype}")
    least, most = float(array.min()), float(array.max())
    top = 1 if kind == "f" else 255
    if not 0 <= least <= most <= top:  # NaN as well
        what = "integers are to be in [0, 255], or of uint16"
        if kind == "f":
            what = "floats are to be in [0, 1], before normalisation"
        raise ImageError(name, f"values from {least:g} to {most:g}: {what}")
    return np.round(array * 255).astype(np.uint8) if kind == "f" else array.astype(np.uint8)


def _saved(image: Image.Image, name: str) -> bytes:
    file = io.BytesIO()
    try:
        if image.mode in _UNMULTIPLIED:
            image = image.convert(_UNMULTIPLIED[image.mode])
        if image.mode in _PNG_MODES:
            image.save(file, "PNG", compress_level=_QUICK)
        elif image.mode == "CMYK":
            image.save(file, "TIFF", compression="tiff_adobe_deflate")
        else:
            image.convert("RGBA" if "a" in image.mode.lower() else "RGB").save(
                file, "PNG", compress_level=_QUICK
            )
    except (OSError, ValueError) as error:
        raise ImageError(name, f"no image that can be kept ({error})") from error
    return file.getvalue()
