"""What runtimes of converted graphs share: checks, order, and a prediction put together again.

Free of torch and of the engines themselves.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from dedup.errors import ModelError
from dedup.models.features import Features, out_of_memory, require_pictures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    import numpy.typing as npt

    from dedup.runtimes.cache import Graph

CHUNK: Final = 8
"""Pictures of one request, so that a batch keeps every core busy: of 1, 4, 8, 16 and 32, the
rates at 8 and 16 are highest in both engines (benchmarks/RESULTS.md)."""

_RGB: Final = 3


class GraphRuntime(ABC):
    """A converted model, ready to embed batches of pictures on the CPU.

    Attributes
    ----------
    description : engine, version, device and number format, such as ``openvino 2026.4.1 cpu fp32``
    input_hw : height and width of the pictures that it takes
    dimensions : layer -> D of its embeddings
    notes : what a person should know of the choice of runtime

    Notes
    -----
    Batches are cut into requests of 8 pictures, as many at once as there are cores. Threads are not
    pinned to cores, because decoding runs beside. Calls from several threads take turns.
    """

    notes: tuple[str, ...] = ()
    batch_size = 64
    engine: ClassVar[str]

    def __init__(self, graph: Graph, description: str) -> None:
        self._turn = threading.Lock()
        self._prediction = graph.prediction
        self.input_hw = graph.input_hw
        self.dimensions = dict(graph.dimensions)
        self.description = description

    def batch_sizes(self, _: int) -> tuple[int, ...]:
        """Give the pictures per call that are worth trying; cut into requests all the same."""
        return 32, 64, 128

    def room(self, pictures: int) -> npt.NDArray[np.uint8]:
        """Give (pictures, H, W, 3) uint8, not filled, for a batch."""
        return np.empty((pictures, *self.input_hw, _RGB), np.uint8)

    def get_ready(self, _: int) -> bool:
        """Tell that batches of any size are worked on at once."""
        return True

    def jpegs(self, _: object) -> None:  # noqa: B027 - as the next
        """Leave decoding to the host, whose cores passes run on."""

    def hasten(self) -> None:  # noqa: B027 - is meant to be empty
        """Do nothing: graphs are compiled already."""

    def embed(self, batch: npt.NDArray[np.uint8]) -> Features:
        """Embed a batch of pictures.

        Parameters
        ----------
        batch : (B, H, W, 3) uint8, RGB

        Returns
        -------
        Rows in the order of the batch. The pictures beside it change an embedding by no more than
        rounding. A row that overflowed is handed over as it is.

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
        require_pictures(batch)
        if batch.shape[1:3] != self.input_hw:
            raise ValueError(f"pictures must be {self.input_hw}, not {batch.shape[1:3]}")
        # Without pictures: what one gives, less its row.
        some = batch if len(batch) else np.zeros((1, *self.input_hw, _RGB), np.uint8)
        pictures = np.ascontiguousarray(some)
        chunks = [pictures[start : start + CHUNK] for start in range(0, len(pictures), CHUNK)]
        try:
            with self._turn:
                columns = zip(*self._run(chunks), strict=True)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            # No second try with fewer: OpenVINO's models are of no use after that (2026.4.1).
            raise ModelError(
                f"memory ran out on {CHUNK} pictures a time; close other programs, or use "
                "--runtime torch, which goes on with fewer."
            ) from error
        outputs = [np.concatenate(column)[: len(batch)] for column in columns]
        leaves = len(outputs) - len(self.dimensions)
        return dict(zip(self.dimensions, outputs[leaves:], strict=True)), outputs[:leaves]

    @abstractmethod
    def _run(self, chunks: list[npt.NDArray[np.uint8]]) -> Iterable[list[npt.NDArray[Any]]]:
        """Give the outputs of each chunk, in order; ValueError when closed."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the model."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
