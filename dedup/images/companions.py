"""Files that belong to an image by their names: the raw image of a JPEG, edits, a live photo.

They are one photograph for a person: never duplicates of each other, and moved together. Names
alone decide, in one folder, in any case of letters; nothing is opened.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from dedup.images.formats import EXTENSIONS, KNOWN_EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

_RAW = frozenset(extension.encode() for extension in EXTENSIONS["RAW"])
_DEVELOPED = frozenset(b"jpg jpeg jpe heic heif hif".split())
_IMAGES = KNOWN_EXTENSIONS | _RAW | {name.encode() for name in EXTENSIONS["JXL"]}
_SIDECARS = frozenset(b"xmp aae thm pp3 dop on1 cos json".split())
_LIVE = frozenset(b"mov mp4".split())
_LIVE_STILLS = frozenset(b"jpg jpeg heic heif".split())


class Companions(NamedTuple):
    """What belongs together.

    Parameters
    ----------
    raws : raw images, each with what the camera or a person developed of it, of one stem, sorted
    sidecars : images, each with the files that describe or accompany it, sorted; a file that
        belongs to both a raw image and its JPEG is named with both
    """

    raws: dict[bytes, tuple[bytes, ...]]
    sidecars: dict[bytes, tuple[bytes, ...]]


def is_raw_name(path: bytes) -> bool:
    """Say whether a file is a camera's raw image, by its extension."""
    return path.rpartition(b".")[2].lower() in _RAW


def may_be_sidecar(path: bytes) -> bool:
    """Say whether a file may be a sidecar of an image, by its extension."""
    extension = path.rpartition(b".")[2].lower()
    return extension in _SIDECARS or extension in _LIVE


def companions(paths: Iterable[bytes]) -> Companions:
    """Find what belongs together among files.

    Parameters
    ----------
    paths : of images and of other files; all below one root, in any order

    Notes
    -----
    A sidecar is named after the image's stem (`a.xmp`) or its whole name (`a.cr2.xmp`); the latter
    belongs to that image alone. A film of a live photo has the stem of a JPEG or HEIC.
    """
    stems: dict[bytes, list[tuple[bytes, bytes]]] = defaultdict(list)
    images: list[tuple[bytes, bytes, bytes]] = []
    for path in sorted(set(paths)):
        folder, name = os.path.split(path)
        stem, _, extension = name.lower().rpartition(b".")
        if not stem:
            continue
        key = os.path.join(folder, stem)
        if extension in _IMAGES:
            images.append((path, key, extension))
        stems[key].append((extension, path))
    raws = {
        path: developed
        for path, key, extension in images
        if extension in _RAW
        and (developed := tuple(other for kind, other in stems[key] if kind in _DEVELOPED))
    }
    sidecars = {}
    for path, key, extension in images:
        folder, name = os.path.split(path)
        own = stems.get(os.path.join(folder, name.lower()), [])
        found = {other for kind, other in own if kind in _SIDECARS}
        found |= {other for kind, other in stems[key] if kind in _SIDECARS}
        if extension in _LIVE_STILLS:
            found |= {other for kind, other in stems[key] if kind in _LIVE}
        if found:
            sidecars[path] = tuple(sorted(found))
    return Companions(raws, sidecars)
