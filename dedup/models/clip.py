"""Models of images and text by open_clip (extra `text`): CLIP, SigLIP and their like.

A name is ``open_clip:ARCHITECTURE``, with ``/TAG`` for pretrained weights of the hub;
``open_clip:hf-hub:ORG/NAME`` for a repository of open_clip's form; or ``open_clip:FOLDER``, a
folder with ``open_clip_config.json`` beside the weights. The image tower is the collection's model,
and the text tower says in the same space what words mean. The tokenizer is made with the first
text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import ExtraMissingError, ModelError, WeightsError, first_line
from dedup.models import hub
from dedup.models.loaded import LoadedModel
from dedup.models.mismatch import Mismatch
from dedup.models.own import channels_of, size_of, state_digest
from dedup.models.quiet import quiet
from dedup.models.registry import CLIP_PREFIX
from dedup.models.weights import read_weights, weights_file_digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import nn

_HUB: Final = "hf-hub:"
_CONFIG: Final = "open_clip_config.json"
_SEED: Final = 0
_ERRORS: Final = (OSError, RuntimeError, ValueError, KeyError, TypeError, ImportError)
_RGB: Final = 3


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a model is from.

    Parameters
    ----------
    asked : what open_clip knows its structure by
    tokenizer : what it knows its tokenizer by
    preprocessing : what is stated of mean and std
    weights : the file; None where there is to be none
    origin : as `LoadedModel.weights`
    """

    asked: str
    tokenizer: str
    preprocessing: dict[str, Any]
    weights: Path | None
    origin: str


def load_clip(
    name: str,
    *,
    weights: Path | None = None,
    untrained: bool = False,
    unpickle: bool = False,
) -> LoadedModel:
    """Build a model of open_clip and give it its weights.

    Parameters
    ----------
    name : see the module
    weights, untrained, unpickle : as `load_model` takes them

    Raises
    ------
    ExtraMissingError : open_clip is not installed.
    WeightsError, ModelError : unknown model, or weights that cannot be had, read, or do not fit.
    """
    open_clip = import_open_clip()
    with quiet(root=True):
        source = _source(open_clip, name, weights, untrained=untrained)
        clip = _built(open_clip, name, source)
        if source.weights is not None:
            _fill(clip, name, source.weights, unpickle=unpickle)
    visual: nn.Module = clip.visual
    height, width = size_of(_plain(visual.image_size))
    stated = source.preprocessing or dict(getattr(visual, "preprocess_cfg", {}))
    mean, std = (channels_of(stated.get(key) or default, key) for key, default in _DEFAULTS.items())
    is_file = source.origin == "file" and source.weights is not None
    return LoadedModel(
        name=name,
        module=visual.eval(),
        weights=source.origin,
        weights_digest=weights_file_digest(source.weights)  # type: ignore[arg-type]  # is a file
        if is_file
        else state_digest(clip),
        input_size=(_RGB, height, width),
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        layer="prediction",
        text=_TextTower(name, clip, source.tokenizer),
    )


_DEFAULTS: Final = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}
"""OpenAI's, which open_clip takes where nothing is stated."""


def import_open_clip() -> Any:
    """Import open_clip.

    Raises
    ------
    ExtraMissingError
    """
    hub.import_timm()  # keeps the hub's client from reporting
    try:
        import open_clip
    except ImportError as error:
        raise ExtraMissingError("a model of open_clip", "text") from error
    return open_clip


class _TextTower:
    """Words in the space of the image tower; its tokenizer is made when it is needed."""

    def __init__(self, name: str, clip: Any, tokenizer: str) -> None:
        self._name = name
        self._clip = clip
        self._asked = tokenizer
        self._tokenizer: Any = None

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        import torch

        from dedup.models.layers import undisturbed

        if self._tokenizer is None:
            self._tokenizer = self._made()
        tokens = self._tokenizer(list(texts))
        with undisturbed(self._clip):
            device = next(self._clip.parameters()).device
            features = self._clip.encode_text(tokens.to(device), normalize=True)
            found: npt.NDArray[np.float32] = features.to("cpu", torch.float32).numpy()
        return found

    def _made(self) -> Any:
        open_clip = import_open_clip()
        try:
            with quiet(root=True):
                return open_clip.get_tokenizer(self._asked)
        except (*_ERRORS, AssertionError) as error:
            needs = " (it needs the package transformers, which the extra text installs)"
            missing = needs if "transformers" in str(error) or not _has_transformers() else ""
            raise ModelError(
                f"{self._name} has no tokenizer here, so that words cannot be turned into its "
                f"input: {first_line(error)}{missing}. Run once where the hub can be reached and "
                f"copy its cache (HF_HOME) here, or put the tokenizer's files beside {_CONFIG} in "
                f"a folder and give that: --model {CLIP_PREFIX}FOLDER"
            ) from error


def _has_transformers() -> bool:
    from importlib.util import find_spec

    return find_spec("transformers") is not None


def _source(open_clip: Any, name: str, weights: Path | None, *, untrained: bool) -> _Source:
    asked = name.removeprefix(CLIP_PREFIX)
    beside = None if weights is None else weights.parent / _CONFIG
    if asked.startswith(_HUB):
        repository, _, revision = asked.removeprefix(_HUB).partition("@")
        config = hub.hub_file(name, repository, revision, (_CONFIG,))
        tokenizer = asked.partition("@")[0] if _has_hub_tokenizer(config) else _local(config.parent)
        stated = _read_config(config).get("preprocess_cfg", {})
        own = weights is not None or untrained
        file = weights if own else hub.hub_file(name, repository, revision)
        return _Source(
            _local(config.parent), tokenizer, stated, file, _origin(name, weights, untrained)
        )
    architecture, _, tag = asked.partition("/")
    known = open_clip.list_models()
    if beside is not None and beside.is_file():
        stated = _read_config(beside).get("preprocess_cfg", {})
        return _Source(_local(beside.parent), _local(beside.parent), stated, weights, "file")
    if architecture not in known:
        import difflib

        closest = difflib.get_close_matches(architecture, known, 5, 0.4)
        hint = f" Closest: {', '.join(CLIP_PREFIX + one for one in closest)}." if closest else ""
        raise ModelError(f"open_clip has no model {architecture!r}.{hint}")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag and tag not in tags:
        raise WeightsError(f"open_clip has no weights {tag!r} for {architecture}: {_listed(tags)}")
    stated = _stated(open_clip, architecture, [tag] if tag else tags)
    origin = _origin(name, weights, untrained)
    if weights is not None or untrained:
        return _Source(architecture, architecture, stated, weights, origin)
    if not tag:
        raise WeightsError(
            f"{name} needs weights: name those of the hub by a tag ({_listed(tags)}), as in "
            f"--model {name}/{tags[0] if tags else 'TAG'}, or give a file: --weights FILE"
        )
    at = open_clip.get_pretrained_cfg(architecture, tag).get("hf_hub") or ""
    parts = at.split("/")
    if len(parts) < 2 or not all(parts[:2]):  # noqa: PLR2004 - ORG/NAME/FILE
        raise WeightsError(
            f"the weights {tag} of {architecture} are published only as a pickle, which is never "
            "downloaded; take another tag, or give a file: --weights FILE"
        )
    file = hub.hub_file(name, "/".join(parts[:2]))
    return _Source(architecture, architecture, stated, file, origin)


def _origin(name: str, weights: Path | None, untrained: bool) -> str:  # noqa: FBT001 - private
    return "file" if weights is not None else "untrained" if untrained else f"hub:{name}"


def _stated(open_clip: Any, architecture: str, tags: list[str]) -> dict[str, Any]:
    """Give mean and std where all pretrained weights of an architecture agree on them."""
    found = [open_clip.get_pretrained_cfg(architecture, tag) for tag in tags]
    stated = [{key: tuple(one.get(key) or ()) for key in _DEFAULTS} for one in found]
    return stated[0] if stated and all(one == stated[0] for one in stated) else {}


def _listed(tags: list[str]) -> str:
    return ", ".join(tags) or "there are none"


def _local(folder: Path) -> str:
    return f"local-dir:{folder}"


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {first_line(error)}") from error
    if not isinstance(config, dict) or "model_cfg" not in config:
        raise WeightsError(f"{path} is no configuration of open_clip: it has no model_cfg.")
    return config


def _has_hub_tokenizer(config: Path) -> bool:
    return bool(_read_config(config)["model_cfg"].get("text_cfg", {}).get("hf_tokenizer_name"))


def _built(open_clip: Any, name: str, source: _Source) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_SEED)
        try:
            clip = open_clip.create_model(source.asked, load_weights=False, pretrained_text=False)
        except _ERRORS as error:
            raise ModelError(f"open_clip cannot build {name}: {first_line(error)}") from error
    return clip.eval()


def _fill(clip: Any, name: str, weights: Path, *, unpickle: bool) -> None:
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    state: dict[str, Any] = convert_state_dict(clip, read_weights(weights, unpickle=unpickle))
    if "positional_embedding" in state and not hasattr(clip, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    for key in [key for key in state if key.endswith(".position_ids")]:
        del state[key]  # of older releases of transformers
    wanted = clip.state_dict()
    for key in ("logit_scale", "logit_bias"):  # a number, or one in a list
        if key in state and key in wanted:
            state[key] = state[key].reshape(wanted[key].shape)
    mismatch = Mismatch.between(clip, state)
    if mismatch:
        raise WeightsError(mismatch.message(name, weights))
    clip.load_state_dict(state, strict=False)


def _plain(size: Any) -> Any:
    return size if isinstance(size, int) else tuple(size)
