"""Embeddings of query images: those that are indexed are looked up, the rest go through the model.

A query file whose very content is in the collection needs no model, so that the answer comes
without loading one.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dedup.errors import CollectionError
from dedup.images.scan import scan
from dedup.indexing.pipeline import BATCH
from dedup.indexing.reading import Fresh, Known, Unreadable, read_path
from dedup.results import Neighbour, QueryAnswer, Skip
from dedup.store.gallery import read_ids, read_paths
from dedup.store.known import KnownDigests
from dedup.store.schema import INDEX
from dedup.views import embed, fused_fresh, preparation, read_row, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    from dedup.search.index import VectorIndex
    from dedup.store.catalog import Catalog
    from dedup.views import Embedder


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """Query images that could be read, and those that could not.

    Parameters
    ----------
    paths : (Q,) as they were given
    contents : (Q,) SHA-256 of each file
    trivial : (Q,) blank or tiny
    vectors : (Q, D) float32, `fused` rows
    """

    paths: list[str]
    contents: list[bytes]
    trivial: list[bool]
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
    """Embed query images in the views of the collection.

    Parameters
    ----------
    embedder : called once, when the first image needs it
    """
    wanted = preparation(catalog)
    known = KnownDigests(catalog.store)
    vectors: dict[int, npt.NDArray[np.float32]] = {}
    seen: dict[int, tuple[bytes, bool]] = {}
    fresh: list[tuple[int, Fresh]] = []
    skipped: list[Skip] = []
    model: Embedder | None = None

    def loaded() -> Embedder:
        nonlocal model
        model = model or embedder()
        return model

    def embed_fresh() -> None:
        parts = embed(catalog.fingerprint, loaded, [reading.picture for _, reading in fresh])
        rows = fused_fresh(catalog.fingerprint, parts)
        vectors.update(zip((number for number, _ in fresh), rows, strict=True))
        fresh.clear()

    try:
        for number, path in enumerate(paths):
            match read_path(os.fsencode(path), known.holds, wanted):
                case Known(digest):
                    image = catalog.image_with(digest)
                    if image is not None:
                        seen[number] = digest, catalog.is_trivial(image)
                        vectors[number] = read_row(catalog, image)
                case Fresh() as reading:
                    seen[number] = reading.facts.digest, reading.facts.trivial
                    fresh.append((number, reading))
                    if len(fresh) == BATCH:
                        embed_fresh()
                case Unreadable(reason):
                    skipped.append(Skip(path, reason))
        if fresh:
            embed_fresh()
    finally:
        known.close()
    order = sorted(vectors)
    return QueryVectors(
        [paths[number] for number in order],
        [seen[number][0] for number in order],
        [seen[number][1] for number in order],
        np.stack([vectors[number] for number in order]) if order else np.empty((0, 0), np.float32),
        skipped,
    )


@dataclass(frozen=True, slots=True)
class GalleryIndex:
    """An index, the catalog version that it is of, and the image ids (N,) of its rows."""

    version: int
    vectors: VectorIndex
    ids: npt.NDArray[np.int64]


def fresh_index(
    catalog: Catalog,
    project: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    held: GalleryIndex | None,
    kind: str = "auto",
) -> GalleryIndex:
    """Give the index of the present gallery.

    It is the one in hand, else the saved one, else a new one, which is saved.

    Parameters
    ----------
    project : turns unit rows into the unit rows that are compared
    held : the index in hand
    kind : of structure, as `VectorIndex` takes it; "auto" goes on with the one that is saved
    """
    from dedup.search.index import VectorIndex

    path = catalog.store / INDEX
    with catalog.snapshot():
        version = catalog.version
        if held is not None and held.version == version and kind in {"auto", held.vectors.kind}:
            return held
        ids = read_ids(catalog)
        index = VectorIndex.load(path, version)
        if index is None or kind not in {"auto", index.kind}:
            index = VectorIndex(project(read_rows(catalog, len(ids))), kind)
            with suppress(CollectionError):  # without its cache a query is slower, not wrong
                index.save(path, version)
    return GalleryIndex(version, index, ids)


def answer(
    catalog: Catalog,
    index: VectorIndex,
    ids: npt.NDArray[np.int64],
    queries: QueryVectors,
    project: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    k: int | None,
    threshold: float | None,
) -> QueryAnswer:
    """Search an index and name the files of what it finds.

    Parameters
    ----------
    ids : (N,) the images of the index's rows
    project : turns unit rows into the unit rows that are compared
    k, threshold : one of the two; see `VectorIndex`

    Returns
    -------
    Per query by falling similarity; files of one image by path.
    """
    if not queries.paths:
        return QueryAnswer((), tuple(queries.skipped))
    vectors = project(queries.vectors)
    if threshold is not None:
        hits = index.within(vectors, threshold)
    else:
        hits = index.neighbours(vectors, k or len(index))
    found = [
        list(zip(ids[hit.rows].tolist(), hit.similarity.tolist(), strict=True)) for hit in hits
    ]
    names = read_paths(catalog, (image for images in found for image, _ in images))
    neighbours: list[Neighbour] = []
    for query, images in zip(queries.paths, found, strict=True):
        files = [(name, similarity) for image, similarity in images for name in names[image]]
        neighbours += [
            Neighbour(query, rank, os.fsdecode(name), similarity)
            for rank, (name, similarity) in enumerate(files[:k], 1)
        ]
    return QueryAnswer(tuple(neighbours), tuple(queries.skipped))
