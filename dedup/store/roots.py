"""What is done to roots: patterns kept with one, one that moved, one that is forgotten."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dedup.store.checksums import seal
from dedup.store.schema import translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dedup.records import Root
    from dedup.store.catalog import Catalog

_WITH_PATTERNS = seal("roots", exclude="?1")
_WITH_PATH = seal("roots", path="?1")


def set_exclude(catalog: Catalog, roots: Iterable[Root], patterns: Sequence[str]) -> None:
    """Keep the patterns of what is left out below some roots, instead of those from before."""
    with catalog.transaction():
        catalog.connection.executemany(
            f"UPDATE roots SET exclude = ?1, checksum = {_WITH_PATTERNS} WHERE id = ?2",  # noqa: S608 - constant
            [("\n".join(patterns), root.id) for root in roots],
        )


def move_root(catalog: Catalog, root: Root, path: bytes) -> None:
    """Say where a root is now; its files keep their relative paths.

    Parameters
    ----------
    path : absolute, symbolic links resolved; of no root yet
    """
    with catalog.transaction():
        catalog.connection.execute(
            f"UPDATE roots SET path = ?1, checksum = {_WITH_PATH} WHERE id = ?2",  # noqa: S608 - constant
            (path, root.id),
        )
        catalog.gallery_changed()


def forget_root(catalog: Catalog, root: Root) -> int:
    """Drop a root and its files; images and their embeddings stay.

    Returns
    -------
    How many indexed files it had.
    """
    with catalog.transaction():
        (count,) = catalog.connection.execute(
            "SELECT count(*) FROM files WHERE root = ? AND state = 'indexed'", (root.id,)
        ).fetchone()
        catalog.connection.execute("DELETE FROM files WHERE root = ?", (root.id,))
        # Its number may be given to another root.
        catalog.connection.execute("DELETE FROM meta WHERE key = ?", (f"settled {root.id}",))
        catalog.connection.execute("DELETE FROM roots WHERE id = ?", (root.id,))
        catalog.gallery_changed()
    return int(count)


def drop_below(catalog: Catalog, root: Root, folder: bytes) -> None:
    """Drop those files of a root that lie below an absolute path, of which another root knows."""
    top = root.path.rstrip(b"/") + b"/"
    start = folder.removeprefix(top).rstrip(b"/") + b"/"
    covered = "FROM files WHERE root = ? AND substr(path, 1, ?) = ?"
    values = root.id, len(start), start
    with catalog.transaction():
        if catalog.connection.execute(f"SELECT 1 {covered} LIMIT 1", values).fetchone():
            catalog.connection.execute(f"DELETE {covered}", values)
            catalog.gallery_changed()


def last_file(catalog: Catalog) -> int:
    """Give the highest id of a file; 0 where there is none."""
    with translated(catalog.store):
        (last,) = catalog.connection.execute("SELECT coalesce(max(id), 0) FROM files").fetchone()
        return int(last)


def renamed(catalog: Catalog, files: Sequence[int], since: int) -> int:
    """Count the files, by id, whose contents live files have with higher ids than `since`."""
    with translated(catalog.store):
        (count,) = catalog.connection.execute(
            "SELECT count(*) FROM files AS old WHERE old.id IN (SELECT value FROM json_each(?))"
            " AND EXISTS (SELECT 1 FROM files AS new WHERE new.image = old.image"
            " AND new.state = 'indexed' AND new.id > ?)",
            (json.dumps(list(files)), since),
        ).fetchone()
        return int(count)


def contents_of(catalog: Catalog, files: Sequence[int]) -> dict[int, bytes]:
    """Map ids of files to the SHA-256 of what they held when they were indexed."""
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT files.id, images.digest FROM files JOIN images ON images.id = files.image"
            " WHERE files.id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(files)),),
        )
        return dict(rows)
