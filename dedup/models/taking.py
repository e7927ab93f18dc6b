"""What hooks take while a pass runs: which output counts, in which order its sides are.

An `Extractor` starts a pass, hooks write to it on their thread, and at other times they write
nothing. What becomes of an output is left to `dedup.models.rules`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias

import torch

from dedup.errors import LayerError, ModelError
from dedup.models.layers import first_tensor
from dedup.models.rules import (
    TOKENS,
    applied,
    has_class_token,
    is_channels_first,
    place_sides,
    plain,
    says_channels_last,
)

if TYPE_CHECKING:
    from torch import nn

    from dedup.models.rules import Rule

Calls: TypeAlias = Literal["last", "first", "mean"]

_FIRST: Final = 0
_SECOND: Final = 1
_NEITHER: Final = -1


@dataclass(frozen=True, slots=True)
class Part:
    """One output to take: of a layer, or one of those that a layer's value is made of.

    Parameters
    ----------
    layer : the name it was asked for by
    number : of the part
    """

    layer: str
    number: int
    rule: Rule


class Taken:
    """One output in the running pass.

    Parameters
    ----------
    tensor : what is handed over of it
    places : the sides of the whole output that rules go over
    source : the output itself, where gradients are kept
    turned : the source has the images on side 1
    """

    def __init__(
        self,
        tensor: torch.Tensor,
        places: tuple[int, ...],
        source: torch.Tensor | None,
        *,
        turned: bool,
    ) -> None:
        self.tensor = tensor
        self.places = places
        self.source = source
        self.turned = turned
        self.calls = 1

    def value(self) -> torch.Tensor:
        """Give what is handed over; the mean, where several calls were added."""
        return self.tensor / self.calls if self.calls > 1 else self.tensor


class UnsettledError(Exception):
    """Ends a pass: which side of an output counts the images has to be found out first.

    Parameters
    ----------
    shape : its first two sides
    """

    def __init__(self, layer: str, shape: tuple[int, int]) -> None:
        super().__init__(layer, shape)
        self.layer = layer
        self.shape = shape


class Taking(threading.local):
    """What hooks write to while a pass runs on their thread, and ignore at other times.

    Parameters
    ----------
    sides : layer -> the side of its sequences that counts the images, once that is known; one
        for all threads
    """

    def __init__(
        self, model: nn.Module, *, calls: Calls, gradients: bool, sides: dict[str, int]
    ) -> None:
        self.gradients = gradients
        self._calls = calls
        self._channels_last = says_channels_last(model)
        self._class_token = has_class_token(model)
        self._sides = sides
        self._seen: dict[str, tuple[int, int]] | None = None
        self._images = 0
        self._square = False
        self.taken: dict[tuple[str, int], Taken] | None = None

    def start(self, images: int, *, square: bool) -> Pass:
        """Start a pass over so many images."""
        self._images = images
        self._square = square
        self._seen = None
        return Pass(self)

    def look(self, images: int) -> Pass:
        """Start a pass that only looks at shapes, for `settle`."""
        started = self.start(images, square=False)
        self._seen = {}
        return started

    def settle(self, open_by: UnsettledError, images: int) -> None:
        """Note which side of an output follows the number of images, after a pass by `look`.

        Parameters
        ----------
        images : of the pass that left it open
        """
        for layer, (first, second) in (self._seen or {}).items():
            if first == self._images != second:
                self._sides.setdefault(layer, _FIRST)  # as in `_is_turned`
        before = open_by.shape
        after = (self._seen or {}).get(open_by.layer)
        followed = (
            []
            if after is None
            else [side for side in (0, 1) if (before[side], after[side]) == (images, self._images)]
        )
        self._sides[open_by.layer] = followed[0] if followed else _NEITHER

    def take(self, part: Part, module: nn.Module, output: Any, *, enters: bool = False) -> None:
        """Take an output, if a pass runs on this thread.

        Raises
        ------
        LayerError : see `dedup.models.extractor.Extractor`.
        UnsettledError : see there.
        """
        if self.taken is None:
            return
        layer, key = part.layer, (part.layer, part.number)
        before = self.taken.get(key)
        if before is not None and self._calls == "first":
            return
        tensor = first_tensor(output)
        if tensor is None:
            raise LayerError(
                f"layer {layer!r} put out a {type(output).__name__}, and no tensor; choose another "
                "layer: dedup.models.layers.list_layers shows them all"
            )
        bare = plain(layer, tensor)
        turned = bare.ndim == TOKENS and self._is_turned(part, module, bare)
        if self._seen is not None:
            return
        if turned:
            bare = bare.transpose(0, 1)
        if part.rule == "cls" and not self._class_token:
            raise LayerError(f"layer {layer!r} has no class token: the model has none")
        sides = place_sides(module, bare, square=self._square, channels_last=self._channels_last)
        value = applied(part.rule, layer, bare, sides, self._images)
        if before is None or self._calls == "last":
            whole = bare.ndim >= TOKENS and len(bare) == self._images
            source = tensor if self.gradients and not enters else None
            self.taken[key] = Taken(value, sides if whole else (), source, turned=turned)
        elif before.tensor.shape != value.shape:
            shapes = f"{tuple(before.tensor.shape)} and {tuple(value.shape)}"
            raise LayerError(f"layer {layer!r} put out {shapes}, which have no mean")
        else:
            before.tensor += value
            before.calls += 1

    def _is_turned(self, part: Part, module: nn.Module, output: torch.Tensor) -> bool:
        """Tell whether sequences come first, L x N x C; only what is known for certain counts."""
        first, second = output.shape[:2]
        if self._seen is not None:
            self._seen[part.layer] = (first, second)
            return False
        if is_channels_first(module):
            return False
        known = self._sides.get(part.layer)
        if known is None:
            if first == second == 1:  # either way the same
                return False
            if second == self._images:
                raise UnsettledError(part.layer, (first, second))
            if first == self._images:
                self._sides[part.layer] = _FIRST  # if sequences came first, side 1 were the images
            return False
        if known == _NEITHER and part.rule is not None:
            raise LayerError(
                f"layer {part.layer!r} put out {tuple(output.shape)}, of which no side follows "
                "the number of images; choose another layer, or keep it whole (reduce=False)"
            )
        return known == _SECOND


class Pass:
    """The time in which hooks take: from the start of a forward pass to its end or exception."""

    def __init__(self, taking: Taking) -> None:
        self._taking = taking

    def __enter__(self) -> dict[tuple[str, int], Taken]:
        taken: dict[tuple[str, int], Taken] = {}
        self._taking.taken = taken
        return taken

    def __exit__(self, *_: object) -> None:
        self._taking.taken = None


class _Hook:
    """What a module with an extractor calls. Copied with the model, it does nothing more."""

    def __init__(self, part: Part, taking: Taking) -> None:
        self._part = part
        self._taking = taking

    def __deepcopy__(self, _: dict[int, Any]) -> Any:
        return _nothing

    def __reduce__(self) -> NoReturn:
        raise ModelError(
            f"an extractor hooks this model ({self._part.layer}), and hooks cannot be saved: "
            "close() the extractor first, or save the model's state_dict()"
        )


class InputHook(_Hook):
    """Takes what enters a module."""

    def __call__(self, module: nn.Module, inputs: Any, named: Any) -> None:
        """Take; as torch calls pre-hooks."""
        self._taking.take(self._part, module, (inputs, named), enters=True)


class OutputHook(_Hook):
    """Takes what a module puts out."""

    def __call__(self, module: nn.Module, _inputs: Any, output: Any) -> Any:
        """Take; as torch calls hooks."""
        taking = self._taking
        taking.take(self._part, module, output)
        if taking.gradients and taking.taken is not None and isinstance(output, torch.Tensor):
            return output.clone()  # which may be worked on in place: slopes are at the output
        return None


def _nothing(*_: object) -> None:
    """Stand in a copy of a model for the hook of an extractor that is not the copy's."""
