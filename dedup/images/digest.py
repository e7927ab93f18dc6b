"""Whether two files hold the same image bit for bit, whatever the container.

The digest covers the fully decoded, upright samples: size, depth, transparency and every value, and
the colour profile that says what they mean, unless that is sRGB. It knows nothing of names,
compression and other metadata.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from dedup.images.containers import bare_png
from dedup.images.header import open_image
from dedup.images.late import LateImage
from dedup.images.pages import MAX_PAGES, converted_pages, page_count
from dedup.images.profiles import profile_of
from dedup.images.rgb import bands, decode_rgb, load, to_rgb, upright, with_alpha

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from PIL import Image

    from dedup.images.header import Header, Opened

    Samples = npt.NDArray[Any]  # uint8 or uint16

MAX_DIGEST_PIXELS = 1 << 27
"""134 megapixels in full, half of that at 16 bits, which need 2 GB either way at most; what is
larger is not compared bit for bit."""

FIRST_DIGEST_BYTES = 32
"""Length of the digests of the first version, which knew no profiles and are void. Later ones begin
with a byte that names their version."""
_VERSION = b"\x02"

_BYTE_BITS = 8
_PAGE_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"})
_DEEP_BITS = 16
_RGBA = 4
_HASHED_ROWS = 256


def pixel_digest(data: bytes, path: str = "") -> bytes | None:
    """Digest the fully decoded upright image.

    Equal digests mean the same image bit for bit. Grey equals RGB of equal channels, a palette
    equals the colours it names, an opaque alpha channel equals none. Anything transparent makes
    alpha part of the digest, the colours under it included. Samples of more than 8 bits are
    compared at 16 and never equal those of 8; CMYK is compared as CMYK. Equal values with different
    colour profiles are different images.

    Returns
    -------
    33 bytes (`FIRST_DIGEST_BYTES` says why), of every page or frame in order, or None where
    equality cannot be claimed: more than `MAX_DIGEST_PIXELS` on all pages together or more than
    `MAX_PAGES`, damaged or raw images, and colour of more than 8 bits where the decoder
    hands over 8 (all but PNG and plain TIFF of one page)

    Raises
    ------
    ImageError : as `dedup.images.decode.decode_square`
    """
    opened = open_image(data, path)
    image, header, _ = opened
    limit = MAX_DIGEST_PIXELS >> (header.bits > _BYTE_BITS)
    if header.format == "RAW" or header.width * header.height > limit:
        return None
    if header.frames > 1:
        return _pages_digest(opened, path)
    if header.bits <= _BYTE_BITS and header.mode != "CMYK" and not header.alpha:
        pixels, damaged = decode_rgb(opened, path)
        return None if damaged else _hash(pixels, header.mode, profile_of(image))
    load(image, header, data, path)
    samples = _samples(image, header, data)
    if samples is None:
        return None
    return _hash(upright(samples, header.turn), header.mode, profile_of(image))


def _pages_digest(opened: Opened, path: str) -> bytes | None:
    """Digest page after page; how long a frame is shown is no part of it."""
    header = opened.header
    if header.bits > _BYTE_BITS or (count := page_count(opened, path)) > MAX_PAGES:
        return None
    hasher, left = hashlib.sha256(f"{count} pages".encode()), MAX_DIGEST_PIXELS

    def digest(image: Image.Image) -> bytes | None:
        nonlocal left
        left -= image.width * image.height
        if left < 0 or image.mode not in _PAGE_MODES:
            return None
        see_through = any(_is_see_through(band) for _, band in bands(image))
        samples = _in_bands(image, with_alpha) if see_through else to_rgb(image)
        return _hash(upright(samples, header.turn), image.mode, profile_of(image))

    for found in converted_pages(opened, path, digest):
        if found is None:
            return None
        hasher.update(found)
    return _VERSION + hasher.digest()


def _samples(image: Image.Image, header: Header, data: bytes) -> Samples | None:
    """Return every stored sample: (H, W, 3) RGB, (H, W, 4) RGBA or CMYK, (H, W) deep grey.

    None when the decoder does not hand them over whole.
    """
    if header.bits == _DEEP_BITS:
        return _deep_samples(image, header, data)
    if header.mode == "CMYK":
        return _in_bands(image, lambda band: band)
    if any(_is_see_through(band) for _, band in bands(image)):
        return _in_bands(image, with_alpha)
    return to_rgb(image)


def _deep_samples(image: Image.Image, header: Header, data: bytes) -> Samples | None:
    if header.mode.startswith("I"):
        return None if header.alpha else np.asarray(image).astype(np.uint16)
    if header.format == "PNG":
        return _decoded_deep(bare_png(data))
    if isinstance(image, LateImage):
        return None
    if header.format == "TIFF" and header.mode == "RGB" and header.orientation == 1:
        return _decoded_deep(data)
    return None


def _decoded_deep(data: bytes) -> Samples | None:
    """Decode what Pillow, which found it whole, reduces to 8 bits."""
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if decoded is None or decoded.dtype != np.uint16:
        return None
    order = cv2.COLOR_BGRA2RGBA if decoded.shape[2] == _RGBA else cv2.COLOR_BGR2RGB
    samples = np.asarray(cv2.cvtColor(decoded, order))
    if samples.shape[2] == _RGBA and samples[:, :, 3].min() == np.iinfo(np.uint16).max:
        return np.ascontiguousarray(samples[:, :, :3])
    return samples


def _in_bands(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Samples:
    return np.concatenate([np.asarray(convert(band)) for _, band in bands(image)])


def _is_see_through(band: Image.Image) -> bool:
    return with_alpha(band).getchannel("A").getextrema() != (0xFF, 0xFF)


def _hash(samples: Samples, mode: str, profile: bytes | None) -> bytes:
    height, width = samples.shape[:2]
    channels = samples.reshape(height, width, -1)
    grey = channels.shape[2] == 1
    opaque = channels.shape[2] < _RGBA
    kind = "CMYK" if mode == "CMYK" else "RGB" if opaque else "RGBA"
    hasher = hashlib.sha256(f"{kind} {samples.dtype.name} {width} {height}".encode())
    hasher.update(hashlib.sha256(profile).digest() if profile else b"")
    for top in range(0, height, _HASHED_ROWS):
        rows = channels[top : top + _HASHED_ROWS]
        hasher.update(np.ascontiguousarray(np.repeat(rows, 3, axis=2) if grey else rows).data)
    return _VERSION + hasher.digest()
