"""Which images are directly related, and in which tier.

Images of one pixel digest are equal bit for bit; `near` pairs have been proven; `similar` holds
between classes of images with identical decoded input, and a pair of classes stands for all pairs
of their images. Trivial images (blank, tiny) are in no class: they are related by bytes and pixels
only. What a person called no duplicate is related in no tier. What relations mean for a group is
for `groups`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from dedup.results import Tier
from dedup.search.similarity import inclusive

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from dedup.duplicates.candidates import Proposals

RowPair = tuple[int, int]
"""Two rows, the lower first."""


def row_pair(first: int, second: int) -> RowPair:
    """Order two rows."""
    return (first, second) if first <= second else (second, first)


class Relation(NamedTuple):
    """How another image is related to the one asked about."""

    row: int
    tier: Tier
    similarity: float


class Relations:
    """The relations among N images.

    Parameters
    ----------
    proposals : pairs of classes; those below `threshold` do not count
    pixel_digest : per image; None or b"" for none
    threshold : lowest similarity of tier `similar`, inclusive
    near : per pair of rows (lower first) that was proven the same photograph, its similarity
    ignored : pairs of rows (lower first) of which a person said that they are no duplicates
    """

    def __init__(
        self,
        count: int,
        proposals: Proposals,
        pixel_digest: Sequence[bytes | None],
        threshold: float,
        near: Mapping[RowPair, float] | None = None,
        ignored: Collection[RowPair] = (),
    ) -> None:
        self._ignored = frozenset(ignored)
        self._near: dict[int, dict[int, float]] = defaultdict(dict)
        for (first, second), similarity in (near or {}).items():
            self._near[first][second] = similarity
            self._near[second][first] = similarity
        self._members = proposals.members
        self._class_of: list[int | None] = [None] * count
        for number, rows in enumerate(proposals.members):
            for row in rows:
                self._class_of[row] = number
        self._adjacent: dict[int, dict[int, float]] = defaultdict(dict)
        pairs = proposals.pairs
        enough = pairs.similarity >= inclusive(threshold)
        for first, second, similarity in zip(
            pairs.first[enough].tolist(),
            pairs.second[enough].tolist(),
            pairs.similarity[enough].tolist(),
            strict=True,
        ):
            self._adjacent[first][second] = similarity
            self._adjacent[second][first] = similarity
        self._pixel_digest = pixel_digest
        self._equal: dict[bytes, list[int]] = defaultdict(list)
        for row, digest in enumerate(pixel_digest):
            if digest:
                self._equal[digest].append(row)

    def of(self, row: int, tiers: frozenset[Tier]) -> Iterator[Relation]:
        """List the other images related to one, each once in its tier, surest tier first."""
        for relation in self._of(row, tiers):
            if row_pair(row, relation.row) not in self._ignored:
                yield relation

    def _of(self, row: int, tiers: frozenset[Tier]) -> Iterator[Relation]:
        digest = self._pixel_digest[row]
        equal = self._equal[digest] if digest else []
        proven = self._near.get(row, {})
        if Tier.PIXELS in tiers:
            yield from (Relation(other, Tier.PIXELS, 1.0) for other in equal if other != row)
        if Tier.NEAR in tiers:
            for other in sorted(proven.keys() - equal, key=lambda other: (-proven[other], other)):
                yield Relation(other, Tier.NEAR, proven[other])
        if Tier.SIMILAR in tiers:
            yield from self._similar(row, {row, *equal} | proven.keys())

    def _similar(self, row: int, surer: set[int]) -> Iterator[Relation]:
        own = self._class_of[row]
        if own is None:
            return
        adjacent = {own: 1.0, **self._adjacent.get(own, {})}
        for number in sorted(adjacent, key=lambda number: (-adjacent[number], number)):
            for other in self._members[number]:
                if other not in surer:
                    yield Relation(other, Tier.SIMILAR, adjacent[number])

    def between(self, first: int, second: int) -> Relation | None:
        """Say how `second` is related to `first`, a different image; None when it is not."""
        if row_pair(first, second) in self._ignored:
            return None
        digest = self._pixel_digest[first]
        if digest and digest == self._pixel_digest[second]:
            return Relation(second, Tier.PIXELS, 1.0)
        proven = self._near.get(first, {}).get(second)
        if proven is not None:
            return Relation(second, Tier.NEAR, proven)
        mine, other = self._class_of[first], self._class_of[second]
        if mine is None or other is None:
            return None
        similarity = 1.0 if mine == other else self._adjacent.get(mine, {}).get(other)
        return None if similarity is None else Relation(second, Tier.SIMILAR, similarity)
