"""The same embeddings by exported graphs as by torch, and a cache that never lies."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from dedup.collection import Collection
from dedup.errors import LayerError, ModelError
from dedup.fingerprint import Fingerprint
from dedup.models.loading import LoadedModel, load_model
from dedup.parallel.hardware import has_bf16
from dedup.runtimes.cache import Graph, cache_folder, read_graph, stored_graph, write_graph
from dedup.runtimes.engines import ENGINES
from dedup.runtimes.graph import GraphRuntime
from dedup.runtimes.openvino_runtime import import_openvino
from dedup.runtimes.select import make_runtime, ready_runtime
from dedup.runtimes.torch_runtime import TorchRuntime

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

MODELS = {
    "test_efficientnet": ("global_pool", "blocks.1", "prediction"),
    "test_resnet": ("layer2", "global_pool"),
    "test_vit": ("global_pool", "blocks.1.mlp"),
    "test_convnext": ("global_pool",),
}


def fingerprint(loaded: LoadedModel, layers: tuple[str, ...], digest: str = "") -> Fingerprint:
    return Fingerprint(
        loaded.name,
        loaded.weights,
        digest or loaded.weights_digest,
        layers,
        *loaded.input_size[1:],
        "decoder",
    )


def images(count: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (count, height, width, 3), np.uint8)


def lowest_cosine(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    lowest = 1.0
    for layer in one:
        first, second = one[layer].astype(np.float64), other[layer].astype(np.float64)
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        lowest = min(lowest, float(((first * second).sum(1) / norms).min()))
    return lowest


QUICK = {  # each family once, and one of them by both engines
    ("test_efficientnet", "openvino"),
    ("test_efficientnet", "onnxruntime"),
    ("test_vit", "openvino"),
    ("test_convnext", "onnxruntime"),
}


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in itertools.product(MODELS, ENGINES)
    ],
)
def test_engines_and_torch_agree_on_every_layer(name: str, engine: str) -> None:
    loaded, layers = load_model(name, untrained=True), MODELS[name]
    made = make_runtime(loaded, fingerprint(loaded, layers), "cpu", engine)
    assert isinstance(made, GraphRuntime)
    assert made.engine == engine
    assert made.notes == ()
    batch = images(11, *made.input_hw)
    found = made.embed(batch)
    torch_runtime = TorchRuntime(loaded, layers, "cpu")
    wanted = torch_runtime.embed(batch)
    assert tuple(found) == layers
    assert made.dimensions == torch_runtime.dimensions
    # The design promises .999; in fp32 nothing but rounding is left.
    in_bf16 = {runtime.description[-4:] for runtime in (made, torch_runtime)} != {"fp32"}
    limit = 0.999 if in_bf16 else 0.99999
    assert lowest_cosine(found, wanted) >= limit
    assert isinstance(found.prediction, np.ndarray)
    assert found.prediction.shape == (11, 1000)


@pytest.mark.parametrize("engine", ENGINES)
def test_order_and_batch_size_change_nothing_but_rounding(engine: str) -> None:
    loaded = load_model("test_efficientnet", untrained=True)
    runtime = make_runtime(loaded, fingerprint(loaded, ("global_pool",)), "cpu", engine)
    batch = images(33, *runtime.input_hw)
    whole = runtime.embed(batch)["global_pool"]
    assert whole.shape == (33, 256)
    for size in (1, 2, 7, 8, 9, 32, 33):
        parts = [runtime.embed(batch[at : at + size])["global_pool"] for at in range(0, 33, size)]
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-4, atol=1e-6)
    backwards = runtime.embed(batch[::-1])["global_pool"]
    np.testing.assert_allclose(backwards[::-1], whole, rtol=1e-4, atol=1e-6)
    nothing = runtime.embed(batch[:0])
    assert nothing["global_pool"].shape == (0, 256)
    assert nothing.prediction.shape == (0, 1000)  # type: ignore[union-attr]  # an array here


def test_wrong_images_and_a_closed_runtime_are_mistakes() -> None:
    loaded = load_model("test_efficientnet", untrained=True)
    runtime = make_runtime(loaded, fingerprint(loaded, ("global_pool",)), "cpu", "openvino")
    good = images(2, *runtime.input_hw)
    with pytest.raises(ValueError, match=r"must be \(B, H, W, 3\) uint8"):
        runtime.embed(good.astype(np.float32))
    with pytest.raises(ValueError, match="images must be"):
        runtime.embed(good[:, :8])
    runtime.close()
    with pytest.raises(ValueError, match="closed"):
        runtime.embed(good)


# The cache


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give the test an empty cache; its folder of exported models."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder()


def test_a_damaged_cache_is_made_again(own_cache: Path) -> None:
    loaded = load_model("test_efficientnet", untrained=True)
    pinned = fingerprint(loaded, ("global_pool",))
    assert ready_runtime(pinned, "cpu", "auto") is None
    wanted = make_runtime(loaded, pinned, "cpu", "auto").embed(images(2, 160, 160))
    (path,) = own_cache.iterdir()
    whole = path.read_bytes()
    assert ready_runtime(pinned, "cpu", "auto") is not None
    damages = [whole[: len(whole) // 2], whole[:10], b"", b"\0" * len(whole), whole + b"x"]
    for place in (0, 9, 40, len(whole) // 2, len(whole) - 1):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        damages.append(bytes(flipped))
    for damaged in damages:
        path.write_bytes(damaged)
        assert ready_runtime(pinned, "cpu", "auto") is None
    again = make_runtime(loaded, pinned, "cpu", "auto")
    assert again.notes == ()
    assert lowest_cosine(again.embed(images(2, 160, 160)), wanted) > 0.99999
    assert ready_runtime(pinned, "cpu", "auto") is not None
    assert list(own_cache.iterdir()) == [path]


def test_the_cache_holds_plain_onnx_files_with_metadata(own_cache: Path) -> None:
    import onnx

    loaded = load_model("test_efficientnet", untrained=True)
    make_runtime(loaded, fingerprint(loaded, ("global_pool",)), "cpu", "auto").close()
    (path,) = own_cache.iterdir()
    model = onnx.load(path)
    onnx.checker.check_model(model)
    (entry,) = model.metadata_props
    facts = json.loads(entry.value)
    assert entry.key == "dedup"
    assert facts["dimensions"] == {"global_pool": 256}
    assert (facts["height"], facts["width"]) == (160, 160)
    assert facts["weights_digest"] == loaded.weights_digest


@pytest.mark.parametrize("engine", ENGINES)
def test_a_graph_is_kept_for_what_went_into_it_alone(own_cache: Path, engine: str) -> None:
    loaded = load_model("test_efficientnet", untrained=True)
    pinned = fingerprint(loaded, ("global_pool",))
    make_runtime(loaded, pinned, "cpu", engine).close()
    assert stored_graph(pinned, engine) is not None
    (other,) = set(ENGINES) - {engine}  # in which it was not compared with torch
    assert stored_graph(pinned, other) is None
    assert stored_graph(fingerprint(loaded, ("blocks.1",)), engine) is None
    assert stored_graph(fingerprint(loaded, ("global_pool",), "0" * 64), engine) is None
    assert own_cache.is_dir()


def test_a_cache_that_cannot_be_written_only_costs_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    loaded = load_model("test_efficientnet", untrained=True)
    made = make_runtime(loaded, fingerprint(loaded, ("global_pool",)), "cpu", "auto")
    assert made.description.startswith(ENGINES)
    assert made.embed(images(1, *made.input_hw))["global_pool"].shape == (1, 256)


def test_the_oldest_graphs_are_deleted(tmp_path: Path) -> None:
    for number in range(20):
        write_graph(tmp_path, f"{number:02}", Graph.failed("why"))
    assert len(list(tmp_path.iterdir())) == 12
    assert read_graph(tmp_path, "00") is None
    kept = read_graph(tmp_path, "19")
    assert kept is not None
    assert kept.facts.failure == "why"


# Models that cannot be exported


def mine(module: nn.Module) -> LoadedModel:
    one = (0.5, 0.5, 0.5)
    return LoadedModel("mine", module.eval(), "untrained", "d" * 64, (3, 32, 32), one, one)


class Sorted(nn.Module):
    """Goes another way than traced, depending on the batch: a constant in the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.sizes: list[int] = []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        weights = torch.ones(1)
        if len(batch) != 2:
            weights = -torch.arange(1.0, 4.0).view(1, 3, 1, 1)
        return self.pool(batch * weights)  # type: ignore[no-any-return]


class Strange(nn.Module):
    """Puts out what no graph can."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, batch: torch.Tensor) -> Any:
        return self.pool(batch), object()


class Broken(nn.Module):
    """Cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        if torch._C._get_tracing_state():  # noqa: SLF001
            raise RuntimeError("not while\ntraced")
        return self.pool(batch)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Sorted, "its embeddings would differ"),
        (Strange, "its output holds a object"),
        (Broken, "not while"),
    ],
)
def test_what_cannot_be_exported_runs_in_torch_and_says_so(
    module: type[nn.Module], reason: str, own_cache: Path
) -> None:
    loaded = mine(module())
    pinned = fingerprint(loaded, ("pool",))
    for _ in range(2):  # the second time by the cache
        runtime = make_runtime(loaded, pinned, "cpu", "auto")
        assert isinstance(runtime, TorchRuntime)
        (note,) = runtime.notes
        assert note.startswith("mine runs in torch, more slowly: it cannot be exported")
        assert reason in note
        assert "\n" not in note
        assert ready_runtime(pinned, "cpu", "auto") is None
        assert len(list(own_cache.iterdir())) == 1
        wanted = (images(5, 32, 32) / 127.5 - 1).mean((1, 2))
        found = np.abs(runtime.embed(images(5, 32, 32))["pool"])
        factors = np.arange(1, 4) if module is Sorted else 1
        np.testing.assert_allclose(found, np.abs(wanted) * factors, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_nested_predictions_come_back_as_they_were(engine: str) -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = nn.AdaptiveAvgPool2d(1)

        def forward(self, batch: torch.Tensor) -> Any:
            pooled = self.pool(batch)
            return pooled.flatten(1), {"twice": [2 * pooled, "text", None]}

    loaded = mine(Nested())
    runtime = make_runtime(loaded, fingerprint(loaded, ("pool", "prediction")), "cpu", engine)
    prediction: Any = runtime.embed(images(3, 32, 32)).prediction
    first, second = prediction
    assert isinstance(runtime, GraphRuntime)
    np.testing.assert_allclose(second["twice"][0][:, :, 0, 0], 2 * first, rtol=1e-5)
    assert second["twice"][1:] == ("text", None)


def test_mistakes_are_the_same_as_in_torch() -> None:
    loaded = load_model("test_efficientnet", untrained=True)
    with pytest.raises(LayerError, match="no layer 'nowhere'"):
        make_runtime(loaded, fingerprint(loaded, ("nowhere",)), "cpu", "auto")
    with torch.no_grad():
        for parameter in loaded.module.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(ModelError, match="gave values that are not finite"):
        make_runtime(loaded, fingerprint(loaded, ("global_pool",), "n" * 64), "cpu", "auto")


def test_the_runtime_can_be_chosen() -> None:
    loaded = load_model("test_efficientnet", untrained=True)
    pinned = fingerprint(loaded, ("global_pool",))
    assert isinstance(make_runtime(loaded, pinned, "cpu", "torch"), TorchRuntime)
    assert ready_runtime(pinned, "cpu", "torch") is None
    with pytest.raises(ModelError, match="no runtime 'onnx'"):
        ready_runtime(pinned, "cpu", "onnx")
    for engine in ENGINES:
        with pytest.raises(ModelError, match=f"{engine} runs on CPUs"):
            ready_runtime(pinned, "cuda", engine)


IMPORTS = {
    "auto": "openvino" if has_bf16() else "onnxruntime",
    "openvino": "openvino",
    "onnxruntime": "onnxruntime",
}


OTHERS = [kind for kind, engine in IMPORTS.items() if engine != IMPORTS["auto"]]


@pytest.mark.parametrize("kind", ["auto", *OTHERS])
def test_only_the_engine_that_runs_is_imported(kind: str) -> None:
    code = (
        "import sys, numpy as np; from dedup.binding import prepare\n"
        "from dedup.spec import ModelSpec\n"
        "from dedup.runtimes.select import ready_runtime\n"
        "pinned = prepare(ModelSpec()).fingerprint\n"
        "runtime = ready_runtime(pinned, 'cpu', sys.argv[1])\n"
        "print(*runtime.embed(np.zeros((1, 96, 96, 3), np.uint8))['prediction'].shape)\n"
        "heavy = {'torch', 'timm', 'onnx', 'openvino', 'onnxruntime', 'openvino_telemetry'}\n"
        "print(runtime.engine, *(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, kind], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "256", IMPORTS[kind], IMPORTS[kind]]


@pytest.mark.slow
def test_exporting_imports_no_telemetry() -> None:
    code = (
        "import sys; from dedup.runtimes.export import export\n"
        "from dedup.models.loading import load_model\n"
        "graph = export(load_model('test_vit', untrained=True), ['global_pool'], 'openvino')\n"
        "print(len(graph.content) > 0, *(m for m in sys.modules if 'openvino_telemetry' in m))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]
    assert import_openvino().__name__ == "openvino"


def test_a_second_start_imports_no_torch(drawn: Path, store: Path, tmp_path: Path) -> None:
    """Neither to index new files nor to query a new image."""
    code = (
        "import sys; from dedup import Collection\n"
        "with Collection.open(sys.argv[1]) as collection:\n"
        "    summary = collection.index([sys.argv[2]])\n"
        "    hits = collection.query(sys.argv[3], k=3)\n"
        "    print(summary.indexed, len(hits), *({'torch', 'timm'} & set(sys.modules)))"
    )
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(77)
    folder = tmp_path / "new"
    folder.mkdir()
    for place in (folder / "a.png", folder / "b.png", tmp_path / "query.png"):
        cv2.imwrite(str(place), rng.integers(0, 256, (60, 80, 3), np.uint8))
    assert drawn.is_dir()
    with Collection.open(store) as collection:  # a first start, should its graph have made room
        collection.query(tmp_path / "query.png")
    arguments = [str(store), str(folder), str(tmp_path / "query.png")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2", "3"]
