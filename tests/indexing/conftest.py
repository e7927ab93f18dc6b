from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from blocks import SIDE, BlockMeans

from dedup.fingerprint import Fingerprint
from dedup.images.decode import DECODER
from dedup.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    fingerprint = Fingerprint("blocks", "none", "0" * 64, ("blocks",), SIDE, SIDE, DECODER)
    opened = Catalog.create(tmp_path / "store", fingerprint)
    yield opened
    opened.close()


@pytest.fixture
def embedder() -> BlockMeans:
    return BlockMeans()
