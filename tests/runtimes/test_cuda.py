"""What only a GPU shows: run with -m gpu."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from pictures import draw_folder

from dedup.collection import Collection
from dedup.models.loading import load_model
from dedup.runtimes.torch_runtime import TorchRuntime
from dedup.spec import ModelSpec, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

pytestmark = pytest.mark.gpu

LAYERS = ("global_pool", "blocks.3")


def images(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Smooth images with an edge, none like another."""
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
    batch = images(count)
    there, here = runtime.embed(batch), host.embed(batch)
    assert np.asarray(there.prediction).shape == np.asarray(here.prediction).shape
    for layer in LAYERS:
        assert there[layer].shape == here[layer].shape
        assert cosines(there[layer], here[layer]).min() >= 0.999


def test_threads_do_not_see_each_others_batches(runtime: TorchRuntime) -> None:
    batches = [images(256, seed) for seed in range(4)]
    wanted = [runtime.embed(batch)["global_pool"] for batch in batches]
    wrong: list[int] = []

    def embed(seed: int) -> None:
        for _ in range(10):
            found = runtime.embed(batches[seed])["global_pool"]
            if cosines(found, wanted[seed]).min() < 0.999:
                wrong.append(seed)

    threads = [threading.Thread(target=embed, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_large_passes_are_initialised_while_smaller_ones_go_on() -> None:
    with TorchRuntime(load_model("mobilenetv2_100", untrained=True), LAYERS, "cuda") as runtime:
        assert runtime.batch_size == 256
        batch = images(256, 4)
        wanted = runtime.embed(batch)  # by eight small passes
        for _ in range(200):  # 51,200 images: past the start of it, and past its end
            found = runtime.embed(batch)
            for layer in LAYERS:
                assert cosines(found[layer], wanted[layer]).min() >= 0.999
        assert runtime.notes == ()


def test_a_gpu_without_enough_memory_goes_on_with_smaller_batches(host: TorchRuntime) -> None:
    with TorchRuntime(load_model("mobilenetv2_100", untrained=True), LAYERS, "cuda") as runtime:
        batch = images(64, 2)
        gc.collect()
        torch.cuda.empty_cache()
        _, total = torch.cuda.mem_get_info()
        try:
            # The first maps of 32 images take 100 MB.
            limit = torch.cuda.memory_reserved() + (60 << 20)
            torch.cuda.set_per_process_memory_fraction(limit / total)
            fewer = runtime.embed(batch)["global_pool"]
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        assert cosines(host.embed(batch)["global_pool"], fewer).min() >= 0.999
        (note,) = runtime.notes
        assert "not enough memory of cuda for more than" in note
        np.testing.assert_array_equal(runtime.embed(batch)["global_pool"], fewer)


def test_indexing_on_a_gpu_sees_what_the_cpu_sees(tmp_path: Path) -> None:
    folder = tmp_path / "images"
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
