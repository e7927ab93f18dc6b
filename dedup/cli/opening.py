"""Open the collection that a command fills, or make it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dedup.errors import NoCollectionError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.collection import Collection
    from dedup.spec import ModelSpec, Runtime


def open_or_create(
    folders: tuple[str, ...],
    store: Path | None,
    spec: ModelSpec,
    runtime: Runtime,
    files: Iterable[str] = (),
) -> tuple[Collection, list[str]]:
    """Open the collection that is meant, or make it, with notes about a new one.

    Nothing is made before the folders were found to hold images.
    """
    from dedup.collection import Collection
    from dedup.indexing.diff import count_images
    from dedup.session import STORE_NAME, find_store

    try:
        path = store if store is not None else find_store()
        return Collection.open(path, spec, runtime=runtime), []
    except NoCollectionError:
        if not folders and not files:
            raise
    count_images(folders, files)
    path = store if store is not None else Path(STORE_NAME)
    collection = Collection.create(path, spec, runtime=runtime)
    return collection, [f"Created the collection {collection.path}"]
