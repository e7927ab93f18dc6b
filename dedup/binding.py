"""The bond between a collection and the model that embeds for it.

`prepare` turns a `ModelSpec` into a loaded model and the fingerprint that a new collection pins;
`check` compares a spec with a pinned fingerprint without importing torch; `load` loads the very
weights that a fingerprint names, or says why it cannot.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dedup.errors import FingerprintError, ModelError, WeightsError
from dedup.fingerprint import CONTENT, DETAILS, Fingerprint
from dedup.models.loaded import (
    FROM_FILES,
    OWN,
    PLUGIN,
    PLUGIN_FILE,
    LoadedModel,
    OnnxModel,
    ShippedModel,
    TextTower,
)
from dedup.models.loading import has_no_weights, load_model, shipped_model
from dedup.models.registry import BUNDLED, CLIP_PREFIX, DEFAULT_MODEL, ONNX_SUFFIX
from dedup.models.weights import weights_file_digest
from dedup.results import Layer, LayersAnswer
from dedup.space.fusion import content_weight
from dedup.spec import BOTH_VIEWS, ModelSpec, Runtime

if TYPE_CHECKING:
    from os import PathLike

    from dedup.models.own import OwnModel
    from dedup.runtimes.select import Runtime as ReadyRuntime
    from dedup.store.catalog import Catalog

_SIDE_WITHOUT_MODEL = 224
"""Side in pixels of the square by which blank images are recognised, where there is no model."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a new collection is made with.

    Parameters
    ----------
    loaded : None where details are the only view, or where the package ships the model's graph:
        `load` starts that without torch
    note : the model that was taken by default, one sentence; "" where the user named it
    """

    fingerprint: Fingerprint
    loaded: LoadedModel | OnnxModel | None
    note: str = ""


def prepare(spec: ModelSpec) -> Chosen:
    """Load the model of a new collection, and name it; the default is the bundled one.

    Raises
    ------
    ModelError : unknown model; weights that are missing or do not fit.
    """
    from dedup.images.decode import DECODER

    if spec.vectors:
        return Chosen(Fingerprint.own(spec.vectors, DECODER), None)
    views = tuple(view for view in BOTH_VIEWS if view in (spec.views or BOTH_VIEWS))
    digest = ""
    if DETAILS in views:
        from dedup.descriptors.vlad import load_details

        digest = load_details().digest
    if CONTENT not in views:
        side = _SIDE_WITHOUT_MODEL
        return Chosen(Fingerprint("", "", "", (), side, side, DECODER, views, digest, 0.0), None)
    named = spec.model or spec.weights or spec.untrained
    note = "" if named else f"Using the bundled model {DEFAULT_MODEL}; --model names another"
    model = _shipped(spec) or model_of(spec)
    _, height, width = model.input_size
    layers = spec.layers or (model.layer,)
    if isinstance(model, OnnxModel):
        from dedup.models.onnx_file import chosen_layers

        layers = chosen_layers(model, spec.layers)
    share = content_weight(untrained=spec.untrained) if DETAILS in views else 1.0
    fingerprint = Fingerprint(
        model.name, model.weights, model.weights_digest, layers, height, width, DECODER, views,
        details_digest=digest, content_share=share,
    )  # fmt: skip
    if isinstance(model, OnnxModel):
        fingerprint = replace(fingerprint, mean=model.mean, std=model.std)
    return Chosen(fingerprint, None if isinstance(model, ShippedModel) else model, note)


def model_of(spec: ModelSpec) -> LoadedModel | OnnxModel:
    """Load the model that a spec names, of whichever kind.

    Raises
    ------
    ModelError : unknown model; weights that are missing or do not fit.
    """
    if spec.own is not None:
        return spec.own.loaded()
    if _is_onnx(spec.name) and spec.weights is not None:
        from dedup.models.onnx_file import read_onnx

        return read_onnx(spec.weights, spec.size, spec.mean, spec.std)
    return load_model(
        spec.name, weights=spec.weights, untrained=spec.untrained, unpickle=spec.unpickle
    )


def _is_onnx(name: str | None) -> bool:
    return name is not None and name.endswith(ONNX_SUFFIX)


def _shipped(spec: ModelSpec) -> ShippedModel | None:
    """Describe a model whose graph the package ships; None where torch is needed all the same."""
    name = spec.name or DEFAULT_MODEL
    if spec.own is not None or name not in BUNDLED or spec.weights is not None or spec.untrained:
        return None
    shipped = shipped_model(name)
    return shipped if spec.layers in {(), (shipped.layer,)} else None


def check(pinned: Fingerprint, collection: str | PathLike[str], spec: ModelSpec) -> None:
    """Refuse a spec that differs from what the collection was made with.

    Raises
    ------
    FingerprintError : it differs; the text says where, and the way out.
    """
    differences = _differences(pinned, spec)
    if differences:
        raise FingerprintError(
            collection,
            f"this collection was made with {'; '.join(differences)}. Embeddings of two kinds "
            "cannot be compared: leave the option out to go on as before, or start another "
            "collection with --store NEW_FOLDER.",
        )


def require_decoder(pinned: Fingerprint, collection: str | PathLike[str]) -> None:
    """Refuse to decode images by other rules than those of the collection.

    Raises
    ------
    FingerprintError : the decoders are other ones; the text says the way out.
    """
    from dedup.images.decode import DECODER

    if pinned.decoder != DECODER:
        raise FingerprintError(
            collection,
            f"this collection was made with other decoders: {pinned.decoder}; here are {DECODER}. "
            "Install those versions again (pip), or start another collection with --store "
            "NEW_FOLDER.",
        )


def _differences(pinned: Fingerprint, spec: ModelSpec) -> list[str]:
    """Say in words where a spec differs: "model: a, not b"."""
    differences = _preparation_differences(pinned, spec)
    if spec.vectors and spec.vectors != pinned.own_width:
        made = f"vectors of {pinned.own_width:,} values" if pinned.own_width else pinned.model
        differences.append(f"{made or 'details alone'}, not vectors of {spec.vectors:,} values")
    if spec.views and set(spec.views) != set(pinned.views):
        differences.append(f"views: {', '.join(pinned.views)}, not {', '.join(spec.views)}")
    if spec.own is not None:
        differences += _own_differences(pinned, spec.own)
    elif spec.weights is not None:
        # Equal contents are the same weights, however the file is called now.
        if weights_file_digest(spec.weights) != pinned.weights_digest:
            differences.append(f"weights: {pinned.weights or 'none'}, not {spec.weights}")
    elif spec.untrained and pinned.weights != "untrained":
        differences.append(f"weights: {pinned.weights or 'none'}, not untrained")
    elif spec.name and not spec.untrained and pinned.weights == "untrained":
        differences.append("weights: untrained, not pretrained")
    if spec.name is not None and spec.name != pinned.model:
        differences.append(f"model: {pinned.model or 'none'}, not {spec.name}")
    if spec.layers and spec.layers != pinned.layers:
        differences.append(
            f"layers: {', '.join(pinned.layers) or 'none'}, not {', '.join(spec.layers)}"
        )
    return differences


def _preparation_differences(pinned: Fingerprint, spec: ModelSpec) -> list[str]:
    differences = []
    if spec.size and spec.size != (pinned.height, pinned.width):
        size = f"{spec.size[0]} x {spec.size[1]}"
        differences.append(f"input size: {pinned.height} x {pinned.width}, not {size}")
    for name, asked, made in (("mean", spec.mean, pinned.mean), ("std", spec.std, pinned.std)):
        if asked and asked != made:
            differences.append(f"{name}: {made or 'of the model itself'}, not {asked}")
    return differences


def _own_differences(pinned: Fingerprint, own: OwnModel) -> list[str]:
    if pinned.weights != OWN:
        made = f"{pinned.model} ({pinned.weights})" if pinned.model else "none"
        return [f"model: {made}, not {own.name}, a module of your own"]
    digest = own.digest()
    if digest == pinned.weights_digest:
        return []
    made = f"{pinned.model} ({pinned.weights_digest[:12]}…)"
    others = "whose weights, structure, size, normalisation or transform are others"
    return [f"a module of your own: {made}, not {own.name} ({digest[:12]}…), {others}"]


def load(
    catalog: Catalog,
    weights: Path | None = None,
    where: Runtime | None = None,
    own: OwnModel | None = None,
) -> ReadyRuntime:
    """Load the very model that the collection was made with.

    Without importing torch, where it was converted before.

    Parameters
    ----------
    weights : where the weights file is now; None: where it was when the collection was made
    where : what runs it; None: chosen automatically
    own : the module, where it is the caller's; as `check` has found it

    Raises
    ------
    WeightsError : the weights are missing, or are other ones.
    ModelError : the module is the caller's, and none was given.
    """
    path = _weights_path(catalog, weights)
    return load_pinned(catalog.fingerprint, catalog.store, path, where, own)


def load_pinned(
    pinned: Fingerprint,
    collection: str | PathLike[str],
    weights: Path | None,
    where: Runtime | None = None,
    own: OwnModel | None = None,
) -> ReadyRuntime:
    """Load the model that a fingerprint names, from its weights file if it has one; as `load`."""
    from dedup.runtimes.select import ready_runtime

    where = where or Runtime()
    if pinned.own_width:
        raise ModelError(
            f"{collection}: this collection holds vectors of its owner's, which dedup cannot "
            "make for other images. Give the vector itself: dedup query --vector FILE.npy, or "
            "dedup index --vectors FILE.npy --ids FILE.csv"
        )
    if pinned.weights == "bundled" and pinned.model not in BUNDLED:
        raise WeightsError(
            f"this collection was made with {pinned.model}, which is not bundled with this version "
            "of dedup. Install a version that has it, or start another collection with --store "
            "NEW_FOLDER."
        )
    ready = ready_runtime(pinned, where.device, where.engine)
    if ready is not None:
        return ready
    return runtime(_pinned_model(pinned, collection, weights, own), pinned, where)


def _weights_path(catalog: Catalog, weights: Path | None) -> Path | None:
    """Find the weights file of a collection, and see that it is the one; None where it has none."""
    pinned = catalog.fingerprint
    if pinned.weights not in FROM_FILES:
        return None
    path = weights or Path(catalog.weights_path or "")
    if not path.is_file():
        raise WeightsError(
            f"{path}: the weights of this collection are no longer there. Say where they are "
            "now: --weights FILE"
        )
    if weights_file_digest(path) != pinned.weights_digest:
        raise WeightsError(
            f"{path}: not the weights that this collection was made with "
            f"(SHA-256 {pinned.weights_digest[:12]}…). Say where those are now: --weights FILE"
        )
    return path


def _pinned_model(
    pinned: Fingerprint,
    collection: str | PathLike[str],
    path: Path | None,
    own: OwnModel | None,
) -> LoadedModel | OnnxModel:
    if pinned.weights == OWN:
        if own is None:
            raise ModelError(
                f"{collection}: this collection was made with {pinned.model}, a module of its "
                "owner's, which only Python can bring: Collection.open(PATH, "
                "ModelSpec(OwnModel(module, ...))). What embeds no image works without it"
            )
        return own.loaded()
    if path is not None and _is_onnx(pinned.model):
        from dedup.models.onnx_file import read_onnx

        return read_onnx(path, (pinned.height, pinned.width), pinned.mean, pinned.std)
    # Of a checkpoint, this very content was asked for when the collection was made.
    untrained = pinned.weights == "untrained"
    loaded = load_model(pinned.model, weights=path, untrained=untrained, unpickle=True)
    if loaded.weights_digest != pinned.weights_digest:
        raise WeightsError(
            f"{pinned.model} ({pinned.weights}) has other weights now than when this "
            "collection was made: start another collection with --store NEW_FOLDER"
        )
    return loaded


def text_tower(
    catalog: Catalog, weights: Path | None = None, own: OwnModel | None = None
) -> TextTower:
    """Load the text tower of the model that the collection was made with.

    Raises
    ------
    ModelError : the model has none, or its embeddings are of another layer; as `load`.
    """
    pinned = catalog.fingerprint
    has_none = ModelError(
        f"{catalog.store}: this collection cannot be asked in words: "
        + (f"its model, {pinned.model}, has no text tower" if pinned.model else "it has no model")
        + ". Make another with a model of images and text: dedup index FOLDER --store NEW_FOLDER "
        f"--model {CLIP_PREFIX}ViT-B-32 --weights FILE"
    )
    clip = pinned.model.startswith(CLIP_PREFIX)
    if not pinned.model or pinned.weights == "bundled" or _is_onnx(pinned.model):
        raise has_none
    if not clip and pinned.weights not in {OWN, PLUGIN, PLUGIN_FILE}:
        raise has_none
    loaded = _pinned_model(pinned, catalog.store, _weights_path(catalog, weights), own)
    if not isinstance(loaded, LoadedModel) or loaded.text is None:
        raise has_none
    if pinned.layers[0] != loaded.layer:
        raise ModelError(
            f"{catalog.store}: words are compared with the layer {loaded.layer!r}, and this "
            f"collection's first is {pinned.layers[0]!r}: make another with --layer {loaded.layer} "
            "first, in --store NEW_FOLDER"
        )
    return loaded.text


def start(chosen: Chosen, where: Runtime) -> ReadyRuntime | None:
    """Start the model of a new collection, where that shows whether it can be made at all.

    Returns
    -------
    None where nothing can go wrong any more: the model is started with the first image.
    """
    loaded = chosen.loaded
    pinned = chosen.fingerprint
    has_model = pinned.model and not pinned.own_width
    if loaded is None and has_model and where.device.startswith("cuda"):
        loaded = load_model(pinned.model)  # there may be no such device
    return None if loaded is None else runtime(loaded, pinned, where)


def runtime(
    loaded: LoadedModel | OnnxModel, fingerprint: Fingerprint, where: Runtime | None = None
) -> ReadyRuntime:
    """Make a loaded model ready to embed."""
    from dedup.runtimes.select import make_runtime

    where = where or Runtime()
    return make_runtime(loaded, fingerprint, where.device, where.engine)


def layers(spec: ModelSpec | None = None) -> LayersAnswer:
    """List the layers of a model that can be hooked; shapes are those of one image.

    Parameters
    ----------
    spec : which model; None: the one that a new collection gets. No weights are downloaded for
        this, and `layers` and `views` do not matter

    Raises
    ------
    ModelError : unknown model, or weights that do not say which model they are for.
    """
    spec = spec or ModelSpec()
    if spec.own is None and has_no_weights(spec.name or DEFAULT_MODEL, spec.weights):
        spec = ModelSpec(spec.name, untrained=True)
    loaded = model_of(spec)
    if isinstance(loaded, OnnxModel):
        shapes = loaded.shapes.items()
        return LayersAnswer(loaded.name, tuple(Layer(name, "output", one) for name, one in shapes))
    from dedup.models.layers import list_layers

    found = list_layers(loaded.module, loaded.input_size)
    return LayersAnswer(loaded.name, tuple(Layer(one.name, one.type, one.shape) for one in found))
