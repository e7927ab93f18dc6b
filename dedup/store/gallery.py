"""The gallery: all live images and files of a collection, read in bulk into arrays.

Rows are in order of image id, which is the order of indexing; the FAISS index and every pair of
rows speak of the same numbers. Vectors come back as fp32 of unit norm. A row that fails its
checksum stops the reading: a wrong vector would be a wrong answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from dedup.errors import DamagedError
from dedup.records import FileEntry, IndexedFile
from dedup.store.schema import translated
from dedup.store.vectors import unpack

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    import numpy.typing as npt

    from dedup.store.catalog import Catalog

_LIVE = "(SELECT image FROM files WHERE state = 'indexed')"
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class GalleryImages:
    """The N live images, by rising id.

    Parameters
    ----------
    ids : (N,) int64, their ids in the catalog
    digest, input_digest, pixel_digest : per image; a pixel digest is None when nobody looked yet
        and b"" when there is none
    width, height, frames : (N,) int32
    trivial : (N,) bool
    damaged : (N,) bool, whether stretches are lost
    """

    ids: npt.NDArray[np.int64]
    digest: list[bytes]
    format: list[str]
    width: npt.NDArray[np.int32]
    height: npt.NDArray[np.int32]
    frames: npt.NDArray[np.int32]
    trivial: npt.NDArray[np.bool_]
    input_digest: list[bytes]
    pixel_digest: list[bytes | None]
    damaged: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class GalleryFiles:
    """The M live files, by image, then path.

    Parameters
    ----------
    row : (M,) int64, the row of each file's image in the gallery
    path : absolute
    size : (M,) int64, bytes
    mtime_ns : (M,) int64
    root : ids of their roots
    inode, ctime_ns : as `FileEntry`
    """

    row: npt.NDArray[np.int64]
    path: list[bytes]
    size: npt.NDArray[np.int64]
    mtime_ns: npt.NDArray[np.int64]
    root: list[int]
    inode: list[int]
    ctime_ns: list[int | None]

    def __len__(self) -> int:
        return len(self.path)

    def facts(self, file: int) -> IndexedFile:
        """Give what was recorded of one file."""
        path, inode, ctime_ns = self.path[file], self.inode[file], self.ctime_ns[file]
        size, mtime_ns = int(self.size[file]), int(self.mtime_ns[file])
        return IndexedFile(
            path, self.root[file], FileEntry(path, size, mtime_ns, 0, inode, 1, ctime_ns)
        )


def read_ids(catalog: Catalog) -> npt.NDArray[np.int64]:
    """Read the ids of the live images, rising."""
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT DISTINCT image FROM files WHERE state = 'indexed' ORDER BY image"
        )
        return np.fromiter((row[0] for row in rows), np.int64)


def read_images(catalog: Catalog) -> GalleryImages:
    """Read what is known of the live images."""
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT id, digest, format, width, height, frames, trivial, input_digest, pixel_digest,"  # noqa: S608 - constant
            f" damaged FROM images WHERE id IN {_LIVE} ORDER BY id"
        ).fetchall()
    columns = list(zip(*rows, strict=True)) or [()] * 10
    ids, digest, image_format, width, height, frames, trivial, inputs, pixels, damaged = columns
    return GalleryImages(
        ids=np.array(ids, np.int64),
        digest=list(digest),
        format=list(image_format),
        width=np.array(width, np.int32),
        height=np.array(height, np.int32),
        frames=np.array(frames, np.int32),
        trivial=np.array(trivial, np.bool_),
        input_digest=list(inputs),
        pixel_digest=list(pixels),
        damaged=np.array(damaged, np.bool_),
    )


def read_files(catalog: Catalog, ids: npt.NDArray[np.int64]) -> GalleryFiles:
    """Read the live files of the live images.

    Parameters
    ----------
    ids : (N,) the ids of all live images, rising
    """
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT files.image, CAST(roots.path || X'2F' || files.path AS BLOB) AS whole,"
            " files.size, files.mtime_ns, files.root, files.inode, files.ctime_ns"
            " FROM files JOIN roots ON roots.id = files.root"
            " WHERE files.state = 'indexed' ORDER BY files.image, whole"
        ).fetchall()
    columns = list(zip(*rows, strict=True)) or [()] * 7
    images, paths, sizes, times, roots, inodes, changes = columns
    return GalleryFiles(
        row=np.searchsorted(ids, np.array(images, np.int64)),
        path=list(paths),
        size=np.array(sizes, np.int64),
        mtime_ns=np.array(times, np.int64),
        root=list(roots),
        inode=list(inodes),
        ctime_ns=list(changes),
    )


def read_paths(catalog: Catalog, images: Iterable[int]) -> dict[int, list[bytes]]:
    """Map chosen image ids to the absolute paths of their live files, sorted."""
    wanted = sorted(set(images))
    result: dict[int, list[bytes]] = {image: [] for image in wanted}
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT files.image, CAST(roots.path || X'2F' || files.path AS BLOB) AS whole"
            " FROM files JOIN roots ON roots.id = files.root"
            " WHERE files.state = 'indexed'"
            " AND files.image IN (SELECT value FROM json_each(?)) ORDER BY whole",
            (json.dumps(wanted),),
        )
        for image, path in rows:
            result[image].append(path)
    return result


def read_indexed(catalog: Catalog, images: Iterable[int]) -> dict[int, list[IndexedFile]]:
    """Map chosen image ids to what was recorded of their live files, by path."""
    wanted = sorted(set(images))
    result: dict[int, list[IndexedFile]] = {image: [] for image in wanted}
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT files.image, CAST(roots.path || X'2F' || files.path AS BLOB) AS whole,"
            " files.root, files.size, files.mtime_ns, files.device, files.inode, files.ctime_ns"
            " FROM files JOIN roots ON roots.id = files.root"
            " WHERE files.state = 'indexed'"
            " AND files.image IN (SELECT value FROM json_each(?)) ORDER BY whole",
            (json.dumps(wanted),),
        )
        for image, path, root, size, mtime_ns, device, inode, ctime_ns in rows:
            entry = FileEntry(path, size, mtime_ns, device, inode, ctime_ns=ctime_ns)
            result[image].append(IndexedFile(path, root, entry))
    return result


def read_vectors(
    catalog: Catalog, layer: str, count: int, *, scaled: bool = False
) -> npt.NDArray[np.float32]:
    """Read the embeddings of all live images, in the order of `read_images`.

    Parameters
    ----------
    layer : one that is stored
    count : N, the number of live images
    scaled : give the vectors the length that the extractor gave them, instead of unit norm

    Returns
    -------
    (N, D) float32; rows are of unit norm, or zero when the extractor gave zeros

    Raises
    ------
    DamagedError : a row is missing or fails its checksum.
    """
    with translated(catalog.store):
        cursor = catalog.connection.execute(
            "SELECT vector, checksum, norm FROM embeddings"  # noqa: S608 - constant
            f" WHERE layer = ? AND image IN {_LIVE} ORDER BY image",
            (layer,),
        )
        return _filled(catalog, layer, cursor, count, scaled=scaled)


def read_vectors_of(
    catalog: Catalog, layer: str, images: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Read the embeddings of chosen images.

    Parameters
    ----------
    layer : one that is stored
    images : (P,) ids, rising, none twice

    Returns
    -------
    (P, D) float32, as `read_vectors` gives them.

    Raises
    ------
    DamagedError : as `read_vectors`.
    """
    with translated(catalog.store):
        cursor = catalog.connection.execute(
            "SELECT vector, checksum, norm FROM embeddings"
            " WHERE layer = ? AND image IN (SELECT value FROM json_each(?)) ORDER BY image",
            (layer, json.dumps(images.tolist())),
        )
        return _filled(catalog, layer, cursor, len(images), scaled=False)


def _filled(
    catalog: Catalog, layer: str, cursor: sqlite3.Cursor, count: int, *, scaled: bool
) -> npt.NDArray[np.float32]:
    vectors: npt.NDArray[np.float32] | None = None
    filled = 0
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        blobs, checksums, norms = zip(*rows, strict=True)
        damaged = sum(
            xxhash.xxh32_intdigest(blob) != checksum
            for blob, checksum in zip(blobs, checksums, strict=True)
        )
        if damaged or len({len(blob) for blob in blobs}) != 1 or filled + len(rows) > count:
            raise _damaged(catalog)
        part = unpack(layer, blobs)
        if vectors is None:
            vectors = np.empty((count, part.shape[1]), np.float32)
        lengths = np.linalg.norm(part, axis=1, keepdims=True)
        # Rounding moved the length; exact unit rows keep the cosine of equal ones at 1.
        part /= np.where(lengths > 0, lengths, 1)
        if scaled:
            part *= np.array(norms, np.float32)[:, None]
        vectors[filled : filled + len(rows)] = part
        filled += len(rows)
    if filled != count:
        raise _damaged(catalog)
    return np.empty((0, 0), np.float32) if vectors is None else vectors


def _damaged(catalog: Catalog) -> DamagedError:
    return DamagedError(
        catalog.store,
        "stored embeddings fail their checksum or are missing. Move the folder away and index "
        "again; the images themselves are not touched.",
    )
