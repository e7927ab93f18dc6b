"""What one forward pass hands over, whichever runtime ran it. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

FloatArray: TypeAlias = npt.NDArray[np.float32]
Prediction: TypeAlias = npt.NDArray[Any] | tuple[Any, ...] | dict[str, Any]

_SIDES: Final = 4  # of B x H x W x C
_RGB: Final = 3
_NO_MEMORY: Final = (
    "can't allocate memory",  # torch
    "out of memory",  # CUDA
    "ALLOC_FAILED",  # cuDNN, cuBLAS
    "could not create a primitive",  # oneDNN within torch
    "Failed to allocate",  # OpenVINO
    "bad_alloc",
)


class Features(Mapping[str, FloatArray]):
    """What one forward pass handed over, on the host.

    A read-only mapping from each layer, by the name it was asked for, to its array.

    Attributes
    ----------
    prediction : the model's own output, whole: a tensor becomes an array (float32 where it is
        of floating numbers), a tuple or list a tuple, a mapping a dict; anything else in it is
        handed on as it is
    """

    def __init__(self, prediction: Prediction, outputs: Mapping[str, FloatArray]) -> None:
        self.prediction = prediction
        self._outputs = dict(outputs)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers, in the order in which they were asked for."""
        return tuple(self._outputs)

    def __getitem__(self, layer: str) -> FloatArray:
        return self._outputs[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)


def require_images(batch: npt.NDArray[Any]) -> None:
    """Refuse what is no batch of images, in whichever runtime it arrives.

    Raises
    ------
    ValueError : not (B, H, W, 3) uint8.
    """
    if batch.dtype != np.uint8 or batch.ndim != _SIDES or batch.shape[3] != _RGB:
        raise ValueError(f"batch must be (B, H, W, 3) uint8, not {batch.shape} {batch.dtype}")


def out_of_memory(error: Exception) -> bool:
    """Tell whether a pass failed for want of memory, of a GPU's or the host's.

    torch has an exception of its own for GPUs alone; for hosts, it and OpenVINO say so in words.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return any(words in str(error) for words in _NO_MEMORY)
