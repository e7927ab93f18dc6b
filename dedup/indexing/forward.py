"""Forward passes beside the thread that the catalog belongs to.

The model is loaded when the first picture needs it.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np

from dedup.fingerprint import CONTENT
from dedup.preparation import embed
from dedup.store.vectors import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    import numpy.typing as npt

    from dedup.fingerprint import Fingerprint
    from dedup.parallel.shared_buffer import Shelf
    from dedup.preparation import Inputs
    from dedup.runtimes.embedder import Embedder
    from dedup.store.vectors import Packed

BATCH: Final = 32
"""Pictures per forward pass, until the model is loaded and says what runs best."""

AT_ONCE: Final = 2
"""Batches that may be under way: one is embedded while the next is gathered."""


class Embedded(NamedTuple):
    """What came of a batch of B pictures.

    Parameters
    ----------
    finite : (B,) whether a picture has embeddings; these follow for those alone
    """

    finite: npt.NDArray[np.bool_]
    packed: dict[str, Packed]


class Passes:
    """Embeds batches in threads; a context manager.

    Parameters
    ----------
    embedder : called once, in the thread that gives the first batch
    shelf : where pixels lie that come with a place

    Attributes
    ----------
    loading : seconds that the model took to load
    """

    def __init__(
        self, fingerprint: Fingerprint, embedder: Callable[[], Embedder], shelf: Shelf
    ) -> None:
        self._fingerprint = fingerprint
        self._make_embedder = embedder
        self._embedder: Embedder | None = None
        self._shelf = shelf
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="embed")
        self.loading = 0.0

    @property
    def size(self) -> int:
        """Pictures for the next pass."""
        return BATCH if self._embedder is None else self._embedder.batch_size

    def submit(self, pictures: list[Inputs], at: Sequence[int | None]) -> Future[Embedded]:
        """Begin to embed a batch.

        Parameters
        ----------
        pictures : at least one
        at : the place in the shelf where the pixels of each lie; None: they are with it
        """
        if CONTENT in self._fingerprint.views:
            self._model()  # loaded in this thread, which the catalog belongs to
        places = [place for place in at if place is not None]
        fill: Callable[[npt.NDArray[np.uint8]], None] | None = None
        if len(places) == len(at):
            fill = partial(self._shelf.gather, places)
        elif places:  # once the shelf was full, or a worker could not reach it
            fill = partial(_fill, self._shelf, pictures, at)
        return self._threads.submit(self._embed, pictures, fill)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    def _model(self) -> Embedder:
        if self._embedder is None:
            started = time.perf_counter()
            self._embedder = self._make_embedder()
            self.loading = time.perf_counter() - started
        return self._embedder

    def _embed(
        self, pictures: list[Inputs], fill: Callable[[npt.NDArray[np.uint8]], None] | None
    ) -> Embedded:
        found = embed(self._fingerprint, self._model, pictures, fill)
        finite = np.ones(len(pictures), np.bool_)
        for values in found.values():
            finite &= np.isfinite(values).all(axis=1)
        # Here, where it is done beside what the catalog's thread has to do.
        packed = {name: pack(name, values[finite]) for name, values in found.items()}
        return Embedded(finite, packed)


def _fill(
    shelf: Shelf,
    pictures: Sequence[Inputs],
    at: Sequence[int | None],
    room: npt.NDArray[np.uint8],
) -> None:
    for row, (picture, place) in enumerate(zip(pictures, at, strict=True)):
        if place is None:
            room[row] = picture.pixels
        else:
            shelf.gather([place], room[row : row + 1])
