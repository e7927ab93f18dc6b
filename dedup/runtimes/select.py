"""Which runtime embeds for a collection: a converted graph on CPUs, torch on GPUs and for the rest.

On CPUs that is OpenVINO or ONNX Runtime, whichever was faster on this machine when both had
converted the model.

A graph that was converted before is used without importing torch. What a person should know of the
choice, a model that does not convert say, is in the runtime's `notes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from dedup.errors import ModelError
from dedup.parallel.hardware import sees_gpu
from dedup.runtimes.cache import Graph, NoGraph, graph_path, read_graph, write_graph
from dedup.runtimes.onnx_runtime import OnnxRuntime
from dedup.runtimes.openvino_runtime import OpenVinoRuntime, computes_in_bf16

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.fingerprint import Fingerprint
    from dedup.models.loading import LoadedModel
    from dedup.runtimes.graph import GraphRuntime
    from dedup.runtimes.torch_runtime import TorchRuntime

    Runtime: TypeAlias = GraphRuntime | TorchRuntime

ENGINES: Final = ("openvino", "onnxruntime")
RUNTIMES: Final = ("auto", "torch", *ENGINES)


def ready_runtime(fingerprint: Fingerprint, device: str, kind: str) -> Runtime | None:
    """Give a runtime that needs no loaded model: a graph that was converted before.

    Parameters
    ----------
    device : "auto", "cpu" or "cuda"
    kind : one of `RUNTIMES`

    Returns
    -------
    None when the model has to be loaded.
    """
    if not _wants_graph(device, kind):
        return None
    graph = _stored(fingerprint, kind)
    return start(graph, graph_path(fingerprint, kind)) if isinstance(graph, Graph) else None


def make_runtime(loaded: LoadedModel, fingerprint: Fingerprint, device: str, kind: str) -> Runtime:
    """Make a loaded model ready to embed; a graph made here is kept for the next start.

    Raises
    ------
    LayerError : no such layer, or one that gives no embeddings.
    ModelError : no such device, or the model gives values that are not finite.
    """
    from dedup.runtimes.torch_runtime import TorchRuntime

    if not _wants_graph(device, kind):
        return TorchRuntime(loaded, fingerprint.layers, device)
    found = _stored(fingerprint, kind) or _converted(loaded, fingerprint, kind)
    if isinstance(found, Graph):
        return start(found, graph_path(fingerprint, kind))
    runtime = TorchRuntime(loaded, fingerprint.layers, device)
    why = f"it cannot be converted ({found.reason})"
    runtime.notes = (f"{fingerprint.model} runs in torch, more slowly: {why}",)
    return runtime


def _wants_graph(device: str, kind: str) -> bool:
    if kind not in RUNTIMES:
        raise ModelError(f"there is no runtime {kind!r}; use {', '.join(RUNTIMES)}.")
    if kind in ENGINES and device.startswith("cuda"):
        raise ModelError(f"{kind} runs on CPUs; use --device cpu, or --runtime torch.")
    if kind == "auto":
        return device == "cpu" or (device == "auto" and not sees_gpu())
    return kind in ENGINES


def _stored(fingerprint: Fingerprint, kind: str) -> Graph | NoGraph | None:
    graph = read_graph(graph_path(fingerprint, kind))
    if isinstance(graph, Graph) and graph.bf16 is None and computes_in_bf16():
        return None  # made on another machine, where nobody could measure it
    return graph


def start(graph: Graph, kept: Path | None = None) -> GraphRuntime:
    """Start a graph in the engine that it was made for.

    Parameters
    ----------
    kept : the graph's file, beside which an engine may keep what spares the next start; None:
        nowhere
    """
    if graph.engine == OnnxRuntime.engine:
        return OnnxRuntime(graph)
    return OpenVinoRuntime(graph, bf16=bool(graph.bf16) and computes_in_bf16(), kept=kept)


def _converted(loaded: LoadedModel, fingerprint: Fingerprint, kind: str) -> Graph | NoGraph:
    from dedup.runtimes.export import UnconvertibleError, convert

    graph: Graph | NoGraph
    try:
        graph = convert(loaded, fingerprint.layers, ENGINES if kind == "auto" else (kind,))
    except UnconvertibleError as error:
        graph = NoGraph(str(error))
    write_graph(graph_path(fingerprint, kind), graph)
    return graph
