"""What may be related without a proof holds all that proofs find."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawings import scene
from PIL import Image

from dedup.collection import Collection
from dedup.duplicates.gallery import Gallery, read_gallery
from dedup.duplicates.pairs import row_pair
from dedup.duplicates.relations import Joined
from dedup.duplicates.tiers import SURE
from dedup.duplicates.unproven import holding, may_be_related
from dedup.edits.catalogue import edit
from dedup.images.encode import as_jpeg
from dedup.policy import KeepPolicy
from dedup.space.space import Space
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dedup.duplicates.pairs import RowPair

WAYS = (("crop", 0.5), ("rotate", 10), ("resize", 0.5))


def sets_of(store: Path, most: int) -> Iterator[tuple[str, int]]:
    """Give the files and which of the sets that may be related each is in."""
    catalog = Catalog.open(store)
    space = Space(catalog.fingerprint)
    gallery: Gallery = read_gallery(catalog, space, companions=True)
    policy = KeepPolicy.of("pixels")
    joined, notes = may_be_related(gallery, SURE, space.threshold(), lambda *_: None, policy, most)
    assert notes == ()
    for row, path in zip(gallery.files.row.tolist(), gallery.files.path, strict=True):
        yield os.fsdecode(path), joined.of(row)
    catalog.close()


def together(sets: dict[str, int]) -> set[frozenset[str]]:
    """Give the files of each set."""
    return {frozenset(path for path in sets if sets[path] == one) for one in sets.values()}


def test_what_is_proven_may_be_related_and_what_is_refuted_no_longer(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        pixels = np.asarray(scene(number, (320, 240)))
        for kind, strength in (("", 0), *WAYS):
            drawn = edit(kind, strength, pixels, rng) if kind else pixels
            (folder / f"{number}{kind}.jpg").write_bytes(as_jpeg(drawn, 90))
    for number in (1, 2):  # half of scene 0, and half of another: no copies of either
        both = scene(0, (320, 240))
        both.paste(scene(number, (160, 240)), (160, 0))
        both.save(folder / f"half {number}.jpg", quality=92)
    scene(1, (320, 240)).save(folder / "1.png")
    Image.open(folder / "1.jpg").save(folder / "same pixels.png")
    noise = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    (folder / "noise.jpg").write_bytes(as_jpeg(noise, 90))
    store = tmp_path / "store"
    with Collection.create(store, ModelSpec(views="details")) as collection:
        assert collection.index(folder).found == 17
        most = (100, 9, 4, 100)
        found = [dict(sets_of(store, one)) for one in most]
        copied = shutil.copytree(store, tmp_path / "before")
        pairs = [(one.first, one.second) for one in collection.pairs()]
        assert len(pairs) >= 9
        for sets in found:
            assert all(sets[first] == sets[second] for first, second in pairs)
            noise_is_in = sets[os.path.realpath(folder / "noise.jpg")]
            assert list(sets.values()).count(noise_is_in) == 1
        proven = joined_by(pairs, found[0])
        assert together(found[0]) != together(found[2]) == proven
        assert found[3] == found[0]
        # What was proven before changes nothing.
        assert [dict(sets_of(store, one)) for one in most[1:3]] == found[1:3]
        assert dict(sets_of(copied, 9)) == found[1]


def joined_by(pairs: list[tuple[str, str]], paths: Iterable[str]) -> set[frozenset[str]]:
    """Join paths by pairs, over however many steps."""
    sets = {path: {path} for path in paths}
    for first, second in pairs:
        sets[first] |= sets[second]
        for path in sets[first]:
            sets[path] = sets[first]
    return {frozenset(one) for one in sets.values()}


@pytest.mark.parametrize("seed", range(5))
def test_without_the_pairs_that_are_proven_next_no_set_is_too_large(seed: int) -> None:
    rng = np.random.default_rng(seed)
    every = [row_pair(*sorted(pair)) for pair in rng.integers(0, 60, (90, 2)).tolist()]
    pairs = {pair for pair in every if pair[0] != pair[1]}
    sure = set(sorted(pairs)[::9])
    files = Counter(rng.integers(0, 60, 80).tolist())
    digest = [bytes([row]) for row in rng.permutation(60).tolist()]
    asked = holding(pairs, sure, set(), files, digest, 12)
    assert asked
    assert asked <= pairs - sure
    kept = Joined()
    for pair in sorted(pairs - asked):
        kept.join(*pair)
    assert all(kept.of(one) != kept.of(two) for one, two in asked)
    alone = Joined()
    for pair in sorted(sure):
        alone.join(*pair)
    sizes = Counter({kept.of(row): 0 for row in range(60)})
    for row, count in files.items():
        sizes[kept.of(row)] += count
    blocks = {
        kept.of(row): {alone.of(other) for other in range(60) if kept.of(other) == kept.of(row)}
        for row in range(60)
    }
    assert all(size <= 12 or len(blocks[row]) == 1 for row, size in sizes.items())
    # Rows by another number, as of another order of files, are asked of alike.
    place = rng.permutation(60).tolist()
    moved = [b""] * 60
    for row in range(60):
        moved[place[row]] = digest[row]

    def at(some: set[RowPair]) -> set[RowPair]:
        return {row_pair(place[one], place[two]) for one, two in some}

    counts = Counter({place[row]: count for row, count in files.items()})
    assert holding(at(pairs), at(sure), set(), counts, moved, 12) == at(asked)
