"""Candidates that were found elsewhere: by the tasks of a cluster, for some families of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dedup.duplicates.candidates import Proposals, group_identical_inputs, identical_inputs
from dedup.search.join import Pairs
from dedup.search.similarity import inclusive

if TYPE_CHECKING:
    from dedup.duplicates.pairs import RowPair
    from dedup.store.gallery import GalleryImages


class GivenCandidates:
    """Candidates that were found elsewhere, for a part of a collection that is whole in itself.

    Parameters
    ----------
    images : of the part; with an image it has all of its class
    similar : pairs of classes that reach the threshold of the tier `similar`
    near : pairs of classes that are worth a proof
    capped : as in `Proposals`
    shared : pairs of rows of which one seems to show a part of the other
    """

    def __init__(
        self,
        images: GalleryImages,
        similar: Pairs,
        near: Pairs,
        capped: int = 0,
        shared: frozenset[RowPair] = frozenset(),
    ) -> None:
        self._members = group_identical_inputs(images)
        self._images, self._similar, self._near = images, similar, near
        self._capped = capped
        self.shared = shared
        self.notes: list[str] = []

    def reaching(self, threshold: float) -> Proposals:
        """Give those that reach a threshold."""
        enough = self._similar.similarity >= inclusive(threshold)
        some = Pairs(
            self._similar.first[enough],
            self._similar.second[enough],
            self._similar.similarity[enough],
        )
        return Proposals(self._members, some)

    def close(self, _floor: float) -> Proposals:
        """Give those that are worth a proof."""
        return Proposals(self._members, self._near)

    def nearest(self, _floors: tuple[float, float]) -> Proposals:
        """Give those that are worth a proof."""
        return Proposals(self._members, self._near, self._capped)

    def identical_inputs(self) -> list[list[int]]:
        """List sets of two and more."""
        return identical_inputs(self._images)
