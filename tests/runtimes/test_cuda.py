"""What only a GPU shows: run with -m gpu."""

from __future__ import annotations

import gc
import threading
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from blocks import TrialFirst
from dedup.images.device import sides
from pictures import draw_folder, scene
from PIL import ImageFilter

from dedup.collection import Collection
from dedup.images.decode import decode_square
from dedup.indexing import batch_size, device_decoding, device_trial, readahead
from dedup.models.loading import load_model
from dedup.runtimes.device_jpegs import device_jpegs
from dedup.runtimes.torch_runtime import TorchRuntime
from dedup.spec import ModelSpec, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

pytestmark = pytest.mark.gpu

LAYERS = ("global_pool", "blocks.3")


def pictures(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Smooth pictures with an edge, none like another."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 7, 7, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(32, axis=1).repeat(32, axis=2))


def cosines(
    one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    first, second = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.asarray((first * second).sum(axis=1) / lengths)


@pytest.fixture(scope="module")
def runtime() -> Iterator[TorchRuntime]:
    with TorchRuntime(load_model("mobilenetv2_100", untrained=True), LAYERS, "cuda") as made:
        yield made


@pytest.fixture(scope="module")
def host() -> Iterator[TorchRuntime]:
    with TorchRuntime(load_model("mobilenetv2_100", untrained=True), LAYERS, "cpu") as made:
        yield made


@pytest.mark.parametrize("count", [1, 31, 32, 33, 255, 300])
def test_batches_of_every_size_agree_with_the_cpu(
    runtime: TorchRuntime, host: TorchRuntime, count: int
) -> None:
    batch = pictures(count)
    there, here = runtime.embed(batch), host.embed(batch)
    assert np.asarray(there.prediction).shape == np.asarray(here.prediction).shape
    for layer in LAYERS:
        assert there[layer].shape == here[layer].shape
        assert cosines(there[layer], here[layer]).min() >= 0.999


def test_a_batch_filled_in_its_room_is_the_same_as_one_that_is_copied(
    runtime: TorchRuntime,
) -> None:
    for count in (5, 256, 257):
        batch = pictures(count, 1)
        room = runtime.room(count)
        np.copyto(room, batch)
        np.testing.assert_array_equal(
            runtime.embed(room)["global_pool"], runtime.embed(batch)["global_pool"]
        )


def test_threads_do_not_see_each_others_batches(runtime: TorchRuntime) -> None:
    wanted = [runtime.embed(pictures(256, seed))["global_pool"] for seed in range(4)]
    wrong: list[int] = []

    def embed(seed: int) -> None:
        for _ in range(10):
            room = runtime.room(256)
            np.copyto(room, pictures(256, seed))
            if not np.array_equal(runtime.embed(room)["global_pool"], wanted[seed]):
                wrong.append(seed)

    threads = [threading.Thread(target=embed, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_size_gets_ready_while_smaller_batches_go_on() -> None:
    with TorchRuntime(load_model("mobilenetv2_100", untrained=True), LAYERS, "cuda") as runtime:
        batch = pictures(256, 4)
        few = runtime.embed(batch[:32])["global_pool"]
        rounds = 0
        while not runtime.get_ready(256):
            assert cosines(runtime.embed(batch[:32])["global_pool"], few).min() >= 0.99999
            rounds += 1
        assert rounds > 0
        assert runtime.get_ready(256)
        assert cosines(runtime.embed(batch)["global_pool"][:32], few).min() >= 0.999


def test_short_runs_are_not_made_to_wait_for_large_batches(runtime: TorchRuntime) -> None:
    assert runtime.batch_sizes(10_000) == ()
    assert runtime.batch_sizes(100_000) == (256,)


def test_a_gpu_without_enough_memory_goes_on_with_smaller_batches() -> None:
    with TorchRuntime(load_model("mobilenetv2_100", untrained=True), LAYERS, "cuda") as runtime:
        batch = pictures(256, 2)
        parts = [runtime.embed(batch[at : at + 32])["global_pool"] for at in range(0, 256, 32)]
        gc.collect()
        torch.cuda.empty_cache()
        _, total = torch.cuda.mem_get_info()
        try:
            # The first maps of 256 pictures take 800 MB.
            room = torch.cuda.memory_reserved() + (500 << 20)
            torch.cuda.set_per_process_memory_fraction(room / total)
            less = runtime.embed(batch)["global_pool"]
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        assert cosines(np.concatenate(parts), less).min() >= 0.999
        assert runtime._largest_batch in {32, 64, 128}  # noqa: SLF001  # what is tested
        np.testing.assert_array_equal(runtime.embed(batch)["global_pool"], less)


def test_a_fused_pass_gives_the_same_while_others_go_on(runtime: TorchRuntime) -> None:
    batch = pictures(256, 3)
    eager = runtime.embed(batch)
    runtime.hasten()
    runtime.hasten()  # once is enough
    rounds = 0
    while " fused" not in runtime.description and not runtime.notes:
        assert cosines(runtime.embed(batch)["global_pool"], eager["global_pool"]).min() >= 0.99999
        rounds += 1
    assert runtime.notes == ()
    assert rounds > 0
    fused = runtime.embed(batch)
    for layer in LAYERS:
        assert cosines(fused[layer], eager[layer]).min() >= 0.999
    assert cosines(np.asarray(fused.prediction), np.asarray(eager.prediction)).min() >= 0.999
    wanted = runtime.embed(batch[:32])["global_pool"]  # not fused
    assert cosines(fused["global_pool"][:32], wanted).min() >= 0.999


def test_indexing_on_a_gpu_sees_what_the_cpu_sees(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    draw_folder(folder)
    tables = []
    for device in ("cuda", "cpu"):
        with Collection.create(
            tmp_path / device,
            ModelSpec("mobilenetv2_100", untrained=True),
            runtime=Runtime(device, "torch"),
        ) as collection:
            collection.index(folder)
            tables.append(collection.features())
    there, here = tables
    assert there.paths == here.paths
    assert len(there.paths) > 0
    one, other = there.embeddings["global_pool"], here.embeddings["global_pool"]
    assert cosines(one, other).min() >= 0.999


def test_its_jpeg_decoder_gives_what_the_host_gives(tmp_path: Path) -> None:
    device = torch.device("cuda")
    jpegs = device_jpegs(device, partial(sides, height=96, width=96))
    assert jpegs is not None
    files = []
    for seed in range(40):
        path = tmp_path / f"{seed}.jpg"
        size = [(200, 150), (500, 375), (1000, 667)][seed % 3]
        scene(seed, size).save(path, quality=90, subsampling=2 * (seed % 2))
        files.append((path.read_bytes(), size[::-1]))
    files[7] = b"\xff\xd8\xff no picture", (150, 200)
    out = np.empty((40, 96, 96, 3), np.uint8)
    found = jpegs.decode(files, out)
    assert np.flatnonzero(~found).tolist() == [7]
    for picture, there, (data, _) in zip(out, found, files, strict=True):
        if there:
            wanted = decode_square(data, 96, 96).pixels.astype(np.int16)
            assert np.abs(picture - wanted).mean() < 2


def test_a_run_whose_jpegs_the_gpu_decodes_sees_what_the_host_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(400):
        clouds = scene(seed, (300, 280)).filter(ImageFilter.GaussianBlur(2))
        clouds.save(folder / f"{seed:03}.jpg", quality=80)
    for name, value in (("_SAMPLE", 40), ("_FIRST", 50), ("_WORTH", 0.0)):
        monkeypatch.setattr(device_decoding, name, value)
    monkeypatch.setattr(device_trial, "_PROMISING", 0.0)
    monkeypatch.setattr(batch_size, "_WINDOW", 50)
    monkeypatch.setattr(device_decoding, "ThreadPoolExecutor", TrialFirst)
    monkeypatch.setattr(readahead, "_AHEAD", 32)
    tables, told = [], []
    for device in ("cuda", "cpu"):
        with Collection.create(
            tmp_path / device,
            ModelSpec("mobilenetv2_100", untrained=True, views="content"),
            runtime=Runtime(device, "torch"),
        ) as collection:
            stages = collection.index(folder).stages
            assert stages is not None
            told.append(stages)
            tables.append(collection.features())
    assert told[0].device_jpegs > 0, told[0].choice
    assert (told[1].choice, told[1].device_jpegs) == ("", 0)
    there, here = tables
    assert there.paths == here.paths
    # Both decoders and bf16 have a part in it.
    agreement = cosines(there.embeddings["global_pool"], here.embeddings["global_pool"])
    assert np.median(agreement) >= 0.999
    assert agreement.min() >= 0.998
