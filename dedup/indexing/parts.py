"""Describe again the images of which another version described the details, or no parts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.descriptors.parts import PARTS_VERSION
from dedup.descriptors.vlad import load_details
from dedup.errors import ImageError
from dedup.fingerprint import DETAILS
from dedup.images.sources import read_unchanged
from dedup.parallel.workers import cores, one_blas_thread
from dedup.preparation import preparation
from dedup.store.gallery import read_indexed
from dedup.store.own import replace_vectors
from dedup.store.parts import without_parts, write_parts
from dedup.store.vectors import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dedup.preparation import Preparation, Prepared
    from dedup.records import IndexedFile
    from dedup.store.catalog import Catalog

_AT_ONCE: Final = 256  # images per transaction


def describe_missing(catalog: Catalog, progress: Callable[[int, int], None]) -> int:
    """Read again the files of the images that have no parts as this version describes them.

    Their details are embedded again as well, since both are made of the same features. Files that
    are not there, or not what was indexed, are left for another time.

    Returns
    -------
    How many images were described.
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
                partial(_described, wanted),
                (files[image] for image in images),
                (digests[image] for image in images),
            )
            every = zip(images, digests.values(), found, strict=True)
            new = [(image, digest, each) for image, digest, each in every if each is not None]
        _keep(catalog, new)
        described += len(new)
    return described


def _keep(catalog: Catalog, found: Sequence[tuple[int, bytes, Prepared]]) -> None:
    """Keep what was described of images, each with its content (SHA-256)."""
    parts = {image: (PARTS_VERSION, new.parts) for image, _, new in found if new.parts is not None}
    counted = {digest: new.counted for _, digest, new in found if new.counted is not None}
    if not counted:
        return
    packed = pack(DETAILS, load_details().project(np.stack(list(counted.values()))))
    rows = dict(zip(counted, zip(packed.norms, packed.vectors, strict=True), strict=True))
    with catalog.transaction():
        write_parts(catalog.connection, parts)
        replace_vectors(catalog, rows, DETAILS)


def _described(wanted: Preparation, files: Sequence[IndexedFile], digest: bytes) -> Prepared | None:
    """Describe the first file that still holds a content (SHA-256)."""
    found = read_unchanged((file.path for file in files), digest)
    if found is None:
        return None
    try:
        return wanted.prepare(*found)
    except (ImageError, MemoryError):
        return None
