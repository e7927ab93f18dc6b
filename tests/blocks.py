"""A model of a few lines for tests of indexing: what it makes of a picture, one can say."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import numpy as np
from pictures import scene

from dedup.indexing.diff import find_changes
from dedup.indexing.pipeline import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from dedup.preparation import JpegDecoder
    from dedup.results import IndexSummary
    from dedup.runtimes.device_jpegs import Sides
    from dedup.store.catalog import Catalog

SIDE = 32


class BlockMeans:
    """A small embedder: the mean colours of 8 × 8 blocks. Counts what it was given."""

    def __init__(self, batch_sizes: tuple[int, ...] = ()) -> None:
        self.batches: list[int] = []
        self._batch_sizes = batch_sizes

    at_once = 1

    def batch_sizes(self, _: int) -> tuple[int, ...]:
        return self._batch_sizes

    def room(self, pictures: int) -> npt.NDArray[np.uint8]:
        return np.empty((pictures, SIDE, SIDE, 3), np.uint8)

    def get_ready(self, _: int) -> bool:
        return True

    def jpegs(self, _: Sides) -> JpegDecoder | None:
        return None

    def hasten(self) -> None:
        pass

    def embed(self, batch: npt.NDArray[np.uint8]) -> Mapping[str, npt.NDArray[np.float32]]:
        self.batches.append(len(batch))
        blocks = batch.reshape(len(batch), 8, SIDE // 8, 8, SIDE // 8, 3).mean((2, 4))
        return {"blocks": blocks.reshape(len(batch), -1).astype(np.float32)}


class TrialFirst(ThreadPoolExecutor):
    """Lets the run go on when its first task, the trial, is done; else a short run ends before."""

    tried = False

    def submit(self, *args: Any, **options: Any) -> Future[Any]:
        future = super().submit(*args, **options)
        if not self.tried:
            self.tried = True
            wait([future])
        return future


def index(catalog: Catalog, embedder: BlockMeans, *folders: Path) -> IndexSummary:
    return run(catalog, find_changes(catalog, folders), lambda: embedder)


def fill(folder: Path, count: int, first: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for seed in range(first, first + count):
        scene(seed, (64, 48)).save(folder / f"{seed:03}.png")
    return folder
