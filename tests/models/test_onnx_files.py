"""ONNX files as models: named outputs side by side, against ONNX Runtime by hand."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from dedup.collection import Collection
from dedup.errors import FingerprintError, LayerError, ModelError, WeightsError
from dedup.preparation import Preparation
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2)
        self.head = nn.Linear(8, 5)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen = self.conv(images).relu()
        return self.head(seen.mean((2, 3))), seen


def write(
    path: Path, *, free: bool = True, opset: int = 17, module: nn.Module | None = None
) -> Path:
    axes = {"images": {0: "batch"}} if free else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            (module or Net()).eval(), (torch.zeros(1, 3, 32, 32),), str(path), dynamo=False,
            input_names=["images"], output_names=["logits", "map"], dynamic_axes=axes,
            opset_version=opset,
        )  # fmt: skip
    return path


def by_hand(path: Path, images: list[Path]) -> dict[str, np.ndarray[Any, Any]]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: dict[str, list[Any]] = {"logits": [], "map": []}
    for image in images:
        pixels = Preparation(32, 32).prepare(image.read_bytes()).pixels.astype(np.float64)
        batch = ((pixels / 255 - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)
        logits, seen = session.run(["logits", "map"], {"images": batch})
        found["logits"].append(logits[0])
        found["map"].append(seen[0].mean((1, 2)))
    return {name: np.stack(rows) for name, rows in found.items()}


@pytest.mark.parametrize("opset", [17, 18])
def test_outputs_are_those_of_the_file(tmp_path: Path, drawn: Path, opset: int) -> None:
    path = write(tmp_path / "net.onnx", opset=opset)
    spec = ModelSpec(path.__fspath__(), layers=("map", "logits"), mean=MEAN, std=STD)
    with Collection.create(tmp_path / "s", spec) as made:
        made.index(drawn / "a")
        table = made.features()
    wanted = by_hand(path, [drawn / "a" / name.rsplit("/", 1)[1] for name in table.paths])
    for layer, rows in wanted.items():
        found = table[layer]
        assert found.shape == rows.shape
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(found, axis=1)
        assert ((rows * found).sum(1) / lengths).min() > 0.999


def test_the_command_takes_layers_side_by_side(
    dedup: Callable[..., Outcome], tmp_path: Path, drawn: Path
) -> None:
    path, store = write(tmp_path / "net.onnx"), tmp_path / "s"
    make = ("index", drawn / "a", "-s", store, "--model", path)
    done = dedup(*make, "--mean", "0.4,0.5,0.6", "--std", "0.2,0.25,0.3")
    assert (done.code, "puts out 2 tensors: name those to keep, --layer NAME (logits, map)" in
            done.err) == (1, True)  # fmt: skip
    assert not store.exists()
    layers = ("--layer", "logits", "--layer", "map")
    done = dedup(*make, "--mean", "0.4,0.5,0.6", "--std", "0.2,0.25,0.3", *layers)
    assert done.code == 0, done.err
    found = dedup("query", drawn / "b" / "2 small.jpg", "-s", store, "-k", 1).rows
    assert [row["path"] for row in found] == [str(drawn / "a" / "2.jpg")]
    assert dedup("export", "-s", store, "-o", tmp_path / "x.npz").code == 0
    with np.load(tmp_path / "x.npz") as table:
        assert table["logits"].shape[1:] == (5,)
        assert table["map"].shape[1:] == (8,)
    done = dedup("index", "-s", store, "--model", path, "--mean", "0,0,0")
    assert (done.code, "mean: (0.4, 0.5, 0.6), not (0.0, 0.0, 0.0)" in done.err) == (1, True)
    path.rename(tmp_path / "moved.onnx")
    done = dedup("query", drawn / "b" / "2 small.jpg", "-s", store, "-k", 1)
    assert "--weights FILE" in done.err
    moved = ("--weights", tmp_path / "moved.onnx")
    assert dedup("query", drawn / "b" / "2 small.jpg", "-s", store, "-k", 1, *moved).code == 0
    assert dedup("index", drawn, "-s", store, "--mean", "1,2").code == 2
    done = dedup("layers", moved[1])
    assert "normalised" in done.err


def test_values_inside_the_graph_are_layers_too(tmp_path: Path, drawn: Path) -> None:
    path = write(tmp_path / "net.onnx")
    inside = next(
        name for node in onnx.load(path).graph.node for name in node.output if "Conv" in name
    )
    spec = ModelSpec(path.__fspath__(), layers=inside, views="content", mean=MEAN, std=STD)
    with Collection.create(tmp_path / "s", spec) as made:
        made.index(drawn / "a")
        assert made.features()[inside].shape[1] == 8


def test_metadata_of_the_file_are_enough(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx")
    model = onnx.load(path)
    stated = {"mean": "[0.4, 0.5, 0.6]", "std": "[0.2, 0.25, 0.3]", "layer": "logits"}
    for key, value in stated.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    with Collection.create(tmp_path / "s", ModelSpec(path.__fspath__())) as made:
        assert made.status().layers[0] == "logits"
    Collection.open(tmp_path / "s", ModelSpec(path.__fspath__(), mean=MEAN)).close()
    with pytest.raises(FingerprintError, match="std: "):
        Collection.open(tmp_path / "s", ModelSpec(path.__fspath__(), std=(1, 1, 1)))


def test_bad_files_are_named(tmp_path: Path) -> None:
    def make(path: Path, **given: Any) -> None:
        Collection.create(tmp_path / "s", ModelSpec(path.__fspath__(), views="content", **given))

    prepared = {"mean": MEAN, "std": STD, "layers": "logits"}
    path = write(tmp_path / "net.onnx")
    with pytest.raises(WeightsError, match=r"does not say how images are normalised.*--mean"):
        make(path, layers="logits")
    with pytest.raises(LayerError, match=r"has no output 'logit'.*closest: logits"):
        make(path, **prepared | {"layers": "logit"})
    with pytest.raises(WeightsError, match="takes images of 32 x 32 pixels, not 48 x 48"):
        make(path, **prepared, size=48)
    with pytest.raises(WeightsError, match=r"gone\.onnx cannot be read"):
        make(tmp_path / "gone.onnx", **prepared)
    (tmp_path / "text.onnx").write_text("no graph but a letter")
    with pytest.raises(WeightsError, match=r"text\.onnx is no ONNX file"):
        make(tmp_path / "text.onnx", **prepared)
    vector = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))
    wide = tmp_path / "vector.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(vector, (torch.zeros(1, 3072),), str(wide), dynamo=False)
    with pytest.raises(WeightsError, match="not RGB images"):
        make(wide, **prepared)
    assert not (tmp_path / "s").exists()


class OneByOne(nn.Module):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen = images.reshape(1, 3, 1024).mean(2)
        return seen, seen


def test_a_file_for_one_image_at_a_time_says_how_to_export_it(tmp_path: Path) -> None:
    path = write(tmp_path / "one.onnx", free=False, module=OneByOne())
    spec = ModelSpec(path.__fspath__(), layers="logits", mean=MEAN, std=STD, views="content")
    with pytest.raises(ModelError, match=r"Export it with a free batch side"):
        Collection.create(tmp_path / "s", spec)
    assert not (tmp_path / "s").exists()
