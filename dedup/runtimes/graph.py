"""What runtimes of exported graphs share: checks, order, and a prediction put together again.

Free of torch and of the engines themselves.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from dedup.errors import ModelError
from dedup.models.features import Features, out_of_memory, require_images
from dedup.parallel.workers import cores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from dedup.runtimes.cache import Facts

INPUT: Final = "pixels"
"""The name of a graph's input."""

_REQUEST_IMAGES: Final = 8
"""Images of one request, so that a batch keeps every core busy: of 1, 4, 8, 16 and 32, the
rates at 8 and 16 are highest in both engines (docs/benchmarks.md)."""

_MIN_BATCH_IMAGES, _MAX_BATCH_IMAGES = 32, 256
_RGB: Final = 3


class GraphRuntime(ABC):
    """An exported model, ready to embed batches of images on the CPU.

    Attributes
    ----------
    description : engine, version, device and number format, such as ``openvino 2026.4.1 cpu fp32``
    input_hw : height and width of the images that it takes
    dimensions : layer -> D of its embeddings
    batch_size : images per call that run best: two requests for each core
    notes : what a person should know of the choice of runtime

    Notes
    -----
    Batches are cut into requests of 8 images, as many at a time as there are cores. Threads are
    not pinned to cores, because images are decoded at the same time. Calls from several threads
    take turns.
    """

    notes: tuple[str, ...] = ()
    engine: ClassVar[str]

    def __init__(self, facts: Facts, description: str) -> None:
        self._turn = threading.Lock()
        self._prediction = facts.prediction
        self.input_hw = facts.height, facts.width
        self.dimensions = dict(facts.dimensions)
        self.description = description
        wanted = 2 * _REQUEST_IMAGES * cores()
        self.batch_size = min(max(wanted, _MIN_BATCH_IMAGES), _MAX_BATCH_IMAGES)

    def embed(self, batch: npt.NDArray[np.uint8]) -> Features:
        """Embed a batch of images.

        Parameters
        ----------
        batch : (B, H, W, 3) uint8, RGB

        Returns
        -------
        Rows in the order of the batch. The other images of a batch change an embedding by no more
        than rounding. A row that overflowed is returned as it is.

        Raises
        ------
        ValueError : another shape or type, or the runtime is closed.
        ModelError : memory ran out.
        """
        vectors, leaves = self.outputs(batch)
        return Features(shaped(self._prediction, iter(leaves)), vectors)

    def outputs(
        self, batch: npt.NDArray[np.uint8]
    ) -> tuple[dict[str, npt.NDArray[np.float32]], list[npt.NDArray[Any]]]:
        """Give the embeddings of each layer, and the tensors of the prediction; as `embed`."""
        require_images(batch)
        if batch.shape[1:3] != self.input_hw:
            raise ValueError(f"images must be {self.input_hw}, not {batch.shape[1:3]}")
        # Without images: what one gives, less its row.
        some = batch if len(batch) else np.zeros((1, *self.input_hw, _RGB), np.uint8)
        images = np.ascontiguousarray(some)
        starts = range(0, len(images), _REQUEST_IMAGES)
        requests = [images[start : start + _REQUEST_IMAGES] for start in starts]
        try:
            with self._turn:
                columns = zip(*self._run(requests), strict=True)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            # No second try with fewer: OpenVINO's models cannot be used after that (2026.4.1).
            raise ModelError(
                f"memory ran out on {_REQUEST_IMAGES} images at a time; close other programs, or "
                "use --runtime torch, which goes on with fewer."
            ) from error
        outputs = [np.concatenate(column)[: len(batch)] for column in columns]
        leaves = len(outputs) - len(self.dimensions)
        return dict(zip(self.dimensions, outputs[leaves:], strict=True)), outputs[:leaves]

    @abstractmethod
    def _run(self, requests: list[npt.NDArray[np.uint8]]) -> Iterable[list[npt.NDArray[Any]]]:
        """Give the outputs of each request, in order; ValueError when closed."""

    @abstractmethod
    def close(self) -> None:
        """Release the model."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def shaped(form: Any, leaves: Iterator[Any]) -> Any:
    """Put a prediction together again, as `dedup.runtimes.export.form_of` took it apart."""
    if form is None:
        return next(leaves)
    kind, content = form
    if kind == "tuple":
        return tuple(shaped(item, leaves) for item in content)
    if kind == "dict":
        return {key: shaped(item, leaves) for key, item in content}
    return content
