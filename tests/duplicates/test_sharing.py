"""Images that show a part of another: proposed, kept up to date, bounded, and switched off."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from dedup import Collection
from dedup.duplicates import sharing as shared_parts
from dedup.edits.catalogue import drawn
from dedup.images.encode import as_jpeg
from dedup.search import votes
from dedup.store.own import replace_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

BASES = 6


def scene(seed: int) -> np.ndarray:
    return drawn(600, 800, np.random.default_rng(seed))


def page(pixels: np.ndarray) -> np.ndarray:
    sheet = np.full((1400, 1000, 3), 255, np.uint8)
    for line in range(20):
        cv2.putText(
            sheet, f"line {line} of the page", (80, 60 + 30 * line), 0, 0.8, (20, 20, 20), 2
        )
    sheet[760:1120, 200:680] = cv2.resize(pixels, (480, 360), interpolation=cv2.INTER_AREA)
    return sheet


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images and, beside it, its collection; not to be changed."""
    folder = tmp_path_factory.mktemp("sharing") / "images"
    folder.mkdir()
    for seed in range(BASES):
        (folder / f"{seed}.jpg").write_bytes(as_jpeg(scene(seed), 90))
    (folder / "0 page.jpg").write_bytes(as_jpeg(page(scene(0)), 90))
    (folder / "1 quarter.jpg").write_bytes(as_jpeg(scene(1)[100:400, 100:500], 90))
    with Collection.open(folder.parent / "c", create=True) as collection:
        collection.index(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "images"))


@pytest.fixture
def collection(made: Path, folder: Path, tmp_path: Path) -> Iterator[Collection]:
    """The collection of `folder`, indexed before."""
    with Collection.open(shutil.copytree(made.parent / "c", tmp_path / "c")) as opened:
        opened.move_root(made, folder)
        opened.index(folder)
        yield opened


def pairs(collection: Collection, *, parts: bool = True) -> set[tuple[str, ...]]:
    """Give the pairs that parts alone propose."""
    from dedup.duplicates.candidates import group_identical_inputs
    from dedup.duplicates.gallery import read_gallery

    session = collection._session  # noqa: SLF001
    gallery = read_gallery(session.catalog, session.space(), parts=parts)
    members = group_identical_inputs(gallery.images)
    found, _ = shared_parts.share_parts(session.catalog, gallery.images, members, lambda *_: None)
    names = {row: Path(paths[0].decode()).name for row, paths in gallery.paths().items()}
    return {tuple(sorted(names[row] for row in pair)) for pair in found}


TRUE = {("0 page.jpg", "0.jpg"), ("1 quarter.jpg", "1.jpg")}


def test_a_page_and_a_quarter_are_proposed(collection: Collection) -> None:
    assert pairs(collection) >= TRUE


def test_the_same_images_are_compared_once(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []

    def counted(features: Any, *given: Any, **options: Any) -> list[tuple[int, int]]:
        compared.append(len(features))
        return votes.sharing_parts(features, *given, **options)

    monkeypatch.setattr(shared_parts, "sharing_parts", counted)
    found = pairs(collection)
    assert pairs(collection) == found >= TRUE
    collection.split([0.5, 0.5])
    assert len(compared) == 1
    catalog = collection._session.catalog  # noqa: SLF001
    kept = catalog.parts_shared
    assert kept is not None
    for wrong in ("", "[", "[[[", "7", '["x",[[0,1]]]', kept[:35] + "[0,99]]]"):
        catalog.parts_shared = wrong
        assert pairs(collection) == found
    assert len(compared) == 7
    (folder / "2 quarter.jpg").write_bytes(as_jpeg(scene(2)[100:400, 100:500], 90))
    collection.index(folder)
    assert pairs(collection) >= TRUE | {("2 quarter.jpg", "2.jpg")}
    assert len(compared) == 8


def test_parts_keep_up_with_files(collection: Collection, folder: Path) -> None:
    catalog = collection._session.catalog  # noqa: SLF001
    rows = "SELECT image, value FROM parts ORDER BY image"
    before = catalog.connection.execute(rows).fetchall()
    assert len(before) == BASES + 2
    collection.index(folder)
    assert catalog.connection.execute(rows).fetchall() == before
    (folder / "0 page.jpg").unlink()
    shutil.copy(folder / "2.jpg", folder / "1 quarter.jpg")  # other content under its name
    collection.index(folder)
    assert not {name for pair in pairs(collection) for name in pair} & {"0 page.jpg"}
    assert ("1 quarter.jpg", "1.jpg") not in pairs(collection)


def test_what_was_indexed_without_parts_gets_them(collection: Collection, folder: Path) -> None:
    catalog = collection._session.catalog  # noqa: SLF001
    rows = "SELECT image, version, value, checksum FROM parts ORDER BY image"
    before = catalog.connection.execute(rows).fetchall()
    with catalog.transaction():
        catalog.connection.execute("DELETE FROM parts")
    noted = collection.duplicates().notes
    assert any(f"{BASES + 2} images have no parts yet" in note for note in noted)
    summary = collection.index(folder)
    assert any("read again, for details and parts" in note for note in summary.notes)
    assert catalog.connection.execute(rows).fetchall() == before
    assert not any("no parts yet" in note for note in collection.duplicates().notes)


def test_what_another_version_described_is_described_again(
    collection: Collection, folder: Path
) -> None:
    catalog = collection._session.catalog  # noqa: SLF001
    parts = "SELECT image, version, value, checksum FROM parts ORDER BY image"
    details = "SELECT * FROM embeddings WHERE layer = 'details' ORDER BY image"
    before = [catalog.connection.execute(rows).fetchall() for rows in (parts, details)]
    digests = [digest for (digest,) in catalog.connection.execute("SELECT digest FROM images")]
    blank = bytes(len(before[1][0][4]))
    with catalog.transaction():
        catalog.connection.execute("UPDATE parts SET version = 'older'")
        replace_vectors(catalog, dict.fromkeys(digests, (1.0, blank)), "details")
    assert catalog.connection.execute(details).fetchall() != before[1]
    collection.index(folder)
    assert [catalog.connection.execute(rows).fetchall() for rows in (parts, details)] == before


def test_a_damaged_row_is_found_and_mended(collection: Collection, folder: Path) -> None:
    catalog = collection._session.catalog  # noqa: SLF001
    good = catalog.connection.execute("SELECT value FROM parts WHERE image = 1").fetchone()
    catalog.connection.execute("UPDATE parts SET value = zeroblob(40) WHERE image = 1")
    assert list(collection.verify())
    collection.repair()
    collection.index(folder)
    assert not list(collection.verify())
    again = catalog.connection.execute("SELECT value FROM parts WHERE image = 1").fetchone()
    assert again == good


def test_a_damaged_row_that_a_list_meets_is_mended_by_the_next_index(
    collection: Collection, folder: Path
) -> None:
    catalog = collection._session.catalog  # noqa: SLF001
    good = catalog.connection.execute("SELECT value FROM parts WHERE image = 1").fetchone()
    catalog.connection.execute("UPDATE parts SET value = zeroblob(40) WHERE image = 1")
    assert any("1 part" in note for note in collection.duplicates().notes)
    collection.index(folder)
    again = catalog.connection.execute("SELECT value FROM parts WHERE image = 1").fetchone()
    assert again == good
    assert not any("part" in note for note in collection.duplicates().notes)


def test_the_bound_and_the_switch(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_parts, "MOST_IMAGES", BASES)
    assert pairs(collection) == set()
    note = "Parts were not looked for"
    assert any(note in each for each in collection.duplicates().notes)
    assert not any(note in each for each in collection.duplicates(parts=False).notes)


def test_details_bring_the_parts(folder: Path, tmp_path: Path) -> None:
    from dedup.spec import ModelSpec

    with Collection.open(tmp_path / "c", ModelSpec(views=("content",)), create=True) as collection:
        collection.index(folder)
        catalog = collection._session.catalog  # noqa: SLF001
        assert catalog.connection.execute("SELECT count(*) FROM parts").fetchone() == (0,)
        assert pairs(collection) == set()


def test_what_why_proves_is_listed(collection: Collection, folder: Path) -> None:
    page_file, photo = folder / "1 quarter.jpg", folder / "1.jpg"
    if collection.why(page_file, photo).tier not in {"near", "resaved"}:
        pytest.skip("the proof does not confirm this pair")
    groups = collection.duplicates(parts=False).groups
    named = [{group.keeper, *(one.path for one in group.duplicates)} for group in groups]
    assert any({str(page_file), str(photo)} <= names for names in named)


def test_compare_finds_both_ways(folder: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "gallery"
    gallery.mkdir()
    for name in ("0 page.jpg", "1.jpg", "3.jpg"):
        (folder / name).rename(gallery / name)
    with Collection.open(tmp_path / "c", create=True) as collection:
        collection.index(gallery)
        found = {Path(match.path).name: match for match in collection.compare(folder)}
        confirmed = collection.why(folder / "1 quarter.jpg", gallery / "1.jpg").tier
        assert ("1 quarter.jpg" in found) == (confirmed is not None)
        assert "2.jpg" not in found


def test_a_second_list_compares_no_parts_and_says_the_same(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = collection.duplicates()
    monkeypatch.setattr(shared_parts, "MOST_IMAGES", 0)  # which a comparison would say
    second = collection.duplicates()
    assert (second.groups, second.notes) == (first.groups, first.notes)
    (folder / "0 page.jpg").unlink()
    collection.index(folder)
    assert any("Parts were not looked for" in note for note in collection.duplicates().notes)
