"""The layers of a network: which there are, what they give, and where the pooling sits.

Names are the dotted ones of `torch.nn.Module.named_modules`. More are understood: ``global_pool``
and ``embedding`` wherever a timm model keeps them, ``blocks.-1``, counted from the end, and
``NAME:input``, what enters the layer NAME. How outputs become embeddings is left to
`dedup.models.rules`.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from dedup.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Iterator

PREDICTION: Final = "prediction"
"""The name that selects the model's own output as a layer."""

INPUT_MARK: Final = ":input"
"""Ends a name that means what enters the layer, not what leaves it."""

EMBEDDING: Final = "embedding"
"""The name for what timm calls the pre-logits: what enters the classifier."""

_POOL: Final = "global_pool"
_CLOSEST: Final = 5

# `torch.compiler.set_stance` is one setting for the whole process: two threads that set and
# restore it in turn could leave the wrong one behind.
_STANCE_LOCK = threading.RLock()


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """What one layer did in one forward pass.

    Attributes
    ----------
    name : dotted name, or ``prediction`` for the model's own output
    type : class of the module
    shape : of its output (the first tensor in it, the last time it was called) without the
        batch side; None where the layer did not run or gave no tensor
    calls : how often it ran; a module that has two names is counted under both
    """

    name: str
    type: str
    shape: tuple[int, ...] | None
    calls: int


def resolve_layer(model: nn.Module, name: str) -> str:
    """Find the dotted name under which a model keeps the layer that is asked for.

    A name that exists is returned as it is. ``global_pool`` is also found at
    ``head.global_pool`` (ConvNeXt, Swin, RegNet …) and, where pooling is no module (ViT, EVA,
    Mixer …), as the pooled embedding that enters the classifier: ``head:input``. Models with
    one classifier per branch (CrossViT) give their ``head_drop``, the last branch.
    ``embedding`` is what `embedding_places` says. A part of a name that is a negative number
    counts from the end: ``blocks.-1``.

    Returns
    -------
    A dotted name, ``NAME:input``, or ``prediction``; for an ``embedding`` that is made of the
    inputs of several classifiers, all of these, with commas.

    Raises
    ------
    LayerError : no such layer; names the closest ones.
    """
    model = unwrap(model)
    module_name = _counted(model, name.removesuffix(INPUT_MARK))
    if name == PREDICTION:
        return name
    if module_name and _find(model, module_name) is not None:
        return module_name + INPUT_MARK if name.endswith(INPUT_MARK) else module_name
    if name == _POOL:
        found = _pooling(model)
        if found is not None:
            return found
    if name == EMBEDDING:
        return ", ".join(embedding_places(model)[0])
    raise LayerError(_no_such_layer(model, name))


def embedding_places(model: nn.Module) -> tuple[tuple[str, ...], bool]:
    """Find what timm calls the pre-logits of its models: what enters the classifier.

    Where `forward_head(forward_features(x), pre_logits=True)` is that, which holds in all families
    but few. A distilled model (DeiT, LeViT) has two classifiers, and the mean of what enters them
    counts; one with a classifier for each branch (CrossViT) has the branches side by side. Without
    a classifier (``num_classes=0``) the prediction is the embedding.

    Returns
    -------
    The places, and whether they are put side by side, in place of being averaged.

    Raises
    ------
    LayerError : the model does not say what its classifier is, as timm's do.
    """
    model = unwrap(model)
    get_classifier = getattr(model, "get_classifier", None)
    found = get_classifier() if callable(get_classifier) else None
    branches = isinstance(found, nn.ModuleList)
    classifiers = list(found) if isinstance(found, nn.ModuleList | tuple | list) else [found]
    if classifiers and isinstance(classifiers[0], nn.Identity):
        return (PREDICTION,), False
    names = {module: name for name, module in model.named_modules() if name}
    places = tuple(
        _beginning(model, names[each]) + INPUT_MARK for each in classifiers if each in names
    )
    if not places:
        raise LayerError(
            f"{type(model).__name__} does not say what its classifier is, as timm's models do: "
            "name the layer that enters it, such as 'fc:input', in place of 'embedding'"
        )
    return places, branches


def list_layers(model: nn.Module, input_size: tuple[int, int, int]) -> list[LayerInfo]:
    """List every layer that can be hooked, from one forward pass on zeros.

    Parameters
    ----------
    input_size : (C, H, W) of one input

    Returns
    -------
    In the order of `named_modules`, a module with two names under both; ``prediction`` last.
    """
    model = unwrap(model)
    shapes: dict[nn.Module, tuple[int, ...] | None] = {}
    calls: dict[nn.Module, int] = {}

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        tensor = first_tensor(output)
        shapes[module] = None if tensor is None else tuple(tensor.shape[1:])
        calls[module] = calls.get(module, 0) + 1

    with ExitStack() as stack:
        for module in model.modules():
            stack.callback(module.register_forward_hook(note).remove)
        stack.enter_context(undisturbed(model))
        parameter = next(model.parameters(), torch.empty(0))
        model(torch.zeros(1, *input_size, device=parameter.device, dtype=parameter.dtype))
    named = dict(model.named_modules(remove_duplicate=False))
    named[PREDICTION] = named.pop("")
    return [
        LayerInfo(name, type(module).__name__, shapes.get(module), calls.get(module, 0))
        for name, module in named.items()
    ]


def unwrap(model: nn.Module) -> nn.Module:
    """Take off the wrappers whose layers cannot be hooked: `torch.compile` and data parallelism.

    A compiled graph ignores hooks that are added after its first call, without a word; replicas
    hand over pieces of a batch in any order. The module inside runs with the same weights.
    """
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(
            model, nn.DataParallel | nn.parallel.DistributedDataParallel
        ):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


@contextmanager
def undisturbed(model: nn.Module, *, gradients: bool = False) -> Iterator[None]:
    """Run a model as it is meant for inference, and leave no trace of it.

    Within it there are gradients only if asked for, every module is in evaluation mode, and what
    `torch.compile` has compiled runs as written, so that hooks are called. Afterwards, also
    after an exception, each module has its own training flag back.
    """
    # Set directly: some modules override train() to merge weights, which this must not cause.
    training = []
    compiled = False
    # Not by modules() and hasattr, which together take as long as a small layer, in each pass.
    ahead, seen = [model], {model}
    while ahead:
        module = ahead.pop()
        if module.training:
            training.append(module)
        held = module._modules  # noqa: SLF001  # as modules() reads it
        compiled |= module.__dict__.get("_compiled_call_impl") is not None or "_orig_mod" in held
        for child in held.values():
            if child is not None and child not in seen:
                seen.add(child)
                ahead.append(child)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(not gradients))
        stack.enter_context(torch.set_grad_enabled(gradients))
        if compiled:
            stack.enter_context(_STANCE_LOCK)
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            for module in training:
                module.training = False
            yield
        finally:
            for module in training:
                module.training = True


def first_tensor(value: Any) -> torch.Tensor | None:
    """Find the first tensor in an output: itself, or depth first through tuples, lists, dicts."""
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return next((found for item in value if (found := first_tensor(item)) is not None), None)
    return None


def find_module(model: nn.Module, resolved: str) -> nn.Module:
    """Give the module behind a name that `resolve_layer` returned (not ``prediction``)."""
    return model.get_submodule(resolved.removesuffix(INPUT_MARK))


def _beginning(model: nn.Module, classifier: str) -> str:
    """Name what a classifier begins with: itself, or a norm before it that is part of it.

    A kind of sequence of its own (timm's NormLinear) runs as one; plain ones may be taken apart.
    """
    parent = classifier.rpartition(".")[0]
    held = model.get_submodule(parent)
    one_piece = isinstance(held, nn.Sequential) and type(held) is not nn.Sequential
    return parent if parent and one_piece else classifier


def _counted(model: nn.Module, name: str) -> str:
    """Write a name that counts from the end, such as ``blocks.-1``, as one that counts up."""
    if "-" not in name:
        return name
    parts: list[str] = []
    for part in name.split("."):
        held = _find(model, ".".join(parts))
        from_end = part.startswith("-") and part[1:].isdecimal() and int(part)
        if from_end and isinstance(held, nn.ModuleList | nn.Sequential):
            known = list(held._modules)  # noqa: SLF001  # a Sequential may name its members
            parts.append(known[from_end] if -from_end <= len(known) else part)
        else:
            parts.append(part)
    return ".".join(parts)


def _find(model: nn.Module, name: str) -> nn.Module | None:
    try:
        return model.get_submodule(name)
    except AttributeError:  # no such attribute, or one that is no module
        return None


def _pooling(model: nn.Module) -> str | None:
    inside_head: str = f"head.{_POOL}"
    if _find(model, inside_head) is not None:
        return inside_head
    get_classifier = getattr(model, "get_classifier", None)
    classifier = get_classifier() if callable(get_classifier) else None
    if isinstance(classifier, tuple | list):  # a distilled model: the class token's comes first
        classifier = classifier[0]
    name: str
    for name, module in model.named_modules():
        if module is classifier and name and not isinstance(module, nn.ModuleList):
            return name + INPUT_MARK
    # One classifier per branch, none of them seeing the whole.
    return "head_drop" if callable(get_classifier) and _find(model, "head_drop") else None


def _no_such_layer(model: nn.Module, name: str) -> str:
    configuration = getattr(model, "pretrained_cfg", None)
    architecture = configuration.get("architecture") if isinstance(configuration, dict) else None
    names = [known for known, _ in model.named_modules(remove_duplicate=False) if known]
    names += [PREDICTION, *([_POOL, EMBEDDING] if _pooling(model) else [])]
    closest = difflib.get_close_matches(name, names, n=_CLOSEST, cutoff=0.4)
    hint = f" Closest: {', '.join(closest)}." if closest else ""
    everything = (
        f"`dedup layers {architecture}` shows them all"
        if architecture
        else "`dedup layers MODEL` shows a timm model's, list_layers() any module's"
    )
    return f"{type(model).__name__} has no layer {name!r}.{hint} {everything}."
