"""ONNX Runtime: the engine for CPUs that do not compute in bf16.

Takes a `Graph` as `dedup.runtimes.export` makes it. Importing this module loads neither torch
nor ONNX Runtime, and using it never loads torch.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import first_line
from dedup.parallel.workers import cores
from dedup.runtimes.graph import INPUT, GraphRuntime

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt

    from dedup.runtimes.cache import Graph

_ERRORS_ONLY: Final = 3  # severity of ONNX Runtime's log


def import_onnxruntime() -> Any:
    """Import ONNX Runtime with its telemetry off.

    Raises
    ------
    ImportError : it is not installed, or does not load on this machine.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


class OnnxRuntime(GraphRuntime):
    """A graph in ONNX Runtime, in as many threads as there are cores.

    Each request has one thread. Threads of its own for each operation would spin between two of
    them, in the way of decoding.
    """

    engine = "onnxruntime"

    def __init__(self, graph: Graph) -> None:
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        self._errors = _errors(onnxruntime)
        try:
            self._session: Any = onnxruntime.InferenceSession(
                graph.content, options, providers=["CPUExecutionProvider"]
            )
        except self._errors as error:
            raise RuntimeError(first_line(error)) from error
        self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="onnxruntime")
        super().__init__(graph.facts, f"onnxruntime {onnxruntime.__version__} cpu fp32")

    def _run(self, requests: list[npt.NDArray[np.uint8]]) -> Iterable[list[npt.NDArray[Any]]]:
        session = self._session
        if session is None:
            raise ValueError("the runtime is closed")

        def run(images: npt.NDArray[np.uint8]) -> list[npt.NDArray[Any]]:
            outputs: list[npt.NDArray[Any]] = session.run(None, {INPUT: images})
            return outputs

        try:
            return [run(requests[0])] if len(requests) == 1 else list(self._pool.map(run, requests))
        except self._errors as error:
            raise RuntimeError(first_line(error)) from error

    def close(self) -> None:
        """Release the session."""
        self._session = None
        self._pool.shutdown()


def _errors(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """List the errors of ONNX Runtime, which have no parent of their own."""
    kinds = vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
    return tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception))
