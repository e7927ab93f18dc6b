"""From a torch model with hooks to a graph that runs without torch: pixels in, embeddings out.

The extractor itself is traced, with its hooks and its rules, so that any layer is to be had.
A graph counts only when it gives the embeddings that torch gives, at other batch sizes than it was
traced with. Two engines are tried, OpenVINO and ONNX Runtime, and the faster one on this machine is
taken: neither is on every network and every CPU. Converting takes seconds;
`dedup.runtimes.cache` keeps the outcome.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import nn

from dedup.errors import ModelError, first_line
from dedup.models.extractor import Extractor
from dedup.models.layers import undisturbed
from dedup.parallel.workers import cores
from dedup.runtimes.cache import Graph
from dedup.runtimes.graph import CHUNK
from dedup.runtimes.onnx_runtime import INPUT
from dedup.runtimes.openvino_runtime import (
    OpenVinoRuntime,
    computes_in_bf16,
    hidden,
    import_openvino,
)
from dedup.runtimes.precision import agreement, not_finite, synthetic_pictures
from dedup.runtimes.select import start

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from dedup.models.loading import LoadedModel

_AGREEMENT: Final = 0.999  # lowest cosine that two runtimes of the same weights may have
_SAME: Final = 0.99999  # lowest cosine where nothing but rounding in fp32 differs
_TRACED: Final = 2  # pictures: with one, a batch side looks like any other side of 1
_SIZES: Final = (4, 1, 3)  # of batches that are compared
_OPSET: Final = 17  # of ONNX
_RACES: Final = 6
_PATIENCE: Final = 3.0  # seconds after which no further race begins
_CLEARLY: Final = 1.05


class UnconvertibleError(Exception):
    """A model cannot be run as torch runs it; the text says why, in a few words."""


def convert(
    loaded: LoadedModel, layers: Sequence[str], engines: Sequence[str] = ("openvino",)
) -> Graph:
    """Convert a model with its hooks; the model stays as it is.

    Parameters
    ----------
    engines : of "openvino" and "onnxruntime", those to choose the faster one of

    Raises
    ------
    UnconvertibleError : no engine can run it, or not with the same outcome.
    LayerError : no such layer, or one that gives no embeddings.
    ModelError : the model gives values that are not finite.
    """
    with warnings.catch_warnings(), Extractor(loaded.module, layers) as extractor:
        warnings.simplefilter("ignore")  # of tracing, about constants: the comparison tells
        whole = _Whole(loaded, extractor)
        pictures = synthetic_pictures(*loaded.input_size[1:])
        with undisturbed(loaded.module):
            prediction, vectors = extractor.tensors(whole.normalised(torch.from_numpy(pictures)))
        exact = {layer: values.numpy() for layer, values in vectors.items()}
        _require_finite(exact)
        graphs: list[Graph] = []
        reasons: list[str] = []
        for engine in engines:
            try:
                graphs.append(_made(engine, whole, prediction, pictures, exact))
            except UnconvertibleError as error:
                reasons.append(str(error))
    if not graphs:
        raise UnconvertibleError(reasons[0])
    return graphs[0] if len(graphs) == 1 else _fastest(graphs)


def _made(
    engine: str,
    whole: _Whole,
    prediction: Any,
    pictures: npt.NDArray[np.uint8],
    exact: dict[str, npt.NDArray[np.float32]],
) -> Graph:
    """Make a graph for one engine, and prove it."""
    try:
        form, leaves = form_of(prediction)
        described, weights = _CONVERTERS[engine](whole)
        graph = Graph(
            {layer: values.shape[1] for layer, values in exact.items()},
            form,
            (whole.height, whole.width),
            described,
            weights,
            engine,
        )
        return _proven(graph, pictures, exact, [leaf.numpy() for leaf in leaves])
    except _problems() as error:
        raise UnconvertibleError(first_line(error)) from error


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


class _Whole(nn.Module):
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


def _example(whole: _Whole) -> torch.Tensor:
    return torch.zeros(_TRACED, whole.height, whole.width, 3, dtype=torch.uint8)


def _to_openvino(whole: _Whole) -> tuple[bytes, npt.NDArray[np.uint8]]:
    openvino = import_openvino()
    with hidden("openvino_telemetry"):
        from openvino.tools.ovc import convert_model
    example = _example(whole)
    with torch.no_grad():
        # Without torch's own check, which runs the model three more times; the comparison follows.
        script = torch.jit.trace(whole.eval(), example, check_trace=False)  # type: ignore[no-untyped-call]  # torch's
        model = convert_model(script, example_input=example)
    model.reshape({model.inputs[0]: [-1, whole.height, whole.width, 3]})
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "graph.xml")
        openvino.save_model(model, path, compress_to_fp16=False)
        return path.read_bytes(), np.fromfile(path.with_suffix(".bin"), np.uint8)


def _to_onnx(whole: _Whole) -> tuple[bytes, npt.NDArray[np.uint8]]:
    content = io.BytesIO()
    with torch.no_grad():
        # By tracing, as for OpenVINO: torch's newer exporter takes ten times as long, and fixed the
        # batch side of networks that keep it open here (torch 2.14).
        torch.onnx.export(
            whole.eval(),
            (_example(whole),),
            content,  # type: ignore[arg-type]  # takes files, too, without the newer exporter
            dynamo=False,
            input_names=[INPUT],
            dynamic_axes={INPUT: {0: "batch"}},
            opset_version=_OPSET,
        )
    return b"", np.frombuffer(content.getvalue(), np.uint8)


_CONVERTERS: Final = {"openvino": _to_openvino, "onnxruntime": _to_onnx}


def _proven(
    graph: Graph,
    pictures: npt.NDArray[np.uint8],
    exact: dict[str, npt.NDArray[np.float32]],
    leaves: list[npt.NDArray[Any]],
) -> Graph:
    """Compare a graph with torch, in fp32 and, where the CPU has it, in bf16."""
    with start(graph) as runtime:
        for size in _SIZES:
            found, found_leaves = runtime.outputs(pictures[:size])
            wanted = {layer: values[:size] for layer, values in exact.items()}
            agreed = min(
                agreement(wanted, found),
                *(
                    agreement({"": _rows(leaf[:size])}, {"": _rows(other)})
                    for leaf, other in zip(leaves, found_leaves, strict=True)
                ),
            )
            if agreed < _SAME:
                raise UnconvertibleError(f"its embeddings would differ (cosine {agreed:.4f})")
    if graph.engine != OpenVinoRuntime.engine:
        return replace(graph, bf16=False)  # the other engine has no such thing on CPUs
    if not computes_in_bf16():
        return graph
    with OpenVinoRuntime(graph, bf16=True) as runtime:
        return replace(graph, bf16=agreement(exact, runtime.embed(pictures)) >= _AGREEMENT)


def _fastest(graphs: list[Graph]) -> Graph:
    """Run graphs in turn on a few pictures; the first one stays unless another is clearly faster.

    What bf16 is worth to the one is kept with the other, too: another CPU may have it.
    """
    runtimes = [start(graph) for graph in graphs]
    height, width = graphs[0].input_hw
    shape = (CHUNK * cores(), height, width, 3)
    pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    seconds: list[list[float]] = [[] for _ in runtimes]
    began = time.perf_counter()
    while len(seconds[0]) < _RACES and (not seconds[0] or time.perf_counter() < began + _PATIENCE):
        for runtime, taken in zip(runtimes, seconds, strict=True):
            started = time.perf_counter()
            runtime.embed(pictures)
            taken.append(time.perf_counter() - started)
    for runtime in runtimes:
        runtime.close()
    best = [statistics.median(taken[1:] or taken) for taken in seconds]  # the first one warms up
    number = int(np.argmin(best))
    chosen = graphs[number] if best[number] * _CLEARLY < best[0] else graphs[0]
    return replace(chosen, bf16=graphs[0].bf16)


def _rows(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return values.reshape(len(values), -1).astype(np.float32)


def _require_finite(vectors: dict[str, npt.NDArray[np.float32]]) -> None:
    for layer, values in vectors.items():
        if not np.isfinite(values).all():
            raise ModelError(not_finite(layer))


def _problems() -> tuple[type[Exception], ...]:
    """List what tracing and converting raise; OpenVINO's own have no common parent."""
    frontend = import_openvino().frontend
    return (
        ImportError,
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
        frontend.GeneralFailure,
        frontend.InitializationFailure,
        frontend.NotImplementedFailure,
        frontend.OpConversionFailure,
        frontend.OpValidationFailure,
    )
