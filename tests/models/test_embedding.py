"""`embedding` is what timm calls the pre-logits, wherever a family keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from dedup.errors import LayerError
from dedup.models.extractor import Extractor
from dedup.models.layers import resolve_layer

_DAVIT = {"embed_dims": (16, 16, 32, 32), "num_heads": (1, 1, 2, 2), "depths": (1, 1, 1, 1)}
_CROSSVIT = {
    "depth": ((1, 1, 0),) * 3,
    "embed_dim": (16, 32),
    "num_heads": (2, 2),
    "img_scale": (1.0, 224 / 240),
}
_SMALL_VIT: dict[str, Any] = {"img_size": 64, "depth": 2, "embed_dim": 24, "num_heads": 2}
# Name, options that make it small, side of its images, where the embedding is.
FAMILIES: list[tuple[str, dict[str, Any], int, str]] = [
    ("convnext_atto", {}, 64, "head.fc:input"),
    ("davit_tiny", _DAVIT, 64, "head.fc:input"),
    ("poolformer_s12", {}, 64, "head.fc:input"),
    ("mobilenetv3_small_050", {}, 64, "classifier:input"),
    ("mobilenetv4_conv_small_035", {}, 64, "classifier:input"),
    ("ghostnet_050", {}, 64, "classifier:input"),
    ("efficientvit_b0", {}, 64, "head.classifier.4:input"),
    ("efficientvit_m0", {}, 224, "head:input"),
    ("deit_tiny_distilled_patch16_224", _SMALL_VIT, 64, "head:input, head_dist:input"),
    ("crossvit_tiny_240", _CROSSVIT, 240, "head.0:input, head.1:input"),
    ("levit_128s", {}, 224, "head:input, head_dist:input"),
    ("resnet10t", {}, 64, "fc:input"),
    ("regnetx_002", {}, 64, "head.fc:input"),
    ("vit_tiny_patch16_224", _SMALL_VIT, 64, "head:input"),
]


@pytest.mark.parametrize(("name", "options", "side", "place"), FAMILIES, ids=str)
def test_embedding_is_the_pre_logits(
    name: str, options: dict[str, Any], side: int, place: str
) -> None:
    torch.manual_seed(0)
    model: Any = timm.create_model(name, num_classes=7, **options).eval()
    for module in model.modules():  # so that a vector before or after a norm differs
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
        if isinstance(module, nn.LayerNorm) and module.elementwise_affine:
            nn.init.uniform_(module.bias, -0.2, 0.2)
    batch = torch.randn(2, 3, side, side)
    assert resolve_layer(model, "embedding") == place
    with torch.no_grad():
        wanted = model.forward_head(model.forward_features(batch), pre_logits=True)
        logits = model(batch)
    found = Extractor(model, ["embedding"])(batch)
    np.testing.assert_allclose(found["embedding"], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.prediction, logits, rtol=1e-4, atol=1e-5)  # type: ignore[arg-type]
    assert np.ptp(found["embedding"]) > 0


def test_embedding_without_a_classifier_is_the_prediction() -> None:
    model = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=0, **_SMALL_VIT)
    found = Extractor(model, ["embedding"])(torch.randn(2, 3, 64, 64))
    np.testing.assert_array_equal(found["embedding"], found.prediction)


def test_a_layer_that_is_called_embedding_is_that_layer() -> None:
    model = nn.Sequential()
    model.add_module("embedding", nn.Linear(3, 2))
    assert resolve_layer(model, "embedding") == "embedding"
    with pytest.raises(LayerError, match=r"does not say what its classifier is.*'fc:input'"):
        Extractor(nn.Sequential(nn.Linear(3, 2)), ["embedding"])
