"""From a torch model with hooks to an ONNX graph: pixels in, embeddings out.

The extractor itself is traced, with its hooks and its rules, so that any layer can be exported.
A graph counts only when it gives the embeddings that torch gives, at other batch sizes than it was
traced with, in the engine that is to run it. This takes seconds; `dedup.runtimes.cache` keeps the
outcome.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import nn

from dedup.errors import ModelError, first_line
from dedup.models.extractor import Extractor
from dedup.models.layers import undisturbed
from dedup.parallel.hardware import has_bf16
from dedup.runtimes.cache import Facts, Graph
from dedup.runtimes.engines import start
from dedup.runtimes.graph import INPUT
from dedup.runtimes.openvino_runtime import OpenVinoRuntime
from dedup.runtimes.precision import AGREEMENT, SAME, agreement, not_finite, synthetic_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from dedup.models.loading import LoadedModel

_TRACED_IMAGES: Final = 2  # with one, a batch side looks like any other side of 1
_PROVEN_BATCHES: Final = (4, 1, 3)  # sizes that are compared
_OPSET: Final = 17  # of ONNX

_FAILURES: Final = (
    ImportError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What tracing, exporting and the engines raise on models that they cannot take."""


def export(loaded: LoadedModel, layers: Sequence[str], engine: str) -> Graph:
    """Export a model with its hooks; the model stays as it is.

    Parameters
    ----------
    engine : "openvino" or "onnxruntime", in which the graph is compared with torch

    Returns
    -------
    With `Facts.failure`, when the model cannot be exported, or not with the same embeddings.

    Raises
    ------
    LayerError : no such layer, or one that gives no embeddings.
    ModelError : the model gives values that are not finite.
    """
    with warnings.catch_warnings(), Extractor(loaded.module, layers) as extractor:
        warnings.simplefilter("ignore")  # of tracing, about constants: the comparison decides
        model = _PixelsToOutputs(loaded, extractor)
        images = synthetic_images(*loaded.input_size[1:])
        with undisturbed(loaded.module):
            prediction, vectors = extractor.tensors(model.normalised(torch.from_numpy(images)))
        exact = {layer: values.numpy() for layer, values in vectors.items()}
        _require_finite(exact)
        try:
            form, leaves = form_of(prediction)
            dimensions = {layer: values.shape[1] for layer, values in exact.items()}
            facts = Facts(dimensions, form, model.height, model.width, None, loaded.weights_digest)
            graph = Graph(_to_onnx(model), facts)
            return _proven(graph, engine, images, exact, [leaf.numpy() for leaf in leaves])
        except _FAILURES as error:
            return Graph.failed(first_line(error))


def form_of(prediction: Any) -> tuple[Any, list[torch.Tensor]]:
    """Take a prediction apart: how it is nested, and its tensors in order.

    Returns
    -------
    The form: None for a tensor, ("tuple", forms), ("dict", pairs of key and form), or
    ("constant", value) for a text, number or None.

    Raises
    ------
    TypeError : something else is in it.
    """
    if isinstance(prediction, torch.Tensor):
        return None, [prediction]
    if isinstance(prediction, dict):
        parts = [(key, *form_of(value)) for key, value in prediction.items()]
        return ("dict", [(key, form) for key, form, _ in parts]), [
            leaf for *_, leaves in parts for leaf in leaves
        ]
    if isinstance(prediction, tuple | list):
        forms = [form_of(item) for item in prediction]
        return ("tuple", [form for form, _ in forms]), [
            leaf for _, leaves in forms for leaf in leaves
        ]
    if prediction is None or isinstance(prediction, str | int | float):
        return ("constant", prediction), []
    raise TypeError(f"its output holds a {type(prediction).__name__}")


class _PixelsToOutputs(nn.Module):
    """Pixels in, tensors of the prediction and then one of each layer out."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, loaded: LoadedModel, extractor: Extractor) -> None:
        super().__init__()
        self.model = loaded.module  # so that tracing finds its weights
        self._extractor = extractor
        # (x / 255 - mean) / std, as one subtraction and one multiplication.
        self.register_buffer("mean", 255 * torch.tensor(loaded.mean).view(1, -1, 1, 1))
        self.register_buffer("scale", 1 / (255 * torch.tensor(loaded.std).view(1, -1, 1, 1)))
        self.height, self.width = loaded.input_size[1:]

    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) uint8 to (B, 3, H, W) float32."""
        return (pixels.permute(0, 3, 1, 2).float() - self.mean) * self.scale

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the model once."""
        prediction, vectors = self._extractor.tensors(self.normalised(pixels))
        _, leaves = form_of(prediction)
        # A tensor that is an output twice, a layer and the prediction say, is told apart.
        return (*(leaf.clone() for leaf in leaves), *vectors.values())


def _to_onnx(model: _PixelsToOutputs) -> bytes:
    content = io.BytesIO()
    example = torch.zeros(_TRACED_IMAGES, model.height, model.width, 3, dtype=torch.uint8)
    fused = torch.backends.mha.get_fastpath_enabled()
    logs = torch._C._jit_is_onnx_log_enabled()  # noqa: SLF001 - there is no public way
    torch._C._jit_set_onnx_log_enabled(False)  # noqa: SLF001 - it prints graphs to stdout
    torch.backends.mha.set_fastpath_enabled(False)  # attention as one operation has no ONNX
    try:
        with torch.no_grad():
            _traced(model, example, content)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        torch._C._jit_set_onnx_log_enabled(logs)  # noqa: SLF001
    return content.getvalue()


def _traced(model: _PixelsToOutputs, example: torch.Tensor, content: io.BytesIO) -> None:
    # By tracing: torch's newer exporter takes ten times as long, and fixed the batch side of
    # networks that keep it open here (torch 2.14).
    torch.onnx.export(
        model.eval(),
        (example,),
        content,  # type: ignore[arg-type]  # takes files, too, without the newer exporter
        dynamo=False,
        # Batch norms stay as they are, and weights those of their file: the engines fold them.
        training=torch.onnx.TrainingMode.PRESERVE,
        input_names=[INPUT],
        dynamic_axes={INPUT: {0: "batch"}},
        opset_version=_OPSET,
    )


def _proven(
    graph: Graph,
    engine: str,
    images: npt.NDArray[np.uint8],
    exact: dict[str, npt.NDArray[np.float32]],
    leaves: list[npt.NDArray[Any]],
) -> Graph:
    """Compare a graph with torch, in fp32 and, where engine and CPU have it, in bf16.

    Raises
    ------
    ValueError : its embeddings or predictions differ.
    """
    with start(graph, engine) as runtime:
        for size in _PROVEN_BATCHES:
            found, found_leaves = runtime.outputs(images[:size])
            agreed = min(
                agreement({layer: values[:size] for layer, values in exact.items()}, found),
                *(
                    agreement({"": _rows(leaf[:size])}, {"": _rows(other)})
                    for leaf, other in zip(leaves, found_leaves, strict=True)
                ),
            )
            if agreed < SAME:
                raise ValueError(f"its embeddings would differ (cosine {agreed:.4f})")
    if engine != OpenVinoRuntime.engine or not has_bf16():
        return graph
    with OpenVinoRuntime(graph, bf16=True) as runtime:
        keeps = agreement(exact, runtime.embed(images)) >= AGREEMENT
    return replace(graph, facts=replace(graph.facts, bf16=keeps))


def _rows(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return values.reshape(len(values), -1).astype(np.float32)


def _require_finite(vectors: dict[str, npt.NDArray[np.float32]]) -> None:
    for layer, values in vectors.items():
        if not np.isfinite(values).all():
            raise ModelError(not_finite(layer))
