"""What was measured on single images, kept by image and by the version of what measured it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from dedup.errors import CollectionError
from dedup.store.checksums import checksum_of, sound
from dedup.store.schema import translated
from dedup.store.trust import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dedup.store.catalog import Catalog


def read_traits(catalog: Catalog, version: str, images: Iterable[int]) -> dict[int, str]:
    """Read what one version measured on images, by their ids; damaged rows count as not measured.

    Returns
    -------
    JSON, as it was written
    """
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT image, value FROM traits"  # noqa: S608 - constant
            f" WHERE version = ? AND length(value) <= {MAX_TEXT_BYTES} AND {sound('traits')}"
            " AND image IN (SELECT value FROM json_each(?))",
            (version, json.dumps(sorted(images))),
        )
        return {int(image): str(value) for image, value in rows}


def write_traits(catalog: Catalog, version: str, values: Mapping[int, str]) -> None:
    """Keep what was measured, in a transaction of its own; that of other versions is replaced.

    It only saves work, so that a collection which cannot be written to now is left as it is.
    """
    with suppress(CollectionError), catalog.transaction():
        catalog.connection.executemany(
            "INSERT OR REPLACE INTO traits (image, version, value, checksum) VALUES (?, ?, ?, ?)",
            [
                (*row, checksum_of("traits", row))
                for image, value in values.items()
                for row in [(image, version, value)]
            ],
        )
