"""What may be related without a proof holds all that proofs find."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from drawings import scene

from dedup.collection import Collection
from dedup.duplicates.gallery import Gallery, read_gallery
from dedup.duplicates.tiers import SURE
from dedup.duplicates.unproven import may_be_related
from dedup.edits.catalogue import edit
from dedup.images.encode import as_jpeg
from dedup.policy import KeepPolicy
from dedup.space.space import Space
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAYS = (("crop", 0.5), ("rotate", 10), ("resize", 0.5))


def sets_of(store: Path) -> Iterator[tuple[str, int]]:
    """Give the files and which of the sets that may be related each is in."""
    catalog = Catalog.open(store)
    space = Space(catalog.fingerprint)
    gallery: Gallery = read_gallery(catalog, space, companions=True)
    policy = KeepPolicy.of("pixels")
    joined, notes = may_be_related(gallery, SURE, space.threshold(), lambda *_: None, policy)
    assert notes == ()
    for row, path in zip(gallery.files.row.tolist(), gallery.files.path, strict=True):
        yield os.fsdecode(path), joined.of(row)
    catalog.close()


def test_what_is_proven_may_be_related(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = np.asarray(scene(number, (320, 240)))
        for kind, strength in (("", 0), *WAYS):
            drawn = edit(kind, strength, pixels, rng) if kind else pixels
            (tmp_path / f"{number}{kind}.jpg").write_bytes(as_jpeg(drawn, 90))
    noise = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    (tmp_path / "noise.jpg").write_bytes(as_jpeg(noise, 90))
    store = tmp_path / "store"
    with Collection.create(store, ModelSpec(views="details")) as collection:
        assert collection.index(tmp_path).found == 13
        before = dict(sets_of(store))
        pairs = [(one.first, one.second) for one in collection.pairs()]
        assert len(pairs) >= 7
        assert all(before[first] == before[second] for first, second in pairs)
        alone = before.pop(os.path.realpath(tmp_path / "noise.jpg"))
        assert alone not in before.values()
