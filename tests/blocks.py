"""A model of a few lines for tests of indexing: what it makes of an image, one can say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from drawings import scene

from dedup.indexing.diff import find_changes
from dedup.indexing.pipeline import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from dedup.indexing.readahead import ReadPolicy
    from dedup.results import IndexSummary
    from dedup.store.catalog import Catalog

SIDE = 32


class BlockMeans:
    """A small embedder: the mean colours of 8 × 8 blocks. Counts what it was given."""

    def __init__(self, batch_size: int = 32) -> None:
        self.batches: list[int] = []
        self.batch_size = batch_size

    def embed(self, batch: npt.NDArray[np.uint8]) -> Mapping[str, npt.NDArray[np.float32]]:
        self.batches.append(len(batch))
        blocks = batch.reshape(len(batch), 8, SIDE // 8, 8, SIDE // 8, 3).mean((2, 4))
        return {"blocks": blocks.reshape(len(batch), -1).astype(np.float32)}

    def close(self) -> None:
        pass


def index(
    catalog: Catalog, embedder: BlockMeans, *folders: Path, policy: ReadPolicy | None = None
) -> IndexSummary:
    return run(catalog, find_changes(catalog, folders), lambda: embedder, policy=policy)


def fill(folder: Path, count: int, first: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for seed in range(first, first + count):
        scene(seed, (64, 48)).save(folder / f"{seed:03}.png")
    return folder
