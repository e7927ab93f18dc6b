"""What made the embeddings of a collection, so that two kinds are never mixed.

Two embeddings can be compared only when the same weights saw pictures prepared in the same way. A
collection pins one fingerprint when it is made. The runtime (torch or another, CPU or GPU, fp32 or
bf16) is not part of it: runtimes of the same weights must agree.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The parts that must agree.

    Parameters
    ----------
    model : timm name
    weights : where they came from: "hub:…", "file" or "untrained"
    weights_digest : SHA-256, hexadecimal
    layers : as asked for; the first is the one that similarity is measured on
    height, width : input to the model, pixels
    decoder : the rules and libraries that turned files into that input
    """

    model: str
    weights: str
    weights_digest: str
    layers: tuple[str, ...]
    height: int
    width: int
    decoder: str

    def to_json(self) -> str:
        """Write it as one line."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        fields["layers"] = tuple(fields["layers"])
        return cls(**fields)

    def differences(self, other: Fingerprint) -> list[str]:
        """Say in words where `other` differs: "model: a, not b"; empty when they agree."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return [
            f"{name.replace('_', ' ')}: {_shown(mine[name])}, not {_shown(theirs[name])}"
            for name in mine
            if mine[name] != theirs[name]
        ]


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    text = str(value)
    return text[:12] + "…" if len(text) == 64 else text  # noqa: PLR2004 - a SHA-256
