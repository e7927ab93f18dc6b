"""From an ONNX file of anyone's to a graph as the engines here run it: pixels in, embeddings out.

Normalisation is put before the file's own graph and reduction behind it; what lies between stays as
it is. The batch side is set free. The graph counts only when it gives, in batches and in the engine
that is to run it, what it gives image by image in ONNX Runtime.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dedup.errors import LayerError, ModelError, first_line
from dedup.models.onnx_file import open_onnx
from dedup.parallel.hardware import has_bf16
from dedup.runtimes.cache import Facts, Graph
from dedup.runtimes.engines import start
from dedup.runtimes.graph import INPUT
from dedup.runtimes.onnx_runtime import OnnxRuntime
from dedup.runtimes.openvino_runtime import OpenVinoRuntime
from dedup.runtimes.precision import AGREEMENT, SAME, agreement, not_finite, synthetic_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from dedup.models.loaded import OnnxModel

_PREFIX: Final = "dedup_"
_AXES_ARE_INPUTS: Final = 18  # the opset from which ReduceMean takes axes as an input
_VECTORS: Final = 2  # sides of B x D
_TOKENS: Final = 3  # sides of B x N x C
_MAP: Final = 4  # sides of B x C x H x W
_IMAGES: Final = 4
_ERRORS: Final = (RuntimeError, ValueError, TypeError, IndexError)


def graph_of(model: OnnxModel, layers: Sequence[str], engine: str) -> Graph:
    """Make a graph that embeds with an ONNX file.

    Parameters
    ----------
    layers : names of outputs, or of values inside the graph. B x D is kept; B x N x C is averaged
        over N, and B x C x H x W over H and W
    engine : "openvino" or "onnxruntime", in which the graph is compared

    Raises
    ------
    LayerError : an output is no embedding.
    ModelError : the file cannot be run, takes one image at a time, or gives other embeddings in
        `engine`.
    """
    images = synthetic_images(*model.input_size[1:])[:_IMAGES]
    sides = _sides(model, layers, images[:1])
    content = _composed(model, layers, sides)
    height, width = model.input_size[1:]
    facts = Facts(
        {layer: sides[layer][1] for layer in layers}, ("tuple", []), height, width, None,
        model.weights_digest,
    )  # fmt: skip
    graph = Graph(content, facts)
    single = _run_alone(model, graph, images)
    for layer, values in single.items():
        if not np.isfinite(values).all():
            raise ModelError(not_finite(layer))
    try:
        with start(graph, engine) as runtime:
            agreed = agreement(single, runtime.embed(images))
    except _ERRORS as error:
        raise ModelError(
            f"{model.path} runs on one image at a time, not on {len(images)} "
            f"({first_line(error)}). Export it with a free batch side (dynamic_axes)."
        ) from error
    if agreed < SAME:
        raise ModelError(
            f"{model.path} gives other embeddings in batches than for one image (cosine "
            f"{agreed:.4f}), in {engine}. Export it with a free batch side (dynamic_axes), or try "
            "another engine: --runtime onnxruntime"
        )
    if engine != OpenVinoRuntime.engine or not has_bf16():
        return graph
    with OpenVinoRuntime(graph, bf16=True) as runtime:
        keeps = agreement(single, runtime.embed(images)) >= AGREEMENT
    return replace(graph, facts=replace(facts, bf16=keeps))


def _run_alone(
    model: OnnxModel, graph: Graph, images: npt.NDArray[np.uint8]
) -> dict[str, npt.NDArray[np.float32]]:
    try:
        with OnnxRuntime(graph) as runtime:
            found = [runtime.embed(images[at : at + 1]) for at in range(len(images))]
    except _ERRORS as error:
        raise ModelError(f"{model.path} cannot be run: {first_line(error)}.") from error
    return {
        layer: np.concatenate([each[layer] for each in found]) for layer in graph.facts.dimensions
    }


def _sides(
    model: OnnxModel, layers: Sequence[str], image: npt.NDArray[np.uint8]
) -> dict[str, tuple[int, int]]:
    """Run one image to see, of each layer, how many sides it has and how many values are kept."""
    plain = Graph(
        _composed(model, layers, {}), Facts(dict.fromkeys(layers, 0), ("tuple", []), 0, 0)
    )
    plain = replace(plain, facts=replace(plain.facts, height=image.shape[1], width=image.shape[2]))
    shapes = {layer: values.shape for layer, values in _run_alone(model, plain, image).items()}
    for layer, shape in shapes.items():
        if not _VECTORS <= len(shape) <= _MAP or shape[0] != 1:
            raise LayerError(
                f"output {layer!r} of {model.path} is {shape} for one image, no embedding: it has "
                "to be B x D, B x N x C or B x C x H x W"
            )
    return {
        layer: (len(shape), shape[2] if len(shape) == _TOKENS else shape[1])
        for layer, shape in shapes.items()
    }


def _composed(model: OnnxModel, layers: Sequence[str], sides: dict[str, tuple[int, int]]) -> bytes:
    """Put normalisation before a graph and, where sides are known, reduction behind it."""
    import onnx
    from onnx import TensorProto, helper

    proto = open_onnx(model.path)
    graph = proto.graph
    opset = next((one.version for one in proto.opset_import if one.domain in {"", "ai.onnx"}), 1)
    given = {tensor.name for tensor in graph.initializer}
    taken = next(one for one in graph.input if one.name not in given)
    before, constants = _before(model, taken.name)
    behind: list[Any] = []
    results: list[str] = []
    for number, layer in enumerate(layers):
        behind += _behind(layer, number, sides.get(layer, (0, 0))[0], opset, constants)
        results.append(f"{_PREFIX}output_{number}")
    nodes = [*before, *graph.node, *behind]
    del graph.node[:], graph.output[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    kept = [one for one in graph.input if one.name in given]
    del graph.input[:], graph.value_info[:]  # whose batch sides may be fixed
    height, width = model.input_size[1:]
    graph.input.extend(
        [
            helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", height, width, 3]),
            *kept,
        ]
    )
    graph.output.extend(
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results]
    )
    del proto.metadata_props[:]
    try:
        content: bytes = proto.SerializeToString()
    except (ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{model.path} is too large for one file: {first_line(error)}") from error
    return content


def _before(model: OnnxModel, taken: str) -> tuple[list[Any], list[Any]]:
    """Turn pixels, B x H x W x 3 uint8, into what the graph takes."""
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    constants: list[Any] = []
    last = INPUT

    def add(kind: str, *inputs: str, **attributes: Any) -> None:
        nonlocal last
        result = f"{_PREFIX}{kind.lower()}"
        nodes.append(helper.make_node(kind, [last, *inputs], [result], **attributes))
        last = result

    if not model.raw:
        add("Cast", to=TensorProto.FLOAT)
        mean, std = (np.array(values, np.float32) for values in (model.mean, model.std))
        for name, values in (("mean", 255 * mean), ("scale", 1 / (255 * std))):
            constants.append(numpy_helper.from_array(values.astype(np.float32), _PREFIX + name))
        add("Sub", f"{_PREFIX}mean")
        add("Mul", f"{_PREFIX}scale")
    if not model.channels_last:
        add("Transpose", perm=[0, 3, 1, 2])
    nodes.append(helper.make_node("Identity", [last], [taken]))
    return nodes, constants


def _behind(layer: str, number: int, sides: int, opset: int, constants: list[Any]) -> list[Any]:
    """Turn one output into float32 B x D."""
    from onnx import TensorProto, helper, numpy_helper

    value, result = f"{_PREFIX}value_{number}", f"{_PREFIX}output_{number}"
    axes = {_TOKENS: [1], _MAP: [2, 3]}.get(sides)
    cast = helper.make_node("Cast", [layer], [value if axes else result], to=TensorProto.FLOAT)
    if axes is None:
        return [cast]
    if opset >= _AXES_ARE_INPUTS:
        name = f"{_PREFIX}axes_{number}"
        constants.append(numpy_helper.from_array(np.array(axes, np.int64), name))
        return [cast, helper.make_node("ReduceMean", [value, name], [result], keepdims=0)]
    return [cast, helper.make_node("ReduceMean", [value], [result], axes=axes, keepdims=0)]
