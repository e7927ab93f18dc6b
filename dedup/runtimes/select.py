"""Which runtime embeds for a collection, by a rule.

With an NVIDIA GPU, torch. On a CPU, the exported graph of the model: in OpenVINO where the CPU
computes in bf16 (AMX, AVX-512 BF16), in ONNX Runtime elsewhere; and torch for a model that cannot
be exported. A caller's own module runs in torch unless an engine is named: tracing may miss what it
decides by the image. An ONNX file runs on CPUs. Only what the rule takes is imported, and a graph
that exists needs no torch. What a person should know of the choice is in the runtime's `notes`.
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from dedup.errors import ModelError
from dedup.models.loaded import OWN, PLUGIN, PLUGIN_FILE, OnnxModel
from dedup.models.registry import ONNX_SUFFIX
from dedup.parallel.hardware import has_bf16, sees_gpu
from dedup.runtimes.cache import keep_graph, stored_graph
from dedup.runtimes.engines import ENGINES, start

if TYPE_CHECKING:
    from dedup.fingerprint import Fingerprint
    from dedup.models.loaded import LoadedModel
    from dedup.runtimes.cache import Graph
    from dedup.runtimes.graph import GraphRuntime
    from dedup.runtimes.own_runtime import OwnRuntime
    from dedup.runtimes.torch_runtime import TorchRuntime

    Runtime: TypeAlias = GraphRuntime | OwnRuntime | TorchRuntime
    AnyRuntime = TypeVar("AnyRuntime", bound=Runtime)

_log = logging.getLogger(__name__)

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
    engine = engine_for(fingerprint, device, kind)
    graph = _stored(fingerprint, engine) if engine else None
    if graph is None or graph.facts.failure:
        return None
    return _logged(start(graph, engine), fingerprint)


def _logged(runtime: AnyRuntime, fingerprint: Fingerprint) -> AnyRuntime:
    _log.info("%s runs in %s", fingerprint.model, runtime.description)
    return runtime


def make_runtime(
    loaded: LoadedModel | OnnxModel, fingerprint: Fingerprint, device: str, kind: str
) -> Runtime:
    """Make a loaded model ready to embed; a graph that is exported here is kept for later starts.

    Raises
    ------
    LayerError : no such layer, or one that gives no embeddings.
    ModelError : no such device, or the model gives values that are not finite.
    """
    return _logged(_made(loaded, fingerprint, device, kind), fingerprint)


def _made(
    loaded: LoadedModel | OnnxModel, fingerprint: Fingerprint, device: str, kind: str
) -> Runtime:
    engine = engine_for(fingerprint, device, kind)
    if isinstance(loaded, OnnxModel):
        return _of_file(loaded, fingerprint, engine)
    from dedup.runtimes.torch_runtime import TorchRuntime, choose_device

    if loaded.transform is not None:
        from dedup.runtimes.own_runtime import OwnRuntime

        if kind in ENGINES:
            raise ModelError(f"{loaded.name} has a transform, which {kind} cannot run; use torch.")
        return OwnRuntime(loaded, fingerprint.layers, choose_device(device))
    if not engine:
        return TorchRuntime(loaded, fingerprint.layers, device)
    graph = _stored(fingerprint, engine)
    if graph is None:
        from dedup.runtimes.export import export

        _log.info("exporting %s for %s, once", fingerprint.model, engine)

        graph = export(loaded, fingerprint.layers, engine)
        keep_graph(fingerprint, engine, graph)
    if not graph.facts.failure:
        return start(graph, engine)
    runtime = TorchRuntime(loaded, fingerprint.layers, device)
    why = f"it cannot be exported ({graph.facts.failure})"
    runtime.notes = (f"{fingerprint.model} runs in torch, more slowly: {why}",)
    return runtime


def _of_file(model: OnnxModel, fingerprint: Fingerprint, engine: str) -> Runtime:
    """Make an ONNX file ready, with what embeds with it kept for later starts."""
    from dedup.runtimes.onnx_model import graph_of

    graph = _stored(fingerprint, engine)
    if graph is None:
        graph = graph_of(model, fingerprint.layers, engine)
        keep_graph(fingerprint, engine, graph)
    return start(graph, engine)


def engine_for(fingerprint: Fingerprint, device: str, kind: str) -> str:
    """Decide which engine runs the exported graph; "" for torch."""
    if kind not in RUNTIMES:
        raise ModelError(f"there is no runtime {kind!r}; use {', '.join(RUNTIMES)}.")
    if kind in ENGINES and device.startswith("cuda"):
        raise ModelError(f"{kind} runs on CPUs; use --device cpu, or --runtime torch.")
    if kind in ENGINES:
        return kind
    if fingerprint.model.endswith(ONNX_SUFFIX):
        if kind == "torch" or device.startswith("cuda"):
            raise ModelError(
                f"{fingerprint.model} is an ONNX file, which runs on CPUs; leave --device and "
                "--runtime out."
            )
        return "openvino" if has_bf16() else "onnxruntime"
    if fingerprint.weights in {OWN, PLUGIN, PLUGIN_FILE}:
        return ""
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
