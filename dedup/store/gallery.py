"""The gallery: all live images and files of a collection, read in bulk into arrays.

Rows are in order of image id, which is the order of indexing; the FAISS index and every pair of
rows speak of the same numbers. Vectors come back as fp32 of unit norm.

Every row is checked. A damaged one is left out and counted, an image with all its files: a wrong
row would be a wrong answer. A damaged embedding is met when the images have been read already, so
that it raises `UnsoundError`; `leaving_out` then reads again without that image.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dedup.errors import DamagedError
from dedup.records import NAME_MARK, FileEntry, IndexedFile, Kind
from dedup.store.checksums import is_sound_embedding, sound
from dedup.store.schema import REPAIR, translated
from dedup.store.trust import checked_path, checked_root, is_inside, whole_path
from dedup.store.vectors import unpack_unit

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    from dedup.store.catalog import Catalog

_LIVE = "(SELECT image FROM files WHERE state = 'indexed')"
_ROWS_AT_ONCE = 4096
_SOUND_FILE = f"({sound('files', 'f')} AND f.state IN ('indexed', 'skipped', 'gone'))"

_EMBEDDINGS = (
    "SELECT image, vector, checksum, norm,"
    " (SELECT digest FROM images WHERE images.id = image) FROM embeddings"
)

_WHOLE = (
    f"CASE r.kind WHEN '{Kind.NAMES.value}' THEN CAST(substr(f.path, {len(NAME_MARK) + 1}) AS BLOB)"
    f" ELSE {whole_path('r', 'f')} END"
)
"""The absolute path of a file; of a name, the name."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class GalleryImages:
    """The N live images, by rising id.

    Parameters
    ----------
    ids : (N,) int64, their ids in the catalog
    digest, input_digest, pixel_digest : per image; a pixel digest is None when nobody looked yet
        and b"" when there is none
    width, height, frames : (N,) int32; no frames where it is a name and no image
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

    @property
    def is_name(self) -> npt.NDArray[np.bool_]:
        """(N,) whether it is a name with a vector, and no image that could be read."""
        is_name: npt.NDArray[np.bool_] = self.frames == 0
        return is_name


@dataclass(frozen=True, slots=True)
class GalleryFiles:
    """The M live files, by image, then path.

    Parameters
    ----------
    row : (M,) int64, the row of each file's image in the gallery
    path : absolute; a name as it was given
    size : (M,) int64, bytes; 0 of a name
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


class UnsoundError(DamagedError):
    """Stored embeddings that fail their checksum, or are missing.

    Parameters
    ----------
    images : ids of the images that they belong to
    """

    def __init__(self, catalog: Catalog, images: Iterable[int]) -> None:
        super().__init__(
            catalog.store,
            f"stored embeddings fail their checksum or are missing. Run {REPAIR}; the images "
            "themselves are not touched.",
        )
        self.images = frozenset(images)


def leaving_out(catalog: Catalog, read: Callable[[], Result]) -> Result:
    """Call a function that reads from the catalog until it meets no damaged embedding.

    Images that have one are left out of what is read from then on, and counted.
    """
    while True:
        try:
            return read()
        except UnsoundError as error:
            if not catalog.leave_out(error.images):
                raise


def read_ids(catalog: Catalog) -> npt.NDArray[np.int64]:
    """Read the ids of the live images, rising; once for each version of the catalog."""
    state = catalog.version, catalog.left_out
    kept = catalog.ids_read
    if kept is None or kept[0] != state:
        live = {row[1] for row in _file_rows(catalog)}
        with translated(catalog.store):
            rows = catalog.connection.execute(
                f"SELECT id, {sound('images')} FROM images NOT INDEXED ORDER BY id"  # noqa: S608 - constant
            ).fetchall()
        kept = state, _live_ids(catalog, rows, live)
        catalog.ids_read = kept
    ids: npt.NDArray[np.int64] = kept[1]
    return ids


def _live_ids(
    catalog: Catalog, images: list[tuple[Any, ...]], live: set[int]
) -> npt.NDArray[np.int64]:
    """Choose from rows that begin with an id and end with whether they are sound."""
    wanted = live - catalog.left_out
    return np.array([row[0] for row in images if row[-1] and row[0] in wanted], np.int64)


def read_images(catalog: Catalog) -> GalleryImages:
    """Read what is known of the live images."""
    version = catalog.version
    files = _file_rows(catalog)
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT id, digest, format, width, height, frames, trivial, input_digest, pixel_digest,"  # noqa: S608 - constant
            f" damaged, {sound('images')} FROM images NOT INDEXED ORDER BY id"
        ).fetchall()
    _check_order(catalog, [row[0] for row in rows])
    _note_damage(catalog, "images", len(rows), sum(not row[-1] for row in rows))
    ids = _live_ids(catalog, rows, {row[1] for row in files})
    catalog.ids_read = (version, catalog.left_out), ids
    catalog.files_read = {version: files}  # `read_files` follows
    live = set(ids.tolist())
    columns = list(zip(*(row for row in rows if row[0] in live), strict=True)) or [()] * 11
    _, digest, image_format, width, height, frames, trivial, inputs, pixels, damaged, _ = columns
    return GalleryImages(
        ids=ids,
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
    rows, live = catalog.files_read.pop(catalog.version, None), set(ids.tolist())
    rows = [row for row in (_file_rows(catalog) if rows is None else rows) if row[1] in live]
    for row in rows:
        if not is_inside(row[3]):
            checked_path(catalog.store, row[3])
    _, images, paths, _, sizes, times, roots, _, _, inodes, changes = (
        list(zip(*rows, strict=True)) or [()] * 11
    )
    return GalleryFiles(
        row=np.searchsorted(ids, np.array(images, np.int64)),
        path=list(paths),
        size=np.array(sizes, np.int64),
        mtime_ns=np.array(times, np.int64),
        root=list(roots),
        inode=list(inodes),
        ctime_ns=list(changes),
    )


def _file_rows(catalog: Catalog) -> list[tuple[Any, ...]]:
    """Read the sound rows of live files, by image, then path."""
    roots = _sound_roots(catalog)
    with translated(catalog.store):
        rows: list[tuple[Any, ...]] = catalog.connection.execute(
            f"SELECT f.id, f.image, {_WHOLE} AS whole, f.path,"  # noqa: S608 - constant
            f" f.size, f.mtime_ns, f.root, f.state = 'indexed', {_SOUND_FILE}, f.inode, f.ctime_ns"
            " FROM files AS f NOT INDEXED LEFT JOIN roots AS r ON r.id = f.root"
            " ORDER BY f.image, whole"
        ).fetchall()
        images = {image for (image,) in catalog.connection.execute("SELECT id FROM images")}
    _check_order(catalog, sorted(row[0] for row in rows))
    unsound = sum(
        not row[8] or row[6] not in roots or (row[7] and row[1] not in images) for row in rows
    )
    _note_damage(catalog, "files", len(rows), unsound)
    return [row for row in rows if row[7] and row[8] and row[6] in roots]


def _sound_roots(catalog: Catalog) -> set[int]:
    with translated(catalog.store):
        rows = catalog.connection.execute(
            f"SELECT id, path, {sound('roots')} FROM roots NOT INDEXED"  # noqa: S608 - constant
        ).fetchall()
    _note_damage(catalog, "roots", len(rows), sum(not row[2] for row in rows))
    for _, path, whole in rows:
        if whole:
            checked_root(catalog.store, path)
    return {number for number, _, whole in rows if whole}


def _note_damage(catalog: Catalog, table: str, found: int, damaged: int) -> None:
    missing = catalog.row_counts().get(table, found) - found
    catalog.found_damaged(table, damaged + max(missing, 0))


def _check_order(catalog: Catalog, ids: list[int]) -> None:
    """Refuse a table that gives rows twice: its pages refer to each other wrongly."""
    if len(ids) > 1 and int(np.diff(np.array(ids, np.int64)).min()) < 1:
        raise DamagedError(
            catalog.store, f"damaged or foreign catalog: rows come twice. Run {REPAIR}."
        )


def read_indexed(catalog: Catalog, images: Iterable[int]) -> dict[int, list[IndexedFile]]:
    """Map chosen image ids to what was recorded of their live files, by path."""
    wanted = sorted(set(images))
    result: dict[int, list[IndexedFile]] = {image: [] for image in wanted}
    with translated(catalog.store):
        rows = catalog.connection.execute(
            f"SELECT f.image, {_WHOLE} AS whole, f.path, r.path,"  # noqa: S608 - constant
            " f.root, f.size, f.mtime_ns, f.device, f.inode, f.ctime_ns"
            " FROM files AS f JOIN roots AS r ON r.id = f.root"
            f" WHERE f.state = 'indexed' AND {_SOUND_FILE} AND {sound('roots', 'r')}"
            " AND f.image IN (SELECT value FROM json_each(?)) ORDER BY whole",
            (json.dumps(wanted),),
        )
        for image, path, name, top, root, size, mtime_ns, device, inode, ctime_ns in rows:
            checked_root(catalog.store, top)
            checked_path(catalog.store, name)
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
    UnsoundError : a row is missing or fails its checksum.
    """
    ids = read_ids(catalog)
    if len(ids) != count:
        raise UnsoundError(catalog, ())
    with translated(catalog.store):
        cursor = catalog.connection.execute(
            f"{_EMBEDDINGS} WHERE layer = ? AND image IN {_LIVE} ORDER BY image", (layer,)
        )
        return _filled(catalog, layer, cursor, ids, scaled=scaled)


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
    UnsoundError : as `read_vectors`.
    """
    with translated(catalog.store):
        cursor = catalog.connection.execute(
            f"{_EMBEDDINGS} WHERE layer = ? AND image IN (SELECT value FROM json_each(?))"  # noqa: S608 - constant
            " ORDER BY image",
            (layer, json.dumps(images.tolist())),
        )
        return _filled(catalog, layer, cursor, images, scaled=False)


def _filled(
    catalog: Catalog,
    layer: str,
    cursor: sqlite3.Cursor,
    ids: npt.NDArray[np.int64],
    *,
    scaled: bool,
) -> npt.NDArray[np.float32]:
    """Unpack the rows that belong to `ids`, which rise; every one of them has to be there."""
    places = {image: place for place, image in enumerate(ids.tolist())}
    vectors: npt.NDArray[np.float32] | None = None
    size = 0
    missing = set(places)
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        rows = [
            row
            for row in rows
            if row[0] in missing
            and row[4] is not None
            and is_sound_embedding(row[4], layer, row[3], row[1], row[2])
            and len(row[1]) == (size := size or len(row[1]))
        ]
        if not rows:
            continue
        images, blobs, _, norms, _ = zip(*rows, strict=True)
        part = unpack_unit(layer, blobs)
        if vectors is None:
            vectors = np.empty((len(ids), part.shape[1]), np.float32)
        if scaled:
            part *= np.array(norms, np.float32)[:, None]
        vectors[[places[image] for image in images]] = part
        missing.difference_update(images)
    if missing:
        raise UnsoundError(catalog, missing)
    return np.empty((0, 0), np.float32) if vectors is None else vectors
