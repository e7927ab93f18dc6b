"""What a catalog knows of vectors that were given, and how stored ones are replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dedup.fingerprint import VECTORS
from dedup.store.checksums import embedding_checksum, sound
from dedup.store.schema import translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dedup.records import Root
    from dedup.store.catalog import Catalog

_AT_ONCE = 2000  # parameters of one statement


def contents_under(catalog: Catalog, root: Root, paths: Sequence[bytes]) -> dict[bytes, bytes]:
    """Map those of some relative paths that are indexed to the contents of their images."""
    found: dict[bytes, bytes] = {}
    with translated(catalog.store):
        for start in range(0, len(paths), _AT_ONCE):
            part = paths[start : start + _AT_ONCE]
            found |= catalog.connection.execute(
                "SELECT f.path, i.digest FROM files AS f JOIN images AS i ON i.id = f.image"  # noqa: S608 - marks only
                f" WHERE f.root = ? AND f.path IN ({','.join('?' * len(part))})"
                f" AND f.state = 'indexed' AND {sound('files', 'f')} AND {sound('images', 'i')}",
                (root.id, *part),
            )
    return found


def vectors_with(catalog: Catalog, contents: Iterable[bytes]) -> dict[bytes, bytes]:
    """Give the stored vectors of some contents."""
    wanted, found = list(contents), dict[bytes, bytes]()
    with translated(catalog.store):
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            found |= catalog.connection.execute(
                "SELECT i.digest, e.vector FROM images AS i"  # noqa: S608 - marks only
                " JOIN embeddings AS e ON e.image = i.id AND e.layer = ?"
                f" WHERE i.digest IN ({','.join('?' * len(part))})",
                (VECTORS, *part),
            )
    return found


def replace_vectors(
    catalog: Catalog, vectors: Mapping[bytes, tuple[float, bytes]], layer: str = VECTORS
) -> None:
    """Give contents other vectors, by (norm, vector); inside a transaction of the caller's."""
    catalog.connection.executemany(
        "UPDATE embeddings SET norm = ?, vector = ?, checksum = ?"
        " WHERE layer = ? AND image = (SELECT id FROM images WHERE digest = ?)",
        [
            (norm, vector, embedding_checksum(content, layer, norm, vector), layer, content)
            for content, (norm, vector) in vectors.items()
        ],
    )
    catalog.gallery_changed()
