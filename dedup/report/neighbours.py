"""The graph of nearest neighbours of a collection, as arrays."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

import numpy as np

from dedup.arrow import with_pyarrow
from dedup.errors import DedupError
from dedup.files import check_folder, output_file
from dedup.report.export import Written
from dedup.report.forms import text_of
from dedup.search.graph import nearest_rows
from dedup.store.gallery import leaving_out, read_files, read_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from dedup.space.space import Space
    from dedup.store.catalog import Catalog
    from dedup.store.gallery import GalleryFiles

_ENDINGS: Final = (".npz", ".parquet")


@dataclass(frozen=True, slots=True)
class NeighbourGraph:
    """The k nearest others of M files. Iterates over `paths`.

    Parameters
    ----------
    paths : of files, or names; rows are in the order of `FeatureTable`
    rows : (M, k) int32, places in `paths` by falling similarity, ties by rising place; -1 where
        there are no more
    similarity : (M, k) float32, cosine in [-1, 1]; -2 where there are no more
    recall : share of the neighbours that was found, on a sample; 1 where all were compared
    """

    paths: list[str]
    rows: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float32]
    recall: float
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)


def check_output(path: Path) -> None:
    """Refuse a file that could not be written, before any work is done."""
    if path.suffix not in _ENDINGS:
        raise DedupError(f"{path}: the ending says the format: {' or '.join(_ENDINGS)}")
    check_folder(path)
    if path.suffix == ".parquet":
        with_pyarrow()


def write(graph: NeighbourGraph, path: Path) -> Written:
    """Write a graph: as its arrays, or as a table of pairs."""
    with output_file(path) as file:
        if path.suffix == ".npz":
            names = np.array(graph.paths, np.str_)
            np.savez(file, path=names, neighbours=graph.rows, similarity=graph.similarity)
        else:
            _write_parquet(graph, file)
    columns = ("path", "neighbours", "similarity")
    return Written(os.fspath(path), len(graph), columns, graph.notes)


def _write_parquet(graph: NeighbourGraph, file: IO[bytes]) -> None:
    arrow = with_pyarrow()
    import pyarrow.parquet

    first, place = np.nonzero(graph.rows >= 0)
    names = arrow.array(map(text_of, graph.paths), arrow.string())
    columns = {
        "path": names.take(arrow.array(first)),
        "rank": arrow.array((place + 1).astype(np.int32)),
        "neighbour": names.take(arrow.array(graph.rows[first, place])),
        "similarity": arrow.array(graph.similarity[first, place]),
    }
    pyarrow.parquet.write_table(arrow.table(columns), file)


def neighbour_graph(
    catalog: Catalog, space: Space, k: int, report: Callable[[int, int], None]
) -> NeighbourGraph:
    """Find the k nearest others of every live file."""

    def read() -> tuple[GalleryFiles, npt.NDArray[np.float32]]:
        images = read_images(catalog)
        files = read_files(catalog, images.ids)
        return files, space.rows(catalog, len(images))

    with catalog.snapshot():
        files, raw = leaving_out(catalog, read)
    vectors = space.vectors(raw)
    if len(files) != len(vectors):  # some images have several files, which are at 1 of each other
        vectors = vectors[files.row]
    found = nearest_rows(vectors, k, progress=report)
    notes: tuple[str, ...] = ()
    if found.recall < 1:
        note = (
            "Each was compared with its nearest cells: of a sample's neighbours that finds "
            f"{found.recall:.2%}"
        )
        notes = (note,)
    paths = [os.fsdecode(path) for path in files.path]
    return NeighbourGraph(paths, found.rows, found.similarity, found.recall, notes + catalog.damage)
