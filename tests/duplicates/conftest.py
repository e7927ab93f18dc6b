"""A small gallery of real files, embedded by block means, with real proofs."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from blocks import SIDE, BlockMeans, index

from dedup.duplicates.find import find_groups
from dedup.duplicates.gallery import Gallery, read_gallery
from dedup.edits.catalogue import drawn
from dedup.fingerprint import Fingerprint
from dedup.images.decode import DECODER
from dedup.images.encode import as_jpeg
from dedup.results import Grouping, Tier
from dedup.space.space import Space
from dedup.store.catalog import Catalog
from dedup.store.roots import move_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FINGERPRINT = Fingerprint("blocks", "none", "0" * 64, ("blocks",), SIDE, SIDE, DECODER)


@pytest.fixture(scope="session")
def listed_before(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of `drawn` in which every verdict of a list is kept; not to be changed."""
    store = tmp_path_factory.mktemp("listed") / "store"
    catalog = Catalog.create(store, FINGERPRINT)
    index(catalog, BlockMeans(), drawn)
    gallery = read_gallery(catalog, Space.of(catalog))
    tiers = frozenset({Tier.EXACT, Tier.PIXELS, Tier.RESAVED, Tier.NEAR})
    find_groups(gallery, tiers, 0.999, Grouping.COVER, lambda *_: None)
    catalog.close()
    return store


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog.create(tmp_path / "store", FINGERPRINT)
    yield opened
    opened.close()


@pytest.fixture
def copied(images: Path, tmp_path: Path) -> Iterator[Callable[[Path], Gallery]]:
    """Read the gallery of `images` from a copy of a collection of `drawn`, with its verdicts."""
    opened: list[Catalog] = []

    def read(store: Path) -> Gallery:
        catalog = Catalog.open(shutil.copytree(store, tmp_path / "copied"))
        opened.append(catalog)
        (root,) = catalog.roots()
        move_root(catalog, root, os.fsencode(images))
        os.utime(images / "a/2.jpg", (1.8e9, 1.8e9))
        index(catalog, BlockMeans(), images)
        return read_gallery(catalog, Space.of(catalog))

    yield read
    for catalog in opened:
        catalog.close()


@pytest.fixture
def gallery_of(catalog: Catalog) -> Callable[[Path], Gallery]:
    """Index a folder, and read the gallery."""

    def read(folder: Path) -> Gallery:
        index(catalog, BlockMeans(), folder)
        return read_gallery(catalog, Space.of(catalog))

    return read


@pytest.fixture
def copies_of_one(
    gallery_of: Callable[[Path], Gallery], tmp_path: Path
) -> Callable[[int], Gallery]:
    """Save one image so many times, at rising quality; all are candidates of each other."""

    def read(count: int) -> Gallery:
        folder = tmp_path / "copies"
        folder.mkdir()
        pixels = drawn(96, 128, np.random.default_rng(1))
        for number in range(count):
            (folder / f"{number:03}.jpg").write_bytes(as_jpeg(pixels, 25 + number))
        return replace(gallery_of(folder), near_floors=(-1, -1))

    return read


@pytest.fixture
def gallery(gallery_of: Callable[[Path], Gallery], images: Path) -> Gallery:
    """The gallery of `images`, whose files are the test's own."""
    os.utime(images / "a/2.jpg", (1.8e9, 1.8e9))
    return gallery_of(images)
