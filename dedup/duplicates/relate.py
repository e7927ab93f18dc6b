"""From candidates to relations: propose, compare pixels, prove, and put in keep order.

What is found of a pair is kept in the catalog as well, so that a second look costs nothing.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, NamedTuple

from dedup.descriptors.parts import PARTS_VERSION
from dedup.duplicates.candidates import (
    WithinGallery,
    group_identical_inputs,
    propose,
)
from dedup.duplicates.crowds import but_copies, crowds, speaking, tried
from dedup.duplicates.groups import row_families
from dedup.duplicates.ordering import Ordering
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
from dedup.duplicates.relations import Relations
from dedup.duplicates.rounds import Rounds
from dedup.duplicates.sharing import share_parts
from dedup.duplicates.tiers import SURE, capped_note, takes_proof
from dedup.proof import VERIFIER
from dedup.proof.prover import Prover
from dedup.results import Tier

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.pairs import Report, RowPair
    from dedup.duplicates.ranking import KeepOrder
    from dedup.policy import KeepPolicy
    from dedup.store.catalog import Catalog

Side = frozenset[Hashable]
"""What the files of an image are: one thing, or none that is known, or several."""


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
    *,
    few: bool = False,
    absent: Collection[int] = (),
) -> Related:
    """Find all relations of the tiers asked for.

    Parameters
    ----------
    few, absent : as in `dedup.duplicates.rounds.Rounds`
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
    table = table.noted(policy.unmet(gallery.files.path))
    table = table.noted(companions_note(set().union(*apart.values()), "; --companions lists them"))
    table = compare_pixels(table, candidates.may_be_equal, paths, gallery.catalog, report)
    relations = Relations(table, candidates.similar, threshold)
    ordering = Ordering(gallery, paths, policy, report)
    if takes_proof(tiers):
        pairs = candidates.to_prove
        relations = _prove_all(
            gallery, relations, pairs, ordering, report, tiers, sides, few, absent
        )
    related = Related(relations, ordering.of(relations, tiers))
    if not candidates.capped:
        return related
    table = related.relations.table.noted([capped_note(candidates.capped)])
    return related._replace(relations=related.relations.with_table(table))


def held_again(
    gallery: Gallery,
    related: Related,
    tiers: frozenset[Tier],
    report: Report,
    policy: KeepPolicy,
    absent: Collection[int],
) -> Related:
    """Hold what is left of families against keepers that are there; parameters as in `relate`."""
    ordering, relations = Ordering(gallery, gallery.paths(), policy, report), related.relations
    if takes_proof(tiers):
        with Prover(gallery.catalog, ordering.sources(), report) as prover:
            relations = Rounds(gallery, ordering, prover, absent=absent)(relations, ())
    return Related(relations, ordering.of(relations, tiers))


def _prove_all(
    gallery: Gallery,
    relations: Relations,
    pairs: set[RowPair],
    ordering: Ordering,
    report: Report,
    tiers: frozenset[Tier],
    sides: Sequence[Side],
    few: bool,  # noqa: FBT001 - own
    absent: Collection[int],
) -> Relations:
    """Prove what was proven before, what embeddings propose, and what parts propose.

    Parts are compared once for each state of the catalog: from then on what was proven is known,
    and what was refuted need not be proposed.
    """
    catalog = gallery.catalog
    # As it is now: what comes in meanwhile is not compared.
    state, told = (compared_state(catalog, few=some) for some in (False, True))
    with Prover(catalog, ordering.sources(), report) as prover, ordering.by(prover.measure):
        worth = worth_proving(gallery, relations, pairs, ordering, prover, report, few=few)
        rounds = Rounds(gallery, ordering, prover, few=few, absent=absent)
        if sides:
            relations = _prove_across(gallery, worth, rounds, tiers, sides)
        else:
            relations = rounds(worth.relations, worth.pairs | worth.known)
        relations = relations.with_table(relations.table.noted(unreadable_note(prover)))
    table, shared = relations.table, worth.shared
    if shared is not None:
        left = but_copies(table.unproven(shared), relations) | shared & table.ignored
        if not left:
            catalog.parts_compared = state
        elif few and not rounds.untold(relations, left):
            catalog.parts_compared = told
    return relations


def is_compared(catalog: Catalog, *, few: bool = True) -> bool:
    """Tell whether all images were compared as they are now, so that a list proves nothing new.

    Parameters
    ----------
    few : for lists that pairs which one keeper has taken do not change, see `rounds.Rounds`
    """
    known = catalog.parts_compared
    return known == compared_state(catalog) or (few and known == compared_state(catalog, few=True))


def compared_state(catalog: Catalog, *, few: bool = False) -> str:
    """Name the state that `Catalog.parts_compared` is of once all images were compared.

    Parameters
    ----------
    few : as far as groups show it, see `dedup.duplicates.rounds.Rounds`
    """
    return f"{catalog.version} {VERIFIER} {PARTS_VERSION}{' keepers' if few else ''}"


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
    few: bool = False,
    again: bool = False,
) -> Worth:
    """Add to the pairs that embeddings propose what was proven before, and what parts propose.

    Of crowds so much is proven as says which of their images speak for all.

    Parameters
    ----------
    few : as in `is_compared`
    again : name what parts propose even if all of it was proven or refuted before
    """
    compares = gallery.parts and not gallery.given
    compares = compares and (again or not is_compared(gallery.catalog, few=few))
    shared: set[RowPair] = set(gallery.given.shared) if gallery.given else set()
    notes = list[str]()
    known = relations.table.unproven(_known_pairs(gallery, prover))
    relations = relations.with_table(prove(relations.table, known, prover, gallery.vectors))
    relations = _prove_crowds(gallery, relations, pairs, ordering, prover)
    if compares:
        prover.expect(len(but_copies(relations.table.unproven(pairs), relations)))
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


def _prove_across(
    gallery: Gallery, worth: Worth, rounds: Rounds, tiers: frozenset[Tier], sides: Sequence[Side]
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
            relations = rounds(relations, new)
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
