"""The bond between a collection and the model that embeds for it.

A `ModelChoice` is what a user asks for; `prepare` turns it into a loaded model and the fingerprint
that a new collection pins; `check` compares a choice with a pinned fingerprint without importing
torch; `load` brings back the very weights that a fingerprint names, or says why it cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dedup.errors import FingerprintError, ModelError, WeightsError
from dedup.fingerprint import Fingerprint
from dedup.images.decode import DECODER
from dedup.models.names import DEFAULT_MODEL
from dedup.models.weights import model_name_for, weights_file_digest

if TYPE_CHECKING:
    from dedup.models.loading import LoadedModel
    from dedup.models.runtimes import Runtime
    from dedup.store.catalog import Catalog

DEFAULT_LAYERS = ("global_pool",)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What a user asks for; None and () mean: whatever the collection has, or the default.

    Parameters
    ----------
    model : timm name
    weights : safetensors file; its name or metadata may tell the model
    untrained : seeded random weights instead of pretrained ones
    layers : names for the extractor; the first is the one that similarity is measured on
    """

    model: str | None = None
    weights: Path | None = None
    untrained: bool = False
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.untrained and self.weights is not None:
            raise ValueError("weights and untrained exclude each other")
        if len(set(self.layers)) != len(self.layers):
            raise ModelError(f"a layer is named twice: {', '.join(self.layers)}")


def prepare(choice: ModelChoice) -> tuple[Fingerprint, LoadedModel]:
    """Load what was chosen, and name it.

    Raises
    ------
    ModelError : unknown model, weights that cannot be had or do not fit.
    """
    from dedup.models.loading import load_model

    name = choice.model or (None if choice.weights else DEFAULT_MODEL)
    loaded = load_model(name, weights=choice.weights, untrained=choice.untrained)
    _, height, width = loaded.input_size
    fingerprint = Fingerprint(
        model=loaded.name,
        weights=loaded.weights,
        weights_digest=loaded.weights_digest,
        layers=choice.layers or DEFAULT_LAYERS,
        height=height,
        width=width,
        decoder=DECODER,
    )
    return fingerprint, loaded


def check(catalog: Catalog, choice: ModelChoice) -> None:
    """Refuse a choice, or a decoder, that differs from what the collection was made with.

    Raises
    ------
    FingerprintError : it differs; the text says where, and the way out.
    """
    pinned = catalog.fingerprint
    differences = []
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
        differences.append(f"model: {pinned.model}, not {choice.model}")
    if choice.layers and choice.layers != pinned.layers:
        differences.append(f"layers: {', '.join(pinned.layers)}, not {', '.join(choice.layers)}")
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


def load(
    catalog: Catalog, weights: Path | None = None, device: str = "auto", kind: str = "auto"
) -> Runtime:
    """Load the very model that the collection was made with.

    Without importing torch, where it was converted before.

    Parameters
    ----------
    weights : where the weights file is now; None: where it was when the collection was made
    device : "auto", "cpu" or "cuda"
    kind : runtime, "auto", "torch" or "openvino"

    Raises
    ------
    WeightsError : the weights are not to be had, or are other ones.
    """
    from dedup.models.runtimes import ready_runtime

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
    ready = ready_runtime(pinned, device, kind)
    if ready is not None:
        return ready
    from dedup.models.loading import load_model

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
    from dedup.models.runtimes import make_runtime

    return make_runtime(loaded, fingerprint, device, kind)
