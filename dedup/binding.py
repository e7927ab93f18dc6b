"""The bond between a collection and the extractors that embed for it.

A `ModelChoice` is what a user asks for; `prepare` turns it into a loaded model and the fingerprint
that a new collection pins; `check` compares a choice with a pinned fingerprint without importing
torch; `load` brings back the very weights that a fingerprint names, or says why it cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dedup.errors import FingerprintError, ModelError, WeightsError
from dedup.fingerprint import CONTENT, DETAILS, Fingerprint
from dedup.images.decode import DECODER
from dedup.models.loading import LoadedModel, ShippedModel, load_model, shipped_model
from dedup.models.registry import BUNDLED, DEFAULT_MODEL
from dedup.models.weights import model_name_for, weights_file_digest
from dedup.space.fusion import content_weight

if TYPE_CHECKING:
    from dedup.runtimes.select import Runtime
    from dedup.store.catalog import Catalog

BOTH_VIEWS = (CONTENT, DETAILS)
_SIDE_WITHOUT_MODEL = 224
"""Of the square by which blank pictures are told, where no model says."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What a user asks for; None and () mean: whatever the collection has, or the default.

    Parameters
    ----------
    model : timm name, or one that the package ships
    weights : safetensors file; its name or metadata may tell the model
    untrained : seeded random weights instead of pretrained ones
    layers : names for the extractor; the first is the one that similarity is measured on
    views : `CONTENT`, `DETAILS` or both
    """

    model: str | None = None
    weights: Path | None = None
    untrained: bool = False
    layers: tuple[str, ...] = ()
    views: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.untrained and self.weights is not None:
            raise ValueError("weights and untrained exclude each other")
        if len(set(self.layers)) != len(self.layers):
            raise ModelError(f"a layer is named twice: {', '.join(self.layers)}")
        if set(self.views) - set(BOTH_VIEWS):
            raise ValueError(f"views are {' and '.join(BOTH_VIEWS)}, not {', '.join(self.views)}")
        if DETAILS in self.layers:
            raise ModelError(f"{DETAILS!r} is no layer but a view of its own")
        if self.views == (DETAILS,) and (
            self.model or self.weights or self.untrained or self.layers
        ):
            raise ModelError("the view details takes no model: leave --model and its like out")


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
    loaded: LoadedModel | None
    note: str = ""


def prepare(choice: ModelChoice) -> Chosen:
    """Load what was chosen, and name it; without a choice that is `DEFAULT_MODEL`.

    Raises
    ------
    ModelError : unknown model, weights that cannot be had or do not fit.
    """
    views = tuple(view for view in BOTH_VIEWS if view in (choice.views or BOTH_VIEWS))
    digest = ""
    if DETAILS in views:
        from dedup.descriptors.vlad import load_details

        digest = load_details().digest
    if CONTENT not in views:
        side = _SIDE_WITHOUT_MODEL
        return Chosen(Fingerprint("", "", "", (), side, side, DECODER, views, digest, 0.0), None)
    named = choice.model or choice.weights or choice.untrained
    note = "" if named else f"Using the bundled model {DEFAULT_MODEL}; --model names another"
    model = _shipped(choice) or load_model(
        choice.model, weights=choice.weights, untrained=choice.untrained
    )
    _, height, width = model.input_size
    fingerprint = Fingerprint(
        model=model.name,
        weights=model.weights,
        weights_digest=model.weights_digest,
        layers=choice.layers or (model.layer,),
        height=height,
        width=width,
        decoder=DECODER,
        views=views,
        details_digest=digest,
        content_share=content_weight(untrained=choice.untrained) if DETAILS in views else 1.0,
    )
    return Chosen(fingerprint, model if isinstance(model, LoadedModel) else None, note)


def _shipped(choice: ModelChoice) -> ShippedModel | None:
    """Describe a model whose graph the package ships; None where torch is needed all the same."""
    name = choice.model or DEFAULT_MODEL
    if name not in BUNDLED or choice.weights is not None or choice.untrained:
        return None
    shipped = shipped_model(name)
    return shipped if choice.layers in {(), (shipped.layer,)} else None


def check(catalog: Catalog, choice: ModelChoice) -> None:
    """Refuse a choice, or a decoder, that differs from what the collection was made with.

    Raises
    ------
    FingerprintError : it differs; the text says where, and the way out.
    """
    pinned = catalog.fingerprint
    differences = _differences(pinned, choice)
    if pinned.decoder != DECODER:
        raise FingerprintError(
            catalog.store,
            f"this collection was made with other decoders: {pinned.decoder}; here are {DECODER}. "
            "Install those versions again (pip), or start another collection with --store "
            "NEW_FOLDER.",
        )
    if differences:
        raise FingerprintError(
            catalog.store,
            f"this collection was made with {'; '.join(differences)}. Embeddings of two kinds "
            "cannot be compared: leave the option out to go on as before, or start another "
            "collection with --store NEW_FOLDER.",
        )


def _differences(pinned: Fingerprint, choice: ModelChoice) -> list[str]:
    """Say in words where a choice differs: "model: a, not b"."""
    differences = []
    if choice.views and set(choice.views) != set(pinned.views):
        differences.append(f"views: {', '.join(pinned.views)}, not {', '.join(choice.views)}")
    if choice.weights is not None:
        digest = weights_file_digest(choice.weights)
        if digest != pinned.weights_digest:
            differences.append(f"weights: {pinned.weights}, not {choice.weights}")
        elif choice.model is None and model_name_for(choice.weights) != pinned.model:
            differences.append(f"model: {pinned.model}, not {model_name_for(choice.weights)}")
    elif choice.untrained and pinned.weights != "untrained":
        differences.append(f"weights: {pinned.weights}, not untrained")
    elif choice.model and not choice.untrained and pinned.weights == "untrained":
        differences.append("weights: untrained, not pretrained")
    if choice.model is not None and choice.model != pinned.model:
        differences.append(f"model: {pinned.model or 'none'}, not {choice.model}")
    if choice.layers and choice.layers != pinned.layers:
        differences.append(f"layers: {', '.join(pinned.layers)}, not {', '.join(choice.layers)}")
    return differences


def load(
    catalog: Catalog, weights: Path | None = None, device: str = "auto", kind: str = "auto"
) -> Runtime:
    """Load the very model that the collection was made with.

    Without importing torch, where it was converted before.

    Parameters
    ----------
    weights : where the weights file is now; None: where it was when the collection was made
    device : "auto", "cpu" or "cuda"
    kind : runtime, "auto", "torch", "openvino" or "onnxruntime"

    Raises
    ------
    WeightsError : the weights are not to be had, or are other ones.
    """
    from dedup.runtimes.select import ready_runtime

    pinned = catalog.fingerprint
    path = None
    if pinned.weights == "file":
        path = weights or Path(catalog.weights_path or "")
        if not path.is_file():
            raise WeightsError(
                f"{path}: the weights of this collection are not there any more. Say where they "
                "are now: --weights FILE"
            )
        if weights_file_digest(path) != pinned.weights_digest:
            raise WeightsError(
                f"{path}: not the weights that this collection was made with "
                f"(SHA-256 {pinned.weights_digest[:12]}…). Say where those are: --weights FILE"
            )
    elif pinned.weights == "bundled" and pinned.model not in BUNDLED:
        raise WeightsError(
            f"this collection was made with {pinned.model}, which this version of dedup does not "
            "bring along any more. Install the version that did, or start another collection with "
            "--store NEW_FOLDER."
        )
    ready = ready_runtime(pinned, device, kind)
    if ready is not None:
        return ready
    loaded = load_model(pinned.model, weights=path, untrained=pinned.weights == "untrained")
    if loaded.weights_digest != pinned.weights_digest:
        raise WeightsError(
            f"{pinned.model} ({pinned.weights}) has other weights now than when this "
            "collection was made: start another collection with --store NEW_FOLDER"
        )
    return runtime(loaded, pinned, device, kind)


def runtime(
    loaded: LoadedModel, fingerprint: Fingerprint, device: str = "auto", kind: str = "auto"
) -> Runtime:
    """Make a loaded model ready to embed."""
    from dedup.runtimes.select import make_runtime

    return make_runtime(loaded, fingerprint, device, kind)
