"""JPEGs decoded by a device: by what torchvision has, else by TorchCodec where it is installed.

On GPUs both use NVIDIA's nvJPEG. What comes out has the input size of the model and lies on the
host again, so that whatever is told of a picture is told as of any other.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from contextlib import nullcontext
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import torch

from dedup.models.features import out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    Pixels: TypeAlias = npt.NDArray[np.uint8]
    Size: TypeAlias = tuple[int, int]
    Rows: TypeAlias = npt.NDArray[np.float32]
    SideWeights: TypeAlias = Callable[[Size], tuple[Rows, Rows]]
    Decode: TypeAlias = Callable[[list[bytes], torch.device], Sequence[torch.Tensor]]

_PIXELS_AT_ONCE: Final = 1 << 26  # decoded in full on the device: 200 MB, and twice that as fp16
_KEPT: Final = 256  # sizes of pictures whose weights stay on the device
_RGB: Final = 3


class DeviceJpegs:
    """Decodes JPEGs to one size; from one thread at a time.

    Parameters
    ----------
    side_weights : gives (height, H) and (width, W) for pictures of H × W, by which these are
        brought to height × width: rows @ picture @ columns.T
    decode : gives (3, H, W) uint8 RGB on the device for each file; raises RuntimeError where one of
        them is no JPEG that it decodes
    name : what does it, such as "torchvision 0.29.1"
    """

    def __init__(
        self, device: torch.device, side_weights: SideWeights, decode: Decode, name: str
    ) -> None:
        self.name = name
        self._side_weights = side_weights
        self._device = device
        self._decode = decode
        self._stream: torch.cuda.Stream | None = None
        self._dtype = torch.float32
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's own
            # For tensor cores; 0 to 255 is whole in it, and a weight off by a two-thousandth.
            self._dtype = torch.float16
        self._weights = lru_cache(_KEPT)(self._sent_weights)

    def decode(self, files: Sequence[tuple[bytes, Size]], out: Pixels) -> npt.NDArray[np.bool_]:
        """Decode files, each given with its height and width.

        Parameters
        ----------
        out : (B, height, width, 3), is filled with RGB of the one size; pinned memory is filled
            without a copy in between

        Returns
        -------
        (B,) whether there is a picture: not where the device makes nothing of a file, or something
        of another size than was given; `out` holds anything there.

        Raises
        ------
        RuntimeError : the device is out of memory.
        """
        found = np.zeros(len(files), np.bool_)
        apart = nullcontext() if self._stream is None else torch.cuda.stream(self._stream)
        with apart, torch.inference_mode():
            for part in _parts([size for _, size in files]):
                sizes: dict[Size, list[tuple[int, torch.Tensor]]] = defaultdict(list)
                pictures = self._in_full([files[at][0] for at in part])
                for at, picture in enumerate(pictures):
                    size = files[part[at]][1]
                    if picture is not None and picture.shape == (_RGB, *size):
                        sizes[size].append((at, picture))
                whole = out[part.start : part.stop]
                there = torch.empty(whole.shape, dtype=torch.uint8, device=self._device)
                for size, alike in sizes.items():
                    places = [at for at, _ in alike]
                    there[places] = self._resized([picture for _, picture in alike], size)
                    found[part.start :][places] = True
                torch.from_numpy(whole).copy_(there)
        return found

    def _in_full(self, files: list[bytes]) -> Sequence[torch.Tensor | None]:
        """Decode all together; in halves where that fails, until those it fails for are alone."""
        try:
            return self._decode(files, self._device)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
        if len(files) == 1:
            return [None]
        half = len(files) // 2
        return [*self._in_full(files[:half]), *self._in_full(files[half:])]

    def _resized(self, pictures: list[torch.Tensor], size: Size) -> torch.Tensor:
        """Bring pictures of one size to (B, height, width, 3), on the device."""
        rows, columns = self._weights(size)
        values = torch.stack(pictures).to(self._dtype)
        values = (rows @ (values @ columns)).round_().clamp_(0, 255)
        return values.to(torch.uint8).permute(0, 2, 3, 1)

    def _sent_weights(self, size: Size) -> tuple[torch.Tensor, torch.Tensor]:
        rows, columns = self._side_weights(size)
        return (
            torch.from_numpy(rows).to(self._device, self._dtype),
            torch.from_numpy(columns.T).to(self._device, self._dtype),
        )


def device_jpegs(device: torch.device, side_weights: SideWeights) -> DeviceJpegs | None:
    """Find what decodes JPEGs on a device; None where nothing does.

    Parameters
    ----------
    side_weights : as `DeviceJpegs` takes them
    """
    for name, find in (("torchvision", _torchvision), ("torchcodec", _torchcodec)):
        try:
            return DeviceJpegs(
                device, side_weights, find(), f"{name} {version(name).partition('+')[0]}"
            )
        except Exception:  # noqa: BLE001, S112 - missing, too old, or broken: all the same here
            continue
    return None


def _torchcodec() -> Decode:
    from torchcodec.decoders import decode_jpeg

    def decode(files: list[bytes], device: torch.device) -> Sequence[torch.Tensor]:
        pictures: list[torch.Tensor] = decode_jpeg(files, mode="RGB", device=device)
        return pictures

    return decode


def _torchvision() -> Decode:
    # On its way out there since 0.29, in favour of TorchCodec, which is slower by a third as yet
    # (500 × 375 on an H100: 22,400 pictures/s against 15,500).
    from torchvision.io import ImageReadMode, decode_jpeg

    def decode(files: list[bytes], device: torch.device) -> Sequence[torch.Tensor]:
        data = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pictures: list[torch.Tensor] = decode_jpeg(data, ImageReadMode.RGB, device)
        return pictures

    return decode


def _parts(sizes: Sequence[Size]) -> Iterator[range]:
    """Cut a list into parts whose pictures a device may hold in full."""
    start = pixels = 0
    for at, (height, width) in enumerate(sizes):
        pixels += height * width
        if at > start and pixels > _PIXELS_AT_ONCE:
            yield range(start, at)
            start, pixels = at, height * width
    if start < len(sizes):
        yield range(start, len(sizes))
