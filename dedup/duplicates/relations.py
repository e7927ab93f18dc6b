"""Which images are directly related, and in which tier.

Finds, for an image, the others that may be related to it: those of its pixel digest, those that a
proof joins to it, and those of its own and of similar classes of identical decoded input. What each
pair is, `tiers` decides. What relations mean for a group is for `groups`.
"""

from __future__ import annotations

from collections import defaultdict
from copy import copy
from functools import cache, cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from dedup.duplicates.pairs import row_pair
from dedup.duplicates.tiers import ALL_TIERS, PairFacts, decide
from dedup.results import Tier
from dedup.search.similarity import inclusive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dedup.duplicates.candidates import Proposals
    from dedup.duplicates.pairs import PairTable, RowPair


class Relation(NamedTuple):
    """How another image is related to the one asked about."""

    row: int
    tier: Tier
    similarity: float


class Relations:
    """The relations among N images; they do not change.

    Parameters
    ----------
    table : what is known of pairs
    similar : pairs of classes; those below `threshold` do not count, and a pair of classes stands
        for all pairs of their images
    threshold : lowest similarity of tier `similar`, inclusive
    """

    def __init__(
        self,
        table: PairTable,
        similar: Proposals,
        threshold: float,
    ) -> None:
        self.table = table
        self._proven, self._copies = _proven_of(table), _Copies(table)
        self._ignored: dict[int, set[int]] = defaultdict(set)
        for first, second in table.ignored | table.companions:
            self._ignored[first].add(second)
            self._ignored[second].add(first)
        self._members = similar.members
        self._class_of: list[int | None] = [None] * len(table.images)
        for number, rows in enumerate(similar.members):
            for row in rows:
                self._class_of[row] = number
        enough = similar.pairs.similarity >= inclusive(threshold)
        self._adjacent = _both_ways(
            zip(
                similar.pairs.first[enough].tolist(),
                similar.pairs.second[enough].tolist(),
                similar.pairs.similarity[enough].tolist(),
                strict=True,
            )
        )
        shared = (rows for rows in similar.members if len(rows) > 1)
        adjacent = (similar.members[number] for number in self._adjacent)
        self._alike_rows = frozenset(chain.from_iterable(chain(shared, adjacent)))
        self._equal: dict[bytes, list[int]] = defaultdict(list)
        for row, digest in enumerate(table.pixel_digest):
            if digest:
                self._equal[digest].append(row)

    def with_table(self, table: PairTable) -> Relations:
        """Give the relations of a table that knows of more proofs and is otherwise the same."""
        other = copy(self)
        other.table = table
        if table.proven is not self.table.proven:
            other._proven, other._copies = _proven_of(table), _Copies(table)  # noqa: SLF001 - own
        return other

    def rows(self, tiers: frozenset[Tier]) -> set[int]:
        """Give the images that may be related to others; `of` lists nothing for any other."""
        found = set(self._proven)
        found.update(*(rows for rows in self._equal.values() if len(rows) > 1))
        return found if _decide_alike(tiers) is None else found | self._alike_rows

    def of(self, row: int, tiers: frozenset[Tier]) -> Iterator[Relation]:
        """List the other images related to one, each once in its tier, surest tier first."""
        digest = self.table.pixel_digest[row]
        proven = self._proven.get(row)
        seen = {row}
        if row in self._ignored:
            seen |= self._ignored[row]
        if digest or proven:
            others = chain(
                self._equal[digest] if digest else (),
                sorted(proven, key=lambda other: (-proven[other], other)) if proven else (),
            )
            for other in others:
                if other not in seen:
                    seen.add(other)
                    relation = self.between(row, other, tiers)
                    if relation is not None:
                        yield relation
        yield from self._alike(row, seen, tiers)

    def _alike(self, row: int, seen: set[int], tiers: frozenset[Tier]) -> Iterator[Relation]:
        """List those of which nothing but their similarity is known; decided once for all."""
        own, tier = self._class_of[row], _decide_alike(tiers)
        if own is None or tier is None:
            return
        adjacent = {own: 1.0, **self._adjacent.get(own, {})}
        for number in sorted(adjacent, key=lambda number: (-adjacent[number], number)):
            for other in self._members[number]:
                if other not in seen and not self._is_surer(row, other):
                    yield Relation(other, tier, adjacent[number])

    def between(
        self, first: int, second: int, tiers: frozenset[Tier] = ALL_TIERS
    ) -> Relation | None:
        """Say how `second` is related to `first`, a different image; None when it is not."""
        alike = self._class_similarity(first, second)
        tier = decide(self.table.facts(first, second, alike=alike is not None), tiers)
        match tier:
            case None:
                return None
            case Tier.RESAVED | Tier.NEAR:
                return Relation(second, tier, self._proven[first][second])
            case Tier.SIMILAR:
                surer = self._is_surer(first, second)
                return None if surer else Relation(second, tier, alike or 0.0)
        return Relation(second, tier, 1.0)

    def through_copies(self, first: int, second: int) -> Tier | None:
        """Say what two different images are by what was proven of their copies.

        Of a thousand copies not every pair is proven, and none of them is another shot.
        """
        refused = first in self._ignored and second in self._ignored[first]
        return None if refused else self._copies.tier(first, second)

    def _is_surer(self, first: int, second: int) -> bool:
        """Tell two images of which more is proven by others than that they look alike."""
        surer = self.through_copies(first, second) is not None
        return surer or self._copies.of_one_original(first, second)

    def made_from(self) -> Iterator[tuple[int, int]]:
        """List pairs of an original and of what was made from it.

        By proofs; and of a JPEG what has its very pixels in another format, as no JPEG is made.
        """
        yield from self.table.made_from()
        formats = self.table.images.format
        for rows in self._equal.values():
            jpegs = [row for row in rows if formats[row] == "JPEG"]
            others = [row for row in rows if formats[row] != "JPEG"]
            if jpegs and others:  # as few as tell the first of either from all of the others
                yield from ((jpegs[0], other) for other in others)
                yield from ((jpeg, others[0]) for jpeg in jpegs[1:])

    def said(self, first: int, second: int) -> str:
        """Give the words of a proof on the second of two images, as against the first."""
        verdict = self.table.facts(first, second).verdict
        return verdict.evidence if verdict is not None else ""

    def copies_of(self, row: int) -> int:
        """Give the row that stands for all copies of an image, itself among them."""
        return self._copies.of(row)

    def _class_similarity(self, first: int, second: int) -> float | None:
        mine, other = self._class_of[first], self._class_of[second]
        if mine is None or other is None:
            return None
        return 1.0 if mine == other else self._adjacent.get(mine, {}).get(other)


class Joined:
    """Rows that pairs join, over however many steps."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}

    def join(self, one: int, two: int) -> None:
        """Join two rows and all that either is joined to."""
        self._above[self.of(two)] = self.of(one)

    def of(self, row: int) -> int:
        """Give the row that stands for all that are joined to one."""
        while (above := self._above.get(row, row)) != row:
            self._above[row] = self._above.get(above, above)
            row = above
        return row


class _Copies:
    """Images that copies join, and what was proven between such sets of them."""

    def __init__(self, table: PairTable) -> None:
        self._table, self._joined = table, Joined()
        equal: dict[bytes, int] = {}
        for row, digest in enumerate(table.pixel_digest):
            if digest:
                self._join(equal.setdefault(digest, row), row)
        tiers = {pair: table.verdicts[pair].tier for pair in table.proven}
        for pair, tier in tiers.items():
            if tier is Tier.RESAVED:
                self._join(*pair)
        near = (pair for pair, tier in tiers.items() if tier is Tier.NEAR)
        self._near = {self._pair(*pair) for pair in near}

    @cached_property
    def _originals(self) -> dict[int, set[int]]:
        """What each set was made from; asked for look-alikes alone."""
        found: dict[int, set[int]] = defaultdict(set)
        for original, made in self._table.made_from():
            if self._may_join(original, made):
                found[self.of(made)].add(self.of(original))
        return found

    def _may_join(self, one: int, two: int) -> bool:
        pair = row_pair(one, two)
        return pair not in self._table.ignored and pair not in self._table.companions

    def _join(self, one: int, two: int) -> None:
        if self._may_join(one, two):
            self._joined.join(one, two)

    def of(self, row: int) -> int:
        return self._joined.of(row)

    def of_one_original(self, one: int, two: int) -> bool:
        """Tell two edited versions, each proven to be made from one and the same image."""
        first, second = (self._originals.get(self.of(row)) for row in (one, two))
        return bool(first and second and not first.isdisjoint(second))

    def _pair(self, one: int, two: int) -> RowPair:
        return row_pair(self._joined.of(one), self._joined.of(two))

    def tier(self, one: int, two: int) -> Tier | None:
        pair = self._pair(one, two)
        if pair[0] == pair[1]:
            return Tier.RESAVED
        return Tier.NEAR if pair in self._near else None


def _proven_of(table: PairTable) -> dict[int, dict[int, float]]:
    return _both_ways((*pair, similarity) for pair, similarity in table.proven.items())


def _both_ways(pairs: Iterable[tuple[int, int, float]]) -> dict[int, dict[int, float]]:
    found: dict[int, dict[int, float]] = defaultdict(dict)
    for first, second, similarity in pairs:
        found[first][second] = similarity
        found[second][first] = similarity
    return found


@cache
def _decide_alike(tiers: frozenset[Tier]) -> Tier | None:
    return decide(PairFacts(alike=True), tiers)
