"""The ONNX Runtime engine: faster than OpenVINO on many networks where the CPU has no bf16.

Takes a `Graph` as `dedup.runtimes.export` makes it. Importing this module loads neither torch
nor ONNX Runtime, and using it never loads torch.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from dedup.parallel.workers import cores
from dedup.runtimes.graph import GraphRuntime

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt

    from dedup.runtimes.cache import Graph

INPUT: Final = "pixels"
_ERRORS_ONLY: Final = 3


def import_onnxruntime() -> Any:
    """Import ONNX Runtime, and have it report nothing to its makers (it would on Windows).

    Raises
    ------
    ImportError : it is not installed, or does not load on this machine.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


class OnnxRuntime(GraphRuntime):
    """A graph in ONNX Runtime, in as many threads as there are cores.

    Each request has one thread. A pool of its own for each operation would spin between two of
    them, in the way of decoding.
    """

    engine = "onnxruntime"

    def __init__(self, graph: Graph) -> None:
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        self._session: Any = onnxruntime.InferenceSession(
            graph.weights.tobytes(), options, providers=["CPUExecutionProvider"]
        )
        self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="onnxruntime")
        super().__init__(graph, f"onnxruntime {onnxruntime.__version__} cpu fp32")

    def _run(self, chunks: list[npt.NDArray[np.uint8]]) -> Iterable[list[npt.NDArray[Any]]]:
        session = self._session
        if session is None:
            raise ValueError("the runtime is closed")
        if len(chunks) == 1:
            return [session.run(None, {INPUT: chunks[0]})]
        return list(self._pool.map(lambda chunk: session.run(None, {INPUT: chunk}), chunks))

    def close(self) -> None:
        """Let go of the session."""
        self._session = None
        self._pool.shutdown()
