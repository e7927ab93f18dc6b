"""Maps of layers, and Grad-CAM, against plain forward hooks and autograd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from dedup.errors import LayerError
from dedup.models.extractor import Extractor

if TYPE_CHECKING:
    from collections.abc import Callable


class InPlace(nn.Module):
    """A network whose layers are followed by operations that work in place."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 5, 3, stride=2, padding=1)
        self.head = nn.Linear(5, 4)
        self.aside = nn.Conv2d(3, 2, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.aside(images)
        seen = nn.functional.relu(self.first(images), inplace=True)
        seen = nn.functional.relu(self.second(seen), inplace=True)
        scores: torch.Tensor = self.head(seen.mean((2, 3)))
        return scores


def batch(side: int = 16, count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def hooked(model: nn.Module, layer: str, images: torch.Tensor) -> torch.Tensor:
    kept = []
    module = model.get_submodule(layer)
    handle = module.register_forward_hook(lambda *one: kept.append(one[2].detach().clone()))
    with torch.no_grad():
        model.eval()(images)
    handle.remove()
    output: torch.Tensor = kept[0]
    return output


def grad_cam(
    tail: Callable[[torch.Tensor], torch.Tensor], output: torch.Tensor, targets: list[int]
) -> Any:
    """Grad-CAM image by image, from what follows a layer written by hand."""
    found = []
    for one, target in zip(output, targets, strict=True):
        seen = one[None].clone().requires_grad_()
        tail(seen)[0, target].backward()  # type: ignore[no-untyped-call]
        assert seen.grad is not None
        weights = seen.grad.mean((2, 3))[0]
        found.append(torch.relu((weights[:, None, None] * one).sum(0)).numpy())
    return np.stack(found)


def timm_model(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=5, **options)
    return model.eval()


def test_maps_of_a_convolution_are_its_hooked_output() -> None:
    model = InPlace()
    with Extractor(model, ["first", "second"], reduce=False) as extractor:
        features = extractor(batch())
    for layer in ("first", "second"):
        np.testing.assert_array_equal(features.maps(layer), hooked(model, layer, batch()).numpy())


def test_maps_of_tokens_leave_out_class_and_registers() -> None:
    model = timm_model("vit_tiny_patch16_224", img_size=64, reg_tokens=4, depth=2)
    with Extractor(model, ["blocks.1"], reduce=False) as extractor:
        found = extractor(batch(64)).maps("blocks.1")
    tokens = hooked(model, "blocks.1", batch(64)).numpy()
    assert tokens.shape == (3, 5 + 16, 192)
    np.testing.assert_array_equal(found[:, :, 1, 2], tokens[:, 5 + 4 + 2])
    assert found.shape == (3, 192, 4, 4)


def test_maps_with_channels_last_are_turned() -> None:
    model = timm_model("swin_tiny_patch4_window7_224", img_size=56, window_size=7, depths=(1, 1))
    with Extractor(model, ["layers.0"], reduce=False) as extractor:
        found = extractor(batch(56)).maps("layers.0")
    output = hooked(model, "layers.0", batch(56)).numpy()
    np.testing.assert_array_equal(found, output.transpose(0, 3, 1, 2))


def test_vectors_are_no_maps() -> None:
    with (
        Extractor(InPlace(), ["first"]) as reduced,
        pytest.raises(ValueError, match="reduce=False"),
    ):
        reduced(batch()).maps("first")
    with Extractor(InPlace(), ["head"], reduce=False) as whole:
        features = whole(batch())
    with pytest.raises(LayerError, match="no maps"):
        features.maps("head")
    with pytest.raises(KeyError):
        features.maps("first")


@pytest.mark.parametrize("reduce", [True, False])
@pytest.mark.parametrize("target", [None, 2, [3, 0, 1]])
def test_cam_is_grad_cam(target: int | list[int] | None, *, reduce: bool) -> None:
    model = InPlace()
    with Extractor(model, ["first", "second"], reduce=reduce, gradients=True) as extractor:
        features = extractor(batch())
    best = np.asarray(features.prediction).argmax(axis=1).tolist()
    targets = best if target is None else [target] * 3 if isinstance(target, int) else target

    def from_second(seen: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = model.head(torch.relu(seen).mean((2, 3)))
        return scores

    tails = {"second": from_second, "first": lambda s: from_second(model.second(torch.relu(s)))}
    for layer, tail in tails.items():
        expected = grad_cam(tail, hooked(model, layer, batch()), targets)
        np.testing.assert_allclose(features.cam(layer, target), expected, rtol=1e-4, atol=1e-7)


def test_gradients_change_nothing_else() -> None:
    model = InPlace().train()
    with Extractor(model, ["first", "head"]) as plain:
        without = plain(batch())
    with Extractor(model, ["first", "head"], gradients=True) as extractor, torch.inference_mode():
        features = extractor(batch())
        cam = features.cam("first", 0)
    np.testing.assert_array_equal(features["first"], without["first"])
    np.testing.assert_array_equal(features.prediction, without.prediction)
    assert all(one.grad is None for one in model.parameters())
    assert model.training
    for one in model.parameters():
        one.requires_grad_(False)
    with Extractor(model, ["first"], gradients=True) as extractor:
        frozen = extractor(batch())
    np.testing.assert_allclose(frozen.cam("first", 0), cam, rtol=1e-5)


def test_cam_of_a_transformer_follows_its_tokens() -> None:
    model = timm_model("vit_tiny_patch16_224", img_size=64, depth=2)
    with Extractor(model, ["blocks.0"], gradients=True) as extractor:
        found = extractor(batch(64)).cam("blocks.0", 1)
    tokens = hooked(model, "blocks.0", batch(64)).requires_grad_()
    scores = model.forward_head(model.norm(model.blocks[1](tokens)))  # type: ignore[operator,index]
    scores[:, 1].sum().backward()
    assert tokens.grad is not None
    weights = tokens.grad[:, 1:].mean(1, keepdim=True)
    expected = torch.relu((weights * tokens[:, 1:]).sum(2)).detach().numpy().reshape(3, 4, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_what_has_no_cam_says_why() -> None:
    model = InPlace()
    with Extractor(model, ["first"]) as plain, pytest.raises(ValueError, match="gradients=True"):
        plain(batch()).cam("first")
    layers = ["first", "aside", "head", "head:input"]
    with Extractor(model, layers, gradients=True) as extractor:
        features = extractor(batch())
    with pytest.raises(LayerError, match="no maps"):
        features.cam("head")
    with pytest.raises(LayerError, match="does not follow from layer 'aside'"):
        features.cam("aside")
    with pytest.raises(LayerError, match="what enters a layer"):
        features.cam("head:input")
    with pytest.raises(ValueError, match="target is from 0 to 3, not 4"):
        features.cam("first", 4)
    with pytest.raises(KeyError):
        features.cam("second")
    with pytest.raises(ValueError, match='"last" or "first"'):
        Extractor(model, ["first"], gradients=True, calls="mean")
    with Extractor(nn.Conv2d(3, 4, 1), ["prediction"], gradients=True) as scoreless:
        features = scoreless(batch())
    with pytest.raises(ValueError, match="one score for each target"):
        features.cam("prediction")
