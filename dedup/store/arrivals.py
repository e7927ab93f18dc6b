"""Which files are new in a catalog since an earlier moment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dedup.store.schema import translated
from dedup.store.trust import checked_path, checked_root

if TYPE_CHECKING:
    from dedup.store.catalog import Catalog

    Live = frozenset[tuple[int, int]]
    """Files with their images, by ids."""


def live_files(catalog: Catalog) -> Live:
    """List the files that are indexed now."""
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT id, image FROM files WHERE state = 'indexed' AND image IS NOT NULL"
        )
        return frozenset(rows.fetchall())


def arrived(catalog: Catalog, before: Live) -> list[str]:
    """List files that are new since, or hold another image, by absolute path."""
    new = {file for file, _ in live_files(catalog) - before}
    if not new:
        return []
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT files.id, roots.path, files.path FROM files"
            " JOIN roots ON roots.id = files.root WHERE files.state = 'indexed'"
        )
        paths = [
            os.path.join(checked_root(catalog.store, root), checked_path(catalog.store, path))
            for file, root, path in rows
            if file in new
        ]
    return [os.fsdecode(path) for path in sorted(paths)]
