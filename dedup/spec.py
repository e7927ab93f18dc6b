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
    model : timm name, or a bundled one (``copies-2``); None: the one that `weights` are for, else
        ``efficientnet_b0`` where the hub can be reached and ``copies-2`` where it cannot
    weights : safetensors file; its metadata or name may say which model it is for
    untrained : seeded random weights: enough for copies and light edits, no more
    layers : names of layers whose outputs are kept; similarity is measured on the first. A plain
        string is one layer
    views : ``content`` (what the model saw), ``details`` (local features, no model) or both, the
        default. A plain string is one view
    vectors : instead of a model, the width of vectors of one's own (`Collection.from_vectors`);
        0: a model

    Raises
    ------
    TypeError, ValueError : a value of a wrong type, or not one of those accepted.
    ModelError : the values contradict each other.
    """

    model: str | None
    weights: Path | None
    untrained: bool
    layers: tuple[str, ...]
    views: tuple[str, ...]
    vectors: int

    def __init__(
        self,
        model: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        untrained: bool = False,  # noqa: FBT001, FBT002 - fields can be given by position
        layers: str | Iterable[str] = (),
        views: str | Iterable[str] = (),
        vectors: int = 0,
    ) -> None:
        if model is not None and not isinstance(model, str):
            raise TypeError(f"model is a name or None, not {type(model).__name__}")
        if model == "":
            raise ValueError("model is an empty name")
        if not isinstance(untrained, bool):
            raise TypeError(f"untrained is True or False, not {type(untrained).__name__}")
        given = {one_of(view, BOTH_VIEWS, "views") for view in strings_of(views, "views")}
        for name, value in (
            ("model", model),
            ("weights", None if weights is None else Path(path_of(weights, "weights"))),
            ("untrained", untrained),
            ("layers", strings_of(layers, "layers")),
            ("views", tuple(view for view in BOTH_VIEWS if view in given)),
            ("vectors", count_of(vectors, "vectors", 0)),
        ):
            object.__setattr__(self, name, value)
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
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
