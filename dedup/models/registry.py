"""The names of models, without importing torch or timm.

What a command needs to know about a name before it decides whether the model is needed at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

DEFAULT_MODEL: Final = "copies-2"
"""The model of a new collection, unless another is named: one that the package ships."""

DEFAULT_UNTRAINED: Final = "efficientnet_b0"
"""The architecture of untrained weights, unless another is named."""

WEIGHTS: Final = Path(__file__).parent / "bundled"
"""What the package ships: weights files and their exported graphs, each with a model card."""


@dataclass(frozen=True, slots=True)
class Bundled:
    """A network that the package ships.

    Parameters
    ----------
    file : in `WEIGHTS`; its metadata name the architecture, the layer and the input
    digest : SHA-256 of the file, as on its card
    graph : the network as an ONNX file in `WEIGHTS` that gives the embeddings of its layer,
        made by `scripts/train bundled_graph`
    graph_digest : SHA-256 of that
    """

    file: str
    digest: str
    graph: str
    graph_digest: str


BUNDLED: Final = {
    "copies-2": Bundled(
        "copies-2.safetensors",
        "c6b1a3ab2290387acfe918cd160388ea2991d45a7c3590e6f8d7b49aa91540ac",
        "copies-2.onnx",
        "f0cd2033bedda6088c6205feab3580c256c76b90cf736a340d9c30396058afd5",
    ),
}
"""By the name that ``--model`` takes."""

CLIP_PREFIX: Final = "open_clip:"
"""Begins the names of models of images and text."""

HUB_PREFIX: Final = "hf-hub:"
"""Begins the names of timm models that are in a repository of anyone's."""

ONNX_SUFFIX: Final = ".onnx"
"""Ends the names of models that are ONNX files."""

_REGISTERED: Final = re.compile(rb"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)


@cache
def timm_architectures() -> frozenset[str]:
    """Read timm's architecture names (no pretrained tags) from its sources.

    Equals ``timm.list_models()``, which costs the import of torch.
    """
    timm = find_spec("timm")
    folders = timm.submodule_search_locations if timm is not None else None
    return frozenset(
        name.decode()
        for folder in folders or ()
        for source in Path(folder, "models").glob("*.py")
        for name in _REGISTERED.findall(source.read_bytes())
    )


def architecture_of(name: str) -> str:
    """Take the pretrained tag off a name: ``resnet50.a1_in1k`` -> ``resnet50``."""
    return name.partition(".")[0]
