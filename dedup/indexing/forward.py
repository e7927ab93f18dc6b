"""Forward passes in threads of their own, while another thread collects batches.

The model is loaded when the first image needs it. `embed_images` is all that another source or sink
needs: a function of arrays.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, Self, TypeVar

import numpy as np

from dedup.fingerprint import CONTENT
from dedup.parallel.workers import one_blas_thread
from dedup.preparation import embed
from dedup.store.vectors import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    import numpy.typing as npt

    from dedup.fingerprint import Fingerprint
    from dedup.parallel.shared_buffer import SharedBuffer
    from dedup.preparation import Inputs
    from dedup.runtimes.embedder import Embedder
    from dedup.store.vectors import Packed

    Fill = Callable[[npt.NDArray[np.uint8]], None]
    Load = Callable[[], Embedder]

Result = TypeVar("Result")

BATCH: Final = 32
"""Images per forward pass, until the model is loaded and says what runs best."""

MAX_PASSES: Final = 2
"""Batches in hand at a time: one is embedded while the next is gathered."""


class Embedded(NamedTuple):
    """What came of a batch of B images.

    Parameters
    ----------
    finite : (B,) whether an image has embeddings; these follow for those alone
    """

    finite: npt.NDArray[np.bool_]
    packed: dict[str, Packed]


def embed_images(
    fingerprint: Fingerprint,
    embedder: Callable[[], Embedder],
    inputs: Sequence[Inputs],
    fill: Callable[[npt.NDArray[np.uint8]], None] | None = None,
) -> Embedded:
    """Embed a batch in all views and pack what comes of it as it is stored.

    Parameters
    ----------
    embedder : called only where content is a view
    inputs : B, at least one
    fill : as `embed` takes it
    """
    found = embed(fingerprint, embedder, inputs, fill)
    finite = np.ones(len(inputs), np.bool_)
    for values in found.values():
        finite &= np.isfinite(values).all(axis=1)
    return Embedded(finite, {name: pack(name, values[finite]) for name, values in found.items()})


class Forward(Generic[Result]):
    """Embeds batches in threads; a context manager.

    Parameters
    ----------
    embedder : called once, in the thread that gives the first batch
    buffer : where pixels lie that are in a slot
    work : makes what is wanted of a batch, as `embed_images` does

    Attributes
    ----------
    loading_seconds : that the model took to load
    """

    def __init__(
        self,
        fingerprint: Fingerprint,
        embedder: Callable[[], Embedder],
        buffer: SharedBuffer,
        work: Callable[
            [Fingerprint, Callable[[], Embedder], Sequence[Inputs], Fill | None], Result
        ],
    ) -> None:
        self._work = work
        self._fingerprint = fingerprint
        self._make_embedder = embedder
        self._embedder: Embedder | None = None
        self._buffer = buffer
        self._threads = ThreadPoolExecutor(MAX_PASSES, thread_name_prefix="embed")
        self._blas = one_blas_thread()
        self.loading_seconds = 0.0

    @property
    def batch_size(self) -> int:
        """Images for the next pass."""
        return BATCH if self._embedder is None else self._embedder.batch_size

    def submit(self, inputs: list[Inputs], slots: Sequence[int | None]) -> Future[Result]:
        """Begin to embed a batch.

        Parameters
        ----------
        inputs : at least one
        slots : where the pixels of each lie; None: they are with it
        """
        if CONTENT in self._fingerprint.views:
            self._model()  # loaded in this thread, which the catalog belongs to
        used = [slot for slot in slots if slot is not None]
        fill: Callable[[npt.NDArray[np.uint8]], None] | None = None
        if len(used) == len(slots):
            fill = partial(self._buffer.gather, used)
        elif used:  # once the buffer was full, or a worker could not reach it
            fill = partial(_fill, self._buffer, inputs, slots)
        return self._threads.submit(self._work, self._fingerprint, self._model, inputs, fill)

    def __enter__(self) -> Self:
        self._blas.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        self._blas.__exit__(None, None, None)

    def _model(self) -> Embedder:
        if self._embedder is None:
            started = time.perf_counter()
            self._embedder = self._make_embedder()
            self.loading_seconds = time.perf_counter() - started
        return self._embedder


def _fill(
    buffer: SharedBuffer,
    inputs: Sequence[Inputs],
    slots: Sequence[int | None],
    out: npt.NDArray[np.uint8],
) -> None:
    for row, (each, slot) in enumerate(zip(inputs, slots, strict=True)):
        if slot is None:
            out[row] = each.pixels
        else:
            buffer.gather([slot], out[row : row + 1])
