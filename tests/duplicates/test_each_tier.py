"""Each tier alone is what the full list says of it, whatever was known before."""

from __future__ import annotations

import dataclasses
import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawings import scene
from PIL import Image, ImageDraw

from dedup.duplicates.find import find_groups
from dedup.duplicates.gallery import Gallery, read_gallery
from dedup.duplicates.listing import best_pairs
from dedup.duplicates.tiers import SURE
from dedup.edits.catalogue import drawn
from dedup.freshness import Lookout
from dedup.policy import KeepPolicy
from dedup.proof import VERIFIER
from dedup.results import IMAGE_TIERS, Grouping, Tier
from dedup.space.space import Space
from dedup.store.pairs import StoredVerdict, content_pair, read_verdicts, write_verdicts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dedup.store.catalog import Catalog

THRESHOLD = 0.9


def burst(seed: int) -> list[Image.Image]:
    """Draw two shots of one scene, in the second of which something has moved."""
    shots = [scene(seed) for _ in range(2)]
    for shot, place in zip(shots, (30, 170), strict=True):
        draw = ImageDraw.Draw(shot)
        draw.ellipse((place, 80, place + 75, 155), fill=(190, 60, 40))
        draw.rectangle((place + 20, 100, place + 55, 135), fill=(30, 90, 160))
    return shots


@pytest.fixture
def every_tier(tmp_path: Path) -> Path:
    """Two scenes with copies and edited versions, and a burst of which shots were saved again."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(2):
        scene(number).save(folder / f"{number}.jpg", quality=92)
        original = Image.open(folder / f"{number}.jpg")
        original.save(folder / f"{number} pixels.png")
        original.crop((20, 15, 300, 225)).save(folder / f"{number} crop.jpg", quality=90)
    shutil.copy(folder / "0.jpg", folder / "0 bytes.jpg")
    for number, shot in enumerate(burst(20)):
        for quality in (95, 70):
            shot.save(folder / f"burst {number} {quality}.jpg", quality=quality)
    return folder


@pytest.mark.slow
def test_very_many_copies_are_proven_by_few_pairs(
    tmp_path: Path, gallery_of: Callable[[Path], Gallery], catalog: Catalog
) -> None:
    folder = tmp_path / "memes"
    folder.mkdir()
    count = 30
    for number in range(count):
        textured = Image.fromarray(drawn(240, 320, np.random.default_rng(1)))
        textured.save(folder / f"{number}.jpg", quality=70 + number)
    gallery = gallery_of(folder)
    (group,) = find_groups(gallery, SURE, THRESHOLD, Grouping.COVER, lambda *_: None).groups
    assert len(group.duplicates) == count - 1
    resaved = [one for one in group.duplicates if one.tier is Tier.RESAVED]
    assert len(resaved) > count / 2
    proven = read_verdicts(catalog, VERIFIER)
    assert count - 1 <= len(proven) < 4 * count
    again = find_groups(gallery, SURE, THRESHOLD, Grouping.CLIQUE, lambda *_: None)
    assert [len(group.duplicates) for group in again.groups] == [count - 1]
    assert read_verdicts(catalog, VERIFIER) == proven


def test_what_is_proven_against_a_duplicate_only_is_counted_and_listed_as_a_pair(
    tmp_path: Path, gallery_of: Callable[[Path], Gallery], catalog: Catalog
) -> None:
    """The middle was cropped from the whole, and the least from the middle."""
    folder = tmp_path / "crops"
    folder.mkdir()
    whole = Image.fromarray(drawn(600, 800, np.random.default_rng(1)))
    whole.save(folder / "whole.png")
    middle = whole.crop((150, 120, 630, 480))
    middle.save(folder / "middle.png")
    middle.crop((60, 50, 348, 266)).save(folder / "least.png")
    gallery = dataclasses.replace(gallery_of(folder), near_floors=(-1, -1))
    digest = {
        path.rsplit(b"/", 1)[1]: gallery.images.digest[row]
        for row, (path,) in gallery.paths().items()
    }
    too_far = content_pair(digest[b"whole.png"], digest[b"least.png"])
    refuted = StoredVerdict(None, "no common detail found", "no common detail found")
    write_verdicts(catalog, VERIFIER, {too_far: refuted})
    found = find_groups(gallery, SURE, THRESHOLD, Grouping.COVER, lambda *_: None)
    (group,) = found.groups
    names = [os.path.basename(path) for path in (group.keeper, group.duplicates[0].path)]
    assert names == ["whole.png", "middle.png"]
    (note,) = found.notes
    assert note.startswith("1 file is proven against another one, but in no group with it")
    pairs = {tuple(map(os.path.basename, pair[0])) for pair in listed(catalog, *SURE)}
    assert pairs == {("middle.png", "whole.png"), ("least.png", "middle.png")}


def listed(catalog: Catalog, *tiers: Tier) -> list[tuple[list[str], Tier, float]]:
    gallery: Gallery = read_gallery(catalog, Space.of(catalog))
    lookout, policy = Lookout(catalog.roots()), KeepPolicy()
    pairs, _ = best_pairs(gallery, frozenset(tiers), THRESHOLD, lambda *_: None, lookout, policy)
    return sorted((sorted(pair[:2]), *pair[2:4]) for pair in pairs)


@pytest.mark.slow
def test_each_tier_alone_is_the_full_list_filtered(
    every_tier: Path, gallery_of: Callable[[Path], Gallery], catalog: Catalog
) -> None:
    gallery_of(every_tier)
    alone = {}
    for tier in reversed(IMAGE_TIERS):
        catalog.connection.execute("DELETE FROM verdicts")  # each begins as a first list does
        alone[tier] = listed(catalog, tier)
    full = listed(catalog, *IMAGE_TIERS)
    assert {tier for _, tier, _ in full} == {*IMAGE_TIERS}
    for tier in IMAGE_TIERS:
        assert alone[tier] == [pair for pair in full if pair[1] is tier]
        assert listed(catalog, tier) == alone[tier]
    shots = [pair[0] for pair in alone[Tier.SIMILAR] if all("burst" in path for path in pair[0])]
    names = [[path.rsplit("/", 1)[1].split() for path in pair] for pair in shots]
    assert len(names) == 2 * 2
    assert all(one[1] != two[1] for one, two in names)
