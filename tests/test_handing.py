"""Images in memory and data sets: kept inside the collection, and asked about."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from drawn import encode, textured
from PIL import Image

from dedup.collection import Collection
from dedup.errors import ImageError, SourceError
from dedup.images.decode import decode_square
from dedup.images.memory import encoded
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outcome import Outcome

DETAILS = ModelSpec(views=("details",))
PIXELS = textured(120, 160, 1)
GREY = PIXELS[..., 0]


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Collection]:
    with Collection.create(tmp_path / "store", DETAILS) as collection:
        yield collection


def pixels_of(image: Any) -> np.ndarray[Any, Any]:
    return decode_square(encoded(image, "it"), 120, 160).pixels


@pytest.mark.parametrize(
    "image",
    [
        PIXELS,
        PIXELS.astype(np.int64),
        PIXELS / 255,
        (PIXELS / 255).astype(np.float16),
        np.moveaxis(PIXELS, 2, 0),
        torch.from_numpy(PIXELS),
        torch.from_numpy(PIXELS).permute(2, 0, 1) / 255,
        Image.fromarray(PIXELS),
        encode(PIXELS, "PNG"),
        memoryview(encode(PIXELS, "BMP")),
        {"bytes": encode(PIXELS, "PNG"), "path": None},
        PIXELS.astype(np.uint16) * 257,
        np.dstack([PIXELS, np.full((120, 160), 255, np.uint8)]),
    ],
    ids=lambda image: f"{type(image).__name__} {getattr(image, 'dtype', '')}",
)
def test_every_kind_of_image_in_memory_keeps_its_pixels(image: Any) -> None:
    np.testing.assert_array_equal(pixels_of(image), PIXELS)


def test_grey_of_every_kind_keeps_its_values() -> None:
    wanted = np.dstack([GREY] * 3)
    for image in (
        GREY,
        GREY[..., None],
        GREY[None],
        GREY.astype(np.uint16) * 257,
        Image.fromarray(GREY),
        Image.fromarray(GREY.astype(np.uint16) * 257),  # I;16
        Image.fromarray(GREY).convert("LA"),
        Image.fromarray(GREY).convert("LA").convert("La"),
        Image.fromarray(GREY).convert("I"),
        Image.fromarray(GREY.astype(np.float32) / np.float32(255)),  # F
        GREY.astype(">u2") * 257,
        Image.frombytes("I;16B", (160, 120), (GREY.astype(">u2") * 257).tobytes()),
    ):
        np.testing.assert_array_equal(pixels_of(image), wanted)
    mask = GREY > 127
    np.testing.assert_array_equal(pixels_of(mask)[..., 0], mask * np.uint8(255))
    palette = Image.fromarray(PIXELS).convert("P")
    np.testing.assert_array_equal(pixels_of(palette), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((2, 120, 160, 3), np.uint8), r"shape \(2, 120, 160, 3\); give one image at a"),
        (np.zeros((0, 5, 3), np.uint8), "shape"),
        (np.zeros((6, 6, 5), np.uint8), "shape"),
        (PIXELS * 2.0, r"values from .*floats are to be in \[0, 1\]"),
        (np.full((9, 9), np.nan), "values from nan to nan"),
        (PIXELS.astype(np.int32) - 1, r"integers are to be in \[0, 255\]"),
        (np.zeros((9, 9), complex), "complex128"),
        (Image.fromarray(GREY).convert("F"), r"floats are to be in \[0, 1\]"),
        (Image.fromarray(GREY.astype(np.int32) * 257), "to 65535: integers .* or of uint16"),
        (object(), "no image: object"),
        (None, "no image: NoneType"),
        ({"bytes": None, "path": None}, "neither bytes nor a path"),
    ],
)
def test_what_is_no_image_says_why(image: Any, reason: str) -> None:
    with pytest.raises(ImageError, match=f"it: .*{reason}"):
        encoded(image, "it")


def test_images_are_kept_by_their_ids(new: Collection) -> None:
    other = textured(120, 160, 2)
    images = {"cat/1": PIXELS, ".ü": Image.fromarray(other), "100%": encode(PIXELS, "JPEG")}
    summary = new.index_images({**images, "none": None}, "my set")
    assert (summary.indexed, summary.skipped) == (3, 1)
    assert [(skip.path, skip.reason) for skip in summary.new_skips] == [
        ("my set/none", "no image: NoneType")
    ]
    assert "3 images (" in summary.notes[-1]
    (root,) = new.roots()
    assert (root.path, root.kind) == (str(new.path / "kept" / "my set"), "kept")
    names = sorted(path.name for path in Path(root.path).iterdir())
    assert names == ["%2Eü.png", "100%25.jpg", "cat%2F1.png"]
    again = new.index_images(images, "my set")
    assert (again.unchanged, again.indexed, again.gone) == (3, 0, 0)
    # What is not given any more is gone; what is given anew under an id takes its place.
    fewer = new.index_images({"cat/1": encode(other, "JPEG")}, "my set")
    assert (fewer.indexed, fewer.gone) == (1, 3)
    assert [path.name for path in Path(root.path).iterdir()] == ["cat%2F1.jpg"]


def test_a_query_in_memory_and_by_a_part(new: Collection, dedup: Callable[..., Outcome]) -> None:
    images = [textured(120, 160, seed) for seed in range(6)]
    new.index_images(images, "set")
    kept = new.path / "kept" / "set"
    (found,) = new.query(images[3], k=1)
    assert (found.query, found.path, found.similarity) == ("image", str(kept / "3.png"), 1.0)
    several = new.query({"one": images[1], "two": torch.from_numpy(images[2])}, k=1)
    assert [(one.query, Path(one.path).name) for one in several] == [
        ("one", "1.png"), ("two", "2.png"),
    ]  # fmt: skip
    mixed = new.query([kept / "0.png", Image.fromarray(images[4]), None], k=1)
    assert [one.query for one in mixed] == [str(kept / "0.png"), "image 2"]
    assert [skip.path for skip in mixed.skipped] == ["image 3"]
    # A part is that part: the same as the part cut out before.
    sheet = np.vstack([np.hstack(images[:2]), np.hstack(images[2:4])])
    part = new.query(sheet, k=6, crop=(160, 120, 160, 120))
    whole = new.query(images[3], k=6)
    assert [(one.path, one.similarity) for one in part] == [
        (one.path, one.similarity) for one in whole
    ]
    file = new.path.parent / "sheet.png"
    file.write_bytes(encode(sheet, "PNG"))
    rows = dedup("query", file, "--crop", "160,120,160,120", "-k", 1, "--store", new.path).rows
    assert [(row["query"], row["path"]) for row in rows] == [(str(file), str(kept / "3.png"))]
    assert dedup("query", file, "--crop", "1,2,3", "--store", new.path).code == 2
    done = dedup("query", file, "--crop", "300,0,100,100", "--store", new.path)
    assert (done.code, "the box 300,0,100,100 leaves it: it has 320 × 240" in done.err) == (1, True)
    with pytest.raises(ValueError, match="crop is"):
        new.query(images[0], crop=(0, 0, 0, 5))
    with pytest.raises(TypeError, match="images is a path"):
        new.query(5)


def test_a_data_set_that_raises_in_the_middle_is_gone_on_with(new: Collection) -> None:
    class Broken:
        sound = False

        def __len__(self) -> int:
            return 5

        def __getitem__(self, number: int) -> tuple[np.ndarray[Any, Any], int]:
            if number == 3 and not self.sound:
                raise OSError("disk")
            return textured(120, 160, number), number % 2

    data = Broken()
    with pytest.raises(SourceError, match=r"raised OSError after 3 images \(disk\)"):
        new.index_images(data, "set")
    assert [root.files for root in new.roots()] == [3]
    data.sound = True
    summary = new.index_images(data, "set")
    assert (summary.unchanged, summary.indexed) == (3, 2)


@pytest.mark.parametrize(
    ("images", "options", "reason"),
    [
        ([PIXELS, GREY], {"ids": ["a", "a"]}, "set: the id 'a' occurs twice"),
        ([PIXELS, GREY], {"ids": ["a"]}, "1 ids, but more images"),
        ([PIXELS], {"ids": ["a", "b"]}, "1 images, but more ids"),
        ([PIXELS], {"ids": [""]}, "ids have 1 to"),
        ([{"image": PIXELS}], {"column": "img"}, "no column 'img'. There are: image"),
        ([{"image": PIXELS}], {"ids": "id"}, "no column 'id'. There are: image"),
        ([PIXELS], {"max_bytes": 10}, "more than 10 bytes"),
    ],
)
def test_what_cannot_be_kept_is_one_error(
    new: Collection, images: Any, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SourceError, match=reason):
        new.index_images(images, "set", **options)


@pytest.mark.parametrize("images", [None, 5, "photos.zip", b"GIF89a", Image.fromarray(GREY)])
def test_what_is_no_data_set_is_named(new: Collection, images: Any) -> None:
    with pytest.raises(TypeError, match=f"images is a mapping.*not .*{type(images).__name__}"):
        new.index_images(images, "set")
    assert not new.roots()


def test_kept_images_move_with_the_collection(new: Collection, tmp_path: Path) -> None:
    new.index_images({"a": PIXELS, "b": encode(PIXELS, "BMP")}, "set")
    new.close()
    shutil.move(tmp_path / "store", tmp_path / "moved")
    with Collection.open(tmp_path / "moved") as moved:
        assert moved.index().unchanged == 2
        (group,) = moved.duplicates()
        assert all(path.startswith(os.fspath(tmp_path / "moved")) for path in group.paths)


@pytest.mark.slow
def test_data_sets_of_hugging_face_keep_the_bytes_of_their_files(new: Collection) -> None:
    datasets = pytest.importorskip("datasets", reason="needs Hugging Face's datasets")
    data = [encode(textured(120, 160, seed), "JPEG") for seed in range(3)]
    rows = {"photo": [{"bytes": one, "path": None} for one in data], "key": ["x", "y", "z"]}
    features = datasets.Features({"photo": datasets.Image(), "key": datasets.Value("string")})
    table = datasets.Dataset.from_dict(rows, features=features)
    summary = new.index_images(table, "hf", ids="key")
    assert summary.indexed == 3
    for key, one in zip("xyz", data, strict=True):
        assert (new.path / "kept" / "hf" / f"{key}.jpg").read_bytes() == one
    stream = table.to_iterable_dataset()
    assert new.index_images(stream, "hf", ids="key").unchanged == 3
    with pytest.raises(SourceError, match=r"no column 'nothing'\. There are: photo, key"):
        new.index_images(table, "other", column="nothing")


@pytest.mark.slow
def test_data_sets_of_torchvision(new: Collection, tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision", reason="needs torchvision")
    fake = torchvision.datasets.FakeData(3, (3, 50, 60))
    assert new.index_images(fake, "fake").indexed == 3
    folder = tmp_path / "photos" / "cats"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(encode(PIXELS, "PNG"))
    plain = torchvision.datasets.ImageFolder(os.fspath(tmp_path / "photos"))
    assert new.index_images(plain, "photos").indexed == 1
    assert ("/", "files") in [(root.path, root.kind) for root in new.roots()]
    normalised = torchvision.datasets.FakeData(
        1, (3, 50, 60), transform=lambda image: torch.from_numpy(np.array(image)) / 255 - 1
    )
    (skip,) = new.index_images(normalised, "normalised").new_skips
    assert "before normalisation" in skip.reason
