"""From what a layer put out to what is handed over of it: the sides that are places, and the rules.

`Extractor` states the rules as its users know them. Which output counts, and when, is left to
`dedup.models.taking`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import nn

from dedup.errors import LayerError

Named: TypeAlias = Literal["mean", "max", "gem", "cls", "flatten"]
Rule: TypeAlias = Named | Callable[[torch.Tensor], torch.Tensor] | None
"""What becomes of a layer's output; None keeps it whole."""

NAMED: Final = get_args(Named)

TOKENS: Final = 3  # sides of B x N x C
_MAP: Final = 4  # sides of B x C x H x W
_GEM_POWER: Final = 3.0  # Radenović, Tolias and Chum 2018, section 3.1: where its training starts
_GEM_LEAST: Final = 1e-6  # as in their code: powers are of positive values
# The modules whose output has its channels on side 1 by definition; torch has no public base
# class for each of these families.
_CHANNELS_FIRST: Final = (
    nn.modules.conv._ConvNd,  # noqa: SLF001
    nn.modules.batchnorm._NormBase,  # noqa: SLF001
    nn.modules.pooling._MaxPoolNd,  # noqa: SLF001
    nn.modules.pooling._AvgPoolNd,  # noqa: SLF001
    nn.modules.pooling._AdaptiveAvgPoolNd,  # noqa: SLF001
    nn.modules.pooling._AdaptiveMaxPoolNd,  # noqa: SLF001
    nn.GroupNorm,
)


def check_rule(rule: object, layer: str) -> Rule:
    """Give a rule as it is typed.

    Raises
    ------
    ValueError, TypeError : it is none.
    """
    if rule is None or callable(rule):
        return rule
    if isinstance(rule, str):
        if rule not in NAMED:
            raise ValueError(
                f"the rule of {layer!r} is one of {', '.join(NAMED)}, a function or None, "
                f"not {rule!r}"
            )
        return rule  # type: ignore[return-value]  # one of the literals
    raise TypeError(f"the rule of {layer!r} is a name, a function or None, not {rule!r}")


def is_channels_first(module: nn.Module) -> bool:
    """Tell whether a module's output is B x C x … by definition."""
    return isinstance(module, _CHANNELS_FIRST)


def says_channels_last(module: nn.Module) -> bool:
    """Tell whether a module declares its maps to be B x H x W x C, as timm's do."""
    return str(getattr(module, "output_fmt", "")).upper().endswith("NHWC")


def has_class_token(model: nn.Module) -> bool:
    """Tell whether a model has a class token; True where it does not say."""
    if getattr(model, "num_prefix_tokens", None) == 0 or not getattr(
        model, "has_class_token", True
    ):
        return False
    return getattr(model, "cls_token", True) is not None


def plain(layer: str, tensor: torch.Tensor) -> torch.Tensor:
    """Give an output without its graph, and in numbers that can be averaged.

    Raises
    ------
    LayerError : it is sparse or nested.
    """
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.is_nested or tensor.layout is not torch.strided:
        kind = "a nested tensor" if tensor.is_nested else f"a tensor of layout {tensor.layout}"
        raise LayerError(f"layer {layer!r} put out {kind}, of which there is no array")
    return tensor.detach()


def place_sides(
    module: nn.Module, output: torch.Tensor, *, square: bool, channels_last: bool
) -> tuple[int, ...]:
    """Say which sides of an output are places, which rules go over.

    Parameters
    ----------
    output : (B, …)
    square : the images are
    channels_last : the model says that its maps are
    """
    first = is_channels_first(module)
    if output.ndim == TOKENS:
        return (2,) if first else (1,)
    if output.ndim == _MAP and not first:
        _, one, two, three = output.shape
        if square and (one == two) != (two == three):
            last = one == two
        else:
            last = channels_last or says_channels_last(module)
        if last:
            return (1, 2)
    return tuple(range(2, output.ndim))


def applied(
    rule: Rule, layer: str, output: torch.Tensor, sides: tuple[int, ...], images: int
) -> torch.Tensor:
    """Apply a rule: one row for each image, float32, in memory of its own.

    Parameters
    ----------
    output : as `plain` gave it
    sides : that are places
    images : of the batch

    Raises
    ------
    LayerError : there is not one row for each image, no class token, or complex numbers.
    """
    if callable(rule):
        return _by_function(rule, layer, output, images)
    _refuse_complex(layer, output)
    if rule is None:
        return copied(output).cpu()
    if output.ndim == 0 or len(output) != images:
        raise LayerError(
            f"layer {layer!r} put out {tuple(output.shape)} for {images} images, "
            "not one row for each; choose another layer, or keep it whole (reduce=False)"
        )
    if rule == "cls" and (sides != (1,) or output.ndim != TOKENS):
        raise LayerError(
            f"layer {layer!r} put out {tuple(output.shape)}, which holds no class token; "
            "cls is of tokens, (B, N, C)"
        )
    return _by_name(rule, output[:, None] if output.ndim == 1 else output, sides)


def _by_name(rule: Named, output: torch.Tensor, sides: tuple[int, ...]) -> torch.Tensor:
    if rule == "cls":
        return copied(output[:, 0])
    if rule == "flatten" or not sides:
        return copied(output.flatten(1))
    if rule == "mean":
        return output.mean(sides, dtype=torch.float32)
    if rule == "max":
        return output.to(torch.float32).amax(sides)
    powers = output.to(torch.float32).clamp(min=_GEM_LEAST).pow(_GEM_POWER)
    return powers.mean(sides).pow(1 / _GEM_POWER)


def copied(tensor: torch.Tensor) -> torch.Tensor:
    """Copy a tensor as float32."""
    return tensor.detach().to(torch.float32, copy=True)


def _by_function(
    rule: Callable[[torch.Tensor], torch.Tensor], layer: str, output: torch.Tensor, images: int
) -> torch.Tensor:
    # A copy, which the function may change; complex numbers are its to make real ones of.
    given = rule(output.clone() if output.is_complex() else copied(output))
    if not isinstance(given, torch.Tensor) or given.ndim == 0 or len(given) != images:
        found = tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
        raise LayerError(
            f"the rule of layer {layer!r} gave {found} for {images} images, not one row for each"
        )
    given = plain(layer, given)
    _refuse_complex(layer, given)
    given = given[:, None] if given.ndim == 1 else given
    return given.to(torch.float32)


def _refuse_complex(layer: str, output: torch.Tensor) -> None:
    if output.is_complex():
        raise LayerError(
            f"layer {layer!r} put out complex numbers ({output.dtype}); choose another layer, or "
            "give it a rule that makes real ones of them, such as torch.abs"
        )
