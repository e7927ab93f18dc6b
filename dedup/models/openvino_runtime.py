"""The OpenVINO runtime: an extractor that was converted once runs on the CPU without torch.

Takes a `Graph` as `dedup.models.conversion` makes it. Importing this module loads neither torch
nor OpenVINO, and using it never loads torch.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from dedup.errors import ModelError
from dedup.models.features import Features, out_of_memory, require_pictures
from dedup.models.graph_cache import compiled_path, read_compiled, write_compiled
from dedup.workers import cores

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    import numpy.typing as npt

    from dedup.models.graph_cache import Graph

_CHUNK: Final = 8
"""Pictures of one request, so that a batch keeps every stream busy: of 1, 4, 8, 16 and 32, the
rates at 8 and 16 are highest (benchmarks/RESULTS.md)."""

_RGB: Final = 3


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry and without its converter.

    The package reports every import of its converter to a server. Nothing here may talk to one;
    with the reporting package out of sight it uses a stand-in of its own that does nothing.

    Raises
    ------
    ImportError : it is not installed, or does not load on this machine.
    """
    with hidden("openvino_telemetry", "openvino.tools.ovc"):
        import openvino
    return openvino


@contextmanager
def hidden(*modules: str) -> Iterator[None]:
    """Let modules that are not loaded look as if they were not installed."""
    absent = [name for name in modules if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # how Python marks a module as absent
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def computes_in_bf16() -> bool:
    """Tell whether OpenVINO computes in bf16 on this CPU, and not just emulates it."""
    capabilities = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


class OpenVinoRuntime:
    """A converted model, ready to embed batches of pictures on the CPU.

    Parameters
    ----------
    bf16 : whether to compute in bf16
    kept : the graph's file, beside which what it was compiled to is kept; None: nowhere

    Attributes
    ----------
    description : version, device and number format, such as ``openvino 2026.4.1 cpu fp32``
    input_hw : height and width of the pictures that it takes
    dimensions : layer -> D of its embeddings
    notes : what a person should know of the choice of runtime
    batch_sizes : pictures per call that are worth trying

    Notes
    -----
    Batches are cut into requests of 8 pictures for as many streams as OpenVINO's throughput hint
    gives. Threads are not pinned to cores, because decoding runs beside. Calls from several
    threads take turns.
    """

    notes: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = (16, 32, 64)

    def __init__(self, graph: Graph, *, bf16: bool = False, kept: Path | None = None) -> None:
        openvino = import_openvino()
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled = _compiled(openvino, graph, settings, kept)
        # Requests that are waited for here, and not a queue with callbacks: those run on OpenVINO's
        # threads, and one that still lets go of its Python objects deadlocks with a queue that is
        # taken down meanwhile (seen with 2026.4.1).
        streams = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests = [self._compiled.create_infer_request() for _ in range(streams)]
        self._tensor = openvino.Tensor
        self._turn = threading.Lock()
        self._prediction = graph.prediction
        self.input_hw = graph.input_hw
        self.dimensions = dict(graph.dimensions)
        version = openvino.__version__.partition("-")[0]
        self.description = f"openvino {version} cpu {'bf16' if bf16 else 'fp32'}"

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
        if not self._requests:
            raise ValueError("the runtime is closed")
        # Without pictures: what one gives, less its row.
        some = batch if len(batch) else np.zeros((1, *self.input_hw, _RGB), np.uint8)
        pictures = np.ascontiguousarray(some)
        try:
            with self._turn:
                columns = zip(*self._run(pictures), strict=True)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            # A compiled model is of no use after that (seen with 2026.4.1: promises broken).
            raise ModelError(
                f"memory ran out on {_CHUNK} pictures a time; close other programs, or use "
                "--runtime torch, which goes on with fewer."
            ) from error
        outputs = [np.concatenate(column)[: len(batch)] for column in columns]
        leaves = len(outputs) - len(self.dimensions)
        return dict(zip(self.dimensions, outputs[leaves:], strict=True)), outputs[:leaves]

    def _run(self, pictures: npt.NDArray[np.uint8]) -> Iterator[list[npt.NDArray[Any]]]:
        """Give the outputs chunk by chunk, with as many chunks under way as there are streams."""
        running: deque[Any] = deque()
        try:
            for number, start in enumerate(range(0, len(pictures), _CHUNK)):
                if len(running) == len(self._requests):
                    yield _finished(running.popleft())
                request = self._requests[number % len(self._requests)]
                # Shared, not copied: `pictures` outlives the request.
                chunk = self._tensor(pictures[start : start + _CHUNK], shared_memory=True)
                request.start_async({0: chunk})
                running.append(request)
            while running:
                yield _finished(running.popleft())
        finally:
            for request in running:  # after an error: what goes on must not outlive the pictures
                with suppress(RuntimeError):
                    request.wait()

    def close(self) -> None:
        """Let go of the compiled model."""
        self._requests = []
        self._compiled = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _compiled(
    openvino: Any, graph: Graph, settings: Mapping[str, object], kept: Path | None
) -> Any:
    """Compile a graph, or take what was compiled of it before."""
    core = openvino.Core()
    path = None
    if kept is not None:
        cpu = core.get_property("CPU", "FULL_DEVICE_NAME")
        abilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        path = compiled_path(
            kept, [openvino.__version__, cpu, *abilities, str(cores()), repr(settings)]
        )
        before = read_compiled(path)
        if before is not None:
            with suppress(RuntimeError):  # another build of the same version, say
                return core.import_model(before, "CPU", settings)
    model = core.read_model(graph.description, openvino.Tensor(graph.weights))
    compiled = core.compile_model(model, "CPU", settings)
    if path is not None:
        with suppress(RuntimeError):  # a graph that cannot be exported is compiled every time
            write_compiled(path, compiled.export_model().getvalue())
    return compiled


def _finished(request: Any) -> list[npt.NDArray[Any]]:
    """Wait for a request and copy what it gave, before its buffers are used again."""
    request.wait()
    return [np.array(tensor.data) for tensor in request.output_tensors]


def shaped(form: Any, leaves: Iterator[npt.NDArray[Any]]) -> Any:
    """Put a prediction together again, as `dedup.models.conversion.form_of` took it apart."""
    if form is None:
        return next(leaves)
    kind, content = form
    if kind == "tuple":
        return tuple(shaped(item, leaves) for item in content)
    if kind == "dict":
        return {key: shaped(item, leaves) for key, item in content}
    return content
