"""Which layers an extractor takes by which rule: names, patterns, modules, rules, own names."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from dedup.errors import LayerError, ModelError
from dedup.models.extractor import Extractor

TINY: dict[str, Any] = {
    "embed_dim": 24,
    "depth": 4,
    "num_heads": 2,
    "img_size": 32,
    "patch_size": 8,
}


@pytest.fixture
def vit() -> nn.Module:
    model: nn.Module = timm.create_model("vit_tiny_patch16_224", num_classes=5, **TINY)
    return model.eval()


@pytest.fixture
def batch() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32)


def whole(model: nn.Module, layer: str, batch: torch.Tensor) -> torch.Tensor:
    """Take a layer's output by a hook of one's own."""
    found: list[torch.Tensor] = []
    hooked = model.get_submodule(layer)
    handle = hooked.register_forward_hook(lambda *given: found.append(given[2].clone()))
    with torch.no_grad():
        model(batch)
    handle.remove()
    return found[0]


def close(found: Any, wanted: torch.Tensor) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_rules_of_the_same_and_of_other_layers_in_one_pass(
    vit: nn.Module, batch: torch.Tensor
) -> None:
    runs: list[int] = []
    vit.register_forward_hook(lambda *_: runs.append(1))
    features = Extractor(
        vit,
        {
            "early": ("blocks.1", "mean"),
            "largest": ("blocks.1", "max"),
            "gem": ("blocks.1", "gem"),
            "cls": ("norm", "cls"),
            "flat": ("norm", "flatten"),
            "map": ("blocks.3", None),
            "own": ("norm", lambda tokens: tokens[:, 1:].std(1)),
            "plain": "norm",
        },
    )(batch)
    assert len(runs) == 1
    early, norm, last = (whole(vit, name, batch) for name in ("blocks.1", "norm", "blocks.3"))
    close(features["early"], early.mean(1))
    close(features["largest"], early.amax(1))
    close(features["gem"], early.clamp(min=1e-6).pow(3).mean(1).pow(1 / 3))
    close(features["cls"], norm[:, 0])
    close(features["flat"], norm.flatten(1))
    close(features["map"], last)
    close(features["own"], norm[:, 1:].std(1))
    close(features["plain"], norm.mean(1))
    close(features.maps("map"), last[:, 1:].transpose(1, 2).reshape(3, 24, 4, 4))


def test_rules_go_over_the_places_of_maps() -> None:
    model, batch = nn.Sequential(nn.Conv2d(3, 6, 3)), torch.randn(2, 3, 8, 7)
    wanted = model(batch).detach()
    features = Extractor(
        model,
        {"max": ("0", "max"), "gem": ("0", "gem"), "flatten": ("0", "flatten")},
    )(batch)
    close(features["max"], wanted.amax((2, 3)))
    close(features["gem"], wanted.clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3))
    close(features["flatten"], wanted.flatten(1))


def test_a_pattern_stands_for_every_layer_it_fits(vit: nn.Module, batch: torch.Tensor) -> None:
    extractor = Extractor(vit, ["blocks.*", "norm", ("blocks.[01].attn.qkv:input", "cls")])
    blocks = [f"blocks.{number}" for number in range(4)]
    inputs = [f"blocks.{number}.attn.qkv:input" for number in range(2)]
    assert extractor.layers == (*blocks, "norm", *inputs)
    features = extractor(batch)
    for name in blocks:
        close(features[name], whole(vit, name, batch).mean(1))
    close(features[inputs[1]], whole(vit, "blocks.1.norm1", batch)[:, 0])
    with pytest.raises(LayerError, match=r"no layer that 'block\.\*' matches"):
        Extractor(vit, ["block.*"])
    with pytest.raises(LayerError, match=r"'b' names one layer.* are 4: blocks\.0, blocks\.1"):
        Extractor(vit, {"b": "blocks.*"})


def test_numbers_from_the_end_and_modules_are_names(vit: nn.Module, batch: torch.Tensor) -> None:
    blocks: Any = vit.blocks
    norm: Any = vit.norm
    extractor = Extractor(vit, ["blocks.-1", "blocks.-4.mlp.fc1", blocks[3], (norm, "cls")])
    assert extractor.resolved == {
        "blocks.-1": "blocks.3",
        "blocks.-4.mlp.fc1": "blocks.0.mlp.fc1",
        "blocks.3": "blocks.3",
        "norm": "norm",
    }
    features = extractor(batch)
    np.testing.assert_array_equal(features["blocks.-1"], features["blocks.3"])
    close(features["norm"], whole(vit, "norm", batch)[:, 0])
    assert Extractor(vit, [vit]).resolved == {"prediction": "prediction"}
    for name in ("blocks.-5", "blocks.-0", "norm.-1", "-1"):
        with pytest.raises(LayerError, match="has no layer"):
            Extractor(vit, [name])
    with pytest.raises(LayerError, match="Linear that was given is no part of this model"):
        Extractor(vit, [nn.Linear(2, 2)])


@pytest.mark.parametrize(
    ("layers", "error", "words"),
    [
        ([("norm", "median")], ValueError, "mean, max, gem, cls, flatten, a function or None"),
        ([("norm", 3)], TypeError, "a name, a function or None, not 3"),
        ([("norm",)], TypeError, r"is \(layer, rule\), not \('norm',\)"),
        ([3], TypeError, "a name or a module of the model, not 3"),
        ({3: "norm"}, TypeError, "own name is a text, not 3"),
        (["norm", ("norm", "cls")], ValueError, "'norm' is asked for by two rules"),
        ([("blocks.0", lambda _: 3)], LayerError, "rule of layer 'blocks.0' gave int for 3 images"),
        ([("norm", lambda z: z.mean(0))], LayerError, r"gave \(17, 24\) for 3 images"),
        ([("patch_embed.proj", "cls")], LayerError, "holds no class token"),
        ([("head", "cls")], LayerError, "holds no class token"),
    ],
)
def test_what_is_no_layer_or_rule_is_said(
    vit: nn.Module, batch: torch.Tensor, layers: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Extractor(vit, layers)(batch)


def test_a_model_without_class_token_has_none(batch: torch.Tensor) -> None:
    model = timm.create_model(
        "vit_tiny_patch16_224", class_token=False, global_pool="avg", **TINY
    ).eval()
    with pytest.raises(LayerError, match="the model has none"):
        Extractor(model, [("blocks.0", "cls")])(batch)


def test_a_rule_may_change_what_it_is_given(vit: nn.Module, batch: torch.Tensor) -> None:
    wanted = Extractor(vit, ["norm"])(batch)
    features = Extractor(vit, {"zero": ("blocks.0", lambda z: z.zero_()), "norm": "norm"})(batch)
    assert not features["zero"].any()
    np.testing.assert_array_equal(features["norm"], wanted["norm"])


class Puts(nn.Module):
    """A layer that makes something of its input that is no plain tensor."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make = make

    def forward(self, batch: torch.Tensor) -> Any:
        return self.make(batch)


@pytest.mark.filterwarnings("ignore:.*quantized:UserWarning")
def test_quantised_outputs_are_dequantised() -> None:
    def quantised(batch: torch.Tensor) -> torch.Tensor:
        return torch.quantize_per_tensor(batch.flatten(1), 0.25, 0, torch.qint8)

    batch = torch.randn(2, 3, 4, 4)
    features = Extractor(nn.Sequential(Puts(quantised)), ["0"])(batch)
    wanted = (batch.flatten(1) / 0.25).round() * 0.25
    np.testing.assert_array_equal(features["0"], wanted)
    np.testing.assert_array_equal(features.prediction, wanted)


def test_complex_sparse_and_nested_outputs_are_refused_by_name() -> None:
    batch = torch.randn(2, 3, 4, 4)
    model = nn.Sequential(Puts(torch.fft.fft2))
    with pytest.raises(LayerError, match=r"'0' put out complex numbers \(torch.complex64\)"):
        Extractor(model, ["0"])(batch)
    with pytest.raises(LayerError, match="'0' put out complex numbers"):
        Extractor(model, [("0", torch.square)])(batch)
    found = Extractor(model, [("0", torch.abs)])(batch)
    close(found["0"], torch.fft.fft2(batch).abs())
    sparse = nn.Sequential(
        Puts(lambda batch: batch.flatten(1).to_sparse()), Puts(torch.Tensor.to_dense)
    )
    with pytest.raises(LayerError, match=r"'0' put out a tensor of layout torch\.sparse_coo"):
        Extractor(sparse, ["0"])(batch)


class SequenceFirst(nn.Module):
    """Four tokens of an image, as L x B x C: in torch's own layer, and in a hand-written one."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, 16, 16, 16)
        self.torchs = nn.TransformerEncoderLayer(16, 2, 32, dropout=0)
        self.own = nn.Linear(16, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        tokens = self.proj(batch).flatten(2).permute(2, 0, 1)
        return self.head(self.own(self.torchs(tokens)).mean(0))  # type: ignore[no-any-return]


@pytest.mark.parametrize("images", [1, 2, 4, 5])
def test_sequences_that_come_first_are_turned(images: int) -> None:
    model = SequenceFirst().eval()
    batch = torch.randn(images, 3, 32, 32)
    torchs, own = (whole(model, name, batch) for name in ("torchs", "own"))
    assert own.shape == (4, images, 6)
    layers = {"pooled": "torchs", "whole": ("torchs", None), "first": ("own", "cls")}
    with Extractor(model, layers) as extractor:  # type: ignore[arg-type]
        for _ in range(2):
            features = extractor(batch)
            close(features["pooled"], torchs.mean(0))
            close(features["whole"], torchs.transpose(0, 1))
            close(features["first"], own[0])
            close(features.maps("whole"), torchs.permute(1, 2, 0).reshape(images, 16, 2, 2))


def test_as_many_tokens_as_images_are_told_apart_by_one_more_pass(vit: nn.Module) -> None:
    batch = torch.randn(17, 3, 32, 32)
    runs: list[int] = []
    vit.register_forward_hook(lambda *given: runs.append(len(given[2])))
    wanted = whole(vit, "blocks.0", batch)
    assert wanted.shape == (17, 17, 24)
    runs.clear()
    extractor = Extractor(vit, ["blocks.0"])
    for _ in range(2):
        close(extractor(batch)["blocks.0"], wanted.mean(1))
    assert runs == [16, 17, 17]  # the first pass ended at the layer
    assert Extractor(vit, ["blocks.0"])(batch[:3])["blocks.0"].shape == (3, 24)
    assert runs == [16, 17, 17, 3]


def test_rows_that_follow_no_number_of_images_are_refused() -> None:
    model = nn.Sequential(Puts(lambda _: torch.zeros(2, 2, 5)), Puts(lambda _: torch.zeros(2, 1)))
    with pytest.raises(LayerError, match="no side follows the number of images"):
        Extractor(model, ["0"])(torch.randn(2, 3))
    assert Extractor(model, ["0"], reduce=False)(torch.randn(2, 3))["0"].shape == (2, 2, 5)

    def only_two(batch: torch.Tensor) -> torch.Tensor:
        return batch.reshape(2, 2, 3)

    with pytest.raises(LayerError, match="left open by 2 of them, and the model fails on 1"):
        Extractor(nn.Sequential(Puts(only_two)), ["0"])(torch.randn(2, 6))


def test_gradients_of_sequences_that_come_first() -> None:
    model = SequenceFirst().eval()
    batch = torch.randn(4, 3, 32, 32)
    features = Extractor(model, ["torchs"], reduce=False, gradients=True)(batch)
    tokens = model.torchs(model.proj(batch).flatten(2).permute(2, 0, 1))
    scores = model.head(model.own(tokens).mean(0))
    (slopes,) = torch.autograd.grad(scores[:, 1].sum(), tokens)
    wanted = (tokens * slopes.mean(0)).sum(2).clamp(min=0).T.reshape(4, 2, 2)
    close(features.cam("torchs", 1), wanted.detach())


def test_a_hooked_model_that_is_saved_says_close(vit: nn.Module, batch: torch.Tensor) -> None:
    with Extractor(vit, ["norm", "head:input"]) as extractor:
        before = extractor(batch)["norm"]
        for save in (pickle.dumps, lambda model: torch.save(model, io.BytesIO())):
            with pytest.raises(ModelError, match=r"hooks this model \(norm\).*close\(\)"):
                save(vit)
        torch.save(vit.state_dict(), io.BytesIO())
        twin = copy.deepcopy(vit)
        pickle.dumps(twin)  # free of the extractor
        with torch.no_grad():
            twin(batch)
        np.testing.assert_array_equal(extractor(batch)["norm"], before)
    pickle.dumps(vit)
