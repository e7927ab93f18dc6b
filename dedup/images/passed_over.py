"""What a walk through folders does not list although a person may expect it to, by kind.

What belongs to an image by its name (`dedup.images.companions`) is not expected: edits, the film
of a live photo.

The kinds are words for people: "12 videos", "3 .psd files".
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from dedup.images.formats import EXTENSIONS, KNOWN_EXTENSIONS, listed_extensions

if TYPE_CHECKING:
    from collections.abc import Mapping

LINKS = "symbolic links"
VIDEOS = "videos (pip install 'dedup-vision[video]' compares them)"
ODD_NAMES = "files with more after an image's extension, such as photo.jpg?w=800"
_BY_PATTERN: Final = "excluded by a pattern"
PATTERNS = f"files and folders {_BY_PATTERN}"

_PLURAL = re.compile(r"\b(link|video|file|folder|image)s\b")
_REMARK = re.compile(r" \(|, ")

DEFAULT_EXCLUDES: Mapping[bytes, str] = {
    b"@eaDir": "thumbnails of a NAS",
    b"@__thumb": "thumbnails of a NAS",
    b"#recycle": "the bin of a NAS",
    b"@Recycle": "the bin of a NAS",
    b"#snapshot": "snapshots of a NAS",
    b"@Recently-Snapshot": "snapshots of a NAS",
    b"$RECYCLE.BIN": "the bin of Windows",
    b"RECYCLER": "the bin of Windows",
    b"System Volume Information": "snapshots of Windows",
    b"Network Trash Folder": "a bin",
    b"lost+found": "what a check of the disk found",
    b"__MACOSX": "leftovers of an archive",
    b".thumbnails": "thumbnails",
    b".Trash": "a bin",
    b".Trashes": "a bin",
}
"""Names of folders that hold copies which no person made. The hidden ones are here for the record:
hidden folders are left out anyway."""

_EXCLUDED_ENDINGS = {b".lrdata": "previews of Lightroom", b".lrcat-data": "data of Lightroom"}
_ENDINGS = tuple(_EXCLUDED_ENDINGS)

_VIDEOS = "mp4 mov m4v avi mkv webm mts m2ts mpg mpeg wmv 3gp 3g2 flv mod vob insv"
_UNREAD = (
    "psd psb svg svgz eps ai xcf kra clip afphoto tga exr hdr pcx dds ico icns jxr wdp djvu fits "
    "fit sgi pict pct qoi heics emf wmf"
)
# What programs append; a sidecar (photo.jpg.xmp) or a list (photo.jpg.txt) is no image.
_ODD = re.compile(
    rb"(?i)\.(?:" + b"|".join(sorted(KNOWN_EXTENSIONS)) + rb")"
    rb"(?:[^.a-z0-9][^.]*|\.(?:part|bak|tmp|old|orig|original|crdownload|download|\d+))$"
)


def kind_of(name: bytes) -> str | None:
    """Say what a file that is not listed is, by its name; None: nothing a person expects."""
    extension = name[name.rfind(b".") + 1 :].lower()
    return _kinds().get(extension) or (ODD_NAMES if _ODD.search(name) else None)


def is_video_name(path: bytes) -> bool:
    """Say whether a file is a video, by its extension."""
    return path[path.rfind(b".") + 1 :].lower() in _VIDEOS.encode().split()


def default_exclude(name: bytes) -> str | None:
    """Say what a folder is that is left out by default, by its name; None: it is not."""
    if name in DEFAULT_EXCLUDES:
        return f"folders {os.fsdecode(name)} ({DEFAULT_EXCLUDES[name]})"
    if name.endswith(_ENDINGS):
        ending = name[name.rfind(b".") :]
        return f"folders *{os.fsdecode(ending)} ({_EXCLUDED_ENDINGS[ending]})"
    return None


def is_listed(name: bytes) -> bool:
    """Say whether a file that is not in a folder of this computer is taken for an image.

    Parameters
    ----------
    name : with the folders that it is in, below the root
    """
    *folders, last = name.split(b"/")
    if any(part.startswith(b".") or default_exclude(part) for part in folders):
        return False
    extension = last.rpartition(b".")[2].lower()
    return not last.startswith(b".") and b"." in last and extension in listed_extensions()


def in_words(count: int, kind: str) -> str:
    """Say how many of a kind were not listed: "1 symbolic link skipped"."""
    if count == 1:
        kind = kind.replace("files and folders", "file or folder", 1)
        kind = _PLURAL.sub(r"\1", kind, count=1)
    if kind.endswith(_BY_PATTERN):
        return f"{count:,} {kind}"
    remark = _REMARK.search(kind)
    end = remark.start() if remark is not None else len(kind)
    return f"{count:,} {kind[:end]} skipped{kind[end:]}"


@lru_cache(1)
def _kinds() -> dict[bytes, str]:
    kinds = {name.encode(): f".{name} files" for name in _UNREAD.split()}
    kinds |= dict.fromkeys(_VIDEOS.encode().split(), VIDEOS)
    kinds[b"mpo"] = ".mpo files (several images in one)"
    for name, words in (("RAW", "raw images of cameras"), ("JXL", "JPEG XL images")):
        kind = f"{words} (pip install 'dedup-vision[{name.lower()}]' reads them)"
        kinds |= dict.fromkeys((each.encode() for each in EXTENSIONS[name]), kind)
    return {name: kind for name, kind in kinds.items() if name not in listed_extensions()}
