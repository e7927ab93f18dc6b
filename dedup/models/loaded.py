"""What is known of a model once it is loaded, of whichever kind it is. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import nn

DEFAULT_LAYER: Final = "global_pool"

OWN: Final = "own"
"""Where the weights of a caller's own module are from, in a fingerprint."""

PLUGIN: Final = "plugin"
"""Where the weights of a model that an installed package offers are from."""

PLUGIN_FILE: Final = "plugin:file"
"""The same, of a package's model that was given its weights as a file."""

FROM_FILES: Final = ("file", PLUGIN_FILE)
"""Origins with a weights file that a collection remembers."""


class TextTower(Protocol):
    """Says in the model's own space what words mean."""

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embed T texts: (T, D) float32, D as of the image tower's output."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to run, in evaluation mode, on the host.

    Attributes
    ----------
    name : as it was asked for, a pretrained tag included
    weights : where they are from: ``hub:NAME.TAG``, ``file``, ``bundled``, ``untrained``, `OWN`,
        `PLUGIN` or `PLUGIN_FILE`
    weights_digest : SHA-256 in hexadecimal digits: of the weights file, or else of the names,
        types, shapes and bytes of the sorted state; of an own module, of what describes it as well
    input_size : (C, H, W) that the weights file or else timm's configuration names; C is 3
    mean, std : of each channel, of values in [0, 1]
    layer : the one that embeddings are meant to be taken from
    transform : from an image to the module's input, in place of mean and std
    text : the text tower; None where the model has none
    """

    name: str
    module: nn.Module
    weights: str
    weights_digest: str
    input_size: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    layer: str = DEFAULT_LAYER
    transform: Callable[[Any], Any] | None = None
    text: TextTower | None = None


@dataclass(frozen=True, slots=True)
class ShippedModel:
    """What is known of a network that the package ships without loading it; as `LoadedModel`."""

    name: str
    weights: str
    weights_digest: str
    input_size: tuple[int, int, int]
    layer: str


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An ONNX file that is a model; as `LoadedModel`.

    Attributes
    ----------
    path : of the file
    outputs : the names that can be layers: outputs of the graph, then what is inside it
    shapes : of declared outputs, without the batch side; None where the file does not say
    channels_last : whether it takes B x H x W x C
    raw : whether it takes uint8, so that nothing is normalised
    """

    name: str
    weights: str
    weights_digest: str
    input_size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layer: str
    path: Path
    outputs: tuple[str, ...]
    shapes: dict[str, tuple[int, ...] | None]
    channels_last: bool
    raw: bool
