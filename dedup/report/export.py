"""Embeddings as files for other programs: NumPy's .npz, or Parquet.

One row per file, in the order of indexing. A .npz holds `path`, `digest`, `width`, `height` and one
(M, D) float32 array per layer, and is read without unpickling. Parquet has the same columns, layers
as fixed-size lists of float; `path_bytes` holds names that are not UTF-8 exactly.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, ClassVar

import numpy as np

from dedup.answer import Answer
from dedup.errors import DedupError, ExtraMissingError, LayerError
from dedup.files import check_folder, output_file
from dedup.store.gallery import leaving_out, read_files, read_images, read_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from dedup.store.catalog import Catalog
    from dedup.store.gallery import GalleryFiles, GalleryImages

_ENDINGS = (".npz", ".parquet")
_FACTS = ("path", "digest", "width", "height")


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Embeddings of M files; `table[layer]` gives one layer. Iterates over `paths`.

    Parameters
    ----------
    paths : absolute
    digests : SHA-256 of each file, hexadecimal
    width, height : (M,) int32, upright, pixels
    embeddings : per layer (M, D) float32, as the extractor gave them (kept as fp16)
    """

    paths: list[str]
    digests: list[str]
    width: npt.NDArray[np.int32]
    height: npt.NDArray[np.int32]
    embeddings: dict[str, npt.NDArray[np.float32]]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __getitem__(self, layer: str) -> npt.NDArray[np.float32]:
        return self.embeddings[layer]


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


def collect(catalog: Catalog, layers: Sequence[str]) -> FeatureTable:
    """Read the embeddings of all live files.

    Parameters
    ----------
    layers : of those that are stored; none means all

    Raises
    ------
    LayerError : a layer is not stored.
    """
    stored = catalog.fingerprint.stored
    for layer in layers:
        if layer not in stored:
            raise LayerError(
                f"layer {layer!r} is not stored in this collection; stored: {', '.join(stored)}. "
                f"To have it, make a collection with --layer {layer}"
            )

    def read() -> tuple[GalleryImages, GalleryFiles, dict[str, npt.NDArray[np.float32]]]:
        images = read_images(catalog)
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
        embeddings={layer: rows[files.row] for layer, rows in embeddings.items()},
        notes=catalog.damage,
    )


def check_output(path: Path) -> None:
    """Refuse a file that could not be written, before any work is done."""
    if path.suffix not in _ENDINGS:
        raise DedupError(f"{path}: the ending says the format: {' or '.join(_ENDINGS)}")
    check_folder(path)
    if path.suffix == ".parquet":
        with_pyarrow()


def write(table: FeatureTable, path: Path) -> Written:
    """Write a table; the file appears whole or not at all."""
    with output_file(path) as file:
        if path.suffix == ".parquet":
            _write_parquet(table, file)
        else:
            _write_npz(table, file)
    columns = (*_FACTS, *table.embeddings)
    return Written(os.fspath(path), len(table), columns)


def _write_npz(table: FeatureTable, file: IO[bytes]) -> None:
    columns: dict[str, Any] = {
        "path": np.array(table.paths, dtype=np.str_),
        "digest": np.array(table.digests, dtype=np.str_),
        "width": table.width,
        "height": table.height,
        **table.embeddings,
    }
    np.savez(file, **columns)


def _write_parquet(table: FeatureTable, file: IO[bytes]) -> None:
    arrow = with_pyarrow()
    columns = {
        "path": arrow.array(map(text_of, table.paths), arrow.string()),
        "path_bytes": arrow.array([os.fsencode(name) for name in table.paths], arrow.binary()),
        "digest": arrow.array(table.digests, arrow.string()),
        "width": arrow.array(table.width),
        "height": arrow.array(table.height),
    }
    for layer, rows in table.embeddings.items():
        columns[layer] = arrow.FixedSizeListArray.from_arrays(rows.ravel(), rows.shape[1])
    import pyarrow.parquet

    pyarrow.parquet.write_table(arrow.table(columns), file)


def text_of(name: str) -> str:
    """Turn a name into UTF-8 for good: bytes that are not become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def with_pyarrow(what: str = "writing Parquet") -> Any:
    """Give pyarrow, for what it is needed.

    Raises
    ------
    ExtraMissingError
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ExtraMissingError(what, "parquet") from error
    return pa
