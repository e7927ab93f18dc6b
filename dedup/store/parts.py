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
    """Give the parts of images by rising id; those that are damaged or of another version not.

    Damaged ones are counted in `Database.damage`, and so mended by the next run of indexing.
    """
    wanted, damaged = sorted(images), 0
    for start in range(0, len(wanted), _AT_ONCE):
        with translated(catalog.store):
            rows = catalog.connection.execute(
                f"SELECT image, value, {sound('parts')} FROM parts WHERE version = ?"  # noqa: S608 - constant
                " AND image IN (SELECT value FROM json_each(?)) ORDER BY image",
                (version, json.dumps(wanted[start : start + _AT_ONCE])),
            ).fetchall()
        damaged += sum(not row[2] for row in rows)
        yield from ((image, value) for image, value, whole in rows if whole)
    catalog.found_damaged("parts", damaged)


def parts_of(catalog: Database, version: str, contents: Iterable[bytes]) -> dict[bytes, bytes]:
    """Give the parts of the images of some contents (SHA-256); sound ones of a version only."""
    wanted, found = sorted(contents), dict[bytes, bytes]()
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        with translated(catalog.store):
            rows = catalog.connection.execute(
                "SELECT images.digest, value FROM parts JOIN images ON images.id = image"  # noqa: S608 - constant
                f" WHERE version = ? AND {sound('parts', 'parts')}"
                f" AND images.digest IN ({', '.join('?' * len(some))})",
                (version, *some),
            )
            found.update(rows)
    return found


def without_parts(catalog: Database, version: str) -> list[int]:
    """List the live images that have no parts of a version, rising.

    Every run of indexing asks, so that no checksum is computed here: `read_parts` does.
    """
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT DISTINCT image FROM files WHERE state = 'indexed' AND image NOT IN"
            " (SELECT image FROM parts WHERE version = ?) ORDER BY image",
            (version,),
        ).fetchall()
    return [image for (image,) in rows]
