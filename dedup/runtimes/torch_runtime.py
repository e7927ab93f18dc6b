"""The torch runtime: pictures in, embeddings out, as fast as the device allows.

Chooses device and number format, normalises on the device, and keeps to the memory there is.
Decoding and resizing are left to `dedup.images`, hooks to `dedup.models.extractor`.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import torch

from dedup.errors import ModelError, first_line
from dedup.models.extractor import Extractor, on_host
from dedup.models.features import Features, out_of_memory, require_pictures
from dedup.models.layers import PREDICTION, find_module, undisturbed
from dedup.runtimes.cuda import Gpu
from dedup.runtimes.device_jpegs import device_jpegs
from dedup.runtimes.folding import fold, traced
from dedup.runtimes.precision import (
    Bf16,
    agreement,
    computes_in_bf16,
    not_finite,
    synthetic_pictures,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    import numpy.typing as npt
    from torch import nn

    from dedup.models.loading import LoadedModel
    from dedup.runtimes.cuda import Pass
    from dedup.runtimes.device_jpegs import DeviceJpegs, Sides

_AGREEMENT: Final = 0.999  # lowest cosine that two runtimes of the same weights may have
_SAME: Final = 0.99999  # lowest cosine after a change that leaves nothing but rounding in fp32
_NOT_FUSED: Final = "the forward pass stays as it is: it could not be compiled"
_SHORT: Final = "more slowly than it could: there is not enough memory"
_KEPT: Final = 3  # convolutions that stay fp32 where bf16 alone does not agree
_RGB: Final = 3
_CPU_SIZES: Final = (16, 32, 64)
_GPU_SIZES: Final = (32, 256)
"""Pictures of a pass on a GPU, to which batches are made up: cuDNN takes seconds to get ready for
each other number. 256 reach 97 % of the rate of 1,024 (EfficientNet-B0, H200)."""

_WORTH_READY: Final = 16_384
"""Pictures for which it pays to get ready for more than the first of these. While that takes, two
seconds, the first comes to 11,000 (H100, 16 cores)."""


class TorchRuntime:
    """A loaded model, ready to embed batches of pictures.

    Takes the module over: moves it to the device, puts it into evaluation mode, folds its batch
    norms, rounds its weights.

    Parameters
    ----------
    layers : as `Extractor` takes them
    device : ``auto`` (a GPU where torch can use one), ``cpu``, ``cuda`` or ``cuda:N``

    Attributes
    ----------
    description : version, device and number format, such as ``torch 2.15.0 cpu bf16``
    input_hw : height and width of the pictures that it takes
    dimensions : layer -> D of its embeddings
    notes : what a person should know of the choice of runtime
    at_once : threads that may call at a time: on a GPU two, one of which sends its batch while the
        other's is worked on

    Raises
    ------
    ModelError : no such device, or the model gives values that are not finite.
    LayerError : no such layer, or one that gives no embeddings.

    Notes
    -----
    The number format is bf16 on CPUs that have it (AVX-512 BF16, AMX) and on GPUs from Ampere on,
    provided that the embeddings of four synthetic pictures keep a cosine of at least 0.999 to
    those in fp32; this is measured here. If they do not, the first three convolutions stay
    fp32: rounding hurts most where the first depthwise filter subtracts neighbours of a smooth
    picture (ONNX's MobileNetV2, 160 photographs: lowest cosine .9970 in bf16 and .9994 so, at
    four fifths of the speed). If that is not enough either, all stays fp32.

    Batch norms are folded into the convolutions before them (`folding`) unless one of
    the two is a layer that was asked for; if that moves an embedding or a prediction by more than
    rounding, it is taken back.
    """

    notes: tuple[str, ...] = ()
    batch_size = 32

    def __init__(self, loaded: LoadedModel, layers: Sequence[str], device: str = "auto") -> None:
        # Torch warns once per process, so that what it has to say is said here, to nobody.
        with warnings.catch_warnings(), ExitStack() as undo:
            warnings.simplefilter("ignore")
            self._device = _choose_device(device)
            self._module = loaded.module.to(self._device).to(memory_format=torch.channels_last)
            for module in self._module.modules():
                # Once, for passes of two sizes run at a time; directly, as in `undisturbed`.
                module.training = False
            # (x / 255 - mean) / std, as one subtraction and one multiplication.
            self._mean = 255 * self._per_channel(loaded.mean)
            self._scale = 1 / (255 * self._per_channel(loaded.std))
            self.input_hw = loaded.input_size[1:]
            self.at_once = 1
            self._largest_batch: int | None = None
            self._gpu: Gpu | None = None
            self._ready = self._closed = False
            if self._device.type == "cuda":
                self.at_once = 2
                self._largest_batch = _GPU_SIZES[-1]
                self._gpu = Gpu(self._device, *self.input_hw, _GPU_SIZES)
                undo.callback(self._gpu.close)
            self._fusing: threading.Thread | None = None
            self._fused: tuple[int, Pass] | None = None
            self._bf16: Bf16 | None = None
            self._extractor = Extractor(self._module, layers)
            undo.callback(self._extractor.close)
            probe, precision = self._prepare()
            self._exact = probe
            self._ready = True
            undo.pop_all()
        self._nothing = _first_rows(probe, 0)
        self.dimensions = {layer: values.shape[1] for layer, values in probe.items()}
        version = torch.__version__.partition("+")[0]
        self.description = f"torch {version} {self._device.type} {precision}"

    def embed(self, batch: npt.NDArray[np.uint8]) -> Features:
        """Embed a batch of pictures.

        Parameters
        ----------
        batch : (B, H, W, 3) uint8, RGB

        Returns
        -------
        Rows in the order of the batch. The pictures beside it change an embedding by no more than
        rounding. A row that overflowed is handed over as it is: one picture's trouble is not the
        batch's.

        Raises
        ------
        ValueError : another shape or type, or the runtime is closed.
        ModelError : one picture alone exceeds the memory of the device.

        Notes
        -----
        A batch that exceeds the memory of the device is halved until it fits; later ones are cut
        to the size that did. May be called from several threads.
        """
        require_pictures(batch)
        if self._closed:
            raise ValueError("the runtime is closed")
        if len(batch) == 0:
            return self._nothing
        size = self._largest_batch or len(batch)
        return _joined([self._embed(batch[at : at + size]) for at in range(0, len(batch), size)])

    def batch_sizes(self, pictures: int) -> tuple[int, ...]:
        """Give the pictures per call that are worth trying, rising, when there are so many."""
        if self._gpu is None:
            return _CPU_SIZES
        return _GPU_SIZES[1:] if pictures >= _WORTH_READY else ()

    def room(self, pictures: int) -> npt.NDArray[np.uint8]:
        """Give (pictures, H, W, 3) uint8, not filled; on GPUs where nothing has to be copied.

        It is this thread's until it asks again.
        """
        if self._gpu is not None:
            return self._gpu.room(pictures)
        return np.empty((pictures, *self.input_hw, _RGB), np.uint8)

    def get_ready(self, pictures: int) -> bool:
        """Get ready for batches of so many, beside; True once none has to wait for that.

        On a GPU the first pass of a size takes seconds; smaller ones go on meanwhile.
        """
        if self._gpu is None:
            return True
        return self._gpu.get_ready(_Undisturbed(self._module, self._tensors), self._size(pictures))

    def jpegs(self, sides: Sides) -> DeviceJpegs | None:
        """Give what decodes JPEGs on the GPU; None on a CPU, where that is the host's business.

        Parameters
        ----------
        sides : as `DeviceJpegs` takes it
        """
        return device_jpegs(self._device, sides) if self._device.type == "cuda" else None

    def hasten(self) -> None:
        """On a GPU, compile the pass of full batches in a thread beside; it is used once proven.

        Other devices' passes, and those of a model that this fails for, stay as they are.
        """
        if self._gpu is not None and self._fusing is None:
            # No daemon: torch does not bear a process that ends while it compiles.
            self._fusing = threading.Thread(
                target=self.fuse, args=(_GPU_SIZES[-1],), name="fuse", daemon=False
            )
            self._fusing.start()

    def fuse(self, size: int) -> bool:
        """Compile the pass of batches of one size (`dedup.runtimes.fusing`).

        Returns
        -------
        Whether it is used from now on: it could be compiled, and its embeddings of the synthetic
        pictures keep a cosine of 0.999 to those in fp32.
        """
        pictures = synthetic_pictures(*self.input_hw)
        repeated = np.resize(pictures, (size, *pictures.shape[1:]))
        try:
            from dedup.runtimes.fusing import fuse

            with warnings.catch_warnings(), undisturbed(self._module):
                warnings.simplefilter("ignore")
                fused = fuse(self._tensors, torch.from_numpy(repeated).to(self._device))
            features = self._run(fused, repeated, size, record=False)
        except Exception as error:  # noqa: BLE001 - a compiler fails in many ways; eager goes on
            self.notes += (f"{_NOT_FUSED} ({first_line(error)})",)
            return False
        rows = {layer: values[: len(pictures)] for layer, values in features.items()}
        if agreement(self._exact, rows) < _AGREEMENT:
            self.notes += (f"{_NOT_FUSED} (other embeddings came out)",)
            return False
        self._fused = size, fused
        self.description += " fused"
        return True

    def close(self) -> None:
        """Remove what was hung into the model."""
        if self._fusing is not None:
            self._fusing.join()
        self._closed = True
        if self._gpu is not None:
            self._gpu.close()
        self._extractor.close()
        if self._bf16 is not None:
            self._bf16.lift()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _embed(self, batch: npt.NDArray[np.uint8]) -> Features:
        size = self._size(len(batch))
        try:
            features = self._forward(batch, size)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if size == 1:
                message = f"one picture alone exceeds the memory of {self._device}"
                raise ModelError(f"{message}; use --device cpu or a smaller model.") from error
        else:
            return features
        # Here, and not in the handler, where the error still holds the tensors of the pass.
        half = size // 2
        self._largest_batch = half
        others = [note for note in self.notes if not note.startswith(_SHORT)]
        self.notes = (*others, f"{_SHORT} of {self._device} for more than {half} pictures a time")
        self._fused = None
        if self._gpu is not None:
            self._gpu.forget()
        return _joined([self._embed(batch[at : at + half]) for at in range(0, len(batch), half)])

    def _size(self, pictures: int) -> int:
        """Pictures of the pass that so many are sent by."""
        if self._gpu is None or self._largest_batch is None:
            return pictures
        fitting = [size for size in _GPU_SIZES if pictures <= size <= self._largest_batch]
        return min([*fitting, self._largest_batch])

    def _forward(self, batch: npt.NDArray[np.uint8], size: int = 0) -> Features:
        fused = self._fused
        size = size or self._size(len(batch))
        forward = fused[1] if fused is not None and fused[0] == size else self._tensors
        return self._run(forward, batch, size)

    def _run(
        self, forward: Pass, batch: npt.NDArray[np.uint8], size: int, *, record: bool = True
    ) -> Features:
        if self._gpu is None:
            with undisturbed(self._module):
                pixels = torch.from_numpy(np.require(batch, requirements=["C", "W"]))
                return on_host(*forward(pixels))
        undisturbing = _Undisturbed(self._module, forward)
        features = self._gpu.run(undisturbing, batch, size, record=record and self._ready)
        return features if size == len(batch) else _first_rows(features, len(batch))

    def _tensors(self, pixels: torch.Tensor) -> tuple[Any, dict[str, torch.Tensor]]:
        """Run the model on (B, H, W, 3) uint8, with whatever makes them its input."""
        # B x H x W x C seen as B x C x H x W is in channels_last order already.
        images = torch.sub(pixels.permute(0, 3, 1, 2), self._mean).mul_(self._scale)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16 is not None):
            return self._extractor.tensors(images)

    def _per_channel(self, values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, device=self._device).view(1, _RGB, 1, 1)

    def _prepare(self) -> tuple[Features, str]:
        pictures = synthetic_pictures(*self.input_hw)
        with traced(self._module) as trace:
            exact = self._embed(pictures)
        _require_finite(exact)
        hooked = [
            find_module(self._module, name)
            for name in self._extractor.resolved.values()
            if name != PREDICTION
        ]
        folding = fold(trace, hooked)
        folded = self._forward(pictures)
        if min(agreement(exact, folded), _agreement_of_predictions(exact, folded)) < _SAME:
            folding.close()
        if not computes_in_bf16(self._device):
            return exact, "fp32"
        for kept, name in (
            ([], "bf16"),
            (trace.convolutions[:_KEPT], f"bf16 (first {_KEPT} convolutions fp32)"),
        ):
            self._bf16 = Bf16(self._module, self._device, kept)
            if agreement(exact, self._forward(pictures)) >= _AGREEMENT:
                self._bf16.settle()
                return exact, name
            self._bf16.undo()
        self._bf16 = None
        return exact, "fp32"


@dataclass(frozen=True, slots=True)
class _Undisturbed:
    """A pass of a module as it is meant for inference."""

    module: nn.Module
    forward: Pass

    def __call__(self, pixels: torch.Tensor) -> Any:
        with undisturbed(self.module):
            return self.forward(pixels)


def _require_finite(features: Features) -> None:
    for layer, values in features.items():
        if not np.isfinite(values).all():
            raise ModelError(not_finite(layer))


def _choose_device(name: str) -> torch.device:
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


def _agreement_of_predictions(one: Features, other: Features) -> float:
    pair = one.prediction, other.prediction
    if not all(isinstance(prediction, np.ndarray) for prediction in pair):
        return 1.0
    first, second = (np.asarray(prediction).reshape(len(prediction), -1) for prediction in pair)
    return agreement({PREDICTION: first}, {PREDICTION: second})


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
