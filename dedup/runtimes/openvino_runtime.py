"""OpenVINO: the engine for CPUs that compute in bf16.

Takes a `Graph` as `dedup.runtimes.export` makes it. Importing this module loads neither torch
nor OpenVINO, and using it never loads torch.
"""

from __future__ import annotations

import sys
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from dedup.parallel.workers import share_of_cores
from dedup.runtimes.graph import GraphRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    with _hidden("openvino_telemetry", "openvino.tools.ovc"):
        import openvino
    return openvino


class OpenVinoRuntime(GraphRuntime):
    """A graph in OpenVINO, with as many streams as its throughput hint gives.

    Parameters
    ----------
    bf16 : whether to compute in bf16
    """

    engine = "openvino"

    def __init__(self, graph: Graph, *, bf16: bool = False) -> None:
        openvino = import_openvino()
        core = openvino.Core()
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "ENABLE_CPU_PINNING": False,
        }
        if share_of_cores():
            settings["INFERENCE_NUM_THREADS"] = share_of_cores()
        # Compiled at every start: OpenVINO's own cache saves less than 0.1 s of it (MobileNetV2,
        # 2 cores), and would take a damaged file for a whole one.
        self._compiled = core.compile_model(core.read_model(graph.content), "CPU", settings)
        # Requests that are waited for here, and not a queue with callbacks: those run on OpenVINO's
        # threads, and one that still releases its Python objects deadlocks with a queue that is
        # taken down meanwhile (seen with 2026.4.1).
        streams = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests = [self._compiled.create_infer_request() for _ in range(streams)]
        self._tensor = openvino.Tensor
        version = openvino.__version__.partition("-")[0]
        super().__init__(graph.facts, f"openvino {version} cpu {'bf16' if bf16 else 'fp32'}")

    def _run(self, requests: list[npt.NDArray[np.uint8]]) -> Iterator[list[npt.NDArray[Any]]]:
        if not self._requests:
            raise ValueError("the runtime is closed")
        running: deque[Any] = deque()
        try:
            for number, images in enumerate(requests):
                if len(running) == len(self._requests):
                    yield _finished(running.popleft())
                request = self._requests[number % len(self._requests)]
                # Shared, not copied: the images outlive the request.
                request.start_async({0: self._tensor(images, shared_memory=True)})
                running.append(request)
            while running:
                yield _finished(running.popleft())
        finally:
            for request in running:  # after an error: what goes on must not outlive the images
                with suppress(RuntimeError):
                    request.wait()

    def close(self) -> None:
        """Release the compiled model."""
        self._requests = []
        self._compiled = None


@contextmanager
def _hidden(*modules: str) -> Iterator[None]:
    """Let modules that are not loaded look as if they were not installed."""
    absent = [name for name in modules if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # how Python marks a module as absent
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def _finished(request: Any) -> list[npt.NDArray[Any]]:
    """Wait for a request and copy its outputs, before the buffers are used again."""
    request.wait()
    return [np.array(tensor.data) for tensor in request.output_tensors]
