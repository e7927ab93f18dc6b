"""Checkpoints of torch (.pt, .pth, .ckpt, .bin), read on request only, and as tensors only.

torch's reader builds tensors and plain containers and calls nothing that a file names
(``weights_only=True``). A file that holds code, or objects, is refused with what it wanted to call.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import WeightsError, first_line

if TYPE_CHECKING:
    from pathlib import Path

    import torch

_INSIDE: Final = ("state_dict", "model_state_dict", "model", "net", "module")
"""Keys below which training programs keep the weights, beside optimisers and counters."""

_PREFIXES: Final = ("module.", "_orig_mod.", "model.")
"""Put before every name by data parallelism, `torch.compile` and Lightning."""

_WANTED: Final = re.compile(r"GLOBAL (\S+)")
_SAVE_STATE: Final = (
    "Where you trust it, load it yourself and save the weights alone: "
    "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
)


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights in a checkpoint, on the host; runs nothing that is in it.

    Raises
    ------
    WeightsError : it holds code or objects, or no weights; it is damaged or cannot be read.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about TorchScript, which is refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(_holds_code(path, str(error))) from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError) as error:
        if "TorchScript" in str(error):
            raise WeightsError(
                f"{path} holds code: it is a TorchScript program. {_SAVE_STATE}"
            ) from error
        message = f"{path} is damaged, or no checkpoint of torch ({first_line(error)})."
        raise WeightsError(message) from error
    state = _weights_in(content)
    if state is None:
        raise WeightsError(
            f"{path} holds no weights by name: {_described(content)}. Save model.state_dict()."
        )
    return state


def _weights_in(content: Any) -> dict[str, torch.Tensor] | None:
    """Find names and tensors, at the top or below one of the usual keys."""
    import torch

    if not isinstance(content, Mapping):
        return None
    if content and all(isinstance(value, torch.Tensor) for value in content.values()):
        state = {str(key): value for key, value in content.items()}
        for prefix in _PREFIXES:
            if all(key.startswith(prefix) for key in state):
                state = {key.removeprefix(prefix): value for key, value in state.items()}
        return state
    inside = (_weights_in(content[key]) for key in _INSIDE if key in content)
    return next((state for state in inside if state), None)


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"its keys are {', '.join(map(str, list(content)[:8])) or 'none'}"
    return f"it is a {type(content).__name__}"


def _holds_code(path: Path, reason: str) -> str:
    found = _WANTED.search(reason)
    if found is None:
        return f"{path} is damaged, or holds more than weights; fetch it again. {_SAVE_STATE}"
    return (
        f"{path} holds code: opening it would call {found[1]}, not just give tensors. {_SAVE_STATE}"
    )
