"""New images against a gallery: one way, the surest match of each, with the words of `list`."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from blocks import BlockMeans
from drawings import scene
from PIL import Image

from dedup.duplicates.compare import NewImages, compare
from dedup.duplicates.gallery import Gallery, read_gallery
from dedup.query import embed_queries
from dedup.results import Match, Tier
from dedup.space.space import Space
from dedup.store.catalog import Catalog
from dedup.store.pairs import Decision, content_pair, now, write_decisions

if TYPE_CHECKING:
    from collections.abc import Callable

SURE = frozenset({Tier.EXACT, Tier.PIXELS, Tier.RESAVED, Tier.NEAR})


def quiet(*_: object) -> None:
    pass


def read(gallery: Gallery, *files: Path) -> NewImages:
    found = embed_queries(
        gallery.catalog, Space.of(gallery.catalog), [os.fspath(file) for file in files], BlockMeans
    )
    assert not found.skipped
    return NewImages(found.paths, found.facts, found.raw, found.raw, found.parts)


def matches(
    gallery: Gallery,
    *files: Path,
    tiers: frozenset[Tier] = SURE,
    threshold: float = 0.999,
    within: Path | None = None,
) -> dict[str, Match]:
    folder = None if within is None else os.fsencode(within)
    found, notes = compare(gallery, folder, read(gallery, *files), tiers, threshold, quiet)
    assert notes == []
    return {os.path.basename(match.path): match for match in found}


@pytest.fixture
def card(tmp_path: Path, images: Path) -> Path:
    return filled(tmp_path / "card", images)


@pytest.fixture(scope="module")
def compared_before(
    listed_before: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A collection of `drawn` with the verdicts of images as in `card`; not to be changed."""
    folder = tmp_path_factory.mktemp("compared")
    store = Path(shutil.copytree(listed_before, folder / "store"))
    catalog = Catalog.open(store)
    gallery = read_gallery(catalog, Space.of(catalog))
    files = sorted(filled(folder / "card", drawn).iterdir())
    assert matches(gallery, *files, tiers=frozenset(Tier), threshold=-1)
    catalog.close()
    return store


@pytest.fixture
def known(copied: Callable[[Path], Gallery], compared_before: Path) -> Gallery:
    """As `gallery`, with what is proven kept from an earlier comparison."""
    return copied(compared_before)


def filled(folder: Path, images: Path) -> Path:
    """Save images from elsewhere: a copy, the same pixels, an edited one, a blank, a new one."""
    folder.mkdir()
    shutil.copy(images / "a/4.jpg", folder / "copy.jpg")
    with Image.open(images / "a/5.jpg") as decoded:
        decoded.save(folder / "pixels.png")
        decoded.resize((200, 150)).save(folder / "edited.jpg", quality=70)
        decoded.save(folder / "weaker.jpg", quality=40)
    Image.new("RGB", (300, 200), "white").save(folder / "blank.tif")
    scene(1000).save(folder / "unknown.jpg")
    return folder


def test_each_image_has_its_surest_match_in_the_words_of_list(
    gallery: Gallery, card: Path, images: Path
) -> None:
    found, notes = compare(
        gallery, None, read(gallery, *sorted(card.iterdir())), SURE, 0.999, quiet
    )
    assert notes == []
    base = os.fspath(images)
    share = os.path.getsize(card / "weaker.jpg") / os.path.getsize(images / "a/5.jpg")
    rows = [
        (os.path.basename(one.path), one.tier, os.path.relpath(one.match, base)) for one in found
    ]
    assert rows[:3] == [
        ("copy.jpg", Tier.EXACT, "a/4.jpg"),
        ("blank.tif", Tier.PIXELS, "blank.bmp"),
        ("pixels.png", Tier.PIXELS, "a/5.jpg"),
    ]
    assert sorted(rows[3:]) == [
        ("edited.jpg", Tier.RESAVED, "a/5.jpg"),
        ("weaker.jpg", Tier.RESAVED, "a/5.jpg"),
    ]
    words = {os.path.basename(one.path): one.evidence for one in found}
    assert words["copy.jpg"] == "same bytes"
    assert words["blank.tif"] == "same pixels, TIFF instead of BMP"
    assert words["pixels.png"] == "same pixels, PNG instead of JPEG"
    assert words["edited.jpg"].endswith("200×150 instead of 320×240")
    assert words["weaker.jpg"].endswith(f"re-encoded, {share:.0%} of the file size")
    order = [(list(Tier).index(one.tier), -one.similarity) for one in found]
    assert order == sorted(order)


def test_words_are_about_the_new_image(gallery: Gallery, images: Path, tmp_path: Path) -> None:
    crop = tmp_path / "crop.jpg"
    with Image.open(images / "a/5.jpg") as whole:
        whole.crop((32, 24, 288, 216)).save(crop, quality=95)
    (found,) = matches(gallery, crop).values()
    assert found.tier is Tier.NEAR
    assert found.evidence == "cropped to 64%, 256×192 instead of 320×240"


def test_an_indexed_image_never_matches_itself(gallery: Gallery, images: Path) -> None:
    found = matches(gallery, *(images / name for name in ("a/0.jpg", "a/2.jpg", "a/3.jpg")))
    base = os.fspath(images)
    assert {name: os.path.relpath(one.match, base) for name, one in found.items()} == {
        "0.jpg": "b/0 again.jpg",
        "2.jpg": "b/2 small.jpg",
    }


def test_two_names_of_one_new_content_match_alike(known: Gallery, card: Path) -> None:
    shutil.copy(card / "edited.jpg", card / "twin.jpg")
    found = matches(known, card / "edited.jpg", card / "twin.jpg")
    assert found["edited.jpg"].match == found["twin.jpg"].match
    assert found["twin.jpg"].tier is Tier.RESAVED


def test_new_images_are_not_compared_with_each_other(known: Gallery, card: Path) -> None:
    shutil.copy(card / "unknown.jpg", card / "again.jpg")
    assert matches(known, card / "unknown.jpg", card / "again.jpg") == {}


@pytest.mark.parametrize(
    ("tiers", "names"),
    [
        ({Tier.EXACT}, {"copy.jpg"}),
        ({Tier.PIXELS}, {"pixels.png", "blank.tif"}),
        ({Tier.RESAVED}, {"edited.jpg", "weaker.jpg"}),
        ({Tier.PIXELS, Tier.RESAVED}, {"pixels.png", "blank.tif", "edited.jpg", "weaker.jpg"}),
    ],
)
def test_only_the_tiers_asked_for_match(
    known: Gallery, card: Path, tiers: set[Tier], names: set[str]
) -> None:
    assert set(matches(known, *card.iterdir(), tiers=frozenset(tiers))) == names


def test_similar_is_inclusive_and_never_blank(known: Gallery, card: Path) -> None:
    files = [card / "unknown.jpg", card / "blank.tif"]
    only = frozenset({Tier.SIMILAR})
    best = matches(known, *files, tiers=only, threshold=-1)
    assert set(best) == {"unknown.jpg"}
    similarity = best["unknown.jpg"].similarity
    assert best["unknown.jpg"].evidence.startswith("looks alike, but no common detail found, ")
    assert set(matches(known, *files, tiers=only, threshold=similarity)) == {"unknown.jpg"}
    assert matches(known, *files, tiers=only, threshold=similarity + 2e-6) == {}


def test_matches_are_in_the_folder_asked_for(known: Gallery, card: Path, images: Path) -> None:
    found = matches(known, card / "copy.jpg", card / "edited.jpg", within=images / "a")
    assert set(found) == {"copy.jpg", "edited.jpg"}
    assert matches(known, card / "copy.jpg", card / "edited.jpg", within=images / "b") == {}
    (again,) = matches(known, images / "a/0.jpg", within=images / "b").values()
    assert again.match == os.fspath(images / "b/0 again.jpg")


def test_an_ignored_pair_does_not_match(known: Gallery, card: Path) -> None:
    (found,) = matches(known, card / "edited.jpg").values()
    new = read(known, card / "edited.jpg").facts[0].digest
    row = known.files.row[known.files.path.index(os.fsencode(found.match))]
    pair = content_pair(new, known.images.digest[row])
    write_decisions(known.catalog, [Decision(pair, duplicate=False, decided=now())])
    again = read_gallery(known.catalog, Space.of(known.catalog))
    assert matches(again, card / "edited.jpg") == {}


def test_what_cannot_be_read_again_is_counted(gallery: Gallery, card: Path) -> None:
    new = read(gallery, card / "edited.jpg")
    (card / "edited.jpg").unlink()
    found, notes = compare(gallery, None, new, SURE, 0.999, quiet)
    assert found == []
    (note,) = notes
    assert note.startswith("1 image could not be read again to be compared")


def test_what_is_gone_or_changed_is_no_match(gallery: Gallery, card: Path, images: Path) -> None:
    new = read(gallery, card / "copy.jpg", card / "pixels.png", card / "edited.jpg")
    (images / "a/4.jpg").unlink()
    with (images / "a/5.jpg").open("ab") as file:
        file.write(b"longer")
    found, notes = compare(gallery, None, new, SURE, 0.999, quiet)
    assert found == []
    # The other one cannot be proven on what it is now, and was not to be shown.
    assert notes[-1] == "1 file is gone or has changed since it was indexed; run: dedup index"


def test_another_copy_matches_in_the_place_of_one_that_is_gone(
    known: Gallery, images: Path, card: Path
) -> None:
    shutil.copy(images / "a/0.jpg", card / "new.jpg")
    for name, left in (("a/0.jpg", "b/0 again.jpg"), ("b/0 again.jpg", "b/0 copy.jpg")):
        (images / name).unlink()
        (match,), _ = compare(known, None, read(known, card / "new.jpg"), SURE, 0.999, quiet)
        assert (match.match, match.note) == (os.fspath(images / left), "")


def test_an_archive_that_is_offline_says_so_in_each_row(
    known: Gallery, images: Path, card: Path
) -> None:
    new = read(known, card / "copy.jpg")
    images.rename(images.parent / "unplugged")
    (match,), notes = compare(known, os.fsencode(images), new, SURE, 0.999, quiet)
    assert (match.match, match.tier) == (os.fspath(images / "a/4.jpg"), Tier.EXACT)
    assert match.note == "offline: not there now, known from when it was indexed"
    assert notes == [f"{images} is not there (an unplugged drive?): 1 file of it shown as indexed"]
    found, notes = compare(known, None, new, SURE, 0.999, quiet)
    assert found == []
    assert "1 file of it left out; to see them: --offline" in notes[-1]


def test_no_gallery_and_no_images_match_nothing(known: Gallery, card: Path, tmp_path: Path) -> None:
    assert matches(known, card / "copy.jpg", within=tmp_path / "elsewhere") == {}
    nothing = NewImages([], [], known.raw[:0], known.vectors[:0], [])
    assert compare(known, None, nothing, SURE, 0.999, quiet) == ([], [])


def test_a_gallery_is_not_changed_by_a_comparison(known: Gallery, card: Path) -> None:
    before = dataclasses.replace(known.images)
    matches(known, *card.iterdir(), tiers=frozenset(Tier))
    assert len(known.images) == len(before)
    assert known.images.pixel_digest == before.pixel_digest
