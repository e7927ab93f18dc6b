"""The OpenVINO runtime: an extractor that was converted once runs on the CPU without torch.

Takes a `Graph` as `dedup.runtimes.export` makes it. Importing this module loads neither torch
nor OpenVINO, and using it never loads torch.
"""

from __future__ import annotations

import sys
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from dedup.parallel.hardware import has_bf16
from dedup.parallel.workers import cores
from dedup.runtimes.cache import compiled_path, read_compiled, write_compiled
from dedup.runtimes.graph import GraphRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from dedup.runtimes.cache import Graph


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
    if not has_bf16():
        return False
    capabilities = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


class OpenVinoRuntime(GraphRuntime):
    """A graph in OpenVINO, with as many streams as its throughput hint gives.

    Parameters
    ----------
    bf16 : whether to compute in bf16
    kept : the graph's file, beside which what it was compiled to is kept; None: nowhere
    """

    engine = "openvino"

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
        version = openvino.__version__.partition("-")[0]
        super().__init__(graph, f"openvino {version} cpu {'bf16' if bf16 else 'fp32'}")

    def _run(self, chunks: list[npt.NDArray[np.uint8]]) -> Iterator[list[npt.NDArray[Any]]]:
        if not self._requests:
            raise ValueError("the runtime is closed")
        running: deque[Any] = deque()
        try:
            for number, chunk in enumerate(chunks):
                if len(running) == len(self._requests):
                    yield _finished(running.popleft())
                request = self._requests[number % len(self._requests)]
                # Shared, not copied: the chunks outlive the request.
                request.start_async({0: self._tensor(chunk, shared_memory=True)})
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
