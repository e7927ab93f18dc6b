"""Images in, embeddings out: the same values as a plain forward pass, in any batch size."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from dedup.errors import LayerError, ModelError
from dedup.models.extractor import Extractor
from dedup.models.loading import LoadedModel, load_model
from dedup.runtimes import torch_runtime as runtime_module
from dedup.runtimes.precision import agreement, computes_in_bf16, synthetic_images
from dedup.runtimes.torch_runtime import TorchRuntime

if TYPE_CHECKING:
    import numpy.typing as npt

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
CPU = torch.device("cpu")

needs_bf16 = pytest.mark.skipif(not computes_in_bf16(CPU), reason="this CPU has no bf16")


def loaded(module: nn.Module, side: int = 32) -> LoadedModel:
    return LoadedModel("mine", module.eval(), "untrained", "", (3, side, side), MEAN, STD)


def images(count: int, side: int = 32) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), np.uint8)


def normalised(batch: npt.NDArray[np.uint8]) -> torch.Tensor:
    values = (batch / 255 - np.array(MEAN)) / np.array(STD)
    return torch.from_numpy(values.transpose(0, 3, 1, 2)).float()


def cosines(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one.astype(np.float64) * other).sum(1) / norms)


@pytest.fixture
def fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the machine for one without bf16."""
    monkeypatch.setattr(runtime_module, "computes_in_bf16", lambda _device: False)


@pytest.mark.usefixtures("fp32")
def test_embeddings_are_those_of_a_plain_pass(small_net: nn.Sequential) -> None:
    batch = images(5)
    with torch.no_grad():
        plain = copy.deepcopy(small_net).eval()
        wanted = plain[:4](normalised(batch))
        logits = plain[4](wanted)
    with TorchRuntime(loaded(small_net), ["2", "prediction"], "cpu") as runtime:
        features = runtime.embed(batch)
        assert runtime.dimensions == {"2": 6, "prediction": 4}
        assert runtime.input_hw == (32, 32)
        assert runtime.description == f"torch {torch.__version__.split('+')[0]} cpu fp32"
    np.testing.assert_allclose(features["2"], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features.prediction, logits, rtol=1e-4, atol=1e-5)  # type: ignore[arg-type]


@pytest.mark.usefixtures("fp32")
def test_batch_size_does_not_change_an_embedding(small_net: nn.Sequential) -> None:
    batch = images(7)
    runtime = TorchRuntime(loaded(small_net), ["2"], "cpu")
    whole = runtime.embed(batch)["2"]
    for size in (1, 2, 6, 7):
        parts = [runtime.embed(batch[at : at + size])["2"] for at in range(0, 7, size)]
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5, atol=1e-6)


def test_no_images_give_no_rows(small_net: nn.Sequential) -> None:
    features = TorchRuntime(loaded(small_net), ["2", "0"], "cpu").embed(images(0))
    assert {name: values.shape for name, values in features.items()} == {"2": (0, 6), "0": (0, 6)}
    assert features.prediction.shape == (0, 4)  # type: ignore[union-attr]  # an array here


def test_read_only_and_strided_images_are_taken(small_net: nn.Sequential) -> None:
    runtime = TorchRuntime(loaded(small_net), ["2"], "cpu")
    batch = images(4)
    wanted = runtime.embed(batch[:, :, ::-1])["2"]
    batch.setflags(write=False)
    np.testing.assert_array_equal(
        runtime.embed(np.ascontiguousarray(batch[:, :, ::-1]))["2"], wanted
    )
    before = batch.copy()
    runtime.embed(batch)
    np.testing.assert_array_equal(batch, before)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
    ],
)
def test_anything_but_rgb_bytes_is_a_mistake(small_net: nn.Sequential, batch: Any) -> None:
    with pytest.raises(ValueError, match=r"must be \(B, H, W, 3\) uint8"):
        TorchRuntime(loaded(small_net), ["2"], "cpu").embed(batch)


# Number formats


def read(paths: list[Path], side: int) -> npt.NDArray[np.uint8]:
    batch = np.empty((len(paths), side, side, 3), np.uint8)
    for row, path in zip(batch, paths, strict=True):
        image = cv2.imread(str(path))
        assert image is not None
        row[:] = cv2.resize(image, (side, side))[:, :, ::-1]
    return batch


def rows(*values: list[float]) -> npt.NDArray[np.float32]:
    return np.array(values, np.float32)


@needs_bf16
def test_bf16_agrees_with_fp32_on_photographs(photographs: list[Path]) -> None:
    batch = read(photographs, 96)
    fast = TorchRuntime(load_model("copies-2"), ["prediction"], "cpu")
    assert fast.description.endswith("bf16")
    plain = load_model("copies-2")
    scaled = (batch / 255 - np.array(plain.mean)) / np.array(plain.std)
    extractor = Extractor(plain.module, ["prediction"])
    exact = extractor(torch.from_numpy(scaled.transpose(0, 3, 1, 2)).float())
    found = fast.embed(batch)
    assert cosines(found["prediction"], exact["prediction"]).min() >= 0.999
    assert not np.array_equal(found["prediction"], exact["prediction"])  # it did compute in bf16


@needs_bf16
def test_a_model_that_bf16_would_spoil_stays_fp32() -> None:
    class Cancels(nn.Module):
        """The difference of two nearly equal maps: nothing of it survives in bf16."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(*[nn.Conv2d(3, 3, 1, groups=3) for _ in range(4)])
            self.last = nn.Conv2d(3, 8, 1)
            self.pool = nn.AdaptiveAvgPool2d(1)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            batch = self.first(batch)
            whole = self.last(batch + 100)
            return self.pool(whole - self.last(torch.full_like(batch, 100)))  # type: ignore[no-any-return]

    model = Cancels()
    twin = copy.deepcopy(model).eval()
    runtime = TorchRuntime(loaded(model), ["pool"], "cpu")
    assert runtime.description.endswith("cpu fp32")
    wanted = twin(normalised(images(3))).flatten(1).detach()
    np.testing.assert_allclose(runtime.embed(images(3))["pool"], wanted, rtol=1e-3, atol=1e-3)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_agreement_is_the_lowest_cosine() -> None:
    one = {"a": rows([1, 0], [0, 0]), "b": rows([1, 1])}
    assert agreement(one, one) == pytest.approx(1)
    assert agreement(one, {**one, "b": rows([1, 0])}) == pytest.approx(np.sqrt(0.5))
    assert agreement(one, {**one, "b": rows([0, 0])}) == 0
    assert agreement(one, {**one, "b": rows([np.nan, 0])}) == -1


def test_synthetic_images_are_always_the_same() -> None:
    torch.manual_seed(8)
    first = synthetic_images(32, 48)
    assert first.shape == (4, 32, 48, 3)
    np.testing.assert_array_equal(first, synthetic_images(32, 48))
    assert all(image.std() > 20 for image in first)


# Limits


class Hungry(nn.Module):
    """Has memory for so many images at once, and no more."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.sizes: list[int] = []

    def forward(self, batch: torch.Tensor) -> dict[str, Any]:
        self.sizes.append(len(batch))
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        pooled = self.pool(batch)
        return {"pooled": pooled.flatten(1), "twice": (pooled, "text")}


def test_a_batch_too_large_for_the_memory_is_halved() -> None:
    model = Hungry(4)
    runtime = TorchRuntime(loaded(model), ["pool"], "cpu")
    model.most = 3
    model.sizes.clear()
    batch = images(13)
    features = runtime.embed(batch)
    wanted = normalised(batch).mean((2, 3))
    np.testing.assert_allclose(features["pool"], wanted, rtol=1e-4, atol=1e-4)
    assert isinstance(features.prediction, dict)
    np.testing.assert_allclose(features.prediction["pooled"], wanted, rtol=1e-4, atol=1e-4)
    assert features.prediction["twice"][0].shape == (13, 3, 1, 1)
    assert features.prediction["twice"][1] == "text"
    model.sizes.clear()
    runtime.embed(images(6))
    assert max(model.sizes) <= 3  # it remembers
    (note,) = runtime.notes
    assert note.endswith("not enough memory of cpu for more than 3 images")


def test_one_image_too_large_for_the_memory_is_an_error() -> None:
    model = Hungry(4)
    runtime = TorchRuntime(loaded(model), ["pool"], "cpu")
    model.most = 0
    with pytest.raises(ModelError, match="one image alone exceeds the memory of cpu"):
        runtime.embed(images(4))


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_a_host_with_little_memory_goes_on_with_less_or_says_so(runtime: str) -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("little_memory.py"), runtime],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == (["same", "smaller"] if runtime == "torch" else ["refused"])


def test_values_that_are_not_finite_are_an_error(small_net: nn.Sequential) -> None:
    with torch.no_grad():
        next(small_net.parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="'2' gave values that are not finite"):
        TorchRuntime(loaded(small_net), ["2"], "cpu")
    assert not any(module._forward_hooks for module in small_net.modules())  # noqa: SLF001  # what is tested


def test_unknown_layers_are_an_error_before_any_image(small_net: nn.Sequential) -> None:
    with pytest.raises(LayerError, match="no layer 'nowhere'"):
        TorchRuntime(loaded(small_net), ["nowhere"], "cpu")


def test_closing_leaves_no_hooks(small_net: nn.Sequential) -> None:
    with TorchRuntime(loaded(small_net), ["2"], "cpu") as runtime:
        runtime.embed(images(2))
    assert not any(module._forward_hooks for module in small_net.modules())  # noqa: SLF001  # what is tested
    with pytest.raises(ValueError, match="closed"):
        runtime.embed(images(2))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said(small_net: nn.Sequential) -> None:
    for name in ("cuda", "cuda:3"):
        with pytest.raises(ModelError, match=rf"'{name}' is not there: .* finds 0 CUDA GPUs"):
            TorchRuntime(loaded(small_net), ["2"], name)
    assert " cpu " in TorchRuntime(loaded(small_net), ["2"], "auto").description


@pytest.mark.parametrize("name", ["gpu", "", "meta", "cuda:x"])
def test_unknown_devices_are_an_error(small_net: nn.Sequential, name: str) -> None:
    with pytest.raises(ModelError, match="use auto, cpu or cuda"):
        TorchRuntime(loaded(small_net), ["2"], name)


@pytest.mark.gpu
def test_gpu_agrees_with_the_cpu(mobilenet_weights: Path, photographs: list[Path]) -> None:
    batch = read(photographs, 224)
    there = TorchRuntime(load_model(weights=mobilenet_weights), ["global_pool"], "cuda")
    here = TorchRuntime(load_model(weights=mobilenet_weights), ["global_pool"], "cpu")
    one, other = there.embed(batch)["global_pool"], here.embed(batch)["global_pool"]
    assert cosines(one, other).min() >= 0.999
