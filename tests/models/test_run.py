"""Runs over loaders and images: joined rows, labels, stores, and what comes in as a batch."""

from __future__ import annotations

from collections import UserDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from dedup.errors import DedupError, ExtraMissingError, LayerError
from dedup.models.extractor import Extractor
from dedup.models.loading import load_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dedup.models.features import Features

LAYERS: Any = {"vector": "2", "map": ("0", None)}


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(7, 3, 8, 8)


def check(found: Features, wanted: Features) -> None:
    assert found.layers == wanted.layers
    for layer, rows in wanted.items():
        np.testing.assert_allclose(found[layer], rows, rtol=1e-5, atol=1e-6)
        assert found[layer].dtype == np.float32
    np.testing.assert_allclose(found.prediction, wanted.prediction, rtol=1e-5, atol=1e-6)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.maps("map"), wanted.maps("map"), rtol=1e-5, atol=1e-6)


class Samples(Dataset[tuple[torch.Tensor, str]]):
    """A data set that knows its length and no other end, and fails where it is told to."""

    def __init__(self, images: torch.Tensor, failing: int = -1) -> None:
        self.images = images
        self.failing = failing

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, str]:
        if place == self.failing:
            raise OSError(f"no image {place}")
        return self.images[place], "ab"[: 1 + place % 2]


# Sources


@pytest.mark.parametrize("size", [1, 3, 7, 8])
@pytest.mark.parametrize("source", ["tensor", "array", "images", "loader", "generator", "set"])
def test_every_source_gives_the_rows_of_one_pass(
    small_net: nn.Sequential, images: torch.Tensor, source: str, size: int
) -> None:
    sources: dict[str, Any] = {
        "tensor": images,
        "array": images.double().numpy(),
        "images": list(images),
        "loader": DataLoader(TensorDataset(images), batch_size=size),
        "generator": (images[at : at + size] for at in range(0, 7, size)),
        "set": Samples(images),
    }
    seen: list[tuple[str, int, int]] = []
    with Extractor(small_net, LAYERS) as extractor:
        wanted = extractor(images)
        found = extractor.run(
            sources[source], batch_size=size, progress=lambda *done: seen.append(done)
        )
    check(found, wanted)
    batches = -(-7 // size)
    if source in {"loader", "generator"}:
        all_of_them = batches if source == "loader" else 0
        assert seen == [("Extracting", number + 1, all_of_them) for number in range(batches)]
    else:
        assert seen == [("Extracting", min(7, size * (at + 1)), 7) for at in range(batches)]
    wanted_labels = ["a", "ab", "a", "ab", "a", "ab", "a"] if source == "set" else None
    assert (None if found.labels is None else found.labels.tolist()) == wanted_labels


def test_labels_are_joined_in_their_order(small_net: nn.Sequential, images: torch.Tensor) -> None:
    labels = torch.arange(7) * 10
    boxes = np.arange(28.0).reshape(7, 4)
    with Extractor(small_net, ["2"]) as extractor:
        loader = DataLoader(TensorDataset(images, labels), batch_size=3)
        found = extractor.run(loader)
        assert found.labels is not None
        np.testing.assert_array_equal(found.labels, labels)
        named = [
            {"images": images[:4], "label": boxes[:4]},
            {"images": images[4:], "label": boxes[4:]},
        ]
        found = extractor.run(iter(named))
        np.testing.assert_array_equal(found.labels, boxes)
        texts = [(images[:3], ["a", "b", "c"]), (images[3:], ("longer", "d", "e", "f"))]
        found = extractor.run(iter(texts))
        assert found.labels is not None
        assert found.labels.tolist() == ["a", "b", "c", "longer", "d", "e", "f"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (([1, 2, 3], [1, 2, 3, "x"]), "texts beside int"),
        (([1, 2, 3], ["a", "b", "c", "d"]), "numbers in the batches before, texts in this one"),
        (([1, 2, 3], None), "numbers in the batches before, none in this one"),
        ((None, [1, 2, 3, 4]), "none in the batches before, numbers in this one"),
        (([1, 2], [1, 2, 3, 4]), r"labels of shape \(2,\) for 3 images"),
        (([[1], [2, 3], [4]], None), "labels have one shape in all"),
        (([{}, {}, {}], None), "labels are numbers or texts, not list of object"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    small_net: nn.Sequential, images: torch.Tensor, labels: Any, words: str
) -> None:
    parts = zip((images[:3], images[3:]), labels, strict=True)
    batches = (part if own is None else (part, own) for part, own in parts)
    with Extractor(small_net, ["2"]) as extractor, pytest.raises(ValueError, match=words):
        extractor.run(batches)


class Named(nn.Module):
    """Takes its input by name, as models for other frameworks' loaders do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3)

    def forward(self, pixel_values: torch.Tensor, scale: float = 1.0) -> dict[str, Any]:
        scores = self.body(pixel_values * scale).mean((2, 3))
        return {"logits": scores, "pair": (scores.argmax(1), None)}


def test_dicts_and_inputs_by_name(images: torch.Tensor) -> None:
    model = Named()
    extractor = Extractor(model, ["body"])
    wanted = extractor(images)
    given: list[Any] = [
        {"pixel_values": images, "labels": range(7), "path": ["x"] * 7},
        UserDict(pixel_values=images),
        {"image": images, "label": range(7)},  # the only input, by a name the model does not know
    ]
    for batch in given:
        np.testing.assert_array_equal(extractor(batch)["body"], wanted["body"])
    by_name = extractor(pixel_values=images, scale=2.0)
    np.testing.assert_array_equal(by_name["body"], extractor(images * 2)["body"])
    with pytest.raises(ValueError, match=r"has 'a', 'b', and Named\.forward takes pixel_values"):
        extractor({"a": images, "b": images})
    with pytest.raises(TypeError, match="not both"):
        extractor(images, pixel_values=images)
    joined = extractor.run([{"pixel_values": images, "labels": torch.arange(7)}] * 2)
    prediction: Any = joined.prediction
    np.testing.assert_array_equal(joined.labels, [*range(7)] * 2)
    np.testing.assert_array_equal(
        prediction["logits"],
        np.concatenate([wanted.prediction["logits"]] * 2),  # type: ignore[call-overload]
    )
    assert prediction["pair"][0].shape == (14,)
    assert prediction["pair"][1] is None


# Images and numbers


def drawn(count: int, width: int = 40, height: int = 30) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    size = (height, width, 3)
    return [Image.fromarray(rng.integers(0, 256, size, np.uint8)) for _ in range(count)]


def test_images_are_made_ready_as_the_model_says() -> None:
    model = timm.create_model("test_resnet", num_classes=3).eval()
    drawings = drawn(3)
    arrays = [np.asarray(each) for each in drawings]
    configuration: Any = model.pretrained_cfg
    side = configuration["input_size"][1]
    filtered = Image.Resampling[configuration["interpolation"].upper()]
    mean, std = (torch.tensor(configuration[name]).view(3, 1, 1) for name in ("mean", "std"))
    ready = [
        (torch.from_numpy(np.array(each.resize((side, side), filtered)))
        .permute(2, 0, 1) / 255 - mean) / std
        for each in drawings
    ]  # fmt: skip
    with Extractor(model, ["embedding"]) as extractor:
        wanted = extractor(torch.stack(ready))["embedding"]
        given: list[Any] = [
            drawings, np.stack(arrays), arrays, iter(drawings),
            list(zip(drawings, "abc", strict=True)), [{"image": one} for one in drawings],
        ]  # fmt: skip
        for source in given:
            found = extractor.run(source, batch_size=2)["embedding"]
            np.testing.assert_allclose(found, wanted, atol=1e-4)
        for batch in (drawings, tuple(drawings), np.stack(arrays), (drawings, [1, 2, 3])):
            np.testing.assert_allclose(extractor(batch)["embedding"], wanted, atol=1e-4)
        alone = extractor(drawings[0])["embedding"]
        np.testing.assert_allclose(alone, wanted[:1], atol=1e-4)
        grey = extractor([drawings[0].convert("L")])["embedding"]
        np.testing.assert_array_equal(
            grey, extractor([drawings[0].convert("L").convert("RGB")])["embedding"]
        )
        with pytest.raises(ValueError, match="mode I;16 has no range that is known"):
            extractor([drawings[0].convert("I;16")])


def test_a_network_that_was_loaded_brings_its_own_input() -> None:
    loaded = load_model("copies-2")
    (drawing,) = drawn(1)
    _, height, width = loaded.input_size
    pixels = np.array(drawing.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255
    mean, std = (np.array(values, np.float32) for values in (loaded.mean, loaded.std))
    ready = ((pixels - mean) / std).transpose(2, 0, 1)[None]
    with Extractor(loaded, ["prediction"]) as extractor:
        found, wanted = extractor(drawing)["prediction"], extractor(ready)["prediction"]
        np.testing.assert_allclose(found, wanted, atol=1e-3)
    with Extractor(loaded.module, ["prediction"]) as alone:
        np.testing.assert_allclose(alone(drawing)["prediction"], found, atol=1e-5)


def test_transforms_of_ones_own(small_net: nn.Sequential) -> None:
    def as_is(image: Image.Image) -> np.ndarray[Any, Any]:
        return np.asarray(image, np.float32).transpose(2, 0, 1)

    with Extractor(small_net, ["2"], transform=as_is) as extractor:
        found = extractor(drawn(2))["2"]
        wanted = extractor(torch.from_numpy(np.stack([as_is(each) for each in drawn(2)])))["2"]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
        with pytest.raises(ValueError, match=r"\(3, 30, 40\) and \(3, 40, 40\) for images of one"):
            extractor([*drawn(1), *drawn(1, height=40)])
    with pytest.raises(ValueError, match=r"Sequential does not say.*transform="):
        Extractor(small_net, ["2"])(drawn(1))
    with (
        Extractor(small_net, ["2"], transform=str) as extractor,
        pytest.raises(TypeError, match="transform gives a tensor or an array, not a str"),
    ):
        extractor(drawn(1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_batches_are_cast_to_the_format_of_the_model(
    small_net: nn.Sequential, images: torch.Tensor, dtype: torch.dtype
) -> None:
    wanted = Extractor(small_net, ["2"])(images)["2"]
    with Extractor(small_net.to(dtype), ["2"]) as extractor:
        for batch in (images, images.double(), images.numpy(), images.half()):
            found = extractor(batch)
            assert found["2"].dtype == found.prediction.dtype == np.float32  # type: ignore[union-attr]
            np.testing.assert_allclose(found["2"], wanted, atol=0.02)


@pytest.mark.parametrize(
    ("batch", "error", "words"),
    [
        ("image.jpg", TypeError, "not str"),
        (None, TypeError, "not NoneType"),
        ([torch.zeros(3, 8, 8)] * 2, ValueError, r"torch\.stack"),
        ([torch.zeros(3, 8, 8)] * 3, ValueError, "a batch of 3 parts"),
        ({}, ValueError, "nothing but labels"),
    ],
)
def test_what_is_no_batch_is_refused(
    small_net: nn.Sequential, batch: Any, error: type[Exception], words: str
) -> None:
    with Extractor(small_net, ["2"]) as extractor, pytest.raises(error, match=words):
        extractor(batch)


# Stores


@pytest.mark.parametrize("name", ["folder", "file.parquet"])
def test_what_is_written_is_what_memory_would_hold(
    small_net: nn.Sequential, images: torch.Tensor, tmp_path: Path, name: str
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="needs the extra parquet")
    with Extractor(small_net, LAYERS) as extractor:
        source = Samples(images)
        wanted = extractor.run(source)
        found = extractor.run(source, batch_size=3, to=tmp_path / name)
    check(found, wanted)
    assert found.labels is not None
    np.testing.assert_array_equal(found.labels, wanted.labels)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if name == "folder":
        assert isinstance(found["map"], np.memmap)
        np.testing.assert_array_equal(np.load(tmp_path / name / "vector.npy"), found["vector"])
        names = {"vector.npy", "map.npy", "prediction.npy", "label.npy"}
        assert {path.name for path in (tmp_path / name).iterdir()} == names
    else:
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(tmp_path / name)
        assert table.column_names == ["vector", "map", "prediction", "label"]
        np.testing.assert_array_equal(
            np.array(table["vector"].to_pylist(), np.float32), found["vector"]
        )
        assert table["label"].to_pylist() == ["a", "ab", "a", "ab", "a", "ab", "a"]


@pytest.mark.parametrize("name", ["folder", "file.parquet", None])
def test_nothing_is_left_of_a_run_that_fails(
    small_net: nn.Sequential, images: torch.Tensor, tmp_path: Path, name: str | None
) -> None:
    if name is not None and name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="needs the extra parquet")
    to = None if name is None else tmp_path / name
    with Extractor(small_net, LAYERS) as extractor:
        with pytest.raises(OSError, match="no image 5") as caught:
            extractor.run(Samples(images, failing=5), batch_size=2, to=to)
        assert caught.value.__notes__ == ["After 4 images; nothing of the run is kept."]
        assert list(tmp_path.iterdir()) == []
        assert len(extractor.run(Samples(images), to=to)["map"]) == 7


def test_a_place_that_is_taken_or_not_there_is_refused_before_any_work(
    small_net: nn.Sequential, images: torch.Tensor, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    asked: list[int] = []

    def batches() -> Iterator[torch.Tensor]:
        asked.append(1)
        yield images

    with Extractor(small_net, ["2"]) as extractor:
        with pytest.raises(DedupError, match=r"full: is there already; name a new or empty"):
            extractor.run(batches(), to=tmp_path / "full")
        with pytest.raises(DedupError, match="there is no folder"):
            extractor.run(batches(), to=tmp_path / "nowhere" / "x.parquet")
        assert asked == []
        extractor.run(images, to=tmp_path / "empty")
    assert np.load(tmp_path / "empty" / "2.npy").shape == (7, 6)
    assert (tmp_path / "full" / "note.txt").read_text() == "mine"


def test_a_full_disk_is_one_error_and_leaves_nothing(
    small_net: nn.Sequential, images: torch.Tensor, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = images.repeat(20, 1, 4, 4)
    with Extractor(small_net, ["0"], reduce=False) as extractor:
        import signal

        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
        try:
            with pytest.raises(DedupError, match="full: cannot be written: File too large"):
                extractor.run(large, to=tmp_path / "full")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow_names_the_extra(
    small_net: nn.Sequential, images: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with (
        Extractor(small_net, ["2"]) as extractor,
        pytest.raises(ExtraMissingError, match="parquet"),
    ):
        extractor.run(images, to=tmp_path / "x.parquet")


# What cannot be joined


def test_outputs_that_have_no_common_shape_are_refused(small_net: nn.Sequential) -> None:
    sizes = [torch.randn(2, 3, 8, 8), torch.randn(2, 3, 9, 9)]
    with (
        Extractor(small_net, LAYERS) as extractor,
        pytest.raises(LayerError, match=r"'map' put out \(6, 9, 9\) an image, and \(6, 8, 8\)"),
    ):
        extractor.run(iter(sizes))
    assert len(Extractor(small_net, ["2"]).run(iter(sizes))["2"]) == 4


class Loss(nn.Module):
    """Predicts a number for the whole batch, and puts out windows of two to an image."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = nn.Identity()

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.windows(batch.repeat(2, 1, 1, 1)).mean()  # type: ignore[no-any-return]


def test_what_has_no_row_for_each_image_is_refused(images: torch.Tensor) -> None:
    extractor = Extractor(Loss(), {"windows": ("windows", None)})
    with pytest.raises(LayerError, match=r"'windows' put out \(14, 3, 8, 8\) for 7 images"):
        extractor.run(images, predictions=False)
    with pytest.raises(LayerError, match=r"the prediction is \(\) for 7.*run\(predictions=False\)"):
        Extractor(Loss(), []).run(iter([images]))


def test_runs_that_cannot_start_say_so(small_net: nn.Sequential, images: torch.Tensor) -> None:
    extractor = Extractor(small_net, ["2"])
    nothing: Any
    for nothing in ([], iter([])):
        with pytest.raises(ValueError, match="there are no images to run"):
            extractor.run(nothing)
    assert extractor.run(images[:0])["2"].shape == (0, 6)
    with pytest.raises(ValueError, match="batch_size is at least 1, not 0"):
        extractor.run(images, batch_size=0)
    with pytest.raises(ValueError, match="call the extractor with each batch"):
        Extractor(small_net, ["2"], gradients=True).run(images)
    extractor.close()
    with pytest.raises(ValueError, match="closed"):
        extractor.run(images)
    without = Extractor(small_net, ["prediction", "2"]).run(images, predictions=False)
    prediction: Any = without.prediction
    assert prediction is None
    with Extractor(small_net, ["prediction"]) as extractor:
        found = extractor.run(images, batch_size=3)
        np.testing.assert_array_equal(found["prediction"], found.prediction)
    labelled = Extractor(small_net, {"label": "2"})
    with pytest.raises(ValueError, match="'label' is the column of labels"):
        labelled.run(Samples(images))
