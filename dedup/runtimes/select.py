"""Which runtime embeds for a collection, by a rule.

With an NVIDIA GPU, torch. On a CPU, the exported graph of the model: in OpenVINO where the CPU
computes in bf16 (AMX, AVX-512 BF16), in ONNX Runtime elsewhere; and torch for a model that cannot
be exported. Only what the rule takes is imported, and a graph that exists needs no torch. What a
person should know of the choice is in the runtime's `notes`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final, TypeAlias

from dedup.errors import ModelError
from dedup.parallel.hardware import has_bf16, sees_gpu
from dedup.runtimes.cache import keep_graph, stored_graph
from dedup.runtimes.engines import ENGINES, start

if TYPE_CHECKING:
    from dedup.fingerprint import Fingerprint
    from dedup.models.loading import LoadedModel
    from dedup.runtimes.cache import Graph
    from dedup.runtimes.graph import GraphRuntime
    from dedup.runtimes.torch_runtime import TorchRuntime

    Runtime: TypeAlias = GraphRuntime | TorchRuntime

RUNTIMES: Final = ("auto", "torch", *ENGINES)


def ready_runtime(fingerprint: Fingerprint, device: str, kind: str) -> GraphRuntime | None:
    """Start a runtime that needs no loaded model: a graph that is shipped or was exported before.

    Parameters
    ----------
    device : "auto", "cpu" or "cuda"
    kind : one of `RUNTIMES`

    Returns
    -------
    None when the model has to be loaded.
    """
    engine = _engine(device, kind)
    graph = _stored(fingerprint, engine) if engine else None
    return None if graph is None or graph.facts.failure else start(graph, engine)


def make_runtime(loaded: LoadedModel, fingerprint: Fingerprint, device: str, kind: str) -> Runtime:
    """Make a loaded model ready to embed; a graph that is exported here is kept for later starts.

    Raises
    ------
    LayerError : no such layer, or one that gives no embeddings.
    ModelError : no such device, or the model gives values that are not finite.
    """
    from dedup.runtimes.torch_runtime import TorchRuntime

    engine = _engine(device, kind)
    if not engine:
        return TorchRuntime(loaded, fingerprint.layers, device)
    graph = _stored(fingerprint, engine)
    if graph is None:
        from dedup.runtimes.export import export

        graph = export(loaded, fingerprint.layers, engine)
        keep_graph(fingerprint, engine, graph)
    if not graph.facts.failure:
        return start(graph, engine)
    runtime = TorchRuntime(loaded, fingerprint.layers, device)
    why = f"it cannot be exported ({graph.facts.failure})"
    runtime.notes = (f"{fingerprint.model} runs in torch, more slowly: {why}",)
    return runtime


def _engine(device: str, kind: str) -> str:
    """Decide which engine runs the exported graph; "" for torch."""
    if kind not in RUNTIMES:
        raise ModelError(f"there is no runtime {kind!r}; use {', '.join(RUNTIMES)}.")
    if kind in ENGINES and device.startswith("cuda"):
        raise ModelError(f"{kind} runs on CPUs; use --device cpu, or --runtime torch.")
    if kind in ENGINES:
        return kind
    if kind == "torch" or device.startswith("cuda") or (device == "auto" and _torch_has_gpu()):
        return ""
    return "openvino" if has_bf16() else "onnxruntime"


def _torch_has_gpu() -> bool:
    """Tell whether torch would find a GPU, without importing it."""
    return not version("torch").endswith("+cpu") and sees_gpu()


def _stored(fingerprint: Fingerprint, engine: str) -> Graph | None:
    graph = stored_graph(fingerprint, engine)
    measured = graph is None or graph.facts.failure or graph.facts.bf16 is not None
    # Made on a CPU without bf16, in a home that machines share: measured where it counts.
    return graph if measured or engine != "openvino" or not has_bf16() else None
