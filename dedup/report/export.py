"""Embeddings for other programs: files by their endings (`forms`), or a database (`databases`).

One row per file, in the order of indexing. A .npz holds `path`, `digest`, `width`, `height` and one
(M, D) float32 array per layer, and is read without unpickling. Parquet has the same columns, layers
as fixed-size lists of float; `path_bytes` holds names that are not UTF-8 exactly.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from dedup.answer import Answer
from dedup.errors import LayerError, VectorsError
from dedup.files import check_folder
from dedup.report.databases import address_of, check_address, write_database
from dedup.report.features import FeatureTable
from dedup.report.forms import ending_of, write_form, write_lance
from dedup.store.gallery import leaving_out, read_files, read_images, read_vectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from dedup.space.space import Space
    from dedup.store.catalog import Catalog
    from dedup.store.gallery import GalleryFiles, GalleryImages

FUSED: Final = "fused"
"""The column of the vectors that `query` compares: unit rows, whose inner products are cosines."""

_FACTS = ("path", "digest", "width", "height")


@dataclass(frozen=True, slots=True)
class Written(Answer[str]):
    """A file that was written. Iterates over `columns`.

    Parameters
    ----------
    rows : how many rows it holds
    columns : the names of what a row holds
    """

    rows_in: ClassVar[str] = "columns"
    path: str
    rows: int
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()


def collect(catalog: Catalog, layers: Sequence[str], fused: Space | None = None) -> FeatureTable:
    """Read the embeddings of all live files.

    Parameters
    ----------
    layers : of those that are stored; none means all
    fused : the space of the collection, where what is compared in it is wanted instead, as `FUSED`

    Raises
    ------
    LayerError : a layer is not stored.
    """
    stored = catalog.fingerprint.stored
    check_layers(stored, layers, fused=fused is not None)

    def read() -> tuple[GalleryImages, GalleryFiles, dict[str, npt.NDArray[np.float32]]]:
        images = read_images(catalog)
        if fused is not None:
            embeddings = {FUSED: fused.vectors(fused.rows(catalog, len(images)))}
        else:
            embeddings = {
                layer: read_vectors(catalog, layer, len(images), scaled=True)
                for layer in layers or stored
            }
        return images, read_files(catalog, images.ids), embeddings

    with catalog.snapshot():
        images, files, embeddings = leaving_out(catalog, read)
    return FeatureTable(
        paths=[os.fsdecode(path) for path in files.path],
        digests=[images.digest[row].hex() for row in files.row.tolist()],
        width=images.width[files.row],
        height=images.height[files.row],
        embeddings={
            # Where each image has one file, these are its rows already.
            layer: rows if len(rows) == len(files) else rows[files.row]
            for layer, rows in embeddings.items()
        },
        notes=catalog.damage,
    )


def check_layers(stored: Sequence[str], layers: Sequence[str], *, fused: bool) -> None:
    """Refuse layers that are not stored, or that go with nothing else; as `collect`."""
    if fused and layers:
        raise VectorsError(
            "fused vectors are made of all layers that are compared: leave out layers"
        )
    for layer in layers:
        if layer not in stored:
            raise LayerError(
                f"layer {layer!r} is not stored in this collection; stored: {', '.join(stored)}. "
                f"To have it, make a collection with --layer {layer}"
            )


def check_output(output: str, name: str) -> None:
    """Refuse what could not be written, before any work is done."""
    if address_of(output):
        check_address(output, name)
        return
    ending_of(Path(output))
    check_folder(Path(output))


def write(table: FeatureTable, output: str, name: str) -> Written:
    """Write a table to a file, folder or database; it appears whole or not at all.

    Parameters
    ----------
    name : of the collection or table in a database
    """
    if address_of(output):
        column = write_database(table, output, name)
        return Written(output, len(table), ("path", "digest", column))
    write_form(table, Path(output))
    return Written(output, len(table), (*_FACTS, *table.embeddings))


def write_parts(tables: Iterable[FeatureTable], output: str) -> Written:
    """Write tables, one at a time, to a Lance data set, which appears whole or not at all."""
    rows, columns = 0, dict[str, None]()

    def counted() -> Iterator[FeatureTable]:
        nonlocal rows
        for table in tables:
            rows += len(table)
            columns.update(dict.fromkeys(table.embeddings))
            yield table

    write_lance(counted(), Path(output))
    return Written(output, rows, (*_FACTS, *columns))
