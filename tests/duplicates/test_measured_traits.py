"""Traits of a gallery's images: measured once, kept with a checksum, read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dedup.duplicates.traits import measured_traits
from dedup.images.decode import read_file
from dedup.images.traits import NEUTRAL, measure
from dedup.records import TRAITS
from dedup.store.traits import read_traits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dedup.duplicates.gallery import Gallery
    from dedup.store.catalog import Catalog


def measured(gallery: Gallery) -> tuple[dict[int, object], list[str]]:
    seen: list[str] = []
    rows = range(len(gallery.images))
    found = measured_traits(
        gallery.catalog, gallery.images, rows, gallery.paths(), lambda what, *_: seen.append(what)
    )
    return dict(found), seen


def test_traits_are_measured_once(
    gallery_of: Callable[[Path], Gallery], images: Path, catalog: Catalog
) -> None:
    gallery = gallery_of(images)
    first, seen = measured(gallery)
    paths = gallery.paths()
    assert first == {row: measure(read_file(paths[row][0])) for row in range(len(gallery.images))}
    assert len(seen) == len(first)
    assert measured(gallery) == (first, [])
    assert read_traits(catalog, "another", gallery.images.ids.tolist()) == {}


def test_damaged_traits_are_measured_again_and_what_is_gone_is_neutral(
    gallery_of: Callable[[Path], Gallery], images: Path, catalog: Catalog
) -> None:
    gallery = gallery_of(images)
    first, _ = measured(gallery)
    with catalog.transaction():
        catalog.connection.execute("UPDATE traits SET value = '[1.0]' WHERE image = 1")
    assert 1 not in read_traits(catalog, TRAITS, [1, 2])
    again, seen = measured(gallery)
    assert (again, len(seen)) == (first, 1)
    with catalog.transaction():
        catalog.connection.execute("DELETE FROM traits")
    images.rename(images.parent / "away")
    found, _ = measured(gallery)
    assert set(found.values()) == {NEUTRAL}
    assert read_traits(catalog, TRAITS, gallery.images.ids.tolist()) == {}
