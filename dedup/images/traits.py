"""What one image tells of its history: whether something was made from it, or it from something.

`measure` reads a file's bytes once and gives a `Traits`: how far the spectrum of its pixels
reaches (an enlarged image has nothing near the top), how strongly it was quantised, by its own
tables and by what an earlier JPEG left in the pixels, how much of its area is added margin, and
what its metadata still hold. Nothing here compares images; which of several is the original is for
`dedup.duplicates.ranking`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np
from PIL import JpegImagePlugin

from dedup.errors import ImageError
from dedup.images.decode import decode_whole
from dedup.images.header import open_image
from dedup.images.history import LOSSLESS, earlier_quality, grey_of, history_grey, table_quality
from dedup.images.metadata import Metadata, embedded, exif_tags
from dedup.images.rgb import with_alpha
from dedup.images.screens import is_screen
from dedup.images.sources import read_unchanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from PIL import Image

    from dedup.images.header import Header

    Doubles = npt.NDArray[np.float64]
    Floats = npt.NDArray[np.float32]
    Pixels = npt.NDArray[np.uint8]

MAX_PIXELS: Final = 1 << 26
"""67 megapixels; of larger images only the header is read."""

RAW: Final = 101

_DETAIL_TILE, _DETAIL_TILES = 128, 16
_DETAIL_FALL = 8.0
"""Decibels that power, weighted by frequency squared, may fall below that of coarse structure. The
spectra of photographs fall with the square of frequency (Field 1987), so that weighted ones are
level. Of 1.25, 1.5 and 2 times enlarged photographs the fall is there at 0.77, 0.58 and 0.45 of the
highest frequency, at the end of what they hold."""

_EARLIER = 5  # by so much an earlier quality is below the present one

_SELDOM_FIRST: Final = {"GIF": 30, "WEBP": 60, "AVIF": 60}
"""Formats that say nothing of their quality and that photographs are converted to, not taken in."""
_LOSSLESS_WEBP = b"VP8L"

_SMALL_SIDE = 256
_DITHERED = 0.01  # reach of the spectrum of few colours, whose grain is none of the image
_EDITORS: Final = re.compile(
    r"(?i)adobe|lightroom|photoshop|gimp|snapseed|picasa|darktable|rawtherapee|capture one|affinity"
    r"|luminar|pixelmator|paint|irfanview|acdsee|dxo|canva|vsco|polarr|imagemagick|digikam|faststone"
)
"""What writes its name as the software of an image and is no camera."""
_FLAT, _FILL = 8, 0.55
_GREY_CHROMA = 3.0

_MAKE, _MODEL, _SOFTWARE, _DATE, _TAKEN = 0x010F, 0x0110, 0x0131, 0x0132, 0x9003


class Traits(NamedTuple):
    """What is known of one image.

    Parameters
    ----------
    detail : frequency up to which its spectrum reaches, as a share of the highest, in (0, 1]
    content : share of its area that is no plain margin or filled corner
    holes : share of its area that is transparent
    quality : as libjpeg counts, 1 to 99, of the strongest quantisation it shows; `LOSSLESS` where
        it shows none, `RAW` for a camera's raw file
    grey : it has no colour
    camera : it names the camera
    edited : its metadata were written later than it was taken, or name an editor
    screen : it is as large as a screen, and no camera is named
    told : what its metadata say of it
    saved : as `quality`, by its own tables alone
    """

    detail: float = 1.0
    content: float = 1.0
    holes: float = 0.0
    quality: int = LOSSLESS
    grey: bool = False
    camera: bool = False
    edited: bool = False
    screen: bool = False
    told: Metadata = Metadata()
    saved: int = LOSSLESS


NEUTRAL: Final = Traits()


def parsed_traits(value: str) -> Traits | None:
    """Read traits from their JSON; None where they make no sense."""
    try:
        traits = Traits(*json.loads(value))
        taken, place, rating, keywords = traits.told
        where = None if place is None else (place[0], place[1])
        return traits._replace(told=Metadata(taken, where, rating, tuple(keywords)))
    except (ValueError, TypeError, LookupError):
        return None


def metadata_of(data: bytes, path: str = "") -> Metadata:
    """Read what is written about the image in a file's bytes; its pixels are not looked at.

    Raises
    ------
    ImageError : it cannot be read as an image.
    """
    image = open_image(data, path).image
    return embedded(image, exif_tags(image))


def measured(content: bytes, paths: Sequence[bytes]) -> Traits | None:
    """Measure the traits of the first of some files that has a content (SHA-256).

    Returns
    -------
    None where none has, or it cannot be decoded.
    """
    found = read_unchanged(paths, content)
    if found is None:
        return None
    try:
        return measure(*found)
    except ImageError:
        return None


def measure(data: bytes, path: str = "") -> Traits:
    """Measure the traits of the image in a file's bytes.

    Raises
    ------
    ImageError : it cannot be read as an image.
    """
    opened = open_image(data, path)
    image, header = opened.image, opened.header
    traits = _told(image, header, opened.data)
    if header.width * header.height > MAX_PIXELS:
        return traits
    pixels = decode_whole(opened, path)
    earlier = earlier_quality(history_grey(pixels, header))
    small = _reduced(pixels)
    return traits._replace(
        detail=_DITHERED if header.mode == "P" else detail(pixels),
        content=round(content(small), 3),
        holes=round(float(holes(image, header).mean()), 3),
        # Of its own quantisation the tables tell more exactly.
        quality=earlier if earlier < traits.quality - _EARLIER else traits.quality,
        grey=_is_grey(small),
    )


# -- metadata --------------------------------------------------------------------------------------


def _told(image: Image.Image, header: Header, data: bytes) -> Traits:
    """Take from the header what needs no pixels."""
    quality = LOSSLESS
    if header.format == "RAW":
        quality = RAW
    elif isinstance(image, JpegImagePlugin.JpegImageFile):
        quality = table_quality(image.quantization)
    else:
        quality = _SELDOM_FIRST.get(header.format, LOSSLESS)
    if header.format == "WEBP" and _LOSSLESS_WEBP in data[:64]:
        quality = LOSSLESS
    if header.mode == "P":
        quality = min(quality, _SELDOM_FIRST["GIF"])
    tags = exif_tags(image)
    camera = header.format == "RAW" or bool(tags.get(_MAKE) and tags.get(_MODEL))
    taken, changed = (str(tags.get(tag) or "").strip(" \0") for tag in (_TAKEN, _DATE))
    return NEUTRAL._replace(
        quality=quality,
        saved=quality,
        camera=camera,
        edited=bool(taken and changed and taken != changed)
        or bool(_EDITORS.search(str(tags.get(_SOFTWARE) or ""))),
        screen=not camera and is_screen(header.width, header.height),
        told=embedded(image, tags),
    )


# -- pixels ----------------------------------------------------------------------------------------


def detail(pixels: Pixels) -> float:
    """Give the frequency up to which the spectrum of an image reaches, as a share of the highest.

    Parameters
    ----------
    pixels : (H, W, 3) uint8

    Returns
    -------
    In (0, 1]; 1 for an image too small to tell.
    """
    height, width = pixels.shape[:2]
    size = min(_DETAIL_TILE, height & ~1, width & ~1)
    if size < _DETAIL_TILE // 4:
        return 1.0
    power = _power(pixels, size)
    half = size // 2
    frequency = (np.arange(half) + 0.5) / half
    level = 10 * np.log10(power + 1e-3) + 20 * np.log10(frequency)
    smooth = np.convolve(np.pad(level, 2, "edge"), np.full(5, 0.2), "valid")
    coarse = float(level[(frequency > 0.1) & (frequency < 0.25)].mean())  # noqa: PLR2004 - coarse structure
    reached = np.flatnonzero((smooth < coarse - _DETAIL_FALL) & (frequency > 0.2))  # noqa: PLR2004 - finer than that
    return round(float(frequency[reached[0]]) if len(reached) else 1.0, 3)


def _power(pixels: Pixels, size: int) -> npt.NDArray[np.float64]:
    """Give mean power by the larger of the two frequencies, of the tiles with most structure."""
    height, width = pixels.shape[:2]
    tops, lefts = _starts(height, size), _starts(width, size)
    # Every 8th pixel is enough to tell where there is structure.
    corners = [(top, left) for top in tops for left in lefts]
    some = [pixels[y : y + size : 8, x : x + size : 8, 1] for y, x in corners]
    order = np.argsort([-float(part.std()) for part in some], kind="stable")[:_DETAIL_TILES]
    tiles = [corners[place] for place in order.tolist()]
    window = np.hanning(size).astype(np.float32)
    total = np.zeros((size, size // 2 + 1))
    for y, x in tiles:
        grey = grey_of(pixels[y : y + size, x : x + size])
        total += np.abs(np.fft.rfft2((grey - grey.mean()) * window[:, None] * window)) ** 2
    rows = np.abs(np.fft.fftfreq(size, 1 / size)).astype(int)
    ring = np.maximum(rows[:, None], np.arange(size // 2 + 1)[None]).ravel()
    sums = np.bincount(ring, total.ravel(), size // 2 + 1)
    counts = np.bincount(ring, minlength=size // 2 + 1)
    power: npt.NDArray[np.float64] = (sums / counts / len(tiles))[: size // 2]
    return power


def _starts(length: int, size: int) -> list[int]:
    """Spread at most eight tiles over a side."""
    count = min(8, length // size)
    return [round(start) for start in np.linspace(0, length - size, count)]


def content(pixels: Pixels) -> float:
    """Give the share of an image that is no plain margin and no filled corner.

    Parameters
    ----------
    pixels : (H, W, 3) uint8, reduced
    """
    height, width = pixels.shape[:2]
    if min(height, width) < 16:  # noqa: PLR2004 - too small to have margins
        return 1.0
    sides = [_margin(pixels), _margin(pixels[::-1])]
    across = pixels.transpose(1, 0, 2)
    sides += [_margin(across), _margin(across[::-1])]
    tall, wide = height - sides[0] - sides[1], width - sides[2] - sides[3]
    inner = tall * wide / (height * width) if min(tall, wide) > 0 else 1.0
    return min(inner, 1 - _corners(pixels))


def _margin(pixels: Pixels) -> int:
    """Count the rows from the first on that are one plain colour, or mostly so, as captions are."""
    ranked, half = np.sort(pixels[0], axis=0).astype(np.float64), len(pixels[0]) // 2
    first = ranked[half] if len(ranked) % 2 else (ranked[half - 1] + ranked[half]) / 2
    low, high = np.clip(first - _FLAT, 0, 255), np.clip(first + _FLAT, 0, 255)

    def same(rows: Pixels) -> Doubles:
        within = cv2.inRange(np.ascontiguousarray(rows), low, high)
        return np.asarray(within.mean(axis=1) / 255, np.float64)

    # Most images have no margin, which the first row tells.
    if same(pixels[:1])[0] < 0.98:  # noqa: PLR2004 - a plain edge, but for JPEG's noise
        return 0
    ends = np.flatnonzero(same(pixels) < _FILL)
    return int(ends[0]) if len(ends) else 0


def _corners(pixels: Pixels) -> float:
    """Give the share of the plain areas at all four corners, where these have one colour."""
    height, width = pixels.shape[:2]
    places = ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1))
    colours = np.array([pixels[y, x] for x, y in places], np.int16)
    if np.ptp(colours, axis=0).max() > _FLAT:
        return 0.0
    mask = np.zeros((height + 2, width + 2), np.uint8)
    image, limit = np.ascontiguousarray(pixels), (_FLAT,) * 3
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (1 << 8)
    for place in places:
        cv2.floodFill(image, mask, place, (0, 0, 0), limit, limit, flags)
    return float(mask[1:-1, 1:-1].mean())


def holes(image: Image.Image, header: Header) -> npt.NDArray[np.bool_]:
    """Tell where an image is transparent, reduced and as it is stored."""
    if not header.alpha:
        return np.zeros((1, 1), np.bool_)
    alpha = with_alpha(image.reduce(max(1, max(image.size) // _SMALL_SIDE))).getchannel("A")
    return np.asarray(np.asarray(alpha) < 0x80)  # noqa: PLR2004 - half


def _is_grey(pixels: Pixels) -> bool:
    # Noise has colours as well, which are not the image's.
    red, green, blue = cv2.split(cv2.blur(pixels, (5, 5)))
    chroma = cv2.max(cv2.absdiff(red, green), cv2.absdiff(green, blue))
    return float(np.percentile(chroma, 98)) <= _GREY_CHROMA


def _reduced(pixels: Pixels) -> Pixels:
    step = -(-max(pixels.shape[:2]) // _SMALL_SIDE)
    return np.ascontiguousarray(pixels[::step, ::step])
