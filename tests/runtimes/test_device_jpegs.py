"""JPEGs decoded by a device; here the processor is one, which takes the same calls as a GPU."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from dedup.images.device import Side, sides
from pictures import scene

from dedup.images.decode import decode_square
from dedup.runtimes import device_jpegs
from dedup.runtimes.device_jpegs import DeviceJpegs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

SIDE = 64
CLOSE = 2  # grey levels in the mean; drawings with hard edges overshoot, and are cut off
CPU = torch.device("cpu")
SIDES = partial(sides, height=SIDE, width=SIDE)


def jpeg(
    seed: int, size: tuple[int, int] = (200, 150), mode: str = "RGB"
) -> tuple[bytes, tuple[int, int]]:
    """Draw a JPEG; given with its height and width."""
    buffer = io.BytesIO()
    scene(seed, size).convert(mode).save(buffer, "JPEG", quality=90)
    return buffer.getvalue(), size[::-1]


@pytest.fixture(params=["_torchvision", "_torchcodec"])
def decode(request: pytest.FixtureRequest) -> Callable[..., Sequence[torch.Tensor]]:
    if request.param == "_torchcodec":
        pytest.importorskip("torchcodec.decoders", reason="torchcodec is not installed")
    found: Callable[..., Sequence[torch.Tensor]] = getattr(device_jpegs, request.param)()
    return found


@pytest.fixture
def jpegs(decode: Callable[..., Sequence[torch.Tensor]]) -> DeviceJpegs:
    return DeviceJpegs(CPU, SIDES, decode, "under test")


def decoded(
    jpegs: DeviceJpegs, files: Sequence[tuple[bytes, tuple[int, int]]]
) -> list[npt.NDArray[np.uint8] | None]:
    out = np.empty((len(files), SIDE, SIDE, 3), np.uint8)
    found = jpegs.decode(files, out)
    assert found.shape == (len(files),)
    return [pixels if there else None for pixels, there in zip(out, found, strict=True)]


def difference(found: object, data: bytes) -> float:
    pixels = np.asarray(found, np.int16)
    return float(np.abs(pixels - decode_square(data, SIDE, SIDE).pixels).mean())


def test_pictures_of_many_sizes_come_out_in_order_as_the_host_makes_them(
    jpegs: DeviceJpegs,
) -> None:
    files = [jpeg(seed, size) for seed, size in enumerate([(200, 150), (90, 130), (600, 500)] * 3)]
    found = decoded(jpegs, files)
    assert len(found) == 9
    for pixels, (data, _) in zip(found, files, strict=True):
        assert pixels is not None
        assert pixels.shape == (SIDE, SIDE, 3)
        assert pixels.dtype == np.uint8
        assert difference(pixels, data) < CLOSE
    # and not as another one
    assert difference(found[0], files[3][0]) > 10


def test_the_weights_of_a_side_are_made_once(
    decode: Callable[..., Sequence[torch.Tensor]],
) -> None:
    made = []

    class Counted(Side):
        def weights(self) -> npt.NDArray[np.float32]:
            made.append(self)
            return super().weights()

    def counted(size: tuple[int, int]) -> tuple[Side, Side]:
        down, across = SIDES(size)
        return Counted(*down), Counted(*across)

    jpegs = DeviceJpegs(CPU, counted, decode, "counting")
    for _ in range(2):
        decoded(jpegs, [jpeg(0, (200, 150)), jpeg(1, (200, 140)), jpeg(2, (180, 150))])
    assert len(made) == len(set(made))
    assert {side.length for side in made} == {140, 150, 180, 200}


def test_one_that_cannot_be_decoded_costs_itself_alone(jpegs: DeviceJpegs) -> None:
    files = [jpeg(seed) for seed in range(5)]
    files[2] = b"\xff\xd8\xff no picture", (150, 200)
    found = decoded(jpegs, files)
    assert [at for at, pixels in enumerate(found) if pixels is None] == [2]
    assert difference(found[4], files[4][0]) < CLOSE


def test_a_size_that_is_not_the_files_is_none(jpegs: DeviceJpegs) -> None:
    data, _ = jpeg(1)
    assert decoded(jpegs, [(data, (150, 201))]) == [None]


def test_nothing_gives_nothing(jpegs: DeviceJpegs) -> None:
    assert decoded(jpegs, []) == []


def test_the_device_never_holds_more_than_so_many_pixels(
    decode: Callable[..., Sequence[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_jpegs, "_PIXELS_AT_ONCE", 2 * 200 * 150)
    held = []

    def counting(files: list[bytes], device: torch.device) -> Sequence[torch.Tensor]:
        pictures = decode(files, device)
        held.append([tuple(picture.shape[1:]) for picture in pictures])
        return pictures

    files = [jpeg(0), jpeg(1), jpeg(2), jpeg(3, (400, 300)), jpeg(4)]
    found = decoded(DeviceJpegs(CPU, SIDES, counting, "counting"), files)
    assert held == [[(150, 200)] * 2, [(150, 200)], [(300, 400)], [(150, 200)]]
    for pixels, (data, _) in zip(found, files, strict=True):
        assert difference(pixels, data) < CLOSE


def test_memory_that_runs_out_is_told_and_not_tried_again_one_by_one() -> None:
    calls = []

    def full(files: list[bytes], _: torch.device) -> Sequence[torch.Tensor]:
        calls.append(len(files))
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        decoded(DeviceJpegs(CPU, SIDES, full, "full"), [jpeg(0), jpeg(1)])
    assert calls == [2]


def test_the_name_says_which_library_it_is() -> None:
    found = device_jpegs.device_jpegs(CPU, SIDES)
    assert found is not None
    assert found.name.split()[0] in {"torchvision", "torchcodec"}


def test_a_grey_jpeg_comes_out_in_three_channels(jpegs: DeviceJpegs) -> None:
    grey = jpeg(0, mode="L")
    (pixels,) = decoded(jpegs, [grey])
    assert pixels is not None
    assert difference(pixels, grey[0]) < CLOSE
