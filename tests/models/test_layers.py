"""Where `global_pool` is in each family, which layers there are, and what a wrong name gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from dedup.errors import LayerError
from dedup.models.extractor import Extractor
from dedup.models.layers import LayerInfo, list_layers, resolve_layer

# Name, options that make it small, where the pooling is, and how the same vector is had without
# hooks: by averaging forward_features, or from forward_head before the classifier.
_TINY_SWIN = {"img_size": 56, "embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
FAMILIES: list[tuple[str, dict[str, Any], str, str]] = [
    ("resnet10t", {}, "global_pool", "map"),
    ("efficientnet_lite0", {}, "global_pool", "map"),
    ("mobilenetv2_050", {}, "global_pool", "map"),
    ("mobilenetv3_small_050", {}, "global_pool", "map"),
    ("mobilenetv4_conv_small_035", {}, "global_pool", "map"),
    ("ghostnet_050", {}, "global_pool", "map"),
    ("densenet121", {"block_config": (2, 2, 2, 2)}, "global_pool", "map"),
    ("convnext_atto", {}, "head.global_pool", "map"),
    ("regnetx_002", {}, "head.global_pool", "map"),
    ("repvgg_a0", {}, "head.global_pool", "map"),
    ("ese_vovnet19b_dw", {}, "head.global_pool", "map"),
    ("swin_tiny_patch4_window7_224", _TINY_SWIN, "head.global_pool", "map, channels last"),
    ("test_vit", {}, "head:input", "head"),
    ("test_vit3", {}, "head:input", "head"),
    ("test_vit4", {"global_pool": "avg"}, "head:input", "head"),
    ("eva02_tiny_patch14_224", {"img_size": 56, "depth": 2}, "head:input", "head"),
    ("deit_tiny_patch16_224", {"img_size": 64, "depth": 2}, "head:input", "head"),
    ("beit_base_patch16_224", {"img_size": 64, "depth": 2, "embed_dim": 48}, "head:input", "head"),
    ("mixer_s32_224", {"img_size": 64}, "head:input", "head"),
    ("levit_128s", {}, "head:input", "head"),
    ("test_mambaout", {}, "head.fc:input", "head"),
    ("xcit_nano_12_p16_224", {"depth": 2}, "head:input", "head"),
]


def family(name: str, options: dict[str, Any]) -> tuple[nn.Module, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: nn.Module = timm.create_model(name, num_classes=7, **options).eval()
        for module in model.modules():  # so that a vector before or after a norm differs
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
    configuration: Any = model.pretrained_cfg
    fixed = name.startswith(("test", "levit", "xcit"))
    side = options.get("img_size", configuration["input_size"][1] if fixed else 64)
    return model, torch.randn(2, 3, side, side)


@pytest.mark.parametrize(("name", "options", "place", "reference"), FAMILIES, ids=str)
def test_global_pool_is_the_pooled_embedding(
    name: str, options: dict[str, Any], place: str, reference: str
) -> None:
    model, batch = family(name, options)
    assert resolve_layer(model, "global_pool") == place
    with torch.no_grad():
        features: torch.Tensor = model.forward_features(batch)  # type: ignore[operator]
        if reference == "head":
            wanted = model.forward_head(features, pre_logits=True)  # type: ignore[operator]
        else:
            wanted = features.mean((1, 2) if "last" in reference else (2, 3))
        logits = model(batch)
    with Extractor(model) as extractor:
        found = extractor(batch)
    np.testing.assert_allclose(found["global_pool"], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.prediction, logits, rtol=1e-4, atol=1e-5)  # type: ignore[arg-type]
    assert np.ptp(found["global_pool"]) > 0


@pytest.mark.parametrize("name", ["resnet10t", "test_vit", "test_convnext"])
def test_global_pool_without_a_classifier_is_the_prediction(name: str) -> None:
    model, batch = family(name, {})
    model.reset_classifier(0)  # type: ignore[operator]
    found = Extractor(model)(batch)
    if name != "test_convnext":  # which normalises after pooling
        np.testing.assert_allclose(found["global_pool"], found.prediction, rtol=1e-5)  # type: ignore[arg-type]
    assert found["global_pool"].shape == found.prediction.shape  # type: ignore[union-attr]


def test_swin_maps_inside_are_averaged_over_their_sides() -> None:
    model, batch = family("swin_tiny_patch4_window7_224", _TINY_SWIN)
    whole = Extractor(model, ["layers.0", "patch_embed.proj"], reduce=False)(batch)
    assert whole["layers.0"].shape == (2, 14, 14, 24)
    assert whole["patch_embed.proj"].shape == (2, 24, 14, 14)
    found = Extractor(model, ["layers.0", "patch_embed.proj"])(batch)
    np.testing.assert_allclose(found["layers.0"], whole["layers.0"].mean((1, 2)), atol=1e-5)
    wanted = whole["patch_embed.proj"].mean((2, 3))
    np.testing.assert_allclose(found["patch_embed.proj"], wanted, atol=1e-5)


def test_windows_of_attention_are_refused() -> None:
    model, batch = family("swin_tiny_patch4_window7_224", _TINY_SWIN)
    with pytest.raises(LayerError, match=r"put out \(8, 49, 24\) for 2 images"):
        Extractor(model, ["layers.0.blocks.0.attn"])(batch)


def test_unknown_layer_names_the_closest_and_the_way_to_all() -> None:
    model, _ = family("resnet10t", {})
    with pytest.raises(
        LayerError, match=r"no layer 'globalpool'.*Closest: global_pool.*`dedup layers resnet10t`"
    ):
        resolve_layer(model, "globalpool")
    with pytest.raises(LayerError, match="Closest: global_pool"):
        resolve_layer(family("test_vit", {})[0], "global_pol")


@pytest.mark.parametrize("name", ["", ":input", "0.weight", "training", "nowhere:input", "0."])
def test_what_is_no_module_is_no_layer(small_net: nn.Sequential, name: str) -> None:
    with pytest.raises(LayerError, match="has no layer"):
        resolve_layer(small_net, name)


def test_a_model_without_pooling_says_so(small_net: nn.Sequential) -> None:
    with pytest.raises(LayerError, match=r"Sequential has no layer 'global_pool'.*list_layers"):
        Extractor(small_net)


def test_every_listed_layer_that_ran_can_be_hooked() -> None:
    model, batch = family("resnet10t", {})
    listed = list_layers(model, (3, 64, 64))
    ran = [layer for layer in listed if layer.calls and layer.shape is not None]
    features = Extractor(model, [layer.name for layer in ran], reduce=False)(batch)
    for layer in ran:
        assert features[layer.name].shape == (2, *(layer.shape or ())), layer
    assert [layer.name for layer in listed][-1] == "prediction"
    assert LayerInfo("layer1", "Sequential", (64, 16, 16), 1) in listed
    assert len(listed) == len({layer.name for layer in listed})


def test_listing_shows_calls_shared_names_and_what_did_not_run() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.step = nn.Conv2d(3, 3, 1)
            self.also = self.step
            self.spare = nn.Linear(2, 2)

        def forward(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"map": self.step(self.also(batch))}

    model = Odd().train()
    assert list_layers(model, (3, 5, 4)) == [
        LayerInfo("step", "Conv2d", (3, 5, 4), 2),
        LayerInfo("also", "Conv2d", (3, 5, 4), 2),
        LayerInfo("spare", "Linear", None, 0),
        LayerInfo("prediction", "Odd", (3, 5, 4), 1),
    ]
    assert model.training
    assert not model.step._forward_hooks  # noqa: SLF001  # what is tested


def test_listing_leaves_no_hooks_after_an_exception(small_net: nn.Sequential) -> None:
    with pytest.raises(RuntimeError, match="channels"):
        list_layers(small_net, (5, 8, 8))
    assert not any(module._forward_hooks for module in small_net.modules())  # noqa: SLF001  # what is tested
