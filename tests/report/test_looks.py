"""Contact sheets of layers, and what notebooks show."""

from __future__ import annotations

import base64
import io
import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import dedup
from dedup.errors import DedupError, ImageError, LayerError
from dedup.images.decode import decode_square
from dedup.models.extractor import Extractor
from dedup.models.loading import load_model
from dedup.models.looks import layers_to_show, see
from dedup.report.looks import STRONGEST, in_colour, strongest
from dedup.results import Comparison, Duplicate, DuplicatesAnswer, Group, Match, Tier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    from dedup.collection import Collection

    Run = Callable[..., Outcome]

DARKEST, BRIGHTEST = (68, 1, 84), (253, 231, 37)


def test_what_is_seen_is_what_hooks_hand_over(drawn: Path) -> None:
    loaded = load_model()
    layers = layers_to_show(loaded)
    _, height, width = loaded.input_size
    pixels = decode_square((drawn / "a/1.jpg").read_bytes(), height, width, srgb=True).pixels
    mean, std = torch.tensor(loaded.mean), torch.tensor(loaded.std)
    batch = ((torch.from_numpy(pixels) / 255 - mean) / std).permute(2, 0, 1)[None]
    seen = see(loaded, pixels, layers)
    sides = [maps.shape[1] for maps in seen.values()]
    assert len(set(sides)) == len(sides) >= 4
    for layer, maps in seen.items():
        kept: list[torch.Tensor] = []
        module = loaded.module.get_submodule(layer)
        handle = module.register_forward_hook(lambda *one, kept=kept: kept.append(one[2].clone()))
        with torch.no_grad():
            loaded.module(batch)
        handle.remove()
        np.testing.assert_allclose(maps, kept[0][0].numpy(), rtol=1e-4, atol=1e-5)


def test_the_sheet_has_a_row_for_each_layer(drawn: Path, tmp_path: Path) -> None:
    answer = dedup.layer_maps(drawn / "a/1.jpg", tmp_path / "maps.png", layers=["s1", "s3"])
    assert [layer.name for layer in answer] == ["s1", "s3"]
    with Image.open(tmp_path / "maps.png") as image:
        sheet = np.asarray(image)
    assert sheet.shape[0] == 2 * (200 + 40)
    loaded = load_model()
    pixels = decode_square(
        (drawn / "a/1.jpg").read_bytes(), *loaded.input_size[1:], srgb=True
    ).pixels
    for row, (_, maps) in enumerate(see(loaded, pixels, ["s1", "s3"]).items()):
        planes = [maps.mean(axis=0), *(maps[channel] for channel in strongest(maps))]
        times = 200 // maps.shape[1]
        for column, plane in enumerate(planes, 1):
            top, left = 240 * row + 28, 12 + 212 * column
            at = np.arange(maps.shape[1]) * times + times // 2
            drawn_there = sheet[top + at[:, None], left + at[None]]
            np.testing.assert_array_equal(drawn_there, in_colour(plane))


def test_the_strongest_channels_vary_most() -> None:
    rng = np.random.default_rng(0)
    spread = rng.permutation(20).astype(np.float32)
    maps = spread[:, None, None] * np.array([[-1, 1], [1, -1]], np.float32) + 100
    assert strongest(maps) == np.argsort(-spread)[:STRONGEST].tolist()
    drawn = in_colour(np.array([[0, 5], [2, 10]], np.float32))
    assert (tuple(drawn[0, 0]), tuple(drawn[1, 1])) == (DARKEST, BRIGHTEST)
    assert tuple(in_colour(np.zeros((2, 2), np.float32))[0, 0]) == DARKEST


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("resnet18", ["act1", "layer1", "layer2", "layer3", "layer4"]),
        ("convnext_atto", ["stem", "stages.1", "stages.2", "stages"]),
        ("vit_tiny_patch16_224", ["norm"]),
        ("swin_tiny_patch4_window7_224", ["patch_embed", "layers.1", "layers.2", "norm"]),
    ],
)
@pytest.mark.slow
def test_a_layer_of_each_size_is_shown(name: str, layers: list[str]) -> None:
    assert layers_to_show(load_model(name, untrained=True)) == layers


def test_layers_command_draws_maps(dedup_: Run, drawn: Path, tmp_path: Path) -> None:
    image, maps = drawn / "a/2.jpg", tmp_path / "maps.png"
    done = dedup_("layers", "copies-2", "--image", image, "--maps", maps)
    assert (done.code, done.out, maps.is_file()) == (0, b"", True), done.err
    assert "s4" in done.err
    for wrong in (["--image", image], ["--maps", maps], ["--layer", "s1"]):
        assert dedup_("layers", "copies-2", *wrong).code == 2
    both = ["--image", image, "--maps", maps]
    none = dedup_("layers", "copies-2", *both, "--layer", "s9")
    assert (none.code, "no layer 's9'" in none.err) == (1, True)
    flat = dedup_("layers", "copies-2", *both, "--layer", "head.global_pool")
    assert (flat.code, "no maps" in flat.err) == (1, True)


@pytest.fixture
def dedup_(dedup: Run) -> Run:
    """The command line, beside the package of the same name."""
    return dedup


def test_what_cannot_be_drawn_is_said(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"text\.jpg"):
        dedup.layer_maps(drawn / "text.jpg", tmp_path / "maps.png")
    with pytest.raises(DedupError, match=r"as a \.png"):
        dedup.layer_maps(drawn / "a/1.jpg", tmp_path / "maps.jpg")
    with pytest.raises(LayerError, match="no layer 'nowhere'"):
        dedup.layer_maps(drawn / "a/1.jpg", tmp_path / "maps.png", layers="nowhere")
    assert not list(tmp_path.iterdir())


def html(value: Any) -> str:
    drawn: str = value._repr_html_()
    return drawn


def images(text: str) -> list[tuple[int, int]]:
    found = []
    for data in re.findall(r'src="data:image/webp;base64,([^"]+)"', text):
        raw = base64.b64decode(data, validate=True)
        assert len(raw) <= 6000
        with Image.open(io.BytesIO(raw)) as image:
            found.append(image.size)
    return found


def test_groups_show_their_images(collection: Collection) -> None:
    answer = collection.duplicates()
    for group in answer:
        assert images(html(group)) == [(160, 120)] * len(group.paths) or group.tier is Tier.PIXELS
        assert all(f"{os.path.basename(path)}" in html(group) for path in group.paths)
    assert len(images(html(answer))) == sum(len(group.paths) for group in answer)


def test_matches_and_neighbours_show_theirs(collection: Collection, drawn: Path) -> None:
    assert len(images(html(collection.query(drawn / "a/1.jpg", k=3)))) == 3
    match = Match(os.fspath(drawn / "a/1.jpg"), Tier.NEAR, os.fspath(drawn / "a/2.jpg"), 0.9, "x")
    assert len(images(html(match))) == 2
    assert len(images(html(Comparison((match,) * 30, 30, ())))) == 24
    assert "and 18 more rows" in html(Comparison((match,) * 30, 30, ()))


def test_names_are_text_and_what_is_gone_is_said() -> None:
    name = "/nowhere/<script>alert(1)</script>\u202e\n'\".jpg"
    duplicate = Duplicate(name, Tier.EXACT, 1.0, 1, "<b>")
    group = Group(1, Tier.EXACT, name, 1.0, 1, (duplicate,) * 40, "<i>")
    text = html(group)
    assert "<script" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e\\n&#x27;&quot;.jpg" in text
    assert text.count("no such file") == 8
    assert "and 33 more files" in text
    assert html(DuplicatesAnswer((), 0.5, ("a <note>",))).count("&lt;note&gt;") == 1


def test_features_show_shapes_and_maps() -> None:
    torch.manual_seed(0)
    model = timm.create_model("resnet18", pretrained=False, num_classes=3)
    batch = torch.randn(2, 3, 64, 64)
    with Extractor(model, ["layer1", "global_pool"], reduce=False) as extractor:
        features = extractor(batch)
    text = html(features)
    assert "2 × 64 × 16 × 16" in text
    assert images(text) == [(192, 192)] * 2
    with Extractor(model, ["layer1"]) as extractor:
        assert images(html(extractor(batch))) == []
