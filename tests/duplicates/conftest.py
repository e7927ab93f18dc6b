"""A small gallery of real files, embedded by block means, with real proofs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from blocks import SIDE, BlockMeans, index

from dedup.duplicates.gallery import Gallery, read_gallery
from dedup.fingerprint import Fingerprint
from dedup.images.decode import DECODER
from dedup.space.space import Space
from dedup.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FINGERPRINT = Fingerprint("blocks", "none", "0" * 64, ("blocks",), SIDE, SIDE, DECODER)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog.create(tmp_path / "store", FINGERPRINT)
    yield opened
    opened.close()


@pytest.fixture
def gallery_of(catalog: Catalog) -> Callable[[Path], Gallery]:
    """Index a folder, and read the gallery."""

    def read(folder: Path) -> Gallery:
        index(catalog, BlockMeans(), folder)
        return read_gallery(catalog, Space.of(catalog))

    return read


@pytest.fixture
def gallery(gallery_of: Callable[[Path], Gallery], images: Path) -> Gallery:
    """The gallery of `images`, whose files are the test's own."""
    os.utime(images / "a/2.jpg", (1.8e9, 1.8e9))
    return gallery_of(images)
