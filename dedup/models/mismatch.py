"""How the tensors of a weights file differ from those of a model, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

_LISTED: Final = 8  # keys of each kind that a mismatch spells out


@dataclass(frozen=True, slots=True)
class Mismatch:
    """How the tensors of a file differ from those of a model."""

    missing: list[str]
    unexpected: list[str]
    reshaped: dict[str, str]

    @classmethod
    def between(cls, module: nn.Module, state: dict[str, torch.Tensor]) -> Mismatch:
        """Compare a file's tensors with those that a model wants."""
        wanted = module.state_dict()
        return cls(
            # Counts training steps; no forward pass in evaluation mode reads it.
            missing=[
                key
                for key in wanted
                if key not in state and not key.endswith(".num_batches_tracked")
            ],
            unexpected=[key for key in state if key not in wanted],
            reshaped={
                key: f"{key} {tuple(state[key].shape)}, not {tuple(tensor.shape)}"
                for key, tensor in wanted.items()
                if key in state and state[key].shape != tensor.shape
            },
        )

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.reshaped)

    def classes(self, module: nn.Module, state: dict[str, torch.Tensor]) -> int | None:
        """Count the file's classes, when nothing but the classifier differs; else None."""
        configuration = getattr(module, "pretrained_cfg", {})
        names = configuration.get("classifier") or ()
        names = (names,) if isinstance(names, str) else tuple(names)
        differing = {*self.missing, *self.unexpected, *self.reshaped}
        if not differing or any(key.rpartition(".")[0] not in names for key in differing):
            return None
        if self.missing:
            return 0 if set(names) == {key.rpartition(".")[0] for key in self.missing} else None
        counts = {len(state[key]) for key in self.reshaped}
        return counts.pop() if len(counts) == 1 else None

    def message(self, name: str, weights: Path) -> str:
        """Say what differs, and the next step."""
        kinds = (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("of another shape", list(self.reshaped.values())),
        )
        listed = "; ".join(f"{kind}: {_first(keys)}" for kind, keys in kinds if keys)
        return f"{weights} does not fit {name}. {listed}. Is it for another model (--model NAME)?"


def _first(keys: list[str]) -> str:
    more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
    return ", ".join(keys[:_LISTED]) + more
