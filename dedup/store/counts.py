"""What a catalog holds, in numbers, and the remarks on its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dedup.store.schema import translated
from dedup.store.vectors import dimension

if TYPE_CHECKING:
    from dedup.store.catalog import Catalog


def totals(catalog: Catalog) -> tuple[int, int, int]:
    """Count the live images, the trivial ones among them, and the bytes of their files."""
    with translated(catalog.store):
        images, trivial = catalog.connection.execute(
            "SELECT count(*), coalesce(sum(trivial), 0) FROM images"
            " WHERE id IN (SELECT image FROM files WHERE state = 'indexed')"
        ).fetchone()
        (size,) = catalog.connection.execute(
            "SELECT coalesce(sum(size), 0) FROM files WHERE state = 'indexed'"
        ).fetchone()
    return int(images), int(trivial), int(size)


def layer_dimensions(catalog: Catalog) -> dict[str, int]:
    """Map what is stored of each image, layers and details, to D."""
    result = {}
    with translated(catalog.store):
        for layer in catalog.fingerprint.stored:
            row = catalog.connection.execute(
                "SELECT length(vector) FROM embeddings WHERE layer = ? LIMIT 1", (layer,)
            ).fetchone()
            if row is not None:
                result[layer] = dimension(layer, int(row[0]))
    return result


def remarks(catalog: Catalog) -> list[tuple[bytes, str]]:
    """List the live files whose images have a remark as (absolute path, remark), by path."""
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT CAST(roots.path || X'2F' || files.path AS BLOB) AS whole, images.remark"
            " FROM files JOIN roots ON roots.id = files.root"
            " JOIN images ON images.id = files.image"
            " WHERE files.state = 'indexed' AND images.remark IS NOT NULL ORDER BY whole"
        )
        return [(bytes(path), str(remark)) for path, remark in rows]
