"""The engines that run exported graphs on CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dedup.parallel.hardware import has_bf16
from dedup.runtimes.onnx_runtime import OnnxRuntime
from dedup.runtimes.openvino_runtime import OpenVinoRuntime

if TYPE_CHECKING:
    from dedup.runtimes.cache import Graph
    from dedup.runtimes.graph import GraphRuntime

ENGINES: Final = (OpenVinoRuntime.engine, OnnxRuntime.engine)


def start(graph: Graph, engine: str) -> GraphRuntime:
    """Start a graph in an engine: in bf16 where the CPU and the model allow it."""
    if engine == OnnxRuntime.engine:
        return OnnxRuntime(graph)
    return OpenVinoRuntime(graph, bf16=bool(graph.facts.bf16) and has_bf16())
