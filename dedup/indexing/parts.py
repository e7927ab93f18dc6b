"""Describe the parts of images that were indexed before parts were kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from dedup.descriptors.parts import PARTS_VERSION
from dedup.errors import ImageError
from dedup.fingerprint import DETAILS
from dedup.images.sources import read_unchanged
from dedup.parallel.workers import cores, one_blas_thread
from dedup.preparation import preparation
from dedup.store.gallery import read_indexed
from dedup.store.parts import without_parts, write_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dedup.preparation import Preparation
    from dedup.records import IndexedFile
    from dedup.store.catalog import Catalog

_AT_ONCE: Final = 256  # images per transaction


def describe_missing(catalog: Catalog, progress: Callable[[int, int], None]) -> int:
    """Read again the files of the images that have no parts, and keep what is found.

    Files that are not there, or not what was indexed, are left for another time.

    Returns
    -------
    How many images have parts now that had none.
    """
    if DETAILS not in catalog.fingerprint.views:
        return 0
    missing = without_parts(catalog, PARTS_VERSION)
    if not missing:
        return 0
    wanted = preparation(catalog)
    described = 0
    for start in range(0, len(missing), _AT_ONCE):
        images = missing[start : start + _AT_ONCE]
        progress(start, len(missing))
        files = read_indexed(catalog, images)
        digests = {image: catalog.image_facts(image).digest for image in images}
        with one_blas_thread(), ThreadPoolExecutor(cores()) as pool:
            found = pool.map(
                partial(_parts, wanted),
                (files[image] for image in images),
                (digests[image] for image in images),
            )
            rows = {
                image: (PARTS_VERSION, parts)
                for image, parts in zip(images, found, strict=True)
                if parts is not None
            }
        with catalog.transaction():
            write_parts(catalog.connection, rows)
        described += len(rows)
    return described


def _parts(wanted: Preparation, files: Sequence[IndexedFile], digest: bytes) -> bytes | None:
    """Describe the first file that still holds a content (SHA-256)."""
    found = read_unchanged((file.path for file in files), digest)
    if found is None:
        return None
    try:
        return wanted.prepare(*found).parts
    except (ImageError, MemoryError):
        return None
