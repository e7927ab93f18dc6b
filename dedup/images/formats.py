"""Which files are images: by name when looking for files, by first bytes when reading them.

Names only decide which files are looked at; what a file is, its content decides. Formats are
those that Pillow's wheels read on every platform: JPEG, PNG and APNG, GIF, WebP, BMP, TIFF, AVIF,
JPEG 2000 and netpbm; and with the extras ``heic``, ``raw`` and ``jxl`` HEIC,
raw images of cameras and JPEG XL. PSD, SVG, PDF and ICO are not read. No decoder is imported here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

# fmt: off
_RAW_EXTENSIONS = (
    "3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "iiq", "kdc", "mef", "mos",
    "mrw", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f",
)
# fmt: on

EXTENSIONS = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif", "pjpeg", "pjp"),
    "PNG": ("png", "apng"),
    "GIF": ("gif",),
    "WEBP": ("webp",),
    "BMP": ("bmp", "dib"),
    "TIFF": ("tif", "tiff"),
    "AVIF": ("avif", "avifs"),
    "JPEG2000": ("jp2", "j2k", "j2c", "jpc", "jpx", "jpf"),
    "PPM": ("pbm", "pgm", "ppm", "pnm"),
    "HEIF": ("heic", "heif", "hif"),
    "RAW": _RAW_EXTENSIONS,
    "JXL": ("jxl",),
}
"""Per format (Pillow's name for it) the extensions under which its files are looked for."""

EXTRAS: Final = {"HEIF": "pillow-heif", "RAW": "rawpy", "JXL": "pillow-jxl-plugin"}
"""The distributions that formats need, which are extras of this one."""

_LISTED_IF_READABLE = ("RAW", "JXL")  # HEIC is common enough to be told file by file

KNOWN_EXTENSIONS = frozenset(
    extension.encode()
    for name, extensions in EXTENSIONS.items()
    if name not in _LISTED_IF_READABLE
    for extension in extensions
)
"""Looked for whatever is installed."""

SIGNATURE_BYTES = 64
"""How much of a file `sniff` wants to see: a file-type box with a dozen brands."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),  # BigTIFF
    (b"MM\x00+", "TIFF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JXL"),
    (b"\xff\x0a", "JXL"),
)
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
)
_NETPBM_KINDS = b"123456"
_NETPBM_GAPS = frozenset((b" ", b"\t", b"\n", b"\r"))
_BMP_HEADER_SIZES = frozenset((12, 16, 40, 52, 56, 64, 108, 124))


def sniff(head: bytes) -> str | None:
    """Name the format that the first `SIGNATURE_BYTES` bytes of a file announce.

    Returns
    -------
    A key of `EXTENSIONS`, or None: not an image, or a format that is not read.
    """
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name if name != "BMP" or _is_bitmap(head) else None
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head[:1] == b"P" and head[1:2] in _NETPBM_KINDS and head[2:3] in _NETPBM_GAPS:
        return "PPM"
    return None


def readable_formats() -> dict[str, bool]:
    """Say, per known format, whether this installation can read it."""
    return {name: name not in EXTRAS or extra_version(name) is not None for name in EXTENSIONS}


@lru_cache
def listed_extensions() -> frozenset[bytes]:
    """Give the extensions under which files are looked for in this installation, in lower case."""
    readable = readable_formats()
    return KNOWN_EXTENSIONS | {
        extension.encode()
        for name in _LISTED_IF_READABLE
        if readable[name]
        for extension in EXTENSIONS[name]
    }


def missing_extra(name: bytes) -> str | None:
    """Name the extra without which a file is not even listed in this installation, by its name.

    Returns
    -------
    "raw" or "jxl"; None for all other files
    """
    extension = name[name.rfind(b".") + 1 :].lower()
    if extension in listed_extensions():
        return None
    readers = (
        each for each in _LISTED_IF_READABLE if extension.decode("latin-1") in EXTENSIONS[each]
    )
    return next(map(str.lower, readers), None)


@lru_cache
def reads_videos() -> bool:
    """Say whether this installation can read videos."""
    return _version("av") is not None


def extra_version(name: str) -> str | None:
    """Name the version of an optional decoder, None where it is not installed.

    Parameters
    ----------
    name : a key of `EXTRAS`
    """
    return _version(EXTRAS[name])


def _version(package: str) -> str | None:
    # Which takes longer to import than all else that a command needs to look at a list.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _brand(head: bytes) -> str | None:
    """Read an ISO base media file-type box (ISO/IEC 14496-12, section 4.3)."""
    box = head[: int.from_bytes(head[:4], "big")]
    major, compatible = box[8:12], {box[i : i + 4] for i in range(16, len(box), 4)}
    if major in _AVIF_BRANDS:
        return "AVIF"
    if major in _HEIF_BRANDS and not compatible & _AVIF_BRANDS:
        return "HEIF"
    return "AVIF" if compatible & _AVIF_BRANDS else None


def _is_bitmap(head: bytes) -> bool:
    """Two letters are a weak signature: the size of the second header has to fit, too."""
    return int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES
