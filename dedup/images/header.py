"""What an image file says it is, judged before anything is decoded.

`open_image` is the one place where a decoder is chosen and asked, and where its complaints become
`ImageError` with a reason that a person understands. Pixels, sides and the bytes that a decode
would need are bounded here, from the header alone; so are the tricks by which a few bytes claim a
great many pixels. Decoding itself is left to `dedup.images.rgb` and `dedup.images.decode`.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import PIL
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from dedup.errors import ImageError
from dedup.images.bounds import passes_refusal, structure_refusal
from dedup.images.containers import (
    claims_too_much,
    exif_orientation,
    has_deep_samples,
    is_cut_short,
    jpeg2000_pixels,
    without_png_text,
)
from dedup.images.formats import EXTRAS, SIGNATURE_BYTES, extra_version, sniff
from dedup.images.jpeg import layout
from dedup.images.jxl import jxl_size
from dedup.images.limits import LIMITS
from dedup.images.netpbm import open_netpbm
from dedup.images.raw import is_raw, open_raw
from dedup.images.silence import silence_pillow
from dedup.images.tiff import reopened

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import ImageFile

    from dedup.images.limits import Limits

NO_IMAGE: Final = "not an image, or of a format that is not read"
READ_RULES = 2
"""Raised when the rules of this package come to read what they refused before."""

DECODER_FAILURES = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RuntimeError,
    AssertionError,
    Warning,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises on files that are not as they should be."""

# What Pillow says of files that are sound and of a kind that it does not decode.
_UNSUPPORTED = re.compile(
    r"(?i)unsupported|not supported|unknown (pixel|raw|PNG) mode|unrecognized image mode|"
    r"cannot handle 12-bit|not available"
)
_UNSUPPORTED_WORD = re.compile(r"(?i)^(unsupported |not supported: )")

_OPENERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "AVIF": AvifImagePlugin.AvifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}
_EXTRA = {"HEIF": "heic", "RAW": "raw", "JXL": "jxl"}
_WORDS = {"HEIF": "HEIC", "RAW": "a raw image", "JXL": "JPEG XL"}
_JXL_BYTES_PER_PIXEL = 24  # of its plugin at its peak; 11 were measured for RGB
_TURNED_BY_DECODER = frozenset(("TIFF", "HEIF"))
_ALPHA_MODES = frozenset(("RGBA", "LA", "PA", "RGBa", "La"))
_BITS = {"1": 1, "I;16": 16, "I;16B": 16, "I;16L": 16, "I": 16, "F": 32}
_ORIENTATION_TAG = 0x0112
_BITS_PER_SAMPLE_TAG = 0x0102
_FIRST_SIDEWAYS = 5  # EXIF orientations 5 to 8 swap width and height

# Pillow would warn above 89 megapixels and fail above 179, by a limit of the whole process. It is
# raised to the bound that is checked here, never lowered and never taken away.
if Image.MAX_IMAGE_PIXELS is not None:
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, LIMITS.pixels)
silence_pillow()


@dataclass(frozen=True, slots=True)
class Header:
    """What an image file says about itself."""

    format: str
    """a key of `dedup.images.formats.EXTENSIONS`"""
    width: int
    """upright, that is after the EXIF orientation"""
    height: int
    orientation: int
    """EXIF's 1 to 8 as stored; 1 for HEIF, whose decoder has turned the image already"""
    frames: int
    """1 for stills, at least 2 for animations and multi-page files"""
    bits: int
    """per channel: 1, 8, 16 (anything from 9 to 16) or 32"""
    alpha: bool
    """whether pixels can be transparent; they may still all be opaque"""
    mode: str
    """Pillow's mode of the stored image"""
    progressive: bool = False
    """a JPEG whose decoder keeps every coefficient"""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, as arrays have them."""
        return self.height, self.width

    @property
    def turn(self) -> int:
        """The orientation that is left once it was decoded: 1 for TIFF, which is turned then."""
        return 1 if self.format == "TIFF" else self.orientation


def read_header(data: bytes, path: str = "") -> Header:
    """Read what a file says it is; nothing is decoded.

    Raises
    ------
    ImageError : empty, not an image, damaged, truncated as far as the header can tell, of a kind
        that is not supported, or beyond `LIMITS`
    """
    return open_image(data, path).header


def read_epoch() -> str:
    """Name the decoders there are, with their versions.

    A file that was skipped deserves another try when this has changed: a decoder was installed or
    upgraded.
    """
    extras = (f"{EXTRAS[name]} {extra_version(name) or 'none'}" for name in EXTRAS)
    return ", ".join((f"pillow {PIL.__version__}", *extras, f"rules {READ_RULES}"))


class Opened(NamedTuple):
    """A file that is open for decoding.

    Parameters
    ----------
    image : as Pillow has it, its pixels not read yet
    data : what a decoder reads
    """

    image: Image.Image
    header: Header
    data: bytes


def open_image(data: bytes, path: str, limits: Limits = LIMITS) -> Opened:
    """Open a file for decoding; its pixels are not read yet.

    Raises
    ------
    ImageError : as `read_header`
    """
    name = _format(data, path)
    refused = structure_refusal(data, name, limits)
    if refused:
        raise ImageError(path, refused)
    try:
        opened = _open_raw(data) if name == "RAW" else _open(data, name, limits)
    except ImportError:
        need = (
            f"{_WORDS[name]} needs an optional package: pip install 'dedup-vision[{_EXTRA[name]}]'"
        )
        raise ImageError(path, need) from None
    except DECODER_FAILURES as error:
        raise ImageError(path, failure(data, name, error)) from error
    reason = _refusal(opened.header, data, limits)
    if reason:
        raise ImageError(path, reason)
    return opened


def _open(data: bytes, name: str, limits: Limits) -> Opened:
    """Open a file by the plugin's own class.

    `PIL.Image.open` would try others, warn by its own limits, and make a JPEG that carries a
    preview (MPO, most phones) a file of several pages.
    """
    if name == "PPM" and (netpbm := open_netpbm(data)) is not None:
        if data[1:2] in b"123" and netpbm.width * netpbm.height > limits.text_pixels:
            raise Image.DecompressionBombError
        return Opened(netpbm, _header(netpbm, name, data), data)
    if name == "JXL":
        width, height = jxl_size(data)
        most = limits.most_decode_bytes(width * height, len(data))
        if width * height > min(limits.pixels, most // _JXL_BYTES_PER_PIXEL):
            raise Image.DecompressionBombError  # the plugin decodes at once
    source = without_png_text(data) if name == "PNG" else data
    image: Image.Image = _opener(name)(io.BytesIO(source))
    header = _header(image, name, data)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        image = reopened(image, data) or image
    return Opened(image, header, data)


def _open_raw(data: bytes) -> Opened:
    image, source, (width, height), turn = open_raw(data)
    stored = _header(image, "JPEG", source)
    turn = turn if stored.orientation == 1 else stored.orientation
    if is_sideways(turn) and (image.width > image.height) == (width > height):
        turn = 1  # it is upright already
    header = Header("RAW", width, height, turn, 1, stored.bits, alpha=False, mode=stored.mode)
    return Opened(image, header, source)


def failure(data: bytes, name: str, error: BaseException) -> str:
    """Say in a few words why a decoder gave up on a file of the named format."""
    if isinstance(error, MemoryError) or "Insufficient memory" in str(error):
        return "too large for the memory there is"
    if isinstance(error, Image.DecompressionBombError):
        return "too large"
    if "not RAW file" in str(error):
        return "damaged, or not a camera's raw file"
    if _UNSUPPORTED.search(str(error)):
        return f"not supported: {_first_words(error)}"
    if "truncated" in str(error).lower() or is_cut_short(data, name):
        return "truncated"
    return "damaged"


def _first_words(error: BaseException) -> str:
    """Give another library's reason without its own "unsupported"."""
    words = _UNSUPPORTED_WORD.sub("", str(error)).strip().partition("\n")[0][:80]
    return "samples of this kind" if words.startswith("unknown") else words


def too_large(header: Header) -> str:
    """Give the reason for which an image of this size is not decoded."""
    return f"too large: {header.width}×{header.height} pixels"


def is_sideways(orientation: int) -> bool:
    """Say whether an EXIF orientation swaps width and height."""
    return orientation >= _FIRST_SIDEWAYS


def holds_image(path: bytes) -> bool:
    """Say whether a file begins as an image does; False where it cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(SIGNATURE_BYTES)
    except OSError:
        return False
    return is_raw(head, os.fsdecode(path)) or sniff(head) is not None


def _format(data: bytes, path: str) -> str:
    if not data:
        raise ImageError(path, "empty file")
    head = data[:SIGNATURE_BYTES]
    name = "RAW" if is_raw(head, path) else sniff(head)
    if name is None:
        raise ImageError(path, NO_IMAGE)
    return name


def _opener(name: str) -> Callable[[io.BytesIO], Image.Image]:
    if name == "HEIF":
        from pillow_heif.as_plugin import HeifImageFile

        heif: Callable[[io.BytesIO], Image.Image] = HeifImageFile
        return heif
    if name == "JXL":
        from pillow_jxl.JpegXLImagePlugin import JXLImageFile

        jxl: Callable[[io.BytesIO], Image.Image] = JXLImageFile
        return jxl
    return _OPENERS[name]


def _header(image: Image.Image, name: str, data: bytes) -> Header:
    orientation = _orientation(image, name)
    width, height = image.size
    if is_sideways(orientation) and name not in _TURNED_BY_DECODER:
        width, height = height, width
    return Header(
        format=name,
        width=width,
        height=height,
        orientation=orientation,
        frames=2 if getattr(image, "is_animated", False) else 1,
        bits=_bits(image, name, data),
        alpha=image.mode in _ALPHA_MODES or "transparency" in image.info,
        mode=image.mode,
        progressive=name == "JPEG" and layout(data).several_scans,
    )


def _orientation(image: Image.Image, name: str) -> int:
    """Read EXIF alone: XMP's copy of the tag is not what viewers turn by."""
    if name == "HEIF":
        return 1
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        stored = image.tag_v2.get(_ORIENTATION_TAG, 1)
        return stored if stored in range(1, 9) else 1
    exif = image.info.get("exif")
    return exif_orientation(exif) if isinstance(exif, bytes) else 1


def _bits(image: Image.Image, name: str, data: bytes) -> int:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _rounded_bits(max(image.tag_v2.get(_BITS_PER_SAMPLE_TAG, (1,))))
    if name == "HEIF":
        return _rounded_bits(image.info.get("bit_depth", 8))
    return 16 if has_deep_samples(data, name) else _BITS.get(image.mode, 8)


def _rounded_bits(bits: int) -> int:
    return next((step for step in (1, 8, 16) if bits <= step), 32)


def _refusal(header: Header, data: bytes, limits: Limits) -> str | None:
    """Say why a file with this header is not decoded, or None."""
    pixels = header.width * header.height
    if pixels > limits.pixels or max(header.width, header.height) > limits.side:
        return too_large(header)
    if claims_too_much(data, header.format, pixels):
        return "truncated"
    if header.progressive:
        return passes_refusal(data, pixels, limits)
    if header.format == "JPEG2000" and jpeg2000_pixels(data) != pixels:
        return "damaged"
    return None
