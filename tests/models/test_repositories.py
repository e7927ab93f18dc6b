"""timm models of anyone's repository at the hub: from its cache, and out of reach."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from dedup.errors import ModelError, WeightsError
from dedup.models.loading import list_model_layers, load_model

if TYPE_CHECKING:
    from pathlib import Path

SMALL = "test_resnet"


def put(cache: Path, config: dict[str, Any], state: dict[str, torch.Tensor] | None) -> None:
    folder = cache / "models--someone--birds"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    (snapshot / "config.json").write_text(json.dumps(config))
    if state is not None:
        save_file(state, snapshot / "model.safetensors")


def configuration() -> dict[str, Any]:
    stated = {"input_size": [3, 96, 96], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    return {"architecture": SMALL, "num_classes": 7, "pretrained_cfg": stated}


def test_a_repository_in_the_cache_needs_no_network(hub_cache: Path) -> None:
    torch.manual_seed(3)
    wanted = timm.create_model(SMALL, num_classes=7).eval()
    put(hub_cache, configuration(), wanted.state_dict())
    loaded = load_model("hf-hub:someone/birds")
    assert loaded.weights == "hub:hf-hub:someone/birds"
    assert loaded.input_size == (3, 96, 96)
    assert (loaded.mean, loaded.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    batch = torch.randn(1, *loaded.input_size)
    with torch.no_grad():
        assert torch.equal(loaded.module(batch), wanted(batch))


def test_layers_need_the_configuration_alone(hub_cache: Path) -> None:
    put(hub_cache, configuration(), None)
    shapes = {layer.name: layer.shape for layer in list_model_layers("hf-hub:someone/birds")}
    assert shapes["prediction"] == (7,)


def test_a_repository_out_of_reach_says_how_to_go_on(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match=r"for hf-hub:someone/birds: .*did not give.*HF_HOME"):
        load_model("hf-hub:someone/birds")
    put(hub_cache, configuration(), None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        load_model("hf-hub:someone/birds")


def test_repositories_of_another_kind_are_named(hub_cache: Path, tmp_path: Path) -> None:
    put(hub_cache, {"model_type": "vit", "hidden_size": 768}, None)
    with pytest.raises(ModelError, match=r"is no timm model: .*OwnModel\(module\)"):
        load_model("hf-hub:someone/birds")
    with pytest.raises(ModelError, match="not of the form hf-hub:ORG/NAME"):
        load_model("hf-hub:birds")
    with pytest.raises(ModelError, match="leave --weights out"):
        load_model("hf-hub:someone/birds", weights=tmp_path / "w.safetensors")


def test_weights_that_do_not_fit_are_a_clear_error(hub_cache: Path) -> None:
    put(hub_cache, configuration(), {"a": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"hf-hub:someone/birds do not fit timm's test_resnet"):
        load_model("hf-hub:someone/birds")
