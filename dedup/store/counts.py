"""What a catalog holds, in numbers, and the remarks on its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dedup.store.checksums import sound
from dedup.store.schema import translated
from dedup.store.trust import whole_path
from dedup.store.vectors import dimension

if TYPE_CHECKING:
    from dedup.store.catalog import Catalog


_TOLD = ("roots", "images", "files", "decisions", "calibration")
_LIVE = f"(SELECT image, size FROM files WHERE state = 'indexed' AND {sound('files')})"  # noqa: S608 - constant


def find_damaged(catalog: Catalog) -> None:
    """Count the damaged and missing rows of what a person is told of, for `Catalog.damage`."""
    wanted = catalog.row_counts()
    with translated(catalog.store):
        for table in _TOLD:
            rows, unsound = catalog.connection.execute(
                f"SELECT count(*), coalesce(sum(NOT {sound(table)}), 0) FROM {table} NOT INDEXED"  # noqa: S608 - constant
            ).fetchone()
            missing = max(wanted.get(table, rows) - rows, 0)
            catalog.found_damaged(table, unsound + missing)


def totals(catalog: Catalog) -> tuple[int, int, int]:
    """Count the live images, the trivial ones among them, and the bytes of their files.

    Damaged rows are left out.
    """
    with translated(catalog.store):
        images, trivial = catalog.connection.execute(
            "SELECT count(*), coalesce(sum(trivial), 0) FROM images"  # noqa: S608 - constant
            f" WHERE {sound('images')} AND id IN (SELECT image FROM {_LIVE})"
        ).fetchone()
        (size,) = catalog.connection.execute(
            f"SELECT coalesce(sum(size), 0) FROM {_LIVE}"  # noqa: S608 - constant
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
            f"SELECT {whole_path('roots', 'files')} AS whole, images.remark"  # noqa: S608 - constant
            " FROM files JOIN roots ON roots.id = files.root"
            " JOIN images ON images.id = files.image"
            " WHERE files.state = 'indexed' AND images.remark IS NOT NULL"
            f" AND {sound('files', 'files')} AND {sound('images', 'images')} ORDER BY whole"
        )
        return [(bytes(path), str(remark)) for path, remark in rows]
