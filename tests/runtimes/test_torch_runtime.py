"""Pictures in, embeddings out: the same values as a plain forward pass, in any batch size."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import timm
import torch
from torch import nn

from dedup.errors import LayerError, ModelError
from dedup.models.extractor import Extractor
from dedup.models.loading import LoadedModel, load_model
from dedup.runtimes import torch_runtime as runtime_module
from dedup.runtimes.folding import fold, traced
from dedup.runtimes.precision import Bf16, agreement, computes_in_bf16, synthetic_pictures
from dedup.runtimes.torch_runtime import TorchRuntime

if TYPE_CHECKING:
    import numpy.typing as npt

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
CPU = torch.device("cpu")

needs_bf16 = pytest.mark.skipif(not computes_in_bf16(CPU), reason="this CPU has no bf16")


def loaded(module: nn.Module, side: int = 32) -> LoadedModel:
    return LoadedModel("mine", module.eval(), "untrained", "", (3, side, side), MEAN, STD)


def pictures(count: int, side: int = 32) -> npt.NDArray[np.uint8]:
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
    batch = pictures(5)
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
    batch = pictures(7)
    runtime = TorchRuntime(loaded(small_net), ["2"], "cpu")
    whole = runtime.embed(batch)["2"]
    for size in (1, 2, 6, 7):
        parts = [runtime.embed(batch[at : at + size])["2"] for at in range(0, 7, size)]
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5, atol=1e-6)


def test_no_pictures_give_no_rows(small_net: nn.Sequential) -> None:
    features = TorchRuntime(loaded(small_net), ["2", "0"], "cpu").embed(pictures(0))
    assert {name: values.shape for name, values in features.items()} == {"2": (0, 6), "0": (0, 6)}
    assert features.prediction.shape == (0, 4)  # type: ignore[union-attr]  # an array here


def test_read_only_and_strided_pictures_are_taken(small_net: nn.Sequential) -> None:
    runtime = TorchRuntime(loaded(small_net), ["2"], "cpu")
    batch = pictures(4)
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
        picture = cv2.imread(str(path))
        assert picture is not None
        row[:] = cv2.resize(picture, (side, side))[:, :, ::-1]
    return batch


def rows(*values: list[float]) -> npt.NDArray[np.float32]:
    return np.array(values, np.float32)


@needs_bf16
def test_bf16_agrees_with_fp32_on_photographs(
    mobilenet_weights: Path, photographs: list[Path]
) -> None:
    batch = read(photographs, 224)
    fast = TorchRuntime(load_model(weights=mobilenet_weights), ["global_pool"], "cpu")
    assert "bf16" in fast.description
    plain = load_model(weights=mobilenet_weights)
    scaled = (batch / 255 - np.array(plain.mean)) / np.array(plain.std)
    exact = Extractor(plain.module)(torch.from_numpy(scaled.transpose(0, 3, 1, 2)).float())
    found = fast.embed(batch)
    assert cosines(found["global_pool"], exact["global_pool"]).min() >= 0.999
    assert not np.array_equal(found["global_pool"], exact["global_pool"])  # it did compute in bf16


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
    wanted = twin(normalised(pictures(3))).flatten(1).detach()
    np.testing.assert_allclose(runtime.embed(pictures(3))["pool"], wanted, rtol=1e-3, atol=1e-3)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_kept_convolutions_compute_in_fp32_within_autocast() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)).eval()
    first: nn.Module = model[0]
    batch = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        wanted = first(batch)
        bf16 = Bf16(model, CPU, [first])
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(first(batch.bfloat16()), first(batch.bfloat16().float()))
            assert torch.equal(first(batch), wanted)
            assert model(batch).dtype == torch.bfloat16
            assert torch.is_autocast_enabled("cpu")
        assert next(model[2].parameters()).dtype == torch.bfloat16
        bf16.undo()
        assert torch.equal(first(batch), wanted)
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert "forward" not in vars(first)


def test_agreement_is_the_lowest_cosine() -> None:
    one = {"a": rows([1, 0], [0, 0]), "b": rows([1, 1])}
    assert agreement(one, one) == pytest.approx(1)
    assert agreement(one, {**one, "b": rows([1, 0])}) == pytest.approx(np.sqrt(0.5))
    assert agreement(one, {**one, "b": rows([0, 0])}) == 0
    assert agreement(one, {**one, "b": rows([np.nan, 0])}) == -1


def test_synthetic_pictures_are_always_the_same() -> None:
    torch.manual_seed(8)
    first = synthetic_pictures(32, 48)
    assert first.shape == (4, 32, 48, 3)
    np.testing.assert_array_equal(first, synthetic_pictures(32, 48))
    assert all(picture.std() > 20 for picture in first)


# Folding


def lively(name: str) -> nn.Module:
    """A small timm model whose batch norms do something."""
    model: nn.Module = timm.create_model(name).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_var, module.weight):
                nn.init.uniform_(values, 0.5, 1.5)  # type: ignore[arg-type]
            for values in (module.running_mean, module.bias):
                nn.init.uniform_(values, -0.3, 0.3)  # type: ignore[arg-type]
    return model


@pytest.mark.usefixtures("fp32")
@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "regnetx_002"])
def test_folding_changes_speed_but_no_value(name: str) -> None:
    model = lively(name)
    twin, batch = copy.deepcopy(model), pictures(3, 64)
    runtime = TorchRuntime(loaded(model, 64), ["global_pool"], "cpu")
    folded = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and "forward" in vars(m)]
    assert len(folded) > 3
    found, wanted = runtime.embed(batch), Extractor(twin)(normalised(batch))
    np.testing.assert_allclose(found["global_pool"], wanted["global_pool"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.prediction, wanted.prediction, rtol=1e-3, atol=1e-3)  # type: ignore[arg-type]


@pytest.mark.usefixtures("fp32")
def test_hooked_convolutions_and_norms_give_what_they_always_gave() -> None:
    model = lively("test_resnet")
    twin, batch = copy.deepcopy(model), pictures(2, 64)
    layers = ["layer1.0.conv1", "layer2.0.bn1", "layer3.0.bn2:input", "layer1", "layer4"]
    found = TorchRuntime(loaded(model, 64), layers, "cpu").embed(batch)
    wanted = Extractor(twin, layers)(normalised(batch))
    for layer in layers:
        np.testing.assert_allclose(found[layer], wanted[layer], rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("fp32")
def test_folding_that_would_change_a_value_is_taken_back() -> None:
    class Shared(nn.Module):
        """The convolution's output goes into the norm and around it."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.norm = nn.BatchNorm2d(4)
            self.pool = nn.AdaptiveAvgPool2d(1)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            whole = self.conv(batch)
            return self.pool(self.norm(whole) + whole)  # type: ignore[no-any-return]

    model = Shared()
    nn.init.uniform_(model.norm.weight, 2, 3)
    twin = copy.deepcopy(model).eval()
    runtime = TorchRuntime(loaded(model), ["pool"], "cpu")
    wanted = twin(normalised(pictures(3))).flatten(1).detach()
    np.testing.assert_allclose(runtime.embed(pictures(3))["pool"], wanted, rtol=1e-4, atol=1e-5)
    assert all(
        torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True)
    )


def test_a_module_that_runs_twice_is_not_folded() -> None:
    conv, norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
    model = nn.Sequential(conv, norm, conv).eval()
    with torch.no_grad(), traced(model) as trace:
        model(torch.randn(1, 3, 4, 4))
    assert trace.convolutions == [conv]
    assert not trace.folds
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())  # noqa: SLF001  # what is tested


def test_folding_can_be_taken_back_to_the_bit() -> None:
    model, batch = lively("test_efficientnet"), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        with traced(model) as trace:
            before = model(batch)
        undo = fold(trace, [])
        np.testing.assert_allclose(model(batch), before, rtol=1e-3, atol=1e-4)
        undo.close()
        assert torch.equal(model(batch), before)


# Limits


class Hungry(nn.Module):
    """Has memory for so many pictures at once, and no more."""

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
    batch = pictures(13)
    features = runtime.embed(batch)
    wanted = normalised(batch).mean((2, 3))
    np.testing.assert_allclose(features["pool"], wanted, rtol=1e-4, atol=1e-4)
    assert isinstance(features.prediction, dict)
    np.testing.assert_allclose(features.prediction["pooled"], wanted, rtol=1e-4, atol=1e-4)
    assert features.prediction["twice"][0].shape == (13, 3, 1, 1)
    assert features.prediction["twice"][1] == "text"
    model.sizes.clear()
    runtime.embed(pictures(6))
    assert max(model.sizes) <= 3  # it remembers
    (note,) = runtime.notes
    assert note.endswith("not enough memory of cpu for more than 3 pictures a time")


def test_one_picture_too_large_for_the_memory_is_an_error() -> None:
    model = Hungry(4)
    runtime = TorchRuntime(loaded(model), ["pool"], "cpu")
    model.most = 0
    with pytest.raises(ModelError, match="one picture alone exceeds the memory of cpu"):
        runtime.embed(pictures(4))


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


def test_unknown_layers_are_an_error_before_any_picture(small_net: nn.Sequential) -> None:
    with pytest.raises(LayerError, match="no layer 'nowhere'"):
        TorchRuntime(loaded(small_net), ["nowhere"], "cpu")


def test_closing_leaves_no_hooks(small_net: nn.Sequential) -> None:
    with TorchRuntime(loaded(small_net), ["2"], "cpu") as runtime:
        runtime.embed(pictures(2))
    assert not any(module._forward_hooks for module in small_net.modules())  # noqa: SLF001  # what is tested
    with pytest.raises(ValueError, match="closed"):
        runtime.embed(pictures(2))


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
