"""A caller's own module as the model of a collection, and what identifies it.

A collection names such a model by a digest of all that decides about its embeddings: class and
structure, every tensor of its state, size, normalisation, and its transform. Whoever opens the
collection again to embed has to bring a module with the same digest.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import ModelError
from dedup.models.loaded import OWN, LoadedModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


_RGB: Final = 3
_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+|0x[0-9a-fA-F]{6,}")


@dataclass(frozen=True, slots=True, eq=False)
class OwnModel:
    """A module of your own as the model of a collection: ``ModelSpec(OwnModel(module, ...))``.

    Parameters
    ----------
    module : a `torch.nn.Module` that takes (B, 3, H, W) float32. It is taken over: put into
        evaluation mode, and moved to where it runs
    size : height and width of its input, pixels: one number, or (H, W). The whole image is resized
        to it, its aspect ignored
    mean, std : of each channel, of values in [0, 1]; None: ImageNet's
    transform : instead of mean and std, from a `PIL.Image` in RGB of exactly `size` to the module's
        input for one image, a float tensor; of one shape for every image
    layer : the one that similarity is measured on, unless the spec names layers; None:
        ``global_pool`` where the module has one as timm's do, else its output
    text : the text tower: T texts to (T, D), an array or tensor, in the space of that layer; None:
        there is none
    name : what the collection calls it; None: the name of its class

    Raises
    ------
    TypeError, ValueError : a value of a wrong type, or not one of those accepted.

    Notes
    -----
    Two models are the same when their classes' names, structure (`repr`), state, size,
    normalisation and transform are. A transform counts by its `repr`, a function by its source.
    """

    module: nn.Module
    size: int | tuple[int, int] = 224
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    transform: Callable[[Any], Any] | None = None
    layer: str | None = None
    text: Callable[[list[str]], Any] | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        from torch import nn

        if not isinstance(self.module, nn.Module):
            raise TypeError(f"module is a torch.nn.Module, not {type(self.module).__name__}")
        for name in ("transform", "text"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise TypeError(f"{name} is callable or None, not {type(value).__name__}")
        if self.transform is not None and (self.mean or self.std):
            raise ValueError("transform prepares the whole input: leave mean and std out")
        for name in ("mean", "std"):
            object.__setattr__(self, name, channels_of(getattr(self, name), name) or None)
        object.__setattr__(self, "size", size_of(self.size))
        object.__setattr__(self, "name", self.name or type(self.module).__name__)

    @property
    def input_size(self) -> tuple[int, int, int]:
        """(C, H, W) of its input."""
        height, width = size_of(self.size)
        return _RGB, height, width

    def digest(self) -> str:
        """Compute the SHA-256, in hexadecimal digits, of all that decides about embeddings."""
        described = (
            type(self.module).__qualname__,
            _ADDRESS.sub("", repr(self.module)),
            _described(self.transform),
            repr((self.size, self.mean or _MEAN, self.std or _STD)),
            state_digest(self.module),
        )
        return hashlib.sha256("\n".join(described).encode()).hexdigest()

    def loaded(self, weights: str = OWN) -> LoadedModel:
        """Make it ready, as any other model.

        Raises
        ------
        ModelError : no layer is named, and the module puts out no single tensor.
        """
        return LoadedModel(
            name=str(self.name),
            module=self.module.eval(),
            weights=weights,
            weights_digest=self.digest(),
            input_size=self.input_size,
            mean=self.mean or _MEAN,
            std=self.std or _STD,
            layer=self.layer or self._layer(),
            transform=self.transform,
            text=None if self.text is None else _Text(str(self.name), self.text),
        )

    def _layer(self) -> str:
        import torch

        from dedup.errors import LayerError
        from dedup.models.layers import PREDICTION, resolve_layer, undisturbed

        try:
            resolve_layer(self.module, "global_pool")
        except LayerError:
            if self.transform is None:  # else its runtime sees, which can make an input
                where = next(self.module.parameters(), torch.empty(0))
                with undisturbed(self.module):
                    blank = torch.zeros(1, *self.input_size, device=where.device, dtype=where.dtype)
                    require_tensor(self.module(blank), str(self.name))
            return PREDICTION
        return "global_pool"


class _Text:
    """A caller's text tower, its answers checked."""

    def __init__(self, name: str, embed: Callable[[list[str]], Any]) -> None:
        self._name = name
        self._embed = embed

    def __call__(self, texts: Any) -> Any:
        import numpy as np

        found = self._embed(list(texts))
        found = found.detach().cpu() if hasattr(found, "detach") else found
        rows = np.asarray(found, np.float32)
        if rows.ndim != 2 or len(rows) != len(texts):  # noqa: PLR2004 - T x D
            raise ModelError(
                f"the text tower of {self._name} gave {rows.shape} for {len(texts)} texts, not one "
                "row for each"
            )
        return rows


def require_tensor(prediction: Any, name: str) -> None:
    """Refuse a module whose output does not say which tensor is the embedding.

    Raises
    ------
    ModelError
    """
    if not hasattr(prediction, "dtype"):  # a tensor has one, here or as an array on the host
        kind = type(prediction).__name__
        count = f" of {len(prediction)}" if hasattr(prediction, "__len__") else ""
        raise ModelError(
            f"{name} puts out a {kind}{count}, not one tensor: name the layer to keep, "
            "OwnModel(module, layer=NAME); dedup.models.layers.list_layers shows them all"
        )


def state_digest(module: nn.Module) -> str:
    """Compute the SHA-256 of names, types, shapes and bytes of a module's sorted state."""
    import torch

    digest = hashlib.sha256()
    for key, tensor in sorted(module.state_dict().items()):
        if not isinstance(tensor, torch.Tensor):  # what a module keeps besides tensors
            digest.update(f"{key} {_ADDRESS.sub('', repr(tensor))}\n".encode())
            continue
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def size_of(value: Any) -> tuple[int, int]:
    """Check a size: one number for both sides, or (H, W)."""
    sides = (value, value) if isinstance(value, int) else tuple(value or ())
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):  # noqa: PLR2004
        raise ValueError(f"size is a number of pixels, or (height, width), not {value!r}")
    return sides


def channels_of(value: Any, name: str) -> tuple[float, ...]:
    """Check three numbers, one for each channel; None gives none."""
    if value is None:
        return ()
    try:
        numbers = tuple(float(one) for one in value)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != _RGB or (name == "std" and not all(one > 0 for one in numbers)):
        raise ValueError(f"{name} is three numbers, of red, green and blue, not {value!r}")
    return numbers


def _described(transform: Any) -> str:
    """Say what a transform does, the same in every process."""
    import inspect

    if transform is None:
        return ""
    if inspect.isroutine(transform):
        try:
            return inspect.getsource(transform)
        except (OSError, TypeError):  # typed at a prompt, or built in
            code = getattr(transform, "__code__", None)
            return f"{transform.__qualname__} {code.co_code.hex() if code else ''}"
    text = _ADDRESS.sub("", repr(transform))
    if "__repr__" not in {name for kind in type(transform).__mro__[:-1] for name in vars(kind)}:
        # What `object` says tells nothing of its settings.
        text += _ADDRESS.sub("", repr(sorted(vars(transform).items())))
    return text
