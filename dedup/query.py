"""Embeddings of query images: those that are indexed are looked up, the rest go through the model.

A query file whose very content is in the collection needs no model, so that the answer comes
without loading one.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.errors import CollectionError, ImageError, SearchError
from dedup.fingerprint import VECTORS
from dedup.freshness import Lookout
from dedup.images.scan import scan
from dedup.indexing.files import read_path
from dedup.indexing.lookup import look_up
from dedup.indexing.own import named
from dedup.indexing.reader import Embeddable, Known, Skipped
from dedup.indexing.sources import images_in
from dedup.preparation import preparation
from dedup.results import Neighbour, QueryAnswer, Skip
from dedup.search.scan import Scan
from dedup.search.similarity import DECIMALS, pair_similarities, unit_rows
from dedup.store.gallery import leaving_out, read_ids, read_indexed
from dedup.store.pairs import read_tiers
from dedup.store.schema import INDEX
from dedup.store.vectors import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy.typing as npt

    from dedup.answer import Progress
    from dedup.records import ImageFacts
    from dedup.runtimes.embedder import Embedder
    from dedup.search.index import Hits, VectorIndex
    from dedup.space.fusion import Rows
    from dedup.space.space import Space
    from dedup.store.catalog import Catalog
    from dedup.vectors import OwnVectors


_log = logging.getLogger(__name__)

_NO_QUERY: Final = "There are no images to look for."


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """Query images that could be read, and those that could not.

    Parameters
    ----------
    paths : (Q,) as they were given
    facts : (Q,)
    raw : (Q, D) float32, raw rows of the space
    parts : (Q,) packed; None where the catalog holds them, or details are no view
    compared : whether the rows are those that are compared already, and no raw ones
    """

    paths: list[str]
    facts: list[ImageFacts]
    raw: npt.NDArray[np.float32]
    skipped: list[Skip]
    parts: list[bytes | None]
    compared: bool = False


def expand(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Replace folders and archives by the images in them, in path order; files stay as they are.

    Raises
    ------
    SourceError : an archive, or the folder of a server, cannot be read.
    """
    result = []
    for path in (os.fspath(path) for path in paths):
        if os.path.isdir(path):
            result += [os.path.join(path, os.fsdecode(file.path)) for file in scan(path).files]
        else:
            inner = images_in(path)
            result += [path] if inner is None else inner
    return result


def embed_queries(
    catalog: Catalog,
    space: Space,
    paths: list[str],
    embedder: Callable[[], Embedder],
    progress: Progress | None = None,
) -> QueryVectors:
    """Embed query images in the views of the collection.

    Parameters
    ----------
    embedder : called once, when the first image needs it
    """
    vectors: dict[int, npt.NDArray[np.float32]] = {}
    facts: dict[int, ImageFacts] = {}
    skips: dict[int, Skip] = {}
    parts: dict[int, bytes | None] = {}

    def report(done: int) -> None:
        if progress is not None:
            progress("Reading images", done, len(paths))

    for looked in look_up(catalog, paths, embedder, report):
        fresh = []
        for number, outcome in zip(looked.numbers, looked.outcomes, strict=True):
            match outcome:
                case Known(digest):
                    image = catalog.image_with(digest)
                    if image is None:  # another process has taken it away meanwhile
                        skips[number] = Skip(paths[number], "the collection changed; ask again")
                        continue
                    facts[number] = catalog.image_facts(image)
                    vectors[number] = space.rows_of(catalog, np.array([image]))[0]
                case Embeddable():
                    facts[number] = outcome.facts
                    parts[number] = outcome.inputs.parts
                    fresh.append(number)
                case Skipped(reason):
                    skips[number] = Skip(paths[number], reason)
        if fresh:
            vectors.update(zip(fresh, space.fuse_fresh(looked.rows), strict=True))
    report(len(paths))
    order = sorted(vectors)
    return QueryVectors(
        [paths[number] for number in order],
        [facts[number] for number in order],
        np.stack([vectors[number] for number in order]) if order else np.empty((0, 0), np.float32),
        [skips[number] for number in sorted(skips)],
        [parts.get(number) for number in order],
    )


def given_queries(
    catalog: Catalog, space: Space, own: OwnVectors, *, read: bool = False
) -> QueryVectors:
    """Take vectors that were given in place of images.

    Parameters
    ----------
    own : of the collection's width where it holds vectors of the user's own; rows as they are
        compared, of any length, where it does not
    read : whether ids that are files are read, so that they can be proven
    """
    facts: list[ImageFacts] = []
    parts: list[npt.NDArray[np.float32]] = []
    wanted = preparation(catalog) if read else None
    pinned = catalog.fingerprint
    for start, block in own.blocks():
        parts.append(space.fuse_fresh({VECTORS: block}) if pinned.own_width else unit_rows(block))
        if wanted is None:
            continue
        for name, vector in zip(own.ids[start:], pack(VECTORS, block).vectors, strict=False):
            # An id may look like a URL, and nothing is to be asked of a server.
            is_file = os.path.isfile(name)
            found = read_path(os.fsencode(name), wanted, catalog.knows) if is_file else None
            known = catalog.image_with(found.digest) if isinstance(found, Known) else None
            if known is not None:
                facts.append(catalog.image_facts(known))
            elif isinstance(found, Embeddable):
                facts.append(found.facts)
            else:
                facts.append(named(os.fsencode(name), vector))
    compared = not pinned.own_width
    return QueryVectors(own.ids, facts, np.concatenate(parts), [], [None] * len(own), compared)


def require_read(queries: QueryVectors) -> None:
    """Refuse what could not be read.

    Raises
    ------
    ImageError
    """
    for skip in queries.skipped:
        raise ImageError(skip.path, skip.reason)


def similarity_of(queries: QueryVectors, space: Space) -> float:
    """Give the similarity of two images.

    Raises
    ------
    ImageError : one of them could not be read.
    """
    require_read(queries)
    rows = space.vectors(queries.raw)
    (similarity,) = pair_similarities(rows, rows, np.array([0]), np.array([1])).tolist()
    return round(float(similarity), DECIMALS)  # a threshold is a double, and inclusive


@contextmanager
def fresh_index(
    catalog: Catalog, space: Space, held: tuple[int, VectorIndex] | None
) -> Iterator[Callable[[], tuple[int, VectorIndex]]]:
    """Provide the version of the gallery and its index, whose rows are named by image ids.

    That is `held`, else the saved index, else a new one, which is saved. The saved one is loaded in
    a thread of its own, while the model embeds; the function that is yielded waits for it. Enter
    this inside `snapshot`.

    Parameters
    ----------
    held : an index in memory, and the version of the gallery that it was built from
    """
    path = catalog.store / INDEX
    version = catalog.version
    if held is not None and held[0] == version and not catalog.damage:
        yield lambda: held
        return

    def read(images: npt.NDArray[np.int64]) -> Rows:
        return space.vectors(space.rows_of(catalog, images))

    def load() -> VectorIndex | None:
        from dedup.search.index import VectorIndex

        _ = space.transform  # which may turn out to be damaged
        # It may hold what is left out now, or vectors that went through a lost transform.
        return None if catalog.damage else VectorIndex.load(path, version, read)

    def build() -> VectorIndex:
        from dedup.search.index import VectorIndex

        ids, rows = leaving_out(catalog, lambda: _live_rows(catalog, space))
        index = VectorIndex(space.vectors(rows), ids)
        _log.info("%s: built the index (%s) of %d images", catalog.store, index.kind, len(index))
        if catalog.damage:
            return index  # which holds not all that it should
        with suppress(CollectionError):  # without its cache a query is slower, not wrong
            index.save(path, version)
            # The saved one does not hold the vectors in memory.
            return VectorIndex.load(path, version, read) or index
        return index

    def wait() -> tuple[int, VectorIndex]:
        index = loading.result()
        return version, build() if index is None else index

    with ThreadPoolExecutor(1, thread_name_prefix="index") as pool:
        loading = pool.submit(load)
        yield wait


def _live_rows(catalog: Catalog, space: Space) -> tuple[npt.NDArray[np.int64], Rows]:
    ids = read_ids(catalog)
    return ids, space.rows(catalog, len(ids))


def answer(
    catalog: Catalog,
    space: Space,
    index: VectorIndex | Scan,
    queries: QueryVectors,
    k: int | None,
    threshold: float | None,
    lookout: Lookout | None = None,
    *,
    tiers: bool = False,
) -> QueryAnswer:
    """Search an index and name the files of what it finds, those that are what was indexed.

    Parameters
    ----------
    index : its rows named by image ids
    k, threshold : one of the two; see `VectorIndex`
    lookout : looks at the files; None: those of offline roots are left out
    tiers : whether the queries are images, whose tiers are told as far as they are known

    Returns
    -------
    Per query by falling similarity; files of one image by path.
    """
    if not queries.paths:
        return QueryAnswer((), tuple(queries.skipped), () if queries.skipped else (_NO_QUERY,))
    lookout = lookout or Lookout(catalog.roots())
    vectors = queries.raw if queries.compared else space.vectors(queries.raw)
    if not isinstance(index, Scan) and vectors.shape[1] != index.dimension:
        raise SearchError(
            f"the vectors have {vectors.shape[1]:,} values each, and those of the collection "
            f"{index.dimension:,}: give vectors as `dedup export --fused` writes them"
        )
    wanted = len(index) if k is None else min(k, len(index))
    while True:
        if threshold is not None:
            hits = index.within(vectors, threshold)
        else:
            hits = index.neighbours(vectors, wanted)
        files = _files_of(catalog, lookout, index, hits)
        enough = k is None or all(len(each) >= k for each in files)
        if enough or threshold is not None or wanted >= len(index):
            break
        wanted = min(4 * wanted, len(index))
    neighbours = []
    for number, (query, found) in enumerate(zip(queries.paths, files, strict=True)):
        shown, known = found[:k], {}
        if tiers:
            digest = queries.facts[number].digest
            known = read_tiers(catalog, digest, {image for _, _, image in shown})
        neighbours += [
            Neighbour(query, rank, os.fsdecode(name), similarity, known.get(image))
            for rank, (name, similarity, image) in enumerate(shown, 1)
        ]
    notes = lookout.notes()
    if not neighbours and threshold is not None:
        notes = (*notes, f"No image has a similarity of {threshold:g} or more.")
    return QueryAnswer(tuple(neighbours), tuple(queries.skipped), notes)


def _files_of(
    catalog: Catalog, lookout: Lookout, index: VectorIndex | Scan, hits: Sequence[Hits]
) -> list[list[tuple[bytes, float, int]]]:
    """Name what was found of each query, by falling similarity, without what must not be shown.

    Returns
    -------
    Per query (path, similarity, image id).
    """
    found = [
        list(zip(index.ids[hit.rows].tolist(), hit.similarity.tolist(), strict=True))
        for hit in hits
    ]
    files = read_indexed(catalog, (image for images in found for image, _ in images))
    return [
        [
            (file.path, similarity, image)
            for image, similarity in images
            for file in files[image]
            if lookout.shows(file)
        ]
        for images in found
    ]
