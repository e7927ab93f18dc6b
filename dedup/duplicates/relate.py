"""From candidates to relations: propose, compare pixels, prove, and put in keep order.

What is found of a pair is kept in the catalog as well, so that a second look costs nothing.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dedup.descriptors.parts import PARTS_VERSION
from dedup.duplicates.candidates import (
    WithinGallery,
    group_identical_inputs,
    propose,
)
from dedup.duplicates.crowds import but_copies, crowds, one_path, speaking, tried
from dedup.duplicates.groups import family_pairs, row_families
from dedup.duplicates.pairs import (
    PairTable,
    companion_pairs,
    companions_note,
    compare_pixels,
    prove,
    prove_copies,
    row_pair,
    unreadable_note,
)
from dedup.duplicates.ranking import KeepOrder
from dedup.duplicates.relations import Relations
from dedup.duplicates.sharing import share_parts
from dedup.duplicates.tiers import SURE, capped_note, takes_proof
from dedup.duplicates.traits import measured_traits
from dedup.proof import VERIFIER
from dedup.proof.prover import Prover
from dedup.results import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.pairs import Report, RowPair
    from dedup.duplicates.traits import Measuring
    from dedup.images.traits import Traits
    from dedup.policy import KeepPolicy
    from dedup.store.catalog import Catalog

Side = frozenset[Hashable]
"""What the files of an image are: one thing, or none that is known, or several."""

MAX_FAMILY_ROUNDS = 8
"""Times that families are completed; each may join what was apart."""


class Related(NamedTuple):
    """All relations of a gallery, and the order in which its files are worth keeping."""

    relations: Relations
    order: KeepOrder


def relate(
    gallery: Gallery,
    tiers: frozenset[Tier],
    threshold: float,
    report: Report,
    policy: KeepPolicy,
    sides: Sequence[Side] = (),
) -> Related:
    """Find all relations of the tiers asked for.

    Parameters
    ----------
    sides : per row what its files are, such as their labels; given, only those relations are found
        that join rows of different sides over however many steps, and they are all found. A row of
        no or of several sides differs from every other
    the others : as in `find_groups`
    """
    source = gallery.given or WithinGallery(
        gallery.images, gallery.raw, gallery.vectors, gallery.join, report
    )
    candidates = propose(source, tiers, threshold, gallery.near_floors, gallery.pixels_floor)
    paths = gallery.paths()
    kept = gallery.companions or tiers == {Tier.EXACT}
    apart = {} if kept else companion_pairs(gallery.images, paths)
    table = PairTable.of(gallery.images, gallery.decisions, apart).noted(candidates.notes)
    table = table.noted(companions_note(set().union(*apart.values()), "; --companions lists them"))
    table = compare_pixels(table, candidates.may_be_equal, paths, gallery.catalog, report)
    relations = Relations(table, candidates.similar, threshold)
    ordering = Ordering(gallery, paths, policy, report)
    if takes_proof(tiers):
        pairs = candidates.to_prove
        relations = _prove_all(gallery, relations, pairs, ordering, report, tiers, sides)
    related = Related(relations, ordering.of(relations, tiers))
    if not candidates.capped:
        return related
    table = related.relations.table.noted([capped_note(candidates.capped)])
    return related._replace(relations=related.relations.with_table(table))


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
        """Order all files by what the relations of some tiers say."""
        gallery = self._gallery
        families = row_families(gallery.order, gallery.files.row.tolist(), relations, tiers)
        derived = [
            pair for pair in relations.made_from() if relations.between(*pair, tiers) is not None
        ]
        return self._ordered(families, derived, relations.copies_of)

    def _ordered(
        self,
        families: list[list[int]],
        derived: Iterable[tuple[int, int]],
        copies_of: Callable[[int], int],
    ) -> KeepOrder:
        gallery = self._gallery
        if self._policy.measures:
            new = {row for family in families for row in family} - self._traits.keys()
            new -= set(np.flatnonzero(gallery.images.is_name).tolist())
            images, rows, by = gallery.images, sorted(new), self._measuring
            self._traits |= measured_traits(
                gallery.catalog, images, rows, self.paths, self._report, by
            )
        return KeepOrder(
            gallery.images,
            gallery.files,
            gallery.order,
            self._policy,
            families,
            self._traits,
            derived,
            copies_of,
        )


def _prove_all(
    gallery: Gallery,
    relations: Relations,
    pairs: set[RowPair],
    ordering: Ordering,
    report: Report,
    tiers: frozenset[Tier],
    sides: Sequence[Side],
) -> Relations:
    """Prove what was proven before, what embeddings propose, and what parts propose.

    Parts are compared once for each state of the catalog: from then on what was proven is known,
    and what was refuted need not be proposed.
    """
    state = compared_state(gallery.catalog)  # as it is now: what comes in meanwhile is not compared
    with Prover(gallery.catalog, ordering.sources(), report) as prover, ordering.by(prover.measure):
        worth = worth_proving(gallery, relations, pairs, ordering, prover, report)
        if sides:
            relations = _prove_across(gallery, worth, ordering, prover, tiers, sides)
        else:
            pairs = worth.pairs | worth.known
            relations = _prove(gallery, worth.relations, pairs, ordering, prover)
        relations = relations.with_table(relations.table.noted(unreadable_note(prover)))
    table, shared = relations.table, worth.shared
    if shared is not None:
        left = but_copies(table.unproven(shared), relations) | shared & table.ignored
        if not left:
            gallery.catalog.parts_compared = state
    return relations


def is_compared(catalog: Catalog) -> bool:
    """Tell whether all images were compared as they are now, so that a list proves nothing new."""
    return catalog.parts_compared == compared_state(catalog)


def compared_state(catalog: Catalog) -> str:
    """Name the state that `Catalog.parts_compared` is of once all images were compared."""
    return f"{catalog.version} {VERIFIER} {PARTS_VERSION}"


class Worth(NamedTuple):
    """The pairs that are worth a proof, and what was found out on the way to them.

    Parameters
    ----------
    pairs : that embeddings or parts propose
    known : the pairs that were proven before, proposed or not
    shared : the pairs that share parts; None where not all parts were compared
    """

    relations: Relations
    pairs: set[RowPair]
    known: set[RowPair]
    shared: set[RowPair] | None


def worth_proving(
    gallery: Gallery,
    relations: Relations,
    pairs: set[RowPair],
    ordering: Ordering,
    prover: Prover,
    report: Report,
    *,
    again: bool = False,
) -> Worth:
    """Add to the pairs that embeddings propose what was proven before, and what parts propose.

    Of crowds so much is proven as says which of their images speak for all.

    Parameters
    ----------
    again : name what parts propose even if all of it was proven or refuted before
    """
    compares = gallery.parts and not gallery.given
    compares = compares and (again or not is_compared(gallery.catalog))
    shared: set[RowPair] = set(gallery.given.shared) if gallery.given else set()
    notes = list[str]()
    known = relations.table.unproven(_known_pairs(gallery, prover))
    relations = relations.with_table(prove(relations.table, known, prover, gallery.vectors))
    relations = _prove_crowds(gallery, relations, pairs, ordering, prover)
    if compares:
        members = speaking(group_identical_inputs(gallery.images), relations, ordering.place)
        shared, notes = share_parts(gallery.catalog, gallery.images, members, report)
    relations = relations.with_table(relations.table.noted(notes))
    every = shared if compares and not notes else None
    return Worth(relations, pairs | shared, known, every)


def _known_pairs(gallery: Gallery, prover: Prover) -> set[RowPair]:
    """List the pairs that were proven before, by `why` or when there were other candidates."""
    rows = {digest: row for row, digest in enumerate(gallery.images.digest)}
    return {
        row_pair(rows[first], rows[second])
        for first, second in prover.proven()
        if first in rows and second in rows
    }


def _prove_crowds(
    gallery: Gallery,
    relations: Relations,
    pairs: set[RowPair],
    ordering: Ordering,
    prover: Prover,
) -> Relations:
    """Hold very many copies of one image against the best of them.

    Whether a crowd is one, some of it tell: an app's screenshots are a crowd as well.
    """

    def against(best: int, rows: Iterable[int]) -> Relations:
        star = relations.table.unproven(row_pair(best, row) for row in rows if row != best)
        return relations.with_table(prove_copies(relations.table, star, prover, gallery.vectors))

    for rows in crowds(but_copies(relations.table.unproven(pairs), relations)):
        best, some = min(rows, key=ordering.place), tried(rows)
        relations = against(best, some)
        copies = sum(relations.through_copies(best, row) is Tier.RESAVED for row in some)
        if 2 * copies >= len(some):
            relations = against(ordering.best(rows), rows)
    return relations


def _prove(
    gallery: Gallery,
    relations: Relations,
    pairs: set[RowPair],
    ordering: Ordering,
    prover: Prover,
) -> Relations:
    """Prove or refute pairs, then the members of each family against its keepers.

    Members of a family need not have been candidates of its keeper: a turned copy may resemble
    another copy more than the original. Families are those of all proven tiers, whichever were
    asked for: what a pair is must not depend on that.
    """
    row_of, vectors = gallery.files.row.tolist(), gallery.vectors
    new = but_copies(relations.table.unproven(pairs), relations)
    if first := one_path(new, relations, ordering.place):
        relations = relations.with_table(prove(relations.table, first, prover, vectors))
    new = but_copies(new - first, relations)
    asked = first | new  # of the others some may be held against their keeper below
    for _ in range(MAX_FAMILY_ROUNDS):
        copies = new - but_copies(new, relations)
        relations = relations.with_table(prove_copies(relations.table, copies, prover, vectors))
        relations = relations.with_table(prove(relations.table, new, prover, vectors))
        order = ordering.of(relations, SURE)
        left = partial(_left, relations, asked)
        new = set(family_pairs(order.files, row_of, relations, SURE, left))
        asked |= new
        if not new:
            break
    return relations


def _left(relations: Relations, asked: set[RowPair], pairs: set[RowPair]) -> set[RowPair]:
    return relations.table.unproven(pairs) - asked


def _prove_across(
    gallery: Gallery,
    worth: Worth,
    ordering: Ordering,
    prover: Prover,
    tiers: frozenset[Tier],
    sides: Sequence[Side],
) -> Relations:
    """Prove pairs of two sides, and from what these join on as far as it goes.

    A family of several sides has a pair of two sides, so that all of it is reached, and of the
    others nothing is asked.
    """
    relations, left = worth.relations, worth.pairs | worth.known
    row_of = gallery.files.row.tolist()
    new = {pair for pair in left if _differ(sides, pair)}
    while True:
        left -= new
        if new:
            relations = _prove(gallery, relations, new, ordering, prover)
        reached: set[int] = set()
        for rows in row_families(gallery.order, row_of, relations, SURE | tiers):
            if any(_differ(sides, (rows[0], row)) for row in rows):
                reached.update(rows)
        new = {pair for pair in left if not reached.isdisjoint(pair)}
        if not new:
            return relations


def _differ(sides: Sequence[Side], pair: RowPair) -> bool:
    one, two = sides[pair[0]], sides[pair[1]]
    return one != two or len(one) != 1
