"""Which images may be related, as far as embeddings and parts tell: no image is read.

Whatever `relate` would find is joined here, over one step or several. Much that a proof would
refute is joined as well.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from dedup.duplicates.candidates import WithinGallery, group_identical_inputs, propose
from dedup.duplicates.crowds import crowds
from dedup.duplicates.pairs import PairTable, row_pair
from dedup.duplicates.relations import Joined
from dedup.duplicates.sharing import share_parts
from dedup.proof import VERIFIER
from dedup.store.pairs import read_verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.pairs import Report, RowPair
    from dedup.results import Tier


def may_be_related(
    gallery: Gallery, tiers: frozenset[Tier], threshold: float, report: Report
) -> tuple[Joined, tuple[str, ...]] | None:
    """Join the rows of which a proof could find that they are one image.

    Parameters
    ----------
    the others : as in `dedup.duplicates.find.find_groups`, without the tier `similar`

    Returns
    -------
    With what a person should know. None: only proofs tell. Of very many copies one speaks for all
    where parts are looked for, and these are not known without.
    """
    source = WithinGallery(gallery.images, gallery.raw, gallery.vectors, gallery.join, report)
    candidates = propose(source, tiers, threshold, gallery.near_floors, gallery.pixels_floor)
    if crowds(candidates.to_prove):
        return None
    pairs = candidates.to_prove | set(_proven(gallery))
    pairs |= {row_pair(*two) for rows in candidates.may_be_equal for two in pairwise(rows)}
    notes = candidates.notes
    if gallery.parts:
        members = group_identical_inputs(gallery.images)
        shared, more = share_parts(gallery.catalog, gallery.images, members, report)
        pairs, notes = pairs | shared, (*notes, *more)
    joined = Joined()
    for pair in pairs - PairTable.of(gallery.images, gallery.decisions).ignored:
        joined.join(*pair)
    return joined, notes


def _proven(gallery: Gallery) -> Iterator[RowPair]:
    """List what was proven of other pairs, by `why` or when there were other candidates."""
    rows = {digest: row for row, digest in enumerate(gallery.images.digest)}
    for (first, second), verdict in read_verdicts(gallery.catalog, VERIFIER).items():
        if verdict.tier is not None and first in rows and second in rows:
            yield row_pair(rows[first], rows[second])
