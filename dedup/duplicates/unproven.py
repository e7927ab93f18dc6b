"""Which images may be related, as far as embeddings and parts tell: hardly an image is read.

Whatever `relate` would find is joined here, over one step or several. Some that a proof would
refute is joined as well.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from dedup.duplicates.candidates import WithinGallery, propose
from dedup.duplicates.pairs import PairTable, row_pair, sift, unreadable_note
from dedup.duplicates.relate import Ordering, worth_proving
from dedup.duplicates.relations import Joined, Relations
from dedup.proof.prover import Prover

if TYPE_CHECKING:
    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.pairs import Report
    from dedup.policy import KeepPolicy
    from dedup.results import Tier


def may_be_related(
    gallery: Gallery,
    tiers: frozenset[Tier],
    threshold: float,
    report: Report,
    policy: KeepPolicy,
) -> tuple[Joined, tuple[str, ...]]:
    """Join the rows of which a proof could find that they are one image.

    Parameters
    ----------
    the others : as in `dedup.duplicates.find.find_groups`, without the tier `similar`

    Returns
    -------
    With what a person should know.
    """
    source = WithinGallery(gallery.images, gallery.raw, gallery.vectors, gallery.join, report)
    candidates = propose(source, tiers, threshold, gallery.near_floors, gallery.pixels_floor)
    table = PairTable.of(gallery.images, gallery.decisions).noted(candidates.notes)
    relations = Relations(table, candidates.similar, threshold)
    ordering = Ordering(gallery, gallery.paths(), policy, report)
    with Prover(gallery.catalog, ordering.sources(), report) as prover:
        worth = worth_proving(
            gallery, relations, candidates.to_prove, ordering, prover, report, again=True
        )
        table = worth.relations.table.noted(unreadable_note(prover))
        # What a proof has refuted is joined as well: the sets do not depend on what was proven.
        pairs = table.unproven(worth.pairs) | worth.pairs & table.verdicts.keys()
        pairs = sift(table, pairs, prover) | table.proven.keys()
    pairs |= {row_pair(*two) for rows in candidates.may_be_equal for two in pairwise(rows)}
    first_of: dict[bytes, int] = {}
    for row, digest in enumerate(table.pixel_digest):
        if digest and first_of.setdefault(digest, row) != row:
            pairs.add((first_of[digest], row))
    joined = Joined()
    for pair in pairs - table.ignored:
        joined.join(*pair)
    return joined, table.notes
