"""Colour profiles (ICC): from the values that a file stores to sRGB.

For what looks at colours closely: the proof and what people see. What the extractor sees stays as
it is stored, since embeddings of one collection must not depend on profiles. A broken profile is
none, without a word.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageCms

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

MAX_PROFILE_BYTES: Final = 1 << 22
"""Larger than any printer's; those of presses have up to 3 MB."""

_MODES: Final = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_SEEN = 2
"""Levels that nobody sees: a profile that changes colours by no more is sRGB."""

_STEPS = np.linspace(0, 255, 6).astype(np.uint8)
_COLOURS = np.stack(np.meshgrid(_STEPS, _STEPS, _STEPS), axis=-1).reshape(1, -1, 3)


def profile_of(image: Image.Image) -> bytes | None:
    """Give the embedded profile of an open image, where it changes what the image shows."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 0 < len(profile) <= MAX_PROFILE_BYTES:
        return None
    found = _transform(profile)
    grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")
    kind = "CMYK" if image.mode == "CMYK" else "L" if grey else "RGB"
    return profile if found is not None and found[0] == kind else None


def to_srgb(pixels: Pixels, profile: bytes) -> Pixels:
    """Convert pixels by the profile they were stored with.

    Parameters
    ----------
    pixels : (H, W, 3) uint8, RGB; of a grey image three equal channels
    profile : one that `profile_of` gave; of CMYK it is left to `cmyk_to_srgb`

    Returns
    -------
    (H, W, 3) uint8, sRGB
    """
    found = _transform(profile)
    if found is None or found[0] == "CMYK":
        return pixels
    mode, transform = found
    samples = pixels[:, :, 0] if mode == "L" else pixels
    return _applied(Image.fromarray(np.ascontiguousarray(samples)), transform)


def cmyk_to_srgb(band: Image.Image, profile: bytes) -> Pixels | None:
    """Convert a CMYK image, (H, W, 3) uint8; None where the profile is of another kind."""
    found = _transform(profile)
    return _applied(band, found[1]) if found is not None and found[0] == "CMYK" else None


def _applied(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Pixels:
    return np.asarray(transform.apply(image))


@lru_cache(16)
def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform] | None:
    """Build the transform to sRGB; None where it is not needed, or cannot be built."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES[source.profile.xcolor_space]
        transform = ImageCms.ImageCmsTransform(
            source,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.NOCACHE,  # transforms are shared between threads
        )
        if mode != "CMYK" and _changes_nothing(mode, transform):
            return None
    except (ImageCms.PyCMSError, OSError, KeyError, ValueError, TypeError):
        return None
    return mode, transform


def _changes_nothing(mode: str, transform: ImageCms.ImageCmsTransform) -> bool:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    given = grey if mode == "L" else _COLOURS
    image = Image.fromarray(np.ascontiguousarray(given[:, :, 0] if mode == "L" else given))
    change = np.abs(_applied(image, transform).astype(int) - given)
    return int(change.max()) <= _SEEN
