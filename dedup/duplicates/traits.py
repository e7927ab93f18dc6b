"""The traits of the images that are in a group, each measured once in the life of a collection.

What is measured is for `dedup.images.traits`. Only images that are related to another one are
measured: the others have nobody to be compared with.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dedup.images.traits import NEUTRAL, measured, parsed_traits
from dedup.parallel.workers import WORTH_PROCESSES, Workers
from dedup.records import TRAITS
from dedup.store.traits import read_traits, write_traits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from dedup.duplicates.pairs import Report
    from dedup.images.traits import Traits
    from dedup.store.catalog import Catalog
    from dedup.store.gallery import GalleryImages

    File = tuple[bytes, Sequence[bytes]]
    Measuring = Callable[[Sequence[File]], Iterator[Traits | None]]

_COMMIT_EVERY = 256
_MAX_PENDING = 64
_WORTH_PROCESSES = 3 * WORTH_PROCESSES  # an image takes a few milliseconds


def measured_traits(
    catalog: Catalog,
    images: GalleryImages,
    rows: Iterable[int],
    paths: Mapping[int, Sequence[bytes]],
    report: Report,
    measuring: Measuring | None = None,
) -> dict[int, Traits]:
    """Give the traits of images, measuring those of which they are not known.

    Parameters
    ----------
    rows : of `images`
    paths : per row the files that had its content when they were indexed
    measuring : gives the traits of files, by content and paths, None of one that cannot be read;
        where what does so is running already

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
    new: dict[int, str] = {}
    wanted = [(images.digest[row], paths[row]) for row in missing.values()]
    results = (measuring or _measured)(wanted)
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


def _measured(wanted: Sequence[File]) -> Iterator[Traits | None]:
    processes = len(wanted) >= _WORTH_PROCESSES
    workers: Workers[File, Traits | None] = Workers(
        _measuring, processes=processes, lost=lambda _item, _cause: None
    )
    with workers:
        yield from workers.run(wanted, _MAX_PENDING)


@contextmanager
def _measuring() -> Iterator[Callable[[File], Traits | None]]:
    """Give what measures an image; for `Workers`."""
    yield lambda file: measured(*file)
