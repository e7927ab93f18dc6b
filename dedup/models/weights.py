"""Weights files: safetensors, and on request torch's checkpoints.

Opening one never runs code that is in it: pickles (.pth, .pt, .bin) are refused, unless it is asked
for what `dedup.models.checkpoint` reads of them. Headers, names and digests are read without torch;
whether the tensors fit a model is left to `dedup.models.loading`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import ModelError, WeightsError
from dedup.models.registry import architecture_of, timm_architectures

if TYPE_CHECKING:
    from pathlib import Path

    import torch

_PICKLE_SUFFIXES: Final = frozenset({".pth", ".pt", ".bin", ".ckpt", ".tar", ".pkl", ".pickle"})
_PICKLE_STARTS: Final = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_LENGTH_BYTES: Final = 8  # a safetensors file opens with its header's length, little-endian
_LONGEST_HEADER: Final = 100_000_000  # the format's own bound
_CHANNELS: Final = 3
_NAME_KEYS: Final = ("architecture", "model")


def weights_file_digest(path: Path) -> str:
    """Compute the SHA-256 of a weights file, in hexadecimal digits, without importing torch."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def is_pickle(path: Path) -> bool:
    """Tell whether a weights file goes by a name, or opens, as a pickle does."""
    if path.suffix.lower() in _PICKLE_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return file.read(_LENGTH_BYTES).startswith(_PICKLE_STARTS)
    except OSError:  # which whoever reads it will say
        return False


def model_name_for(weights: Path, *, unpickle: bool = False) -> str:
    """Tell which model a weights file is for, without importing torch.

    The file's metadata (``architecture`` or ``model``) decides, else its name up to
    ``.safetensors`` where timm has an architecture of that name.

    Parameters
    ----------
    unpickle : a checkpoint will do, too; its name decides

    Raises
    ------
    WeightsError : not a readable safetensors file.
    ModelError : neither tells; the model has to be named.
    """
    is_checkpoint = unpickle and is_pickle(weights)
    metadata = None if is_checkpoint else read_header(weights).get("__metadata__")
    if isinstance(metadata, dict):
        for key in _NAME_KEYS:
            if isinstance(metadata.get(key), str) and metadata[key]:
                return str(metadata[key])
    if architecture_of(weights.stem) in timm_architectures():
        return weights.stem
    raise ModelError(
        f"{weights} does not say which model it is for, and {weights.stem!r} is no timm "
        "model; name it with --model NAME."
    )


def read_header(path: Path) -> dict[str, Any]:
    """Read a safetensors header: tensor name -> dtype, shape and place, and ``__metadata__``.

    Raises
    ------
    WeightsError : missing, a folder, a pickle, another kind of file, or cut short.
    """
    try:
        if path.is_dir():
            raise WeightsError(f"{path} is a folder; give the safetensors file in it.")
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(_LENGTH_BYTES)
            length = int.from_bytes(start, "little")
            if is_pickle(path):
                raise WeightsError(_refuses_pickle(path))
            if size == 0:
                raise WeightsError(f"{path} is empty.")
            if len(start) < _LENGTH_BYTES or length > _LONGEST_HEADER:
                raise WeightsError(_not_safetensors(path))
            text = file.read(length)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        header = json.loads(text)
    except ValueError as error:
        raise WeightsError(
            _cut_short(path) if len(text) < length and text[:1] == b"{" else _not_safetensors(path)
        ) from error
    if not isinstance(header, dict):
        raise WeightsError(_not_safetensors(path))
    return header


@dataclass(frozen=True, slots=True)
class Reading:
    """What a weights file says of how it is to be used; None where it says nothing.

    Parameters
    ----------
    layer : the one that embeddings are meant to be taken from
    side : height and width of the input, pixels
    mean, std : of each channel, of values in [0, 1]
    """

    layer: str | None = None
    side: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def read_metadata(path: Path) -> Reading:
    """Read what a safetensors file says of its use, without importing torch.

    Raises
    ------
    WeightsError : not a readable safetensors file, or what it says makes no sense.
    """
    metadata = read_header(path).get("__metadata__") or {}
    try:
        side = int(metadata["input_size"]) if "input_size" in metadata else None
        mean, std = (
            tuple(float(value) for value in json.loads(metadata[key])) if key in metadata else None
            for key in ("mean", "std")
        )
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{path}: its metadata make no sense: {error}.") from error
    if any(values is not None and len(values) != _CHANNELS for values in (mean, std)):
        raise WeightsError(f"{path}: its metadata make no sense: mean and std have 3 values.")
    return Reading(metadata.get("layer"), side, mean, std)


def read_weights(path: Path, *, unpickle: bool = False) -> dict[str, torch.Tensor]:
    """Read every tensor of a safetensors file, on the host.

    Parameters
    ----------
    unpickle : read a checkpoint of torch as well, as tensors only

    Raises
    ------
    WeightsError : as `read_header`, or damaged further down; as `read_checkpoint`.
    """
    if unpickle and is_pickle(path):
        from dedup.models.checkpoint import read_checkpoint

        return read_checkpoint(path)
    read_header(path)  # says more about what is wrong than the library does
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        message = f"{path} is damaged or cut short ({error}); fetch it again."
        raise WeightsError(message) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> WeightsError:
    return WeightsError(f"{path} cannot be read: {error.strerror or error}.")


def _not_safetensors(path: Path) -> str:
    return f"{path} is not a safetensors file; --weights takes no other format."


def _cut_short(path: Path) -> str:
    return f"{path} is cut short: its header is not complete; fetch it again."


def _refuses_pickle(path: Path) -> str:
    target = path.with_suffix(".safetensors").name
    return (
        f"{path} is a pickle, which can run any code when it is opened; --weights takes "
        "safetensors only, or with --unpickle what tensors a checkpoint holds. Convert it where "
        "you trust it: "
        'python -c "import torch, safetensors.torch as s; '
        f"s.save_file(torch.load('{path.name}', weights_only=True), '{target}')\""
    )
