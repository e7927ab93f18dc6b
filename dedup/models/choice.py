"""Which layers are asked for, and by which rule: names, patterns, modules, names of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

from torch import nn

from dedup.errors import LayerError
from dedup.models.layers import (
    EMBEDDING,
    INPUT_MARK,
    PREDICTION,
    embedding_places,
    resolve_layer,
)
from dedup.models.rules import Rule, check_rule

Layer: TypeAlias = str | nn.Module
Wanted: TypeAlias = Layer | tuple[Layer, Rule]
Layers: TypeAlias = Sequence[Wanted] | Mapping[str, Wanted]
"""What `Extractor` takes as layers."""

_PATTERN: Final = frozenset("*?[")
_PAIR: Final = 2


@dataclass(frozen=True, slots=True)
class Chosen:
    """One layer that is asked for.

    Parameters
    ----------
    name : under which it is handed over
    places : what is hooked: dotted names, ``NAME:input``, or ``prediction``
    side_by_side : several places make one row, in place of their mean
    """

    name: str
    places: tuple[str, ...]
    side_by_side: bool
    rule: Rule


def chosen(model: nn.Module, layers: Layers, default: Rule) -> tuple[Chosen, ...]:
    """Find the layers that are asked for, in their order; one asked for twice counts once.

    Parameters
    ----------
    default : the rule of those that come without one

    Raises
    ------
    LayerError : no such layer, none that a pattern matches, or several under one name.
    TypeError, ValueError : what was given is no layer, or a rule is none.
    """
    if isinstance(layers, str | nn.Module):
        shown = repr(layers) if isinstance(layers, str) else "it"
        raise TypeError(f"layers must be a sequence of names; for one, give [{shown}]")
    found: dict[str, Chosen] = {}
    if isinstance(layers, Mapping):
        for name, wanted in layers.items():
            if not isinstance(name, str) or not name:
                raise TypeError(f"a layer's own name is a text, not {name!r}")
            layer, rule = _parted(wanted, default)
            names = _names(model, layer)
            if len(names) > 1:
                raise LayerError(
                    f"{name!r} names one layer, and {layer!r} are {len(names)}: {_some(names)}"
                )
            found[name] = _one(model, name, names[0], check_rule(rule, name))
        return tuple(found.values())
    for wanted in layers:
        layer, rule = _parted(wanted, default)
        for name in _names(model, layer):
            one = _one(model, name, name, check_rule(rule, name))
            if found.setdefault(name, one) != one:
                raise ValueError(
                    f"{name!r} is asked for by two rules; give them names: "
                    f'{{"one": ({name!r}, ...), "other": ({name!r}, ...)}}'
                )
    return tuple(found.values())


def _parted(wanted: Wanted, default: Rule) -> tuple[Layer, Rule]:
    layer, rule = wanted, default
    if isinstance(wanted, tuple):
        if len(wanted) != _PAIR:
            raise TypeError(f"a layer with its rule is (layer, rule), not {wanted!r}")
        layer, rule = wanted
    if not isinstance(layer, str | nn.Module):
        raise TypeError(f"a layer is a name or a module of the model, not {layer!r}")
    return layer, rule


def _names(model: nn.Module, layer: Layer) -> list[str]:
    if isinstance(layer, nn.Module):
        return [_name_of(model, layer)]
    if not _PATTERN & set(layer):
        return [layer]
    pattern = layer.removesuffix(INPUT_MARK).split(".")
    mark = INPUT_MARK if layer.endswith(INPUT_MARK) else ""
    names = [
        name + mark
        for name, _ in model.named_modules(remove_duplicate=False)
        if name and _fits(name.split("."), pattern)
    ]
    if not names:
        raise LayerError(
            f"{type(model).__name__} has no layer that {layer!r} matches; a star stands for one "
            "part of a name, between dots"
        )
    return names


def _fits(name: list[str], pattern: list[str]) -> bool:
    return len(name) == len(pattern) and all(map(fnmatchcase, name, pattern))


def _name_of(model: nn.Module, layer: nn.Module) -> str:
    for name, module in model.named_modules():
        if module is layer:
            return name or PREDICTION
    raise LayerError(f"the {type(layer).__name__} that was given is no part of this model")


def _one(model: nn.Module, name: str, layer: str, rule: Rule) -> Chosen:
    resolved = resolve_layer(model, layer)
    if layer == EMBEDDING and layer != resolved:
        places, side_by_side = embedding_places(model)
        return Chosen(name, places, side_by_side, rule)
    return Chosen(name, (resolved,), False, rule)


def _some(names: list[str]) -> str:
    few = 3
    return ", ".join(names[:few]) + (", …" if len(names) > few else "")
