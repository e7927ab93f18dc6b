"""The torch runtime: images in, embeddings out, on a GPU or, for what cannot be exported, a CPU.

Chooses device and number format, normalises on the device, and keeps to the memory there is.
Decoding and resizing are left to `dedup.images`, hooks to `dedup.models.extractor`.
"""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import torch

from dedup.errors import ModelError
from dedup.models.extractor import Extractor, on_host
from dedup.models.features import Features, out_of_memory, require_images
from dedup.models.layers import undisturbed
from dedup.runtimes.cuda import Gpu
from dedup.runtimes.precision import (
    AGREEMENT,
    agreement,
    computes_in_bf16,
    not_finite,
    synthetic_images,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from dedup.models.loading import LoadedModel

_RGB: Final = 3
_CPU_BATCH_IMAGES: Final = 32
_GPU_PASS_IMAGES: Final = (32, 256)
"""Images of a pass on a GPU, to which batches are filled up: cuDNN takes seconds to initialise for
each other number. 256 reach 97 % of the rate of 1,024 (EfficientNet-B0, H200)."""

_WARM_UP_AFTER_IMAGES: Final = 4096
"""Images after which a run counts as long enough for passes of 256: initialising them takes two
seconds, in which passes of 32 come to 11,000 images (H100, 16 cores)."""

_LOW_MEMORY: Final = "slower than it could be: not enough memory"


class TorchRuntime:
    """A loaded model, ready to embed batches of images.

    Takes the module over: moves it to the device and puts it into evaluation mode.

    Parameters
    ----------
    layers : as `Extractor` takes them
    device : ``auto`` (a GPU where torch can use one), ``cpu``, ``cuda`` or ``cuda:N``

    Attributes
    ----------
    description : version, device and number format, such as ``torch 2.15.0 cpu bf16``
    input_hw : height and width of the images that it takes
    dimensions : layer -> D of its embeddings
    batch_size : images per call that run best
    notes : what a person should know of the choice of runtime

    Raises
    ------
    ModelError : no such device, or the model gives values that are not finite.
    LayerError : no such layer, or one that gives no embeddings.

    Notes
    -----
    The number format is that of `torch.autocast` in bf16 on CPUs that have it (AVX-512 BF16, AMX)
    and on GPUs from Ampere on, provided that the embeddings of four synthetic images keep a cosine
    of at least 0.999 to those in fp32, which is measured here; else it is fp32.
    """

    def __init__(self, loaded: LoadedModel, layers: Sequence[str], device: str = "auto") -> None:
        # Torch's warnings are for its programmers; the user of a command can do nothing about them.
        with warnings.catch_warnings(), ExitStack() as undo:
            warnings.simplefilter("ignore")
            self._device = choose_device(device)
            self._module = loaded.module.to(self._device).to(memory_format=torch.channels_last)
            for module in self._module.modules():
                # Once, for passes of two sizes run at a time; directly, as in `undisturbed`.
                module.training = False
            # (x / 255 - mean) / std, as one subtraction and one multiplication.
            self._mean = 255 * self._per_channel(loaded.mean)
            self._scale = 1 / (255 * self._per_channel(loaded.std))
            self.input_hw = loaded.input_size[1:]
            self.batch_size = _CPU_BATCH_IMAGES
            self.notes: tuple[str, ...] = ()
            self._largest_pass: int | None = None
            self._embedded = 0
            self._bf16 = self._ready = self._closed = False
            self._extractor = Extractor(self._module, layers)
            undo.callback(self._extractor.close)
            self._gpu: Gpu | None = None
            if self._device.type == "cuda":
                self.batch_size = self._largest_pass = _GPU_PASS_IMAGES[-1]
                self._gpu = Gpu(self._device, self._forward, *self.input_hw, _GPU_PASS_IMAGES)
                undo.callback(self._gpu.close)
            probe = self._choose_format()
            self._ready = True
            undo.pop_all()
        self._nothing = _first_rows(probe, 0)
        self.dimensions = {layer: values.shape[1] for layer, values in probe.items()}
        version = torch.__version__.partition("+")[0]
        number_format = "bf16" if self._bf16 else "fp32"
        self.description = f"torch {version} {self._device.type} {number_format}"

    def embed(self, batch: npt.NDArray[np.uint8]) -> Features:
        """Embed a batch of images.

        Parameters
        ----------
        batch : (B, H, W, 3) uint8, RGB

        Returns
        -------
        Rows in the order of the batch. The other images of a batch change an embedding by no more
        than rounding. A row that overflowed is returned as it is.

        Raises
        ------
        ValueError : another shape or type, or the runtime is closed.
        ModelError : one image alone exceeds the memory of the device.

        Notes
        -----
        A batch that exceeds the memory of the device is halved until it fits; later ones are cut
        to the size that did. May be called from several threads.
        """
        require_images(batch)
        if self._closed:
            raise ValueError("the runtime is closed")
        if len(batch) == 0:
            return self._nothing
        size = self._pass_limit(len(batch))
        self._embedded += len(batch)
        return _joined([self._embed(batch[at : at + size]) for at in range(0, len(batch), size)])

    def close(self) -> None:
        """Remove the hooks from the model, and free what the device holds for passes."""
        self._closed = True
        if self._gpu is not None:
            self._gpu.close()
        self._extractor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pass_limit(self, images: int) -> int:
        """Give the most images of one pass; on a GPU few, until large passes are initialised."""
        if self._gpu is None or self._largest_pass is None:
            return self._largest_pass or images
        few, many = _GPU_PASS_IMAGES
        if self._largest_pass < many:
            return self._largest_pass
        if self._embedded < _WARM_UP_AFTER_IMAGES or not self._gpu.warm_up(many):
            return few
        return many

    def _embed(self, batch: npt.NDArray[np.uint8]) -> Features:
        size = self._size(len(batch))
        try:
            return self._run(batch, size)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if size == 1:
                message = f"one image alone exceeds the memory of {self._device}"
                raise ModelError(f"{message}; use --device cpu or a smaller model.") from error
        # Here, and not in the handler, where the error still holds the tensors of the pass.
        half = size // 2
        self._largest_pass = half
        others = [note for note in self.notes if not note.startswith(_LOW_MEMORY)]
        self.notes = (*others, f"{_LOW_MEMORY} of {self._device} for more than {half} images")
        if self._gpu is not None:
            self._gpu.release()
        return _joined([self._embed(batch[at : at + half]) for at in range(0, len(batch), half)])

    def _size(self, images: int) -> int:
        """Give the images of the pass that so many are sent by."""
        if self._gpu is None or self._largest_pass is None:
            return images
        fitting = [size for size in _GPU_PASS_IMAGES if images <= size <= self._largest_pass]
        return min([*fitting, self._largest_pass])

    def _run(self, batch: npt.NDArray[np.uint8], size: int) -> Features:
        if self._gpu is None:
            pixels = torch.from_numpy(np.require(batch, requirements=["C", "W"]))
            with undisturbed(self._module):
                return on_host(*self._forward(pixels))
        features = self._gpu.run(batch, size, record=self._ready)
        return features if size == len(batch) else _first_rows(features, len(batch))

    def _forward(self, pixels: torch.Tensor) -> tuple[Any, dict[str, torch.Tensor]]:
        """Run the model on (B, H, W, 3) uint8 on its device, normalisation included."""
        with (
            undisturbed(self._module),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16),
        ):
            # B x H x W x C seen as B x C x H x W is in channels_last order already.
            images = torch.sub(pixels.permute(0, 3, 1, 2), self._mean).mul_(self._scale)
            return self._extractor.tensors(images)

    def _per_channel(self, values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, device=self._device).view(1, _RGB, 1, 1)

    def _choose_format(self) -> Features:
        images = synthetic_images(*self.input_hw)
        exact = self._embed(images)
        _require_finite(exact)
        if computes_in_bf16(self._device):
            self._bf16 = True
            self._bf16 = agreement(exact, self._embed(images)) >= AGREEMENT
        return exact


def _require_finite(features: Features) -> None:
    for layer, values in features.items():
        if not np.isfinite(values).all():
            raise ModelError(not_finite(layer))


def choose_device(name: str) -> torch.device:
    """Settle where a model runs; ``auto`` takes a GPU that torch can use.

    Raises
    ------
    ModelError : no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"there is no device {name!r}; use auto, cpu or cuda.") from error
    if device.type not in {"cpu", "cuda"}:
        raise ModelError(f"device {name!r} is not supported; use auto, cpu or cuda.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise ModelError(
            f"device {name!r} is not there: torch {torch.__version__} finds {found} CUDA GPUs. "
            "Use --device cpu or auto."
        )
    return device


def _joined(parts: list[Features]) -> Features:
    if len(parts) == 1:
        return parts[0]
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Features(_combined([part.prediction for part in parts], np.concatenate), outputs)


def _first_rows(features: Features, count: int) -> Features:
    def first(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        return arrays[0][:count]

    outputs = {name: values[:count] for name, values in features.items()}
    return Features(_combined([features.prediction], first), outputs)


def _combined(
    predictions: Sequence[Any],
    combine: Callable[[Sequence[npt.NDArray[Any]]], npt.NDArray[Any]],
) -> Any:
    first = predictions[0]
    if isinstance(first, np.ndarray):
        return combine(predictions)
    if isinstance(first, tuple):
        return tuple(_combined(items, combine) for items in zip(*predictions, strict=True))
    if isinstance(first, dict):
        return {key: _combined([each[key] for each in predictions], combine) for key in first}
    return first
