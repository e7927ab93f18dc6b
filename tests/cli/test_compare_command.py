from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from drawings import scene
from outcome import SMALL_MODEL, Outcome
from PIL import Image

from dedup.collection import Collection

if TYPE_CHECKING:
    from collections.abc import Callable

    Dedup = Callable[..., Outcome]


@pytest.fixture
def card(tmp_path: Path, drawn: Path) -> Path:
    return filled(tmp_path / "card", drawn)


@pytest.fixture(scope="module")
def compared(indexed: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of `drawn` with the verdicts of images as in `card`; not to be changed."""
    folder = tmp_path_factory.mktemp("compared")
    store = Path(shutil.copytree(indexed, folder / "store"))
    with Collection.open(store) as collection:
        assert len(collection.compare(filled(folder / "card", drawn))) == 3
    return store


@pytest.fixture
def known(compared: Path, tmp_path: Path) -> Path:
    """As `store`, with what is proven kept from an earlier comparison."""
    return Path(shutil.copytree(compared, tmp_path / "known"))


def filled(folder: Path, drawn: Path) -> Path:
    """Save new images: a copy, the same pixels, an edited one, a stranger, and a broken file."""
    folder.mkdir()
    shutil.copy(drawn / "a/4.jpg", folder / "copy.jpg")
    with Image.open(drawn / "a/5.jpg") as decoded:
        decoded.save(folder / "pixels.png")
        decoded.resize((200, 150)).save(folder / "edited.jpg", quality=70)
    scene(1000).save(folder / "stranger.jpg")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def test_compare_finds_what_is_there_already_surest_first(
    dedup: Dedup, store: Path, card: Path, drawn: Path
) -> None:
    done = dedup("compare", card, "--against", store)
    assert done.code == 0
    assert [list(row) for row in done.rows] == [["path", "tier", "match", "similarity", "note"]] * 3
    found = [
        (os.path.basename(row["path"]), row["tier"], os.path.relpath(row["match"], drawn))
        for row in done.rows
    ]
    assert found == [
        ("copy.jpg", "exact", "a/4.jpg"),
        ("pixels.png", "pixels", "a/5.jpg"),
        ("edited.jpg", "resaved", "a/5.jpg"),
    ]
    assert "3 of 4 images are already there: 1 exact, 1 pixels, 1 resaved" in done.err
    assert "broken.jpg" in done.err
    for form in ("csv", "paths"):
        assert b"edited.jpg" in dedup("compare", card, "--against", store, "--format", form).out
    table = dedup("compare", card, "--against", store, "--format", "table").out
    assert table.count(b"resaved") == 1


def test_compare_indexes_a_folder_that_is_not_yet(dedup: Dedup, card: Path, images: Path) -> None:
    done = dedup("compare", card, "--against", images, "--model", SMALL_MODEL, "--untrained")
    assert [row["tier"] for row in done.rows] == ["exact", "pixels", "resaved"]
    again = dedup("compare", card, "--against", images)
    assert again.out == done.out


def test_two_splits_of_one_collection_leak_one_way(dedup: Dedup, images: Path) -> None:
    dedup("index", images, "--views", "details")
    leaks = dedup("compare", images / "b", "--against", images / "a")
    assert [(os.path.basename(row["path"]), row["tier"]) for row in leaks.rows] == [
        ("0 again.jpg", "exact"),
        ("0 copy.jpg", "exact"),
        ("1.bmp", "pixels"),
        ("1.png", "pixels"),
        ("2 small.jpg", "resaved"),
    ]
    assert all(os.path.dirname(row["match"]).endswith("/a") for row in leaks.rows)


def test_an_image_never_matches_itself(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("compare", drawn / "a/3.jpg", drawn / "a/0.jpg", "--against", store)
    assert [os.path.basename(row["match"]) for row in done.rows] == ["0 again.jpg"]


@pytest.mark.parametrize(
    ("fail_on", "code"),
    [
        ("exact", 3),
        pytest.param("resaved", 3, marks=pytest.mark.slow),
        ("near", 3),
        pytest.param("similar", 3, marks=pytest.mark.slow),
    ],
)
def test_compare_fails_on_a_tier(
    dedup: Dedup, known: Path, card: Path, fail_on: str, code: int
) -> None:
    assert dedup("compare", card, "--against", known, "--fail-on", fail_on).code == code
    edited = dedup("compare", card / "edited.jpg", "--against", known, "--fail-on", "pixels")
    assert edited.code == 0


def test_compare_keeps_to_ignored_pairs(dedup: Dedup, known: Path, card: Path, drawn: Path) -> None:
    dedup("ignore", card / "edited.jpg", drawn / "a/5.jpg", "-s", known)
    done = dedup("compare", card / "edited.jpg", "--against", known)
    assert done.rows == []


def test_a_name_that_leads_nowhere_is_an_error_and_no_empty_answer(
    dedup: Dedup, store: Path, drawn: Path
) -> None:
    for names in (["nowhere"], [drawn / "a/0.jpg", "nowhere"]):
        done = dedup("compare", *names, "--against", drawn, "-s", store)
        assert (done.code, done.out) == (1, b"")
        assert done.err == "Error: nowhere: there is no such file or folder\n"
    file = drawn / "a/0.jpg"
    done = dedup("compare", drawn / "b", "--against", file, "-s", store)
    assert (done.code, done.err) == (1, f"Error: {file}: is a file; name a folder\n")
    done = dedup("list", "--under", file, "-s", store)
    assert (done.code, done.err) == (1, f"Error: {file}: is a file; name a folder\n")


def test_nothing_to_compare_is_a_sentence(dedup: Dedup, store: Path, drawn: Path) -> None:
    os.mkdir("empty")
    done = dedup("compare", "empty", "--against", drawn, "-s", store)
    assert (done.code, done.out) == (0, b"")
    assert done.err.endswith("There are no images to compare.\n")
    done = dedup("compare", drawn / "text.jpg", "--against", drawn, "-s", store)
    assert done.code == 1
    assert "\nNothing was compared.\n  skipped " in done.err
    assert " of 0 " not in done.err


def test_an_archive_is_compared_with_and_its_members_are_named(
    dedup: Dedup, store: Path, drawn: Path
) -> None:
    with zipfile.ZipFile("images.zip", "w") as archive:
        archive.write(drawn / "a/0.jpg", "inner/0.jpg")
    done = dedup("compare", drawn / "b", "--against", "images.zip", "-s", store)
    assert {row["tier"] for row in done.rows} == {"exact"}
    done = dedup("compare", "images.zip/inner/0.jpg", "--against", drawn, "-s", store)
    assert [row["tier"] for row in done.rows] == ["exact"]
    done = dedup("compare", "images.zip/inner/1.jpg", "--against", drawn, "-s", store)
    assert done.err.startswith("Error: images.zip/inner/1.jpg: there is no such file")
