"""Which pairs are proven for a list: as few as its groups need, and all where all are shown."""

from __future__ import annotations

import dataclasses
import os
from contextlib import closing
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dedup.collection import Collection
from dedup.duplicates.find import find_groups
from dedup.duplicates.gallery import read_gallery
from dedup.duplicates.listing import best_pairs
from dedup.duplicates.relate import is_compared
from dedup.duplicates.rounds import keepers_tell, unled
from dedup.edits.catalogue import drawn
from dedup.freshness import Lookout
from dedup.images.encode import as_jpeg
from dedup.policy import KeepPolicy
from dedup.results import Grouping, Tier
from dedup.space.space import Space
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dedup.duplicates.gallery import Gallery
    from dedup.results import Group

COPIES = frozenset({Tier.EXACT, Tier.PIXELS, Tier.RESAVED})
SURE = COPIES | {Tier.NEAR}
COUNT = 70  # copies that are held against the best of them alone
VERSIONS = ("bright.jpg", "crop.jpg", "dark.jpg", "grey.jpg")


@pytest.fixture
def versions(gallery_of: Callable[[Path], Gallery], tmp_path: Path) -> Gallery:
    """One image, four versions of it and a copy of one of these, all of them candidates."""
    folder = tmp_path / "versions"
    folder.mkdir()
    pixels = drawn(240, 320, np.random.default_rng(3))
    grey = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    made = {
        "image.jpg": pixels,
        "bright.jpg": (pixels * 0.8 + 50).astype(np.uint8),
        "crop.jpg": pixels[10:220, 14:300],
        "dark.jpg": (pixels * 0.8).astype(np.uint8),
        "grey.jpg": grey,
    }
    for name, some in made.items():
        (folder / name).write_bytes(as_jpeg(some, 95 if name == "image.jpg" else 90))
    (folder / "copy of grey.jpg").write_bytes(as_jpeg(grey, 70))
    return candidates_of(gallery_of(folder))


@pytest.fixture
def toned(tmp_path: Path) -> Iterator[Collection]:
    """A collection in the folder `store` of one image and two versions of it in other tones."""
    folder, pixels = tmp_path / "images", drawn(240, 320, np.random.default_rng(3))
    folder.mkdir()
    for name, some in {"a": pixels, "b": pixels * 0.8, "c": pixels * 0.8 + 50}.items():
        (folder / f"{name}.jpg").write_bytes(as_jpeg(some.astype(np.uint8), 95))
    with Collection.create(tmp_path / "store", ModelSpec(views="details")) as collection:
        collection.index(folder)
        yield collection


def candidates_of(gallery: Gallery) -> Gallery:
    return dataclasses.replace(gallery, near_floors=(-1, -1))


def listed(gallery: Gallery, tiers: frozenset[Tier] = SURE) -> list[Group]:
    lookout = Lookout(gallery.catalog.roots())
    found = find_groups(gallery, tiers, 0.999, Grouping.COVER, lambda *_: None, lookout)
    return found.groups


def names(paths: Sequence[str]) -> list[str]:
    return sorted(map(os.path.basename, paths))


def proofs(gallery: Gallery) -> int:
    (count,) = gallery.catalog.connection.execute("SELECT count(*) FROM verdicts").fetchone()
    return int(count)


def test_groups_take_as_many_proofs_as_there_are_duplicates(versions: Gallery) -> None:
    (group,) = listed(versions)
    assert names([group.keeper]) == ["image.jpg"]
    assert names(group.paths) == sorted((*VERSIONS, "image.jpg", "copy of grey.jpg"))
    assert proofs(versions) == 5
    assert listed(versions) == [group]
    assert proofs(versions) == 5


def test_what_shows_all_pairs_proves_them(versions: Gallery) -> None:
    listed(versions)
    every, _ = best_pairs(
        versions, SURE, 0.999, lambda *_: None, Lookout(versions.catalog.roots()), KeepPolicy()
    )
    files = [os.path.basename(os.fsdecode(path)) for path in versions.files.path]
    assert {frozenset(names(pair[:2])) for pair in every} == {
        frozenset(pair) for pair in combinations(files, 2)
    }
    assert proofs(versions) == 15


def test_parts_are_looked_for_again_where_all_pairs_are_shown(
    toned: Collection, tmp_path: Path
) -> None:
    compared = []
    for pairs in (False, False, True, False):
        (*groups,) = toned.duplicates() if not pairs else ()
        found = toned.pairs() if pairs else groups[0].duplicates
        with closing(Catalog.open(tmp_path / "store")) as catalog:
            states = is_compared(catalog), is_compared(catalog, few=False)
        compared.append((len(list(found)), *states))
    few, every = (2, True, False), (3, True, True)
    assert compared == [few, few, every, (2, True, True)]


def test_why_does_not_wonder_at_pairs_that_a_keeper_told(toned: Collection) -> None:
    [group] = toned.duplicates()
    found = toned.why(*(one.path for one in group.duplicates))
    assert (found.tier, found.notes) == (Tier.NEAR, ())


def test_copies_are_found_that_a_version_was_listed_with(versions: Gallery) -> None:
    listed(versions)
    (group,) = listed(versions, COPIES)
    assert names(group.paths) == ["copy of grey.jpg", "grey.jpg"]


def test_others_are_kept_where_the_keeper_is_gone(versions: Gallery) -> None:
    (group,) = listed(versions)
    os.unlink(group.keeper)
    (left,) = listed(versions)
    assert names(left.paths) == sorted((*VERSIONS, "copy of grey.jpg"))
    assert {one.tier for one in left.duplicates} <= SURE


def test_very_many_copies_are_listed_where_the_keeper_is_gone(
    copies_of_one: Callable[[int], Gallery],
) -> None:
    gallery = copies_of_one(COUNT)
    (group,) = listed(gallery)
    assert len(group.paths) == COUNT
    os.unlink(group.keeper)
    assert sum(len(left.paths) for left in listed(gallery)) == COUNT - 1


def test_none_of_a_drive_that_is_not_there_is_a_keeper(
    gallery_of: Callable[[Path], Gallery], tmp_path: Path
) -> None:
    drive, folder = tmp_path / "drive", tmp_path / "folder"
    pixels = drawn(240, 320, np.random.default_rng(3))
    for place in (drive, folder):
        place.mkdir()
    (drive / "image.jpg").write_bytes(as_jpeg(pixels, 95))
    (folder / "dark.jpg").write_bytes(as_jpeg((pixels * 0.8).astype(np.uint8), 90))
    (folder / "small.jpg").write_bytes(as_jpeg(pixels[::2, ::2], 90))
    gallery_of(drive)
    gallery = candidates_of(gallery_of(folder))
    drive.rename(tmp_path / "unplugged")
    (group,) = listed(gallery)
    assert names(group.paths) == ["dark.jpg", "small.jpg"]
    assert proofs(gallery) <= 3
    assert read_gallery(gallery.catalog, Space.of(gallery.catalog)).files.path == gallery.files.path


def test_pairs_wait_that_a_better_image_may_tell() -> None:
    place = [2, 0, 1, 3].__getitem__
    assert unled({(0, 1), (0, 2), (1, 2)}, place) == {(0, 1), (1, 2)}
    assert unled({(0, 2), (0, 3), (2, 3)}, place) == {(0, 2), (2, 3)}
    assert unled({(0, 1), (2, 3)}, place) == {(0, 1), (2, 3)}
    assert unled(set(), place) == set()


@pytest.mark.parametrize(
    ("tiers", "how", "tell"),
    [
        (SURE, Grouping.COVER, True),
        (SURE | {Tier.VIDEO}, Grouping.COVER, True),
        (SURE, Grouping.CLIQUE, False),
        (SURE, Grouping.COMPONENT, False),
        (COPIES, Grouping.COVER, False),
        (SURE | {Tier.SIMILAR}, Grouping.COVER, False),
    ],
)
def test_keepers_tell_all_that_groups_of_all_proven_tiers_show(
    tiers: frozenset[Tier],
    how: Grouping,
    tell: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert keepers_tell(tiers, how) is tell
