"""A model with its weights, and everything else that decides what it sees.

Weights come from timm's hub, from a file, or from a fixed seed (untrained); no code in a file is
ever run. Input size, mean and standard deviation are timm's. Models of open_clip are left to
`clip`, those of other packages to `plugins`, running to `dedup.runtimes`. Importing this module
does not import torch.
"""

from __future__ import annotations

import difflib
import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import ModelError, UnknownModelError, WeightsError, first_line
from dedup.models import hub
from dedup.models.loaded import (
    DEFAULT_LAYER,
    PLUGIN,
    PLUGIN_FILE,
    LoadedModel,
    ShippedModel,
)
from dedup.models.mismatch import Mismatch
from dedup.models.own import state_digest
from dedup.models.quiet import quiet
from dedup.models.registry import (
    BUNDLED,
    CLIP_PREFIX,
    DEFAULT_MODEL,
    DEFAULT_UNTRAINED,
    HUB_PREFIX,
    ONNX_SUFFIX,
    WEIGHTS,
)
from dedup.models.weights import (
    Reading,
    is_pickle,
    model_name_for,
    read_metadata,
    read_weights,
    weights_file_digest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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

_log = logging.getLogger(__name__)

_SEED: Final = 0
_RGB: Final = 3
_CLOSEST: Final = 5


def shipped_model(name: str) -> ShippedModel:
    """Describe one of `BUNDLED` by what its weights file says, without importing torch."""
    known = BUNDLED[name]
    stated = read_metadata(WEIGHTS / known.file)
    if stated.side is None or stated.layer is None:
        raise WeightsError(f"{known.file} does not say its input size and layer.")
    size = (_RGB, stated.side, stated.side)
    return ShippedModel(name, "bundled", known.digest, size, stated.layer)


def load_model(
    name: str | None = None,
    *,
    weights: Path | None = None,
    untrained: bool = False,
    unpickle: bool = False,
) -> LoadedModel:
    """Build a model and give it its weights.

    Parameters
    ----------
    name : any timm name, with or without a pretrained tag, or ``hf-hub:ORG/NAME``; a network that
        the package ships (`BUNDLED`); ``open_clip:…`` (`clip`); a model of an installed package
        (`plugins`); without one, what the weights file is for (`model_name_for`), else
        `DEFAULT_MODEL`, or `DEFAULT_UNTRAINED`
    weights : a safetensors file that holds every weight of the model. Its number of classes
        may be another than timm's; without a classifier, the prediction is what would enter it.
    untrained : random weights, the same every time for one version of torch
    unpickle : `weights` may be a checkpoint of torch, of which tensors are read and nothing run

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
        name = default if weights is None else model_name_for(weights, unpickle=unpickle)
    _log.info("loading %s, %s", name, "untrained" if untrained else weights or "its own weights")
    other = _of_another_kind(name, weights, untrained=untrained, unpickle=unpickle)
    if other is not None:
        return other
    with quiet():
        if name in BUNDLED and weights is None:
            if untrained:
                raise ModelError(f"{name} comes with its weights: leave --untrained out.")
            return _bundled(name)
        if name.startswith(HUB_PREFIX):
            return _from_repository(name, weights, untrained=untrained)
        _check_known(name)
        stated = Reading()
        if weights is not None:
            module = _from_file(name, weights, unpickle=unpickle)
            origin, digest = "file", weights_file_digest(weights)
            stated = Reading() if is_pickle(weights) else read_metadata(weights)
        elif untrained:
            module = _build(name)
            origin, digest = "untrained", state_digest(module)
        else:
            module, origin = _from_hub(name)
            digest = state_digest(module)
        return _with_configuration(name, module.eval(), origin, digest, stated)


def _of_another_kind(
    name: str, weights: Path | None, *, untrained: bool, unpickle: bool
) -> LoadedModel | None:
    """Load what is neither timm's nor bundled; None where it is."""
    if name.startswith(CLIP_PREFIX):
        from dedup.models.clip import load_clip

        return load_clip(name, weights=weights, untrained=untrained, unpickle=unpickle)
    if name.endswith(ONNX_SUFFIX):
        raise ModelError(f"{name} is an ONNX file, which has outputs to keep but runs as it is.")
    from dedup.models.plugins import is_plugin, load_plugin

    if not is_plugin(name):
        return None
    if untrained:
        raise ModelError(f"{name} is a model of an installed package: leave --untrained out.")
    loaded = load_plugin(name, weights).loaded(PLUGIN if weights is None else PLUGIN_FILE)
    digest = loaded.weights_digest if weights is None else weights_file_digest(weights)
    return replace(loaded, name=name, weights_digest=digest)


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

    untrained = has_no_weights(name or DEFAULT_MODEL, weights)
    loaded = load_model(name, weights=weights, untrained=untrained)
    return tuple(list_layers(loaded.module, loaded.input_size))


def has_no_weights(name: str, weights: Path | None) -> bool:
    """Tell whether a model's layers are seen on random weights, so that none are downloaded."""
    from dedup.models.plugins import is_plugin

    return weights is None and name not in BUNDLED and not is_plugin(name)


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
    size = (channels, height, width)
    mean, std = (_triple(getattr(stated, each) or configuration[each]) for each in ("mean", "std"))
    if isinstance(module.pretrained_cfg, dict):
        # The module alone is to say as well what it takes: timm's own values are of other weights.
        module.pretrained_cfg |= {"input_size": size, "mean": mean, "std": std}
    return LoadedModel(
        name=name,
        module=module,
        weights=origin,
        weights_digest=digest,
        input_size=size,
        mean=mean,
        std=std,
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


def _from_repository(name: str, weights: Path | None, *, untrained: bool) -> LoadedModel:
    """Build a timm model as a repository of the hub describes it, with the weights there."""
    import torch

    if weights is not None:
        raise ModelError(
            f"{name} brings its weights: leave --weights out, or name the architecture that the "
            "file is for instead, --model NAME"
        )
    timm = hub.import_timm()
    repository, _, revision = name.removeprefix(HUB_PREFIX).partition("@")
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise ModelError(f"{name!r} is not of the form {HUB_PREFIX}ORG/NAME.")
    architecture, configuration, arguments = _described(
        name, hub.hub_file(name, repository, revision, ("config.json",))
    )
    _check_known(architecture)
    state = None if untrained else read_weights(hub.hub_file(name, repository, revision))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_SEED)
        try:
            module: nn.Module = timm.create_model(
                architecture,
                pretrained=not untrained,
                pretrained_cfg=configuration,
                pretrained_cfg_overlay={} if state is None else {"state_dict": state},
                **arguments,
            )
        except (RuntimeError, KeyError, TypeError, AttributeError) as error:
            message = f"the weights of {name} do not fit timm's {architecture}: {first_line(error)}"
            raise WeightsError(message) from error
    module.pretrained_cfg.pop("state_dict", None)  # type: ignore[operator, union-attr]  # a dict
    origin = "untrained" if untrained else f"hub:{name}"
    return _with_configuration(name, module.eval(), origin, state_digest(module), Reading())


def _described(name: str, path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Read a repository's config.json: architecture, configuration, arguments for its making."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        architecture = config["architecture"]
        configuration = dict(config.get("pretrained_cfg") or config)
        arguments = dict(config.get("model_args") or {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{name} is no timm model: its config.json names no architecture. Models of "
            "transformers have no loader here; in Python, ModelSpec(OwnModel(module)) takes any"
        ) from error
    for key in ("num_classes", "global_pool"):
        if config.get(key) is not None:
            configuration.setdefault(key, config[key])
    known = ("input_size", "mean", "std", "num_classes", "pool_size", "first_conv", "classifier")
    kept = ("crop_pct", "interpolation", "fixed_input_size", "tag", "custom_load", "crop_mode")
    configuration = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in configuration.items()
        if key in {*known, *kept}
    }
    return str(architecture), {"architecture": architecture, **configuration}, arguments


def _from_file(name: str, weights: Path, *, unpickle: bool = False) -> nn.Module:
    state = read_weights(weights, unpickle=unpickle)
    module = _build(name)
    mismatch = Mismatch.between(module, state)
    classes = mismatch.classes(module, state)
    if classes is not None:
        module = _build(name, classes)
        mismatch = Mismatch.between(module, state)
    if mismatch:
        raise WeightsError(mismatch.message(name, weights))
    module.load_state_dict(state)
    return module
