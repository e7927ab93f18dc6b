"""Each tier alone is what the full list says of it, whatever was known before."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from drawings import scene
from PIL import Image, ImageDraw

from dedup.duplicates.gallery import Gallery, read_gallery
from dedup.duplicates.relate import best_pairs
from dedup.freshness import Lookout
from dedup.policy import KeepPolicy
from dedup.results import Tier
from dedup.space.space import Space

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


def listed(catalog: Catalog, *tiers: Tier) -> list[tuple[list[str], Tier, float]]:
    gallery: Gallery = read_gallery(catalog, Space.of(catalog))
    lookout, policy = Lookout(catalog.roots()), KeepPolicy()
    pairs, _ = best_pairs(gallery, frozenset(tiers), THRESHOLD, lambda *_: None, lookout, policy)
    return sorted((sorted(pair[:2]), *pair[2:4]) for pair in pairs)


def test_each_tier_alone_is_the_full_list_filtered(
    every_tier: Path, gallery_of: Callable[[Path], Gallery], catalog: Catalog
) -> None:
    gallery_of(every_tier)
    alone = {}
    for tier in reversed(Tier):
        catalog.connection.execute("DELETE FROM verdicts")  # each begins as a first list does
        alone[tier] = listed(catalog, tier)
    full = listed(catalog, *Tier)
    assert {tier for _, tier, _ in full} == {*Tier}
    for tier in Tier:
        assert alone[tier] == [pair for pair in full if pair[1] is tier]
        assert listed(catalog, tier) == alone[tier]
    shots = [pair[0] for pair in alone[Tier.SIMILAR] if all("burst" in path for path in pair[0])]
    names = [[path.rsplit("/", 1)[1].split() for path in pair] for pair in shots]
    assert len(names) == 2 * 2
    assert all(one[1] != two[1] for one, two in names)
