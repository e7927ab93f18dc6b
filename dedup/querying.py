"""Embeddings of query images: those that are indexed are looked up, the rest go through the model.

A query file whose very content is in the collection needs no model, so that the answer comes
without loading one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dedup.images.scan import scan
from dedup.indexing.pipeline import BATCH, Embedder
from dedup.indexing.reading import Fresh, Known, Unreadable, read_path
from dedup.results import Skip
from dedup.search.similarity import unit_rows
from dedup.store.gallery import read_vector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    from dedup.store.catalog import Catalog


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """Query images that could be read, and those that could not.

    Parameters
    ----------
    paths : (Q,) as they were given
    vectors : (Q, D) float32, unit rows
    """

    paths: list[str]
    vectors: npt.NDArray[np.float32]
    skipped: list[Skip]


def expand(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Replace folders by the pictures in them, in path order; files stay as they are."""
    result = []
    for path in (os.fspath(path) for path in paths):
        if os.path.isdir(path):
            result += [os.path.join(path, os.fsdecode(file.path)) for file in scan(path).files]
        else:
            result.append(path)
    return result


def embed_queries(
    catalog: Catalog, paths: list[str], embedder: Callable[[], Embedder]
) -> QueryVectors:
    """Embed query images on the layer that similarity is measured on.

    Parameters
    ----------
    embedder : called once, when the first image needs it
    """
    layer = catalog.fingerprint.layers[0]
    height, width = catalog.fingerprint.height, catalog.fingerprint.width
    known = catalog.known_digests()
    vectors: dict[int, npt.NDArray[np.float32]] = {}
    fresh: list[tuple[int, Fresh]] = []
    skipped: list[Skip] = []
    model: Embedder | None = None

    def embed() -> None:
        nonlocal model
        model = model or embedder()
        rows = model.embed(np.stack([reading.pixels for _, reading in fresh]))[layer]
        vectors.update(zip((number for number, _ in fresh), unit_rows(rows), strict=True))
        fresh.clear()

    try:
        for number, path in enumerate(paths):
            match read_path(os.fsencode(path), known.holds, height, width):
                case Known(digest):
                    image = catalog.image_with(digest)
                    if image is not None:
                        vectors[number] = read_vector(catalog, layer, image)
                case Fresh() as reading:
                    fresh.append((number, reading))
                    if len(fresh) == BATCH:
                        embed()
                case Unreadable(reason):
                    skipped.append(Skip(path, reason))
        if fresh:
            embed()
    finally:
        known.close()
    order = sorted(vectors)
    return QueryVectors(
        [paths[number] for number in order],
        np.stack([vectors[number] for number in order]) if order else np.empty((0, 0), np.float32),
        skipped,
    )
