"""A model with its weights, and everything else that decides what it sees.

Weights come from timm's hub, from a safetensors file, or from a fixed seed (untrained); nothing
is ever unpickled. Input size, mean and standard deviation are timm's. Running the model is left
to `dedup.runtimes.torch_runtime`. Importing this module does not import torch.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import ModelError, UnknownModelError, WeightsError
from dedup.models import hub
from dedup.models.registry import BUNDLED, DEFAULT_MODEL, DEFAULT_UNTRAINED, WEIGHTS
from dedup.models.weights import (
    Reading,
    model_name_for,
    read_metadata,
    read_weights,
    weights_file_digest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import torch
    from torch import nn

    from dedup.models.layers import LayerInfo

__all__ = [
    "LoadedModel",
    "ShippedModel",
    "list_model_layers",
    "load_model",
    "model_name_for",
    "shipped_model",
    "weights_file_digest",
]

DEFAULT_LAYER: Final = "global_pool"
_SEED: Final = 0
_RGB: Final = 3
_CLOSEST: Final = 5
_LISTED: Final = 8  # keys of each kind that a mismatch spells out


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to run, in evaluation mode, on the host.

    Attributes
    ----------
    name : as it was asked for, a pretrained tag included
    weights : where they are from: ``hub:NAME.TAG``, ``file``, ``bundled`` or ``untrained``
    weights_digest : SHA-256 in hexadecimal digits: of the weights file, or else of the names,
        types, shapes and bytes of the sorted state
    input_size : (C, H, W) that the weights file or else timm's configuration names; C is 3
    mean, std : of each channel, of values in [0, 1]
    layer : the one that embeddings are meant to be taken from
    """

    name: str
    module: nn.Module
    weights: str
    weights_digest: str
    input_size: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    layer: str = DEFAULT_LAYER


@dataclass(frozen=True, slots=True)
class ShippedModel:
    """What is known of a network that the package ships without loading it; as `LoadedModel`."""

    name: str
    weights: str
    weights_digest: str
    input_size: tuple[int, int, int]
    layer: str


def shipped_model(name: str) -> ShippedModel:
    """Describe one of `BUNDLED` by what its weights file says, without importing torch."""
    known = BUNDLED[name]
    stated = read_metadata(WEIGHTS / known.file)
    if stated.side is None or stated.layer is None:
        raise WeightsError(f"{known.file} does not say its input size and layer.")
    size = (_RGB, stated.side, stated.side)
    return ShippedModel(name, "bundled", known.digest, size, stated.layer)


def load_model(
    name: str | None = None, *, weights: Path | None = None, untrained: bool = False
) -> LoadedModel:
    """Build a timm model and give it its weights.

    Parameters
    ----------
    name : any timm name, with or without a pretrained tag, or a network that the package ships
        (`BUNDLED`); without one, what the weights file is for (`model_name_for`), else
        `DEFAULT_MODEL`, or `DEFAULT_UNTRAINED`
    weights : a safetensors file that holds every weight of the model. Its number of classes
        may be another than timm's; without a classifier, the prediction is what would enter it.
    untrained : random weights, the same every time for one version of torch

    Raises
    ------
    UnknownModelError : timm has no such model, or no such tag of it.
    WeightsError : they cannot be had, read, or do not fit; says which and how to go on.
    ModelError : the file does not say which model it is for, or the model takes no RGB images.

    Notes
    -----
    The state of every random number generator is left as it was.
    """
    if weights is not None and untrained:
        raise ValueError("weights and untrained exclude each other")
    if name is None:
        default = DEFAULT_UNTRAINED if untrained else DEFAULT_MODEL
        name = default if weights is None else model_name_for(weights)
    with _quiet():
        if name in BUNDLED and weights is None:
            if untrained:
                raise ModelError(f"{name} comes with its weights: leave --untrained out.")
            return _bundled(name)
        _check_known(name)
        if weights is not None:
            module = _from_file(name, weights)
            origin, digest = "file", weights_file_digest(weights)
        elif untrained:
            module = _build(name)
            origin, digest = "untrained", _state_digest(module)
        else:
            module, origin = _from_hub(name)
            digest = _state_digest(module)
        stated = Reading() if weights is None else read_metadata(weights)
        return _with_configuration(name, module.eval(), origin, digest, stated)


def list_model_layers(
    name: str | None = None, *, weights: Path | None = None
) -> tuple[LayerInfo, ...]:
    """List every layer of a model that can be hooked, without downloading its weights.

    Parameters
    ----------
    name, weights : as `load_model` takes them

    Returns
    -------
    As `dedup.models.layers.list_layers`, for one image of the model's input size.

    Raises
    ------
    UnknownModelError, WeightsError, ModelError : as `load_model`.
    """
    from dedup.models.layers import list_layers

    untrained = weights is None and (name or DEFAULT_MODEL) not in BUNDLED
    loaded = load_model(name, weights=weights, untrained=untrained)
    return tuple(list_layers(loaded.module, loaded.input_size))


def _bundled(name: str) -> LoadedModel:
    known = BUNDLED[name]
    file = WEIGHTS / known.file
    digest = weights_file_digest(file)
    if digest != known.digest:
        raise WeightsError(
            f"{file} is not the file that dedup was released with (SHA-256 {digest[:12]}…, not "
            f"{known.digest[:12]}…); install dedup again."
        )
    module = _from_file(model_name_for(file), file)
    return _with_configuration(name, module.eval(), "bundled", digest, read_metadata(file))


def _with_configuration(
    name: str, module: nn.Module, origin: str, digest: str, stated: Reading
) -> LoadedModel:
    from timm.data.config import resolve_model_data_config

    configuration: dict[str, Any] = resolve_model_data_config(module)  # type: ignore[no-untyped-call]  # timm's has no annotations
    channels, height, width = configuration["input_size"]
    if stated.side is not None:
        height = width = stated.side
    if channels != _RGB:
        raise ModelError(f"{name} takes images of {channels} channels, not RGB; choose another.")
    return LoadedModel(
        name=name,
        module=module,
        weights=origin,
        weights_digest=digest,
        input_size=(channels, height, width),
        mean=_triple(stated.mean or configuration["mean"]),
        std=_triple(stated.std or configuration["std"]),
        layer=stated.layer or DEFAULT_LAYER,
    )


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)


def _check_known(name: str) -> None:
    timm = hub.import_timm()
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        names = timm.list_models()
        raise UnknownModelError(name, difflib.get_close_matches(architecture, names, _CLOSEST, 0.5))
    tags = timm.list_models(f"{architecture}.*", pretrained=True)
    if tag and name not in tags:
        raise UnknownModelError(name, difflib.get_close_matches(name, tags, _CLOSEST, 0))


def _build(name: str, num_classes: int | None = None) -> nn.Module:
    import torch

    timm = hub.import_timm()

    # The host's generator alone: torch.manual_seed would seed the accelerators' too.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_SEED)
        module: nn.Module = timm.create_model(name, num_classes=num_classes)
    return module


def _from_hub(name: str) -> tuple[nn.Module, str]:
    import torch

    timm = hub.import_timm()

    found = hub.pretrained_file(name)
    state = read_weights(found.path)
    with torch.random.fork_rng(devices=[]):
        try:
            # By way of timm, which renames the keys of weights that others have published.
            module: nn.Module = timm.create_model(
                found.name, pretrained=True, pretrained_cfg_overlay={"state_dict": state}
            )
        except (RuntimeError, KeyError) as error:
            message = f"the hub's weights do not fit timm's {found.name}: {error}"
            raise WeightsError(message) from error
    # timm keeps the configuration on the model, and with it a second copy of the weights.
    module.pretrained_cfg.pop("state_dict", None)  # type: ignore[operator, union-attr]  # a dict
    return module, f"hub:{found.name}"


def _from_file(name: str, weights: Path) -> nn.Module:
    state = read_weights(weights)
    module = _build(name)
    mismatch = _Mismatch.between(module, state)
    classes = mismatch.classes(module, state)
    if classes is not None:
        module = _build(name, classes)
        mismatch = _Mismatch.between(module, state)
    if mismatch:
        raise WeightsError(mismatch.message(name, weights))
    module.load_state_dict(state)
    return module


@dataclass(frozen=True, slots=True)
class _Mismatch:
    """How the tensors of a file differ from those of a model."""

    missing: list[str]
    unexpected: list[str]
    reshaped: dict[str, str]

    @classmethod
    def between(cls, module: nn.Module, state: dict[str, torch.Tensor]) -> _Mismatch:
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


def _state_digest(module: nn.Module) -> str:
    import torch

    digest = hashlib.sha256()
    for key, tensor in sorted(module.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what timm and the hub say about themselves away from the user's terminal."""
    loggers = [logging.getLogger(name) for name in ("timm", "huggingface_hub", "httpx")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
