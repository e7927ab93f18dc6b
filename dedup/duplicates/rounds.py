"""In which order pairs are proven, so that the fewest are.

What embeddings and parts propose comes first, then the members of each family against its keepers,
which need not have been candidates of each other. For groups of `cover` nothing is left to be said
of two images that one keeper has taken: of eight versions of a photograph seven pairs are proven,
and not 28.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from dedup.duplicates.crowds import but_copies, one_path
from dedup.duplicates.groups import family_pairs, group_files
from dedup.duplicates.pairs import prove, prove_copies
from dedup.duplicates.tiers import SURE
from dedup.results import Grouping, Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.ordering import Ordering
    from dedup.duplicates.pairs import RowPair
    from dedup.duplicates.relations import Relations
    from dedup.proof.prover import Prover

MAX_FAMILY_ROUNDS = 8
"""Times that families are completed; each may join what was apart."""


def keepers_tell(tiers: frozenset[Tier], how: Grouping) -> bool:
    """Say whether groups show nothing of two images but what either is to their keeper."""
    return how is Grouping.COVER and tiers - {Tier.VIDEO} == SURE - {Tier.VIDEO}


class Rounds:
    """Proves or refutes pairs of a gallery, each once.

    Parameters
    ----------
    few : whether pairs that one keeper has taken need not be proven, see `keepers_tell`
    absent : files that are not there, of which none is a keeper while others are left
    """

    def __init__(
        self,
        gallery: Gallery,
        ordering: Ordering,
        prover: Prover,
        *,
        few: bool = False,
        absent: Collection[int] = (),
    ) -> None:
        self._row_of: list[int] = gallery.files.row.tolist()
        self._vectors = gallery.vectors
        self._ordering, self._prover, self._few = ordering, prover, few
        self._absent = frozenset(absent)
        self._proven_before: Mapping[RowPair, float] | None = None
        self._files: list[int] = []

    def __call__(self, relations: Relations, pairs: Iterable[RowPair]) -> Relations:
        """Give the relations after these pairs, and those of the families that they form.

        Families are those of all proven tiers, whichever were asked for: what a pair is must not
        depend on that.
        """
        place = self._ordering.place
        new = but_copies(relations.table.unproven(pairs), relations)
        if first := one_path(new, relations, place):
            relations = self._proven(relations, first)
        new = but_copies(new - first, relations)
        asked = set(first)  # of the others some may be held against their keeper below
        if not self._few:
            return self._completed(relations, new, asked)
        relations = self._completed(relations, unled(self.untold(relations, new), place), asked)
        while left := self.untold(relations, new - asked):  # again, as keepers may have changed
            relations = self._completed(relations, left, asked)
        return relations

    def _completed(self, relations: Relations, new: set[RowPair], asked: set[RowPair]) -> Relations:
        """Prove pairs, then the members of each family against its keepers; adds what was asked."""
        for _ in range(MAX_FAMILY_ROUNDS):
            relations = self._proven(relations, new)
            asked |= new
            left = partial(_left, relations, asked)
            order = self._order(relations)
            new = set(family_pairs(order, self._row_of, relations, SURE, left))
            if not new:
                break
        return relations

    def _proven(self, relations: Relations, pairs: set[RowPair]) -> Relations:
        copies = pairs - but_copies(pairs, relations)
        table = prove_copies(relations.table, copies, self._prover, self._vectors)
        return relations.with_table(prove(table, pairs, self._prover, self._vectors))

    def _order(self, relations: Relations) -> list[int]:
        """Put files in keep order, those that are not there last; once while nothing is proven."""
        if self._proven_before is not relations.table.proven:
            self._proven_before = relations.table.proven
            files = self._ordering.of(relations, SURE).files
            self._files = sorted(files, key=self._absent.__contains__) if self._absent else files
        return self._files

    def untold(self, relations: Relations, pairs: set[RowPair]) -> set[RowPair]:
        """Leave out pairs of which one keeper has taken both."""
        if not pairs:
            return pairs
        order = self._order(relations)
        taken_by: dict[int, int] = {}
        for group in group_files(order, self._row_of, relations, SURE):
            keeper = self._row_of[group.keeper]
            taken_by |= {self._row_of[member.file]: keeper for member in group.members}
            taken_by[keeper] = keeper
        return {
            (one, two)
            for one, two in pairs
            if one not in taken_by or taken_by[one] != taken_by.get(two)
        }


def unled(pairs: set[RowPair], place: Callable[[int], int]) -> set[RowPair]:
    """Leave out pairs of which both are candidates of one image that is more worth keeping.

    Parameters
    ----------
    place : of a row, the lower the better
    """
    better: dict[int, set[int]] = defaultdict(set)
    for one, two in pairs:
        best, other = (one, two) if place(one) < place(two) else (two, one)
        better[other].add(best)
    return {(one, two) for one, two in pairs if better[one].isdisjoint(better[two])}


def _left(relations: Relations, asked: set[RowPair], pairs: set[RowPair]) -> set[RowPair]:
    return relations.table.unproven(pairs) - asked
