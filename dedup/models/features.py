"""What one forward pass hands over, whichever runtime ran it. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from dedup.answer import Shown
from dedup.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FloatArray: TypeAlias = npt.NDArray[np.float32]
Prediction: TypeAlias = npt.NDArray[Any] | tuple[Any, ...] | dict[str, Any]

_SIDES: Final = 4  # of B x H x W x C
_RGB: Final = 3
_MAP, _MAP_CHANNELS_LAST, _TOKENS = (2, 3), (1, 2), (1,)  # the sides of a place
_LEAST_SIDES: Final = 3  # of a whole output that has places
_MOST_OTHER_TOKENS: Final = 8  # class, distillation and register tokens, which come first
_NO_MEMORY: Final = (
    "can't allocate memory",  # torch
    "out of memory",  # CUDA
    "ALLOC_FAILED",  # cuDNN, cuBLAS
    "could not create a primitive",  # oneDNN within torch
    "Failed to allocate",  # OpenVINO
    "bad_alloc",
)


class Slopes(Protocol):
    """Says how the prediction follows a layer."""

    def __call__(
        self, layer: str, target: int | Sequence[int] | None
    ) -> tuple[FloatArray, FloatArray]:
        """Give the layer's whole output, and the slope of the targets' scores at it."""
        ...


class Kept:
    """Something in a file that is read each time it is asked for, and not before."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self.read = read


class Features(Shown, Mapping[str, FloatArray]):
    """What a forward pass, or a run of many, handed over, on the host.

    A read-only mapping from each layer, by the name it was asked for, to its array.

    Attributes
    ----------
    prediction : the model's own output, whole: a tensor becomes an array (float32 where it is
        of floating numbers), a tuple or list a tuple, a mapping a dict; anything else in it is
        handed on as it is
    labels : of the images of a run that came with labels, in their order; else None
    """

    def __init__(
        self,
        prediction: Prediction,
        outputs: Mapping[str, FloatArray | Kept],
        places: Mapping[str, tuple[int, ...]] | None = None,
        slopes: Slopes | None = None,
        labels: npt.NDArray[Any] | Kept | None = None,
    ) -> None:
        self._prediction = prediction
        self._outputs = dict(outputs)
        self._places = dict(places or {})  # the sides of a whole output that are places
        self._slopes = slopes
        self._labels = labels

    @property
    def prediction(self) -> Prediction:
        """The model's own output; see the class."""
        found: Prediction = _read(self._prediction)
        return found

    @property
    def labels(self) -> npt.NDArray[Any] | None:
        """The labels of the images; see the class."""
        found: npt.NDArray[Any] | None = _read(self._labels)
        return found

    def joined(
        self,
        outputs: Mapping[str, FloatArray | Kept],
        prediction: Any,
        labels: npt.NDArray[Any] | Kept | None,
    ) -> Features:
        """Give features of the same layers with the rows of many batches, for a run."""
        return Features(prediction, outputs, self._places, None, labels)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers, in the order in which they were asked for."""
        return tuple(self._outputs)

    def maps(self, layer: str) -> FloatArray:
        """Give what a layer put out as maps: (B, C, H, W), in whichever layout it did.

        Tokens are laid out in a square, without class and register tokens.

        Raises
        ------
        LayerError : it put out no maps.
        ValueError : outputs were reduced to vectors.
        """
        output = self[layer]
        if output.ndim < _LEAST_SIDES and self._places.get(layer):
            raise ValueError("maps need whole outputs: Extractor(..., reduce=False)")
        return self._as_maps(layer, output)

    def cam(self, layer: str, target: int | Sequence[int] | None = None) -> FloatArray:
        """Show where a layer saw what speaks for a target: Grad-CAM (Selvaraju et al. 2017).

        Parameters
        ----------
        layer : one whose outputs are maps, asked for by `Extractor(..., gradients=True)`
        target : a column of the prediction, for all images or for each; None: the highest of each

        Returns
        -------
        (B, H, W), at least 0: the channels' sum, each weighted by its mean slope.

        Raises
        ------
        LayerError : it put out no maps, or the prediction does not follow from it.
        ValueError : there are no gradients, or the prediction has no such column.
        """
        if self._slopes is None:
            raise ValueError("this needs gradients: Extractor(..., gradients=True)")
        if layer not in self._outputs:
            raise KeyError(layer)
        maps, slopes = (self._as_maps(layer, one) for one in self._slopes(layer, target))
        weights = slopes.mean(axis=(2, 3), keepdims=True)
        found: FloatArray = np.maximum((weights * maps).sum(axis=1), 0)
        return found

    def _as_maps(self, layer: str, output: FloatArray) -> FloatArray:
        places = self._places.get(layer)
        if places == _MAP and output.ndim == _SIDES:
            return output
        if places == _MAP_CHANNELS_LAST and output.ndim == _SIDES:
            return np.ascontiguousarray(output.transpose(0, 3, 1, 2))
        if places == _TOKENS:
            batch, count, channels = output.shape
            side = isqrt(count)
            others = count - side**2
            if others <= _MOST_OTHER_TOKENS:
                grid = output[:, others:].reshape(batch, side, side, channels)
                return np.ascontiguousarray(grid.transpose(0, 3, 1, 2))
        raise LayerError(f"layer {layer!r} put out {output.shape}, which are no maps")

    def __getitem__(self, layer: str) -> FloatArray:
        found: FloatArray = _read(self._outputs[layer])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)


def _read(value: Any) -> Any:
    """Read what is in files, wherever it is in a prediction."""
    if isinstance(value, Kept):
        return value.read()
    if isinstance(value, tuple):
        return tuple(map(_read, value))
    if isinstance(value, dict):
        return {name: _read(item) for name, item in value.items()}
    return value


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
