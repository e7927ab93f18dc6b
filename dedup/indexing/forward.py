"""Forward passes beside the thread that the catalog belongs to, as large and as fast as they pay.

The model is loaded when the first picture needs it.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Semaphore
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np

from dedup.fingerprint import CONTENT
from dedup.indexing.batch_size import BatchSize, Haste
from dedup.preparation import embed
from dedup.store.vectors import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    import numpy.typing as npt

    from dedup.fingerprint import Fingerprint
    from dedup.parallel.shared_buffer import Shelf
    from dedup.preparation import Embedder, Inputs
    from dedup.store.vectors import Packed

BATCH: Final = 32
"""Pictures per forward pass, until `BatchSize` has found out."""

_MOST_AT_ONCE: Final = 2


class Embedded(NamedTuple):
    """What came of a batch of B pictures.

    Parameters
    ----------
    finite : (B,) whether a picture has embeddings; these follow for those alone
    seconds : that the pass took
    """

    finite: npt.NDArray[np.bool_]
    packed: dict[str, Packed]
    seconds: float


class Passes:
    """Embeds batches in threads; a context manager.

    Parameters
    ----------
    embedder : called once, in the thread that gives the first batch
    shelf : where pixels lie that come with a place
    total : files of the run

    Attributes
    ----------
    at_once : batches that may be under way beside the one that is asked for
    loading : seconds that the model took to load
    """

    def __init__(
        self, fingerprint: Fingerprint, embedder: Callable[[], Embedder], shelf: Shelf, total: int
    ) -> None:
        self._fingerprint = fingerprint
        self._make_embedder = embedder
        self._embedder: Embedder | None = None
        self._shelf = shelf
        self._total = total
        self._handled = 0
        self._sizes = BatchSize((), BATCH, total)
        self._haste = Haste()
        self._ready = BATCH  # pictures up to which no pass has to wait for the model to get ready
        self._turns = Semaphore()
        self._threads = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="embed")
        self.at_once = 1
        self.loading = 0.0

    @property
    def embedder(self) -> Embedder | None:
        """The model, once it is loaded."""
        return self._embedder

    @property
    def size(self) -> int:
        """Pictures for the next pass."""
        size = self._sizes.size
        if size > self._ready and self._embedder is not None:
            if not self._embedder.get_ready(size):
                return min(size, BATCH)
            self._ready = size
        return size

    @property
    def settled(self) -> bool:
        """Whether passes go on as they do now: they have their size, and nothing gets ready."""
        return self._embedder is not None and self._sizes.found and self.size == self._sizes.size

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

    def handled(self, embedded: Embedded | None, files: int, waited: float) -> None:
        """Take note of a batch, in the order in which they were given.

        Parameters
        ----------
        files : that came to an end with it
        waited : seconds that nothing was done but wait for it
        """
        self._handled += files
        if embedded is not None:
            self._sizes.took(len(embedded.finite), embedded.seconds)
        left = self._total - self._handled
        if self._embedder is not None and self._haste.waited(waited, files, left):
            self._embedder.hasten()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    def _model(self) -> Embedder:
        if self._embedder is None:
            started = time.perf_counter()
            self._embedder = self._make_embedder()
            self.loading = time.perf_counter() - started
            self._sizes = BatchSize(self._embedder.batch_sizes(self._total), BATCH, self._total)
            self.at_once = min(_MOST_AT_ONCE, self._embedder.at_once)
            self._turns = Semaphore(self.at_once)
        return self._embedder

    def _embed(
        self, pictures: list[Inputs], fill: Callable[[npt.NDArray[np.uint8]], None] | None
    ) -> Embedded:
        with self._turns:
            started = time.perf_counter()
            found = embed(self._fingerprint, self._model, pictures, fill)
            seconds = time.perf_counter() - started
        finite = np.ones(len(pictures), np.bool_)
        for values in found.values():
            finite &= np.isfinite(values).all(axis=1)
        # Here, where it is done beside what the catalog's thread has to do.
        packed = {name: pack(name, values[finite]) for name, values in found.items()}
        return Embedded(finite, packed, seconds)


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
