"""ONNX files as models: what one takes, what it puts out, and how images are prepared for it.

What the file does not say of preparation (size, mean, std) has to be given. Its metadata may say it
by the keys that weights files use: ``input_size``, ``mean``, ``std``, ``layer``. Making it run is
left to `dedup.runtimes.onnx_model`.
"""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import LayerError, WeightsError, first_line
from dedup.models.loaded import OnnxModel
from dedup.models.own import channels_of, size_of
from dedup.models.weights import weights_file_digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SIDES: Final = 4
_RGB: Final = 3
_CLOSEST: Final = 5
_FLOAT, _UINT8 = 1, 2  # of onnx.TensorProto.DataType
_EXTERNAL: Final = 1  # of onnx.TensorProto.DataLocation


def read_onnx(
    path: Path,
    size: tuple[int, int] | None = None,
    mean: Iterable[float] = (),
    std: Iterable[float] = (),
) -> OnnxModel:
    """Read what an ONNX file is; nothing is run.

    Parameters
    ----------
    size : (H, W) of its input; None: what the graph or the metadata say
    mean, std : of each channel, of values in [0, 1]; empty: what the metadata say

    Raises
    ------
    WeightsError : no readable ONNX file, not one of images, or it does not say how they are
        prepared; the text says what to give.
    """
    model = open_onnx(path)
    graph = model.graph
    given = {tensor.name for tensor in graph.initializer}
    inputs = [one for one in graph.input if one.name not in given]
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs) or "none"
        raise WeightsError(f"{path} takes {len(inputs)} inputs ({names}), not one batch of images.")
    kind = inputs[0].type.tensor_type
    sides = [dim.dim_value for dim in kind.shape.dim]
    if len(sides) != _SIDES or _RGB not in (sides[1], sides[3]) or kind.elem_type not in _TYPES:
        raise WeightsError(
            f"{path} takes {inputs[0].name} {tuple(side or '?' for side in sides)}, not RGB images "
            "as B x 3 x H x W or B x H x W x 3 of float32 or uint8; export it so."
        )
    channels_last = sides[1] != _RGB
    fixed = (sides[1], sides[2]) if channels_last else (sides[2], sides[3])
    stated = _metadata(path, model)
    raw = kind.elem_type == _UINT8
    height, width = _size(path, size, fixed, stated)
    first, second = ((), ()) if raw else _normalisation(path, mean, std, stated)
    outputs = [one.name for one in graph.output]
    inside = [name for node in graph.node for name in node.output if name and name not in outputs]
    layer = stated.get("layer") or outputs[0]
    return OnnxModel(
        name=path.name,
        weights="file",
        weights_digest=weights_file_digest(path),
        input_size=(_RGB, height, width),
        mean=first,
        std=second,
        layer=layer if len(outputs) == 1 or "layer" in stated else "",
        path=path,
        outputs=(*outputs, *inside),
        shapes={one.name: _shape(one) for one in graph.output},
        channels_last=channels_last,
        raw=raw,
    )


_TYPES: Final = (_FLOAT, _UINT8)


def chosen_layers(model: OnnxModel, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Settle which outputs are kept.

    Raises
    ------
    LayerError : there is no such output, or there are several and none was named.
    """
    declared = ", ".join(model.shapes)
    if not wanted and not model.layer:
        raise LayerError(
            f"{model.path} puts out {len(model.shapes)} tensors: name those to keep, --layer NAME "
            f"({declared})"
        )
    for name in wanted or (model.layer,):
        if name not in model.outputs:
            closest = difflib.get_close_matches(name, model.outputs, _CLOSEST, 0.4)
            hint = f"; closest: {', '.join(closest)}" if closest else ""
            raise LayerError(f"{model.path} has no output {name!r}. It puts out {declared}{hint}.")
    return wanted or (model.layer,)


def open_onnx(path: Path) -> Any:
    """Parse an ONNX file.

    Raises
    ------
    WeightsError : it cannot be read, is none, or keeps its weights elsewhere.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        if path.is_dir():
            raise WeightsError(f"{path} is a folder; give the ONNX file in it.")
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error
    except DecodeError as error:
        raise WeightsError(f"{path} is no ONNX file, or is cut short; fetch it again.") from error
    if not model.graph.output or not model.graph.node:
        raise WeightsError(f"{path} is no ONNX file of a model: it puts nothing out.")
    if any(tensor.data_location == _EXTERNAL for tensor in model.graph.initializer):
        raise WeightsError(
            f"{path} keeps its weights in other files. Make it one: "
            f"python -c \"import onnx; onnx.save(onnx.load('{path.name}'), 'whole.onnx')\""
        )
    return model


def _metadata(path: Path, model: Any) -> dict[str, Any]:
    stated: dict[str, Any] = {}
    for entry in model.metadata_props:
        try:
            if entry.key in {"mean", "std", "input_size"}:
                stated[entry.key] = json.loads(entry.value)
            elif entry.key == "layer":
                stated["layer"] = entry.value
        except ValueError as error:
            raise WeightsError(
                f"{path}: its metadata make no sense: {entry.key}: {first_line(error)}."
            ) from error
    return stated


def _size(
    path: Path, size: tuple[int, int] | None, fixed: tuple[int, int], stated: dict[str, Any]
) -> tuple[int, int]:
    given = size or stated.get("input_size")
    if given is None and not all(fixed):
        raise WeightsError(f"{path} takes images of any size: say which, --input-size 224")
    try:
        height, width = size_of(tuple(given) if isinstance(given, list) else given or fixed)
    except ValueError as error:
        raise WeightsError(f"{path}: its metadata make no sense: {error}.") from error
    for wanted, side in zip((height, width), fixed, strict=True):
        if side and side != wanted:
            raise WeightsError(
                f"{path} takes images of {fixed[0] or '?'} x {fixed[1] or '?'} pixels, not "
                f"{height} x {width}"
            )
    return height, width


def _normalisation(
    path: Path, mean: Iterable[float], std: Iterable[float], stated: dict[str, Any]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    found = tuple(mean) or stated.get("mean"), tuple(std) or stated.get("std")
    if not all(found):
        raise WeightsError(
            f"{path} does not say how images are normalised. Give what it was trained with, of "
            "values from 0 to 1: --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 (ImageNet's), or "
            "--mean 0,0,0 --std 1,1,1 (nothing)"
        )
    try:
        return channels_of(found[0], "mean"), channels_of(found[1], "std")
    except ValueError as error:
        raise WeightsError(f"{path}: its metadata make no sense: {error}.") from error


def _shape(output: Any) -> tuple[int, ...] | None:
    dims = output.type.tensor_type.shape.dim
    sides = tuple(dim.dim_value for dim in dims)[1:]
    return sides if sides and all(sides) else None
