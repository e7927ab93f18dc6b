"""Weights from files, from the hub's cache and from a seed; and what every bad file gets."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import random
import socket
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from dedup.errors import ModelError, UnknownModelError, WeightsError
from dedup.models import hub
from dedup.models.loading import (
    LoadedModel,
    list_model_layers,
    load_model,
    model_name_for,
    weights_file_digest,
)
from dedup.models.registry import timm_architectures

if TYPE_CHECKING:
    from pathlib import Path

SMALL = "test_resnet"


@pytest.fixture
def small_weights(tmp_path: Path) -> Path:
    """Write seeded weights of a small model, under its name."""
    path = tmp_path / f"{SMALL}.safetensors"
    save_file(load_model(SMALL, untrained=True).module.state_dict(), path)
    return path


def states_equal(one: LoadedModel, other: LoadedModel) -> bool:
    first, second = one.module.state_dict(), other.module.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


# Untrained


def test_untrained_weights_are_the_same_every_time() -> None:
    first = load_model(SMALL, untrained=True)
    torch.manual_seed(99)
    again = load_model(SMALL, untrained=True)
    assert states_equal(first, again)
    assert first.weights_digest == again.weights_digest
    assert first.weights == "untrained"
    assert not first.module.training
    assert first.weights_digest != load_model("test_vit", untrained=True).weights_digest


@pytest.mark.parametrize("name", [SMALL, "test_vit", "test_efficientnet"])
def test_random_number_generators_are_left_alone(name: str) -> None:
    def draws() -> tuple[Any, ...]:
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()  # noqa: NPY002, S311  # the global ones

    def seed() -> None:
        torch.manual_seed(5)
        np.random.seed(5)  # noqa: NPY002  # the global one
        random.seed(5)

    seed()
    wanted = draws()
    seed()
    load_model(name, untrained=True)
    assert draws() == wanted


def test_configuration_is_timms() -> None:
    loaded = load_model("efficientnet_b0", untrained=True)
    assert loaded.name == "efficientnet_b0"
    assert loaded.input_size == (3, 224, 224)
    assert loaded.mean == (0.485, 0.456, 0.406)
    assert loaded.std == (0.229, 0.224, 0.225)
    fixed = load_model("test_vit", untrained=True)
    assert fixed.input_size == (3, 160, 160)
    assert fixed.mean == fixed.std == (0.5, 0.5, 0.5)


def test_layers_are_listed_without_weights(hub_cache: Path) -> None:
    layers = list_model_layers("efficientnet_b0")
    shapes = {layer.name: layer.shape for layer in layers}
    assert shapes["global_pool"] == (1280,)
    assert shapes["blocks.6"] == (320, 7, 7)
    assert shapes["prediction"] == (1000,)
    assert not hub_cache.exists()
    (prediction,) = (layer for layer in list_model_layers() if layer.name == "prediction")
    assert prediction.shape == (256,)  # of the bundled model


# From a file


def test_weights_of_a_file_are_the_models(small_weights: Path) -> None:
    loaded = load_model(SMALL, weights=small_weights)
    assert states_equal(loaded, load_model(SMALL, untrained=True))
    assert loaded.weights == "file"
    assert loaded.weights_digest == hashlib.sha256(small_weights.read_bytes()).hexdigest()
    assert loaded.weights_digest == weights_file_digest(small_weights)


def test_the_file_names_the_model(small_weights: Path, tmp_path: Path) -> None:
    assert load_model(weights=small_weights).name == SMALL
    other = tmp_path / "mine.safetensors"
    save_file(load_file(small_weights), other, {"architecture": "test_vit.r160_in1k"})
    assert model_name_for(other) == "test_vit.r160_in1k"
    tagged = small_weights.rename(tmp_path / "resnet50.a1_in1k.safetensors")
    assert model_name_for(tagged) == "resnet50.a1_in1k"
    unknown = tagged.rename(tmp_path / "best_epoch.safetensors")
    with pytest.raises(ModelError, match=r"'best_epoch' is no timm model; name it with --model"):
        model_name_for(unknown)


def test_real_weights_load(mobilenet_weights: Path) -> None:
    loaded = load_model(weights=mobilenet_weights)
    assert loaded.name == "mobilenetv2_100"
    stored = load_file(mobilenet_weights)
    assert torch.equal(loaded.module.state_dict()["conv_stem.weight"], stored["conv_stem.weight"])


def test_half_precision_weights_become_float32(small_weights: Path) -> None:
    state = {key: tensor.half() for key, tensor in load_file(small_weights).items()}
    save_file(state, small_weights)
    loaded = load_model(SMALL, weights=small_weights)
    assert {p.dtype for p in loaded.module.parameters()} == {torch.float32}
    found = loaded.module.state_dict()["conv1.0.weight"]
    assert torch.equal(found, state["conv1.0.weight"].float())


def test_another_number_of_classes_is_taken_from_the_file(tmp_path: Path) -> None:
    for name, classes in ((SMALL, 7), ("test_vit", 3)):
        tuned = timm.create_model(name, num_classes=classes).eval()
        path = tmp_path / f"{name}.safetensors"
        save_file(tuned.state_dict(), path)
        loaded = load_model(name, weights=path)
        batch = torch.randn(1, *loaded.input_size)
        with torch.no_grad():
            assert torch.equal(loaded.module(batch), tuned(batch))


def test_weights_without_a_classifier_predict_what_would_enter_it(small_weights: Path) -> None:
    state = load_file(small_weights)
    save_file({k: v for k, v in state.items() if not k.startswith("fc.")}, small_weights)
    loaded = load_model(SMALL, weights=small_weights)
    with torch.no_grad():
        assert loaded.module(torch.randn(1, *loaded.input_size)).shape == (
            1,
            loaded.module.num_features,
        )


def test_mismatch_lists_missing_unexpected_and_reshaped(small_weights: Path) -> None:
    state = load_file(small_weights)
    del state["layer1.0.bn1.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["layer1.0.bn1.weight"] = torch.zeros(3)
    save_file(state, small_weights)
    with pytest.raises(WeightsError) as caught:
        load_model(SMALL, weights=small_weights)
    message = str(caught.value)
    assert str(small_weights) in message
    assert "missing: layer1.0.bn1.bias;" in message
    assert "unexpected: extra.weight;" in message
    assert "of another shape: layer1.0.bn1.weight (3,), not (" in message


def test_a_long_mismatch_is_cut(small_weights: Path) -> None:
    with pytest.raises(WeightsError, match=r"missing: ([^,]+, ){7}[^,]+ and \d+ more;"):
        load_model("test_vit", weights=small_weights)


def test_step_counters_may_be_missing(small_weights: Path) -> None:
    state = load_file(small_weights)
    save_file({k: v for k, v in state.items() if "num_batches" not in k}, small_weights)
    load_model(SMALL, weights=small_weights)


# Bad files


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self.path).touch, (self.path,))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_pickles_are_refused_unopened(tmp_path: Path, suffix: str, writer: str) -> None:
    path, trace = tmp_path / f"w{suffix}", tmp_path / "it-ran"
    if writer == "torch":
        torch.save({"bomb": Bomb(trace)}, path)
    else:
        path.write_bytes(pickle.dumps({"bomb": Bomb(trace)}))
    for load in (lambda: load_model(SMALL, weights=path), lambda: model_name_for(path)):
        with pytest.raises(WeightsError, match=r"is a pickle.*Convert it.*save_file"):
            load()
    assert not trace.exists()
    pickle.loads(pickle.dumps(Bomb(trace)))  # noqa: S301  # the bomb does go off when opened
    assert trace.exists()


def bad_files(good: bytes, folder: Path) -> dict[str, tuple[Path, str]]:
    header = int.from_bytes(good[:8], "little")
    contents = {
        "empty": (b"", "is empty"),
        "short": (b"abc", "is not a safetensors file"),
        "cut in the header": (good[: 8 + header // 2], "is cut short"),
        "cut in the data": (good[:-100], "is damaged or cut short"),
        "an image": (b"\xff\xd8\xff\xe0" + bytes(400), "is not a safetensors file"),
        "text": (b"not weights, but a letter to a friend", "is not a safetensors file"),
        "a list": (b"\x02" + bytes(7) + b"[]", "is not a safetensors file"),
        "offsets": (
            good[:8] + good[8:].replace(b'"data_offsets":[0', b'"data_offsets":[9', 1),
            "is damaged",
        ),
    }
    paths = {}
    for name, (content, message) in contents.items():
        path = folder / f"{name}.safetensors"
        path.write_bytes(content)
        paths[name] = (path, message)
    paths["missing"] = (folder / "gone.safetensors", "cannot be read: No such file")
    paths["folder"] = (folder, "is a folder")
    return paths


def test_every_bad_file_gets_a_clear_error(small_weights: Path, tmp_path: Path) -> None:
    for name, (path, message) in bad_files(small_weights.read_bytes(), tmp_path).items():
        with pytest.raises(WeightsError, match=message) as caught:
            load_model(SMALL, weights=path)
        assert str(path) in str(caught.value), name
        assert "\n" not in str(caught.value), name


def test_digest_of_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read: No such file"):
        weights_file_digest(tmp_path / "gone")


# Names


def test_unknown_models_name_the_closest() -> None:
    with pytest.raises(UnknownModelError, match=r"'efficientnetb0'.*Closest: .*efficientnet_b0"):
        load_model("efficientnetb0", untrained=True)
    with pytest.raises(UnknownModelError, match=r"'resnet50\.a1_in2k'.*Closest: resnet50\.a1_in1k"):
        load_model("resnet50.a1_in2k", untrained=True)
    with pytest.raises(UnknownModelError):
        load_model("../../etc/passwd", untrained=True)
    assert load_model("resnet18.a1_in1k", untrained=True).name == "resnet18.a1_in1k"


def test_names_read_from_sources_are_timms() -> None:
    assert timm_architectures() == set(timm.list_models())


def test_weights_and_untrained_exclude_each_other(small_weights: Path) -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        load_model(SMALL, weights=small_weights, untrained=True)


def test_names_and_digests_need_no_torch(small_weights: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from dedup.models import loading, registry\n"
        "path = Path(sys.argv[1])\n"
        "print(loading.model_name_for(path), loading.weights_file_digest(path))\n"
        "assert not {'torch', 'timm', 'safetensors', 'numpy'} & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(small_weights)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [SMALL, weights_file_digest(small_weights)]


# The hub


def put_into_cache(cache: Path, repository: str, state: dict[str, torch.Tensor]) -> None:
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    save_file(state, snapshot / "model.safetensors")


def refused(endpoint: str, cache: Path) -> tuple[str, float]:
    """Load a model from a hub in a process of its own; the error, and after how many seconds."""
    code = (
        "import sys, time; from dedup.errors import WeightsError\n"
        "from dedup.models.loading import load_model\n"
        "import timm, huggingface_hub; from huggingface_hub import hf_hub_download\n"
        "started = time.monotonic()\n"
        "try: load_model('efficientnet_b0')\n"
        "except WeightsError as error: print(time.monotonic() - started, error)"
    )
    kept = {k: v for k, v in os.environ.items() if "PROXY" not in k.upper()}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "HF_ENDPOINT": endpoint, "HF_HUB_CACHE": os.fspath(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    seconds, _, message = done.stdout.removesuffix("\n").partition(" ")
    assert not cache.exists()
    return message, float(seconds)


def test_an_unreachable_hub_says_how_to_go_on(hub_cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"did not give them \(.*--weights FILE.*--untrained"):
        load_model("resnet18")
    assert not hub_cache.exists()


@pytest.mark.slow
def test_an_unreachable_hub_says_how_to_go_on_quickly_and_quietly(tmp_path: Path) -> None:
    message, seconds = refused("http://127.0.0.1:9", tmp_path / "hub")
    assert seconds < hub.MAX_ANSWER_SECONDS
    assert message.startswith(
        "no pretrained weights for efficientnet_b0.ra_in1k: http://127.0.0.1:9 did not give them ("
    )
    for way in ("--weights FILE", "--untrained", "HF_HOME"):
        assert way in message
    assert "\n" not in message


@pytest.mark.slow
def test_a_hub_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # connects, and says nothing
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        message, seconds = refused(endpoint, tmp_path / "hub")
    assert f"{endpoint} did not give them (" in message
    assert hub.MAX_ANSWER_SECONDS * 0.9 < seconds < hub.MAX_ANSWER_SECONDS * 2


def test_offline_mode_is_named(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        load_model("resnet18")
    assert not hub_cache.exists()


def test_cached_weights_need_no_network(hub_cache: Path) -> None:
    for name, tag in ((SMALL, "r160_in1k"), ("test_vit", "r160_in1k")):
        torch.manual_seed(17)
        wanted = timm.create_model(name).state_dict()
        put_into_cache(hub_cache, f"timm/{name}.{tag}", wanted)
        loaded = load_model(name)
        assert loaded.weights == f"hub:{name}.{tag}"
        found = loaded.module.state_dict()
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)
        configuration: Any = loaded.module.pretrained_cfg
        assert "state_dict" not in configuration
        assert load_model(f"{name}.{tag}").weights_digest == loaded.weights_digest


def test_cached_weights_that_do_not_fit_are_a_clear_error(hub_cache: Path) -> None:
    put_into_cache(hub_cache, f"timm/{SMALL}.r160_in1k", {"a": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"do not fit timm's test_resnet\.r160_in1k"):
        load_model(SMALL)


def test_a_model_without_published_weights_says_so() -> None:
    with pytest.raises(WeightsError, match=r"no pretrained weights for resnet200\..*--untrained"):
        load_model("resnet200")


@pytest.mark.network
def test_weights_come_from_the_hub() -> None:
    assert load_model("test_resnet").weights == "hub:test_resnet.r160_in1k"


def test_loading_changes_neither_loggers_nor_warnings() -> None:
    before = logging.getLogger("timm").level, list(warnings.filters)
    load_model(SMALL, untrained=True)
    assert (logging.getLogger("timm").level, list(warnings.filters)) == before


def test_header_of_a_weights_file_is_json(small_weights: Path) -> None:
    raw = small_weights.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    assert "fc.weight" in json.loads(raw[8 : 8 + length])
