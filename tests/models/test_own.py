"""A module of the caller's as the model of a collection, with a transform and without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from dedup.collection import Collection
from dedup.errors import FingerprintError, LayerError, ModelError
from dedup.models.own import OwnModel
from dedup.preparation import Preparation
from dedup.spec import ModelSpec, Runtime

if TYPE_CHECKING:
    from pathlib import Path


class Net(nn.Module):
    """Two layers; its output is one tensor, or a list."""

    def __init__(self, seed: int = 0, *, lists: bool = False) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, 8, 3, 2)
            self.head = nn.Linear(8, 5)
        self.lists = lists

    def forward(self, images: torch.Tensor) -> Any:
        seen = self.conv(images).relu().mean((2, 3))
        found = self.head(seen)
        return [seen, found] if self.lists else found


class Shrink:
    """A transform with a setting; the input's side is given by it, or by the image."""

    def __init__(self, side: int, *, by_image: bool = False) -> None:
        self.side = side
        self.by_image = by_image

    def __call__(self, image: Any) -> torch.Tensor:
        side = self.side + (int(image.getpixel((0, 0))[0]) % 7 if self.by_image else 0)
        small = np.asarray(image.resize((side, side)), np.float32)
        return torch.from_numpy(small / 128 - 1).permute(2, 0, 1)


def pixels(path: Path, side: int) -> np.ndarray[Any, Any]:
    return Preparation(side, side).prepare(path.read_bytes()).pixels


def test_embeddings_are_those_of_the_module(tmp_path: Path, drawn: Path) -> None:
    net = Net()
    own = OwnModel(net, size=48, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    spec = ModelSpec(own, layers=("head", "conv"), views="content")
    with Collection.create(tmp_path / "s", spec, runtime=Runtime(device="cpu")) as made:
        made.index(drawn / "a")
        table = made.features()
    assert list(table.embeddings) == ["head", "conv"]
    images = np.stack([pixels(drawn / "a" / path.rsplit("/", 1)[1], 48) for path in table.paths])
    batch = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    batch = (batch - torch.tensor(own.mean)[:, None, None]) / torch.tensor(own.std)[:, None, None]
    with torch.no_grad():
        conv = net.conv(batch)
        wanted = {"conv": conv.mean((2, 3)).numpy(), "head": net(batch).numpy()}
    for layer, rows in wanted.items():
        found = table[layer]
        cosines = (
            (rows * found).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(found, axis=1)
        )
        assert cosines.min() > 0.999


def test_a_transform_prepares_the_input(tmp_path: Path, drawn: Path) -> None:
    net, transform = Net(), Shrink(24)
    own = OwnModel(net, size=48, transform=transform)
    with Collection.create(
        tmp_path / "s", ModelSpec(own, views="content"), runtime=Runtime(device="cpu")
    ) as made:
        made.index(drawn / "a")
        table = made.features()
        assert [near.path for near in made.query(drawn / "a" / "3.jpg", 1)] == [
            str(drawn / "a" / "3.jpg")
        ]
    image = pixels(drawn / "a" / table.paths[0].rsplit("/", 1)[1], 48)
    small = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)  # an image of Pillow's again, by another way
    from PIL import Image

    batch = transform(Image.fromarray(small[..., ::-1].copy()))[None]
    with torch.no_grad():
        wanted = net(batch).numpy()[0]
    assert np.allclose(table["prediction"][0], wanted, atol=2e-3 * np.abs(wanted).max())


def test_what_identifies_a_module() -> None:
    same = OwnModel(Net(), size=48, transform=Shrink(24)).digest()
    assert OwnModel(Net(), size=48, transform=Shrink(24)).digest() == same
    others = [
        OwnModel(Net(1), size=48, transform=Shrink(24)),  # weights
        OwnModel(Net(), size=49, transform=Shrink(24)),
        OwnModel(Net(), size=48, transform=Shrink(25)),  # a setting
        OwnModel(Net(), size=48),
        OwnModel(Net(), size=48, mean=(0.5, 0.5, 0.5)),
        OwnModel(nn.Sequential(Net()), size=48, transform=Shrink(24)),  # structure
        OwnModel(Net(), size=48, transform=lambda image: Shrink(24)(image)),  # noqa: PLW0108
    ]
    digests = {other.digest() for other in others}
    assert len(digests) == len(others)
    assert same not in digests


def test_a_collection_is_opened_with_its_own_module_only(
    tmp_path: Path, drawn: Path, images: Path
) -> None:
    store = tmp_path / "s"
    with Collection.create(store, ModelSpec(OwnModel(Net(), size=32))) as made:
        made.index(drawn / "a")
    with pytest.raises(FingerprintError, match=r"a module of your own: Net \(\w{12}…\), not Net"):
        Collection.open(store, ModelSpec(OwnModel(Net(1), size=32)))
    with pytest.raises(FingerprintError, match=r"model: Net, not copies-2"):
        Collection.open(store, ModelSpec("copies-2"))
    with Collection.open(store) as without:
        assert without.query(drawn / "a" / "0.jpg", 1).notes == ()  # known: looked up
        with pytest.raises(ModelError, match=r"made with Net, a module of its owner's.*OwnModel"):
            without.query(images / "b" / "2 small.jpg", 1)
    with Collection.open(store, ModelSpec(OwnModel(Net(), size=32))) as again:
        (found,) = again.query(images / "b" / "2 small.jpg", 1)
        assert found.path == str(drawn / "a" / "2.jpg")


def test_a_model_that_returns_lists_needs_a_layer(tmp_path: Path) -> None:
    for own in (
        OwnModel(Net(lists=True), size=32),
        OwnModel(Net(lists=True), size=32, transform=Shrink(24)),
    ):
        with pytest.raises(ModelError, match=r"Net puts out a (list|tuple) of 2, not one tensor"):
            Collection.create(tmp_path / "s", ModelSpec(own, views="content"))
    assert not (tmp_path / "s").exists()
    named = ModelSpec(OwnModel(Net(lists=True), size=32, layer="head"), views="content")
    Collection.create(tmp_path / "s", named).close()


def test_bad_transforms_are_named(tmp_path: Path) -> None:
    def make(transform: Any) -> None:
        own = OwnModel(Net(), size=32, transform=transform)
        Collection.create(tmp_path / "s", ModelSpec(own, views="content"))

    with pytest.raises(ModelError, match=r"the transform of Net changes sizes: \(3, \d+, \d+\)"):
        make(Shrink(24, by_image=True))
    with pytest.raises(ModelError, match="gives a ndarray, not a tensor of floating numbers"):
        make(np.asarray)
    with pytest.raises(ModelError, match=r"gives a torch\.uint8"):
        make(lambda image: torch.from_numpy(np.array(image)))
    assert not (tmp_path / "s").exists()


def test_a_text_tower_of_ones_own_answers_words(tmp_path: Path, drawn: Path) -> None:
    words = {"first": [1.0, 0, 0, 0, 0], "second": [0, 1.0, 0, 0, 0]}

    def make(store: str, text: Any) -> Collection:
        own = OwnModel(Net(), size=32, text=text)
        made = Collection.create(tmp_path / store, ModelSpec(own, views="content"))
        made.index(drawn / "a")
        return made

    with make("s", lambda texts: torch.tensor([words[one] for one in texts])) as made:
        rows = made.features()["prediction"]
        wanted = (rows[:, 0] - rows[:, 1]) / np.linalg.norm(rows, axis=1) / np.sqrt(2)
        found = [near.similarity for near in made.query(text="first", not_text="second", k=100)]
        assert found == pytest.approx(sorted(wanted.tolist(), reverse=True), abs=2e-3)
    many, narrow = r"text tower of Net gave \(2, 5\) for 1 texts", "gives 4 values, and .* holds 5"
    with (
        make("t", lambda texts: torch.zeros(len(texts) + 1, 5)) as made,
        pytest.raises(ModelError, match=many),
    ):
        made.query(text="first")
    with (
        make("u", lambda texts: torch.ones(len(texts), 4)) as made,
        pytest.raises(ModelError, match=narrow),
    ):
        made.query(text="first")


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match=r"module is a torch\.nn\.Module, not str"):
        OwnModel("resnet50")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="leave mean and std out"):
        OwnModel(Net(), transform=Shrink(3), mean=(0, 0, 0))
    with pytest.raises(ValueError, match="std is three numbers"):
        OwnModel(Net(), std=(1, 0, 1))
    with pytest.raises(ValueError, match="size is a number of pixels"):
        OwnModel(Net(), size=0)
    with pytest.raises(TypeError, match="an OwnModel"):
        ModelSpec(Net())  # type: ignore[arg-type]
    with pytest.raises(LayerError, match="no layer 'heed'"):
        Collection.create("nowhere", ModelSpec(OwnModel(Net(), size=32), layers="heed"))
