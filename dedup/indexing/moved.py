"""Recognise a root that was renamed or moved, so that its rows move along.

A new folder is a known root at another place when that place is missing, at least half of the
root's files are in it under the same relative path with the same size and time, and a sample of
them still has the very contents. Where two roots could have moved there, none has.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from dedup.errors import ImageError
from dedup.images.decode import read_file
from dedup.images.scan import walk
from dedup.store.roots import contents_of, move_root

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.records import KnownFile, Root
    from dedup.store.catalog import Catalog

LEAST_SHARE: Final = 0.5
"""Of a root's indexed files that have to be found at the new place."""

MAX_HASHED: Final = 16
"""Files whose contents are compared."""


def follow_moved(catalog: Catalog, folders: Iterable[bytes]) -> list[str]:
    """Change the path of roots that are now at one of some folders.

    Parameters
    ----------
    folders : absolute, symbolic links resolved

    Returns
    -------
    One note a root that moved.
    """
    notes = []
    for folder in sorted(set(folders)):
        roots = [root for root in catalog.roots() if root.is_folder]
        missing = [root for root in roots if not os.path.lexists(root.path)]
        if not missing or _is_covered(folder, roots) or not os.path.isdir(folder):
            continue
        moved = [root for root in missing if _is_at(catalog, root, folder)]
        if len(moved) == 1:
            move_root(catalog, moved[0], folder)
            notes.append(
                f"{os.fsdecode(moved[0].path)} is now {os.fsdecode(folder)}: its images moved along"
            )
    return notes


def _is_covered(folder: bytes, roots: Iterable[Root]) -> bool:
    prefix = folder.rstrip(b"/") + b"/"
    return any(prefix.startswith(root.path.rstrip(b"/") + b"/") for root in roots)


def _is_at(catalog: Catalog, root: Root, folder: bytes) -> bool:
    """Find out whether a folder holds what a root held."""
    here = {
        entry.path: (entry.size, entry.mtime_ns)
        for entry in walk(folder, patterns=root.exclude).files()
    }
    total = 0
    same: list[KnownFile] = []
    for file in catalog.known_files(root):
        if file.state == "indexed":
            total += 1
            if here.get(file.path) == (file.size, file.mtime_ns):
                same.append(file)
    if not same or len(same) < LEAST_SHARE * total:
        return False
    sample = same[:: -(-len(same) // MAX_HASHED)]
    contents = contents_of(catalog, [file.id for file in sample])
    return all(_content(os.path.join(folder, file.path)) == contents[file.id] for file in sample)


def _content(path: bytes) -> bytes | None:
    try:
        return hashlib.sha256(read_file(path)).digest()
    except ImageError:
        return None
