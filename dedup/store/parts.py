"""The local features of images, by which parts are found: a row an image, and its version."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dedup.store.checksums import checksum_of, sound
from dedup.store.schema import translated

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping

    from dedup.store.database import Database

_AT_ONCE = 1024


def write_parts(connection: sqlite3.Connection, parts: Mapping[int, tuple[str, bytes]]) -> None:
    """Keep the parts of images, instead of what was kept; inside a transaction of the caller's.

    Parameters
    ----------
    parts : by image id the version of what described them, and what it gave
    """
    connection.executemany(
        "INSERT OR REPLACE INTO parts (image, version, value, checksum) VALUES (?, ?, ?, ?)",
        [
            (*row, checksum_of("parts", row))
            for image, described in parts.items()
            for row in [(image, *described)]
        ],
    )


def read_parts(
    catalog: Database, version: str, images: Iterable[int]
) -> Iterator[tuple[int, bytes]]:
    """Give the parts of images by rising id; those that are damaged or of another version not."""
    wanted = sorted(images)
    for start in range(0, len(wanted), _AT_ONCE):
        with translated(catalog.store):
            yield from catalog.connection.execute(
                "SELECT image, value FROM parts WHERE version = ?"  # noqa: S608 - constant
                f" AND image IN (SELECT value FROM json_each(?)) AND {sound('parts')}"
                " ORDER BY image",
                (version, json.dumps(wanted[start : start + _AT_ONCE])),
            ).fetchall()


def without_parts(catalog: Database, version: str) -> list[int]:
    """List the live images that have no parts of a version that are whole, rising."""
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT DISTINCT image FROM files WHERE state = 'indexed' AND image NOT IN"  # noqa: S608 - constant
            f" (SELECT image FROM parts WHERE version = ? AND {sound('parts')}) ORDER BY image",
            (version,),
        ).fetchall()
    return [image for (image,) in rows]
