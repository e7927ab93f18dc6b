"""The traits of the images that are in a group, each measured once in the life of a collection.

What is measured is for `dedup.images.traits`. Only images that are related to another one are
measured: the others have nobody to be compared with.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from dedup.errors import ImageError
from dedup.images.sources import read_unchanged
from dedup.images.traits import NEUTRAL, Traits, measure, parsed_traits
from dedup.parallel.workers import WORTH_PROCESSES, Workers
from dedup.records import TRAITS
from dedup.store.traits import read_traits, write_traits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from dedup.duplicates.pairs import Report
    from dedup.store.catalog import Catalog
    from dedup.store.gallery import GalleryImages

_COMMIT_EVERY = 256
_MAX_PENDING = 64
_WORTH_PROCESSES = 3 * WORTH_PROCESSES  # an image takes a few milliseconds


class _Wanted(NamedTuple):
    content: bytes
    paths: Sequence[bytes]


def measured_traits(
    catalog: Catalog,
    images: GalleryImages,
    rows: Iterable[int],
    paths: Mapping[int, Sequence[bytes]],
    report: Report,
) -> dict[int, Traits]:
    """Give the traits of images, measuring those of which they are not known.

    Parameters
    ----------
    rows : of `images`
    paths : per row the files that had its content when they were indexed

    Returns
    -------
    By row. An image that cannot be read now has neutral ones, which are not kept.
    """
    ids = {int(images.ids[row]): row for row in rows}
    found = {}
    for image, value in read_traits(catalog, TRAITS, ids).items():
        known = parsed_traits(value)
        if known is not None:
            found[ids[image]] = known
    missing = {image: row for image, row in ids.items() if row not in found}
    if not missing:
        return found
    workers: Workers[_Wanted, Traits | None] = Workers(
        _measuring, processes=len(missing) >= _WORTH_PROCESSES, lost=lambda _item, _cause: None
    )
    new: dict[int, str] = {}
    with workers:
        wanted = (_Wanted(images.digest[row], paths[row]) for row in missing.values())
        results = workers.run(wanted, _MAX_PENDING)
        for done, (image, traits) in enumerate(zip(missing, results, strict=True), 1):
            found[ids[image]] = traits or NEUTRAL
            if traits is not None:
                new[image] = json.dumps(traits)
            if len(new) >= _COMMIT_EVERY:
                write_traits(catalog, TRAITS, new)
                new = {}
            report("Comparing quality", done, len(missing))
    if new:
        write_traits(catalog, TRAITS, new)
    return found


@contextmanager
def _measuring() -> Iterator[Callable[[_Wanted], Traits | None]]:
    """Give what measures an image; for `Workers`."""
    yield _measured


def _measured(wanted: _Wanted) -> Traits | None:
    found = read_unchanged(wanted.paths, wanted.content)
    if found is None:
        return None
    try:
        return measure(*found)
    except ImageError:
        return None
