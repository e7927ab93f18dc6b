"""What two files say of themselves, side by side."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dedup.errors import ImageError
from dedup.images.metadata import embedded, exif_tags
from dedup.images.sources import read_unchanged
from dedup.proof.original import LOSSLESS, Original

if TYPE_CHECKING:
    from dedup.review.board import File

_MAKE, _MODEL = 0x010F, 0x0110


def compared(first: File, second: File) -> list[dict[str, Any]]:
    """List what two files say, a row each, with the name of what it is and whether they differ."""
    one, two = _facts(first), _facts(second)
    names = [name for name in one if one[name] or two[name]]
    return [
        {"name": name, "values": [one[name], two[name]], "differs": one[name] != two[name]}
        for name in names
    ]


def _facts(file: File) -> dict[str, str]:
    known = file.known
    modified = datetime.fromtimestamp(known.mtime_ns / 1e9, UTC)
    return {
        "folder": os.path.dirname(file.path),
        "pixels": f"{known.width}×{known.height}",
        "format": known.format,
        "bytes": str(known.size),
        "modified": modified.isoformat(" ", "seconds"),
        "remark": known.remark,
        **_inside(file),
        "sha256": known.digest.hex(),
    }


def _inside(file: File) -> dict[str, str]:
    """Give what the file itself holds; nothing where it cannot be read."""
    facts = dict.fromkeys(
        ("quality", "profile", "taken", "camera", "place", "rating", "keywords"), ""
    )
    found = read_unchanged([os.fsencode(file.path)], file.known.digest)
    if found is None:
        return facts
    original = Original(*found)
    try:
        image, quality = original.opened.image, original.quality
        profile = original.has_profile
    except ImageError:
        return facts
    tags = exif_tags(image)
    told = embedded(image, tags)
    place = "" if told.place is None else "{:.5f}, {:.5f}".format(*told.place)
    camera = " ".join(str(tags[tag]).strip(" \0") for tag in (_MAKE, _MODEL) if tags.get(tag))
    return {
        "quality": "" if quality == LOSSLESS else str(quality),
        "profile": "yes" if profile else "",
        "taken": told.taken,
        "camera": camera,
        "place": place,
        "rating": str(told.rating or ""),
        "keywords": ", ".join(told.keywords),
    }
