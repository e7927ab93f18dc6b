"""JPEGs decoded by a device: by what torchvision has, else by TorchCodec where it is installed.

On GPUs both use NVIDIA's nvJPEG. What comes out has the input size of the model and lies on the
host again, so that whatever is told of a picture is told as of any other.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Hashable
from contextlib import nullcontext
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import numpy as np
import torch

from dedup.models.features import out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    Pixels: TypeAlias = npt.NDArray[np.uint8]
    Size: TypeAlias = tuple[int, int]
    Sides: TypeAlias = "Callable[[Size], tuple[Side, Side]]"
    Decode: TypeAlias = Callable[[list[bytes], torch.device], Sequence[torch.Tensor]]

_PIXELS_AT_ONCE: Final = 1 << 26  # decoded in full on the device: 200 MB, and twice that as fp16
_KEPT: Final = 512  # sides of pictures whose weights stay on the device, some .2 MB each
_RGB: Final = 3


class Side(Hashable, Protocol):
    """What is to be made of one side of a picture, as `images.device.Side`; equal ones are one."""

    def weights(self) -> npt.NDArray[np.float32]:
        """Give (wanted, length), by which pixels along the side are multiplied."""
        ...


class DeviceJpegs:
    """Decodes JPEGs to one size; from one thread at a time.

    Parameters
    ----------
    sides : tells for (H, W) what is to be made of either side, as `images.device.sides`
    decode : gives (3, H, W) uint8 RGB on the device for each file; raises RuntimeError where one of
        them is no JPEG that it decodes
    name : what does it, such as "torchvision 0.29.1"
    """

    def __init__(self, device: torch.device, sides: Sides, decode: Decode, name: str) -> None:
        self.name = name
        self._sides = sides
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
                some = files[part.start : part.stop]
                pictures = self._in_full([data for data, _ in some])
                sizes: dict[Size, list[tuple[int, torch.Tensor]]] = defaultdict(list)
                for at, (picture, (_, size)) in enumerate(zip(pictures, some, strict=True)):
                    if picture is not None and picture.shape == (_RGB, *size):
                        sizes[size].append((at, picture))
                        found[part.start + at] = True
                room = torch.from_numpy(out[part.start : part.stop])
                room.copy_(self._resized(sizes, *room.shape[:3]))
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

    def _resized(
        self,
        sizes: Mapping[Size, list[tuple[int, torch.Tensor]]],
        count: int,
        height: int,
        width: int,
    ) -> torch.Tensor:
        """Bring pictures to (count, height, width, 3) uint8, on the device; anything elsewhere.

        Parameters
        ----------
        sizes : size -> the pictures of that size, each with its row
        """
        shape = count, _RGB, height, width
        values = torch.empty(shape, dtype=self._dtype, device=self._device)
        for size, alike in sizes.items():
            rows, columns = (self._weights(side) for side in self._sides(size))
            places = [at for at, _ in alike]
            pictures = torch.stack([picture for _, picture in alike])
            # A slice where one is enough, for a list has to be sent.
            where = places if len(places) > 1 else slice(places[0], places[0] + 1)
            values[where] = rows @ (pictures.to(self._dtype) @ columns.T)
        levels = values.round_().clamp_(0, 255).to(torch.uint8)
        return levels.permute(0, 2, 3, 1).contiguous()

    def _sent_weights(self, side: Side) -> torch.Tensor:
        return torch.from_numpy(side.weights()).to(self._device, self._dtype)


def device_jpegs(device: torch.device, sides: Sides) -> DeviceJpegs | None:
    """Find what decodes JPEGs on a device; None where nothing does.

    Parameters
    ----------
    sides : as `DeviceJpegs` takes it
    """
    for name, find in (("torchvision", _torchvision), ("torchcodec", _torchcodec)):
        try:
            return DeviceJpegs(device, sides, find(), f"{name} {version(name).partition('+')[0]}")
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
