"""What made the embeddings of a collection, so that two kinds are never mixed.

Two embeddings can be compared only when the same weights saw images prepared in the same way. A
collection pins one fingerprint when it is made. The runtime (torch or another, CPU or GPU, fp32 or
bf16) is not part of it: runtimes of the same weights must agree.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

CONTENT, DETAILS = "content", "details"
"""The two views of an image: what a network's hooked layer saw, and local features aggregated. The
second is also the name under which its embeddings are stored, alongside those of the layers."""

VECTORS = "vectors"
"""The layer under which vectors of the user's own are stored, which no model of ours made."""

_WIDTH = "width:"
_SIDE = 224
"""Side in pixels of the square by which blank images are recognised, where there is no model."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The parts that must agree.

    Parameters
    ----------
    model : timm name; ``open_clip:…``, an ONNX file's name, an installed package's name of it, or
        that of a caller's own module
    weights : where they came from: "hub:…", "file", "bundled", "untrained"; "own" and "plugin" of
        modules that a caller or a package brings; of the user's own vectors, which have no model,
        "width:" and how many values each has
    weights_digest : SHA-256, hexadecimal
    layers : as asked for; the first is the one that similarity is measured on. Empty, with an
        empty model, where details are the only view
    height, width : input to the model, pixels
    decoder : the rules and libraries that turned files into that input
    views : `CONTENT`, `DETAILS`, or both in that order
    details_digest : SHA-256 of the vocabulary that details use; empty without that view
    content_share : weight in [0, 1] of the content in a similarity; details have the rest
    mean, std : of each channel, of values in [0, 1], where the model does not say it itself (an
        ONNX file); else empty
    """

    model: str
    weights: str
    weights_digest: str
    layers: tuple[str, ...]
    height: int
    width: int
    decoder: str
    views: tuple[str, ...] = (CONTENT,)
    details_digest: str = ""
    content_share: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def stored(self) -> tuple[str, ...]:
        """What is stored of each image: the layers, and details where they are a view."""
        return (*self.layers, DETAILS) if DETAILS in self.views else self.layers

    @property
    def compared(self) -> dict[str, float]:
        """What a similarity is made of, each with its weight; weights add up to 1."""
        if self.views == (CONTENT,):
            return {self.layers[0]: 1.0}
        if self.views == (DETAILS,):
            return {DETAILS: 1.0}
        return {self.layers[0]: self.content_share, DETAILS: 1 - self.content_share}

    @classmethod
    def own(cls, width: int, decoder: str) -> Fingerprint:
        """Make the fingerprint of a collection of the user's own vectors.

        Parameters
        ----------
        width : D, values of each vector
        """
        return cls("own vectors", f"{_WIDTH}{width}", "", (VECTORS,), _SIDE, _SIDE, decoder)

    @property
    def own_width(self) -> int:
        """D of the user's own vectors; 0 where dedup makes the embeddings."""
        head, found, width = self.weights.partition(_WIDTH)
        return int(width) if found and not head else 0

    def to_json(self) -> str:
        """Write it as one line."""
        fields = dataclasses.asdict(self)
        for name in ("mean", "std"):  # unknown to older versions, which can do without
            if not fields[name]:
                del fields[name]
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        for name in ("layers", "views", "mean", "std"):  # collections from before them have none
            if name in fields:
                fields[name] = tuple(fields[name])
        return cls(**fields)
