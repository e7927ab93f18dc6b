"""Runs a caller's module whose input is made by a transform of the caller's: in torch, in fp32.

The transform sees each image as dedup hands it over, and decides about everything else. What it
gives has to be one shape for all images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import torch

from dedup.errors import ModelError
from dedup.images.encode import as_pillow
from dedup.models.extractor import Extractor
from dedup.models.features import Features, require_images
from dedup.models.layers import PREDICTION
from dedup.models.own import require_tensor
from dedup.runtimes.precision import not_finite, synthetic_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from dedup.models.loaded import LoadedModel

_BATCH_IMAGES: Final = 32
_BATCH_IMAGES_GPU: Final = 256


class OwnRuntime:
    """A module with its transform, ready to embed; members as of `TorchRuntime`.

    Raises
    ------
    ModelError : the transform gives no tensors, or tensors of several shapes; the module puts out
        no single tensor where its output is the layer, or values that are not finite.
    LayerError : no such layer, or one that gives no embeddings.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, loaded: LoadedModel, layers: Sequence[str], device: torch.device) -> None:
        self._name = loaded.name
        self._transform: Any = loaded.transform
        self._device = device
        self._shape: tuple[int, ...] | None = None
        self.input_hw = loaded.input_size[1:]
        self.batch_size = _BATCH_IMAGES if device.type == "cpu" else _BATCH_IMAGES_GPU
        self._extractor = Extractor(loaded.module.to(device), layers)
        self._closed = False
        probe = self.embed(synthetic_images(*self.input_hw))
        if PREDICTION in layers and loaded.layer == PREDICTION:
            require_tensor(probe.prediction, loaded.name)
        for layer, values in probe.items():
            if not np.isfinite(values).all():
                raise ModelError(not_finite(layer))
        self.dimensions = {layer: values.shape[1] for layer, values in probe.items()}
        self.description = f"torch {torch.__version__.partition('+')[0]} {device.type} fp32"

    def embed(self, batch: npt.NDArray[np.uint8]) -> Features:
        """Embed (B, H, W, 3) uint8 RGB, B at least 1; rows in the order of the batch.

        Raises
        ------
        ValueError : another shape or type, or the runtime is closed.
        ModelError : see the class.
        """
        require_images(batch)
        if self._closed:
            raise ValueError("the runtime is closed")
        inputs = torch.stack([self._input(image) for image in batch])
        return self._extractor(inputs.to(self._device))

    def _input(self, image: npt.NDArray[np.uint8]) -> torch.Tensor:
        made = self._transform(as_pillow(image))
        if not isinstance(made, torch.Tensor) or not made.is_floating_point():
            kind = made.dtype if isinstance(made, torch.Tensor) else type(made).__name__
            raise ModelError(
                f"the transform of {self._name} gives a {kind}, not a tensor of floating numbers; "
                "end it with ToTensor(), say"
            )
        self._shape = self._shape or tuple(made.shape)
        if tuple(made.shape) != self._shape:
            raise ModelError(
                f"the transform of {self._name} changes sizes: {tuple(made.shape)} after "
                f"{self._shape}, and every input has to be of one. It may not depend on the image, "
                "or on chance"
            )
        return made

    def close(self) -> None:
        """Remove the hooks from the module."""
        self._closed = True
        self._extractor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
