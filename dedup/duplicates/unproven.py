"""Which images may be related, as far as embeddings and parts tell: hardly an image is read.

Whatever `relate` would find is joined here, over one step or several. Some that a proof would
refute is joined as well, as long as that does not join too many: then proofs take sets apart, where
the fewest pairs hold them together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np

from dedup.duplicates.candidates import WithinGallery, propose
from dedup.duplicates.crowds import LARGE
from dedup.duplicates.ordering import Ordering
from dedup.duplicates.pairs import (
    PairTable,
    compare_pixels,
    of_one_size,
    prove,
    row_pair,
    sift,
    unreadable_note,
)
from dedup.duplicates.relate import worth_proving
from dedup.duplicates.relations import Joined, Relations
from dedup.proof.prover import Prover
from dedup.search.similarity import inclusive, pair_similarities
from dedup.store.pairs import content_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.pairs import Report, RowPair
    from dedup.duplicates.relate import Worth
    from dedup.policy import KeepPolicy
    from dedup.results import Tier
    from dedup.store.pairs import ContentPair


def may_be_related(
    gallery: Gallery,
    tiers: frozenset[Tier],
    threshold: float,
    report: Report,
    policy: KeepPolicy,
    most: int,
    hindered: Callable[[Joined], Iterable[int]] = lambda _: (),
) -> tuple[Joined, tuple[str, ...]]:
    """Join the rows of which a proof could find that they are one image.

    Parameters
    ----------
    most : files that are joined where proofs can take them apart
    hindered : says of what is joined which rows are in the way; these are joined by proofs alone.
        Asked until it names no further ones
    the others : as in `dedup.duplicates.find.find_groups`, without the tier `similar`

    Returns
    -------
    With what a person should know. What is joined does not depend on what was refuted before.
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
        equal = _may_be_equal(gallery, candidates.may_be_equal)
        sets = _Sets(gallery, prover, worth, equal, ordering.paths, report)
        sets.take_apart(most)
        joined, proven_alone = sets.joined(), set[int]()
        while more := set(hindered(joined)) - proven_alone:
            proven_alone |= more
            sets.files.update(dict.fromkeys(more, most))  # too many to be joined to any
            sets.take_apart(most)
            joined = sets.joined()
        notes = (*sets.table.notes, *unreadable_note(prover))
    return joined, notes


class _Sets:
    """Pairs that join what may be related, while proofs take it apart.

    Parameters
    ----------
    equal : sets of rows whose pixels may be the same
    paths : per row its files

    Attributes
    ----------
    files : of each row, how many count as joined with it
    """

    def __init__(
        self,
        gallery: Gallery,
        prover: Prover,
        worth: Worth,
        equal: list[list[int]],
        paths: Mapping[int, Sequence[bytes]],
        report: Report,
    ) -> None:
        self._gallery, self._prover, self._report = gallery, prover, report
        self._sets, self._paths = equal, paths
        self.table = table = worth.relations.table
        # What a proof has refuted is joined as well: the sets do not depend on what was proven.
        pairs = table.unproven(worth.pairs) | worth.pairs & table.verdicts.keys()
        self._equal = {row_pair(*two) for rows in equal for two in pairwise(rows)} - table.ignored
        self._pairs = (sift(table, pairs, prover) | self._equal) - table.ignored
        self._sure = _sure(worth.relations)
        self.files = Counter(gallery.files.row.tolist())

    def take_apart(self, most: int) -> None:
        """Prove pairs until what may be related joins no more than so many files."""
        pairs, digest = self._pairs, self._gallery.images.digest
        while asked := holding(pairs, self._sure, self._equal, self.files, digest, most):
            held = (
                rows for rows in self._sets if not asked.isdisjoint(map(row_pair, rows, rows[1:]))
            )
            table = compare_pixels(
                self.table, held, self._paths, self._gallery.catalog, self._report
            )
            asking = table.unproven(asked)
            self.table = table = prove(table, asking, self._prover, self._gallery.vectors)
            pairs -= asked
            self._sure |= asked & table.proven.keys() | _same_pixels(table)

    def joined(self) -> Joined:
        """Join what was not refuted."""
        joined, table = Joined(), self.table
        for pair in (self._pairs | self._sure | table.proven.keys()) - table.ignored:
            joined.join(*pair)
        return joined


def _may_be_equal(gallery: Gallery, candidates: Iterable[Sequence[int]]) -> list[list[int]]:
    """Choose the sets of rows whose pixels may be the same."""
    sets = list(of_one_size(gallery.images, candidates))
    if not sets:
        return []
    one, two = (np.array([rows[at] for rows in sets]) for at in (0, -1))
    similar = pair_similarities(gallery.raw, gallery.raw, one, two)
    alike = similar >= inclusive(gallery.pixels_floor)
    inputs = gallery.images.input_digest
    return [
        rows
        for rows, enough in zip(sets, alike.tolist(), strict=True)
        if enough or inputs[rows[0]] == inputs[rows[-1]]
    ]


def _sure(relations: Relations) -> set[RowPair]:
    """Choose pairs that join what is one image for sure: equal pixels, and very many copies."""
    copies: dict[int, list[int]] = defaultdict(list)
    for row in sorted(relations.rows(frozenset())):
        copies[relations.copies_of(row)].append(row)
    many = (pairwise(rows) for rows in copies.values() if len(rows) >= LARGE)
    return {*chain.from_iterable(many), *_same_pixels(relations.table)}


def _same_pixels(table: PairTable) -> set[RowPair]:
    """Choose pairs that join all whose pixels are known to be the same."""
    first_of: dict[bytes, int] = {}
    return {
        (first_of[digest], row)
        for row, digest in enumerate(table.pixel_digest)
        if digest and first_of.setdefault(digest, row) != row
    }


def holding(
    pairs: set[RowPair],
    sure: set[RowPair],
    equal: set[RowPair],
    files: Counter[int],
    digest: Sequence[bytes],
    most: int,
) -> set[RowPair]:
    """Choose the pairs to prove, so that what holds without them joins no more than `most` files.

    Rows are joined pair by pair as long as not too many are, those first that have more neighbours
    in common: what is in the midst of a set comes early, and late what leads from one to another.

    Parameters
    ----------
    sure : pairs that are joined however many they join
    equal : pairs that come before the others
    files : of each row
    digest : of each row, which settles ties
    """
    beside: dict[int, set[int]] = defaultdict(set)
    for one, two in pairs | sure:
        beside[one].add(two)
        beside[two].add(one)
    joined, count = Joined(), Counter(files)

    def join(pair: RowPair, limit: int | None) -> None:
        one, two = map(joined.of, pair)
        if one != two and (limit is None or count[one] + count[two] <= limit):
            joined.join(one, two)
            count[one] += count[two]

    def looseness(pair: RowPair) -> tuple[bool, int, ContentPair]:
        common = len(beside[pair[0]] & beside[pair[1]])
        return pair not in equal, -common, content_pair(digest[pair[0]], digest[pair[1]])

    for pair in sorted(sure):
        join(pair, None)
    for pair in sorted(pairs, key=looseness):
        join(pair, most)
    return {pair for pair in pairs if joined.of(pair[0]) != joined.of(pair[1])}
