"""The keep order of a gallery's files, again each time that more of their relations are known."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from dedup.duplicates.groups import row_families
from dedup.duplicates.ranking import KeepOrder
from dedup.duplicates.tiers import SURE
from dedup.duplicates.traits import measured_traits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.pairs import Report
    from dedup.duplicates.relations import Relations
    from dedup.duplicates.traits import Measuring
    from dedup.images.traits import Traits
    from dedup.policy import KeepPolicy
    from dedup.results import Tier


class Ordering:
    """Puts files in keep order as relations become known; measures what is in a family, once."""

    def __init__(
        self,
        gallery: Gallery,
        paths: Mapping[int, Sequence[bytes]],
        policy: KeepPolicy,
        report: Report,
    ) -> None:
        self._gallery = gallery
        self.paths = paths
        self._policy, self._report = policy, report
        self._measuring: Measuring | None = None
        self._traits: dict[int, Traits] = {}
        self._places: dict[int, int] = {}
        row_of = gallery.files.row.tolist()
        for place, file in enumerate(gallery.order):
            self._places.setdefault(row_of[file], place)

    def sources(self) -> dict[bytes, Sequence[bytes]]:
        """List the files of each content."""
        digest = self._gallery.images.digest
        return {digest[row]: paths for row, paths in self.paths.items()}

    @contextmanager
    def by(self, measuring: Measuring) -> Iterator[None]:
        """Have traits measured by what is running already."""
        self._measuring = measuring
        try:
            yield
        finally:
            self._measuring = None

    def place(self, row: int) -> int:
        """Give the place of an image by what is known without reading it."""
        return self._places[row]

    def best(self, rows: Sequence[int]) -> int:
        """Give the image that is most worth keeping, as far as relations do not tell."""
        chosen = set(rows)
        row_of: list[int] = self._gallery.files.row.tolist()
        files = self._ordered([sorted(chosen)], (), lambda _: 0).files
        return next(row_of[file] for file in files if row_of[file] in chosen)

    def of(self, relations: Relations, tiers: frozenset[Tier]) -> KeepOrder:
        """Order all files within the families that some tiers make.

        What was made from what is asked of all that is proven: a list of one tier alone keeps no
        conversion of an original that it leaves out.
        """
        gallery = self._gallery
        families = row_families(gallery.order, gallery.files.row.tolist(), relations, tiers)
        derived = [
            pair
            for pair in relations.made_from()
            if relations.between(*pair, tiers | SURE) is not None
        ]
        return self._ordered(families, derived, relations.copies_of, relations.said)

    def _ordered(
        self,
        families: list[list[int]],
        derived: Iterable[tuple[int, int]],
        copies_of: Callable[[int], int],
        said: Callable[[int, int], str] = lambda _, __: "",
    ) -> KeepOrder:
        gallery = self._gallery
        new = {row for family in families for row in family} - self._traits.keys()
        new -= set(np.flatnonzero(gallery.images.is_name).tolist())
        images, rows, by = gallery.images, sorted(new), self._measuring
        self._traits |= measured_traits(gallery.catalog, images, rows, self.paths, self._report, by)
        return KeepOrder(
            gallery.images,
            gallery.files,
            gallery.order,
            self._policy,
            families,
            self._traits,
            derived,
            copies_of,
            said,
        )
