"""Files that a run was asked for by name and did not index: a person is told of each, and why.

Of a folder only what is new is told. A name that somebody typed is answered every time, also where
the file was skipped before, or is one that its indexed folder is not looked through for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from dedup.images.formats import listed_extensions
from dedup.images.header import NO_IMAGE, holds_image
from dedup.images.passed_over import is_video_name
from dedup.records import is_url
from dedup.results import Skip
from dedup.sources import archives

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dedup.records import Root
    from dedup.store.catalog import Catalog

_ODD_NAME: Final = (
    "an image whose name does not say so, which an indexed folder takes no notice of: rename it"
)
_LEFT_OUT: Final = "left out by --exclude, or as hidden, a link, or in a folder that is left out"


def unread(
    catalog: Catalog, names: Iterable[str], skips: Mapping[bytes, str], said: Iterable[Skip]
) -> list[Skip]:
    """Say which files that were asked for by name are not in the collection, and why.

    Parameters
    ----------
    names : as they were given: of files; folders, archives and URLs are passed over
    skips : reasons by absolute path
    said : skips that a run tells anyway

    Returns
    -------
    By path.
    """
    told = {os.fsencode(skip.path) for skip in said}
    asked = {os.path.realpath(os.fsencode(name)) for name in names if not is_url(os.fsencode(name))}
    asked = {
        path for path in asked - told if os.path.isfile(path) and not archives.is_archive(path)
    }
    found = {path: skips[path] for path in asked if path in skips}
    left = asked - found.keys()
    # The innermost first, to which its files belong.
    for root in sorted(catalog.roots(), key=lambda root: -len(root.path)):
        below = {path for path in left if root.is_folder and root.holds(path)}
        left -= below
        if below:
            found |= _not_listed(catalog, root, below)
    return [Skip(os.fsdecode(path), reason) for path, reason in sorted(found.items())]


def _not_listed(catalog: Catalog, root: Root, paths: Iterable[bytes]) -> dict[bytes, str]:
    """Give reasons for files below a folder that its walk did not list."""
    there = {
        os.path.join(root.path, file.path)
        for file in catalog.known_files(root)
        if file.state != "gone"
    }
    reasons = {}
    for path in paths:
        if path in there or os.stat(path).st_nlink > 1 or is_video_name(path):
            continue  # videos and further names of a file are told elsewhere
        extension = path.rpartition(b".")[2].lower()
        if extension in listed_extensions():
            reasons[path] = _LEFT_OUT
        else:
            reasons[path] = _ODD_NAME if holds_image(path) else NO_IMAGE
    return reasons
