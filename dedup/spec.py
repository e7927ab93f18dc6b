"""What a user asks for: a model for a collection, and what runs it.

Both are checked when they are made, so that a mistake is reported where it was written and not
when the first image needs the model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dedup.arguments import count_of, one_of, path_of, strings_of
from dedup.errors import ModelError
from dedup.fingerprint import CONTENT, DETAILS
from dedup.models.own import OwnModel, channels_of, size_of
from dedup.models.registry import CLIP_PREFIX, ONNX_SUFFIX

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

BOTH_VIEWS: Final = (CONTENT, DETAILS)
ENGINES: Final = ("auto", "torch", "openvino", "onnxruntime")
DEVICES: Final = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True, init=False)
class ModelSpec:
    """The model of a collection. What is left out is the collection's own, or the default.

    Parameters
    ----------
    model : timm name, or a bundled one (``copies-2``); ``hf-hub:ORG/NAME``, ``open_clip:…``, an
        ONNX file, or a model that an installed package offers; an `OwnModel`, a module of yours;
        None: the one that `weights` are for, else the bundled one
    weights : safetensors file; its metadata or name may say which model it is for
    untrained : seeded random weights: enough for copies and light edits, no more
    layers : names of layers whose outputs are kept; similarity is measured on the first. A plain
        string is one layer
    views : ``content`` (what the model saw), ``details`` (local features, no model) or both, the
        default. A plain string is one view
    unpickle : `weights` may be a checkpoint of torch (.pt, .pth), of which tensors are read and
        nothing is run
    size : of an ONNX file's input, pixels: a number or (H, W); None: what the file says
    mean, std : that an ONNX file's input is normalised by, of values in [0, 1]; None: what it says
    vectors : instead of a model, the width of vectors of one's own (`Collection.from_vectors`);
        0: a model

    Raises
    ------
    TypeError, ValueError : a value of a wrong type, or not one of those accepted.
    ModelError : the values contradict each other.
    """

    model: str | OwnModel | None
    weights: Path | None
    untrained: bool
    layers: tuple[str, ...]
    views: tuple[str, ...]
    unpickle: bool
    size: tuple[int, int] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    vectors: int

    def __init__(
        self,
        model: str | OwnModel | None = None,
        weights: str | os.PathLike[str] | None = None,
        untrained: bool = False,  # noqa: FBT001, FBT002 - fields can be given by position
        layers: str | Iterable[str] = (),
        views: str | Iterable[str] = (),
        *,
        unpickle: bool = False,
        size: int | tuple[int, int] | None = None,
        mean: Iterable[float] | None = None,
        std: Iterable[float] | None = None,
        vectors: int = 0,
    ) -> None:
        kind = type(model).__name__
        if model is not None and not isinstance(model, str | OwnModel):
            raise TypeError(f"model is a name, an OwnModel(module) or None, not {kind}")
        if model == "":
            raise ValueError("model is an empty name")
        if not isinstance(untrained, bool):
            raise TypeError(f"untrained is True or False, not {type(untrained).__name__}")
        given = {one_of(view, BOTH_VIEWS, "views") for view in strings_of(views, "views")}
        file = None if weights is None else Path(path_of(weights, "weights"))
        model, file = _of_file(model, file)
        for name, value in (
            ("model", model),
            ("weights", file),
            ("untrained", untrained),
            ("layers", strings_of(layers, "layers")),
            ("views", tuple(view for view in BOTH_VIEWS if view in given)),
            ("unpickle", bool(unpickle)),
            ("size", None if size is None else size_of(size)),
            ("mean", channels_of(mean, "mean")),
            ("std", channels_of(std, "std")),
            ("vectors", count_of(vectors, "vectors", 0)),
        ):
            object.__setattr__(self, name, value)
        self._refuse_contradictions()

    @property
    def name(self) -> str | None:
        """The name of the model; None where none is named, or the module is the caller's."""
        return self.model if isinstance(self.model, str) else None

    @property
    def own(self) -> OwnModel | None:
        """The caller's own module; None where the model goes by a name."""
        return self.model if isinstance(self.model, OwnModel) else None

    def _refuse_contradictions(self) -> None:
        if self.own is not None and (self.weights is not None or self.untrained):
            raise ValueError("an OwnModel brings its weights: leave weights and untrained out")
        is_onnx = self.name is not None and self.name.endswith(ONNX_SUFFIX)
        if (self.size or self.mean or self.std) and not is_onnx and self.model is not None:
            raise ModelError(
                "size, mean and std are for ONNX files: other models say themselves how images are "
                "prepared (OwnModel(module, size=, mean=, std=))"
            )
        if self.untrained and self.weights is not None:
            raise ValueError("weights and untrained exclude each other")
        if len(set(self.layers)) != len(self.layers):
            raise ModelError(f"a layer is named twice: {', '.join(self.layers)}")
        if DETAILS in self.layers:
            raise ModelError(f"{DETAILS!r} is a view, not a layer")
        if self.views == (DETAILS,) and (
            self.model or self.weights or self.untrained or self.layers
        ):
            raise ModelError("the view details uses no model: leave out model, weights and layers")
        if self.vectors and (
            self.model or self.weights or self.untrained or self.layers or self.views
        ):
            raise ModelError(
                "vectors of one's own use no model: leave out model, weights, layers and views"
            )


def _of_file(
    model: str | OwnModel | None, weights: Path | None
) -> tuple[str | OwnModel | None, Path | None]:
    """Part a model that is named by its place into the name that is kept and the file."""
    if not isinstance(model, str) or weights is not None:
        return model, weights
    if model.endswith(ONNX_SUFFIX):
        return Path(model).name, Path(model)
    folder = Path(model.removeprefix(CLIP_PREFIX))
    if model.startswith(CLIP_PREFIX) and (folder / "open_clip_config.json").is_file():
        files = ("open_clip_model.safetensors", "model.safetensors")
        found = [folder / file for file in files if (folder / file).is_file()]
        name = CLIP_PREFIX + folder.resolve().name
        return name, (*found, folder / files[0])[0]
    return model, None


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs the model.

    Parameters
    ----------
    device : ``auto`` (a CUDA device when there is one), ``cpu``, ``cuda`` or ``cuda:N``
    engine : ``auto`` (OpenVINO or ONNX Runtime on CPUs when they can run the model, else torch),
        ``torch``, ``openvino`` or ``onnxruntime``

    Raises
    ------
    TypeError, ValueError : a value of a wrong type, or not one of those accepted.
    """

    device: str = "auto"
    engine: str = "auto"

    def __post_init__(self) -> None:
        if not (isinstance(self.device, str) and re.fullmatch(r"cuda:\d+", self.device)):
            one_of(self.device, DEVICES, "device")
        one_of(self.engine, ENGINES, "engine")
