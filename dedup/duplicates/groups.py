"""Groups from relations: cover, clique and component, always walking from the best file down.

`cover` is the safe one: the best file not yet taken becomes a keeper and takes the files not yet
taken that are directly related to it, so that nothing is ever given up for the sake of a file that
is itself given up. `clique` asks that all members be related to each other; `component` follows
chains, and shows by its lowest similarity where they led.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dedup.duplicates.pairs import row_pair
from dedup.results import Grouping, Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dedup.duplicates.pairs import RowPair
    from dedup.duplicates.relations import Relations

MAX_KEEPERS = 8
"""Keepers of one family that are paired with what better ones did not take."""

MAX_ASKED_AT_ONCE = 16
"""Pairs of one family from which on the next keepers wait for what these come to: the best may be
the only one, of thirty exports of one image that were joined by a chain."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a group, and how it is related to the keeper.

    Parameters
    ----------
    file : index of the file
    tier, similarity : None in a component whose chain joins it to the keeper only through others
    """

    file: int
    tier: Tier | None
    similarity: float | None


@dataclass(frozen=True, slots=True)
class FileGroup:
    """A keeper and at least one other file, members by rank."""

    keeper: int
    members: tuple[Member, ...]


def group_files(
    order: Sequence[int],
    row_of: Sequence[int],
    relations: Relations,
    tiers: frozenset[Tier],
    how: Grouping = Grouping.COVER,
) -> list[FileGroup]:
    """Sort M files into groups; no file is in two.

    Parameters
    ----------
    order : (M,) files from the one most worth keeping to the least
    row_of : (M,) the image of each file
    tiers : the relations that count

    Returns
    -------
    In the order of their keepers. Files in no relation are in no group.
    """
    walk = _Walk(order, row_of, relations, tiers)
    if how is Grouping.COMPONENT:
        return walk.components()
    return walk.groups(complete=how is Grouping.CLIQUE)


def family_pairs(
    order: Sequence[int],
    row_of: Sequence[int],
    relations: Relations,
    tiers: frozenset[Tier],
    left: Callable[[set[RowPair]], set[RowPair]] = set,
) -> Iterator[RowPair]:
    """Pair the best keepers in a family with the members that better keepers did not take.

    A family is what relations join, over however many steps. Keepers of which something is left to
    be asked may each take what the next ones would ask for: of more than a few, only the best ask.

    Parameters
    ----------
    left : chooses the pairs that are open
    the others : as in `group_files`
    """
    taken_by: dict[int, int] = {}
    for group in group_files(order, row_of, relations, tiers):
        taken_by |= {member.file: group.keeper for member in group.members}
    rank = {file: place for place, file in enumerate(order)}
    for family in group_files(order, row_of, relations, tiers, Grouping.COMPONENT):
        files = [family.keeper, *(member.file for member in family.members)]
        keepers = sorted({taken_by.get(file, file) for file in files}, key=rank.__getitem__)
        asked = 0
        for keeper in keepers[:MAX_KEEPERS]:
            some = left(
                {
                    row_pair(row_of[keeper], row_of[file])
                    for file in files
                    if rank[taken_by.get(file, file)] > rank[keeper]
                    and row_of[file] != row_of[keeper]
                }
            )
            yield from some
            asked += len(some)
            if asked >= MAX_ASKED_AT_ONCE:
                break


def row_families(
    order: Sequence[int], row_of: Sequence[int], relations: Relations, tiers: frozenset[Tier]
) -> list[list[int]]:
    """List sets of two and more images that relations join, over however many steps.

    Parameters as in `group_files`.
    """
    found = []
    for family in group_files(order, row_of, relations, tiers, Grouping.COMPONENT):
        files = (family.keeper, *(member.file for member in family.members))
        rows = sorted({row_of[file] for file in files})
        if len(rows) > 1:
            found.append(rows)
    return found


def left_alone(
    groups: Sequence[FileGroup],
    row_of: Sequence[int],
    relations: Relations,
    tiers: frozenset[Tier],
) -> list[int]:
    """List the files that are proven against another one, and not by that in a group.

    Parameters
    ----------
    groups : of `group_files`, with the rest as it was given there
    """
    proven = tiers - {Tier.SIMILAR}
    grouped: set[int] = set()
    held: set[int] = set()
    for group in groups:
        sure = [row_of[member.file] for member in group.members if member.tier in proven]
        held.update(sure, [row_of[group.keeper]] if sure else [])
        grouped.update(row_of[member.file] for member in group.members)
        grouped.add(row_of[group.keeper])
    alone = {
        one
        for row in grouped
        for relation in relations.of(row, proven)
        for one in (row, relation.row)
        if one not in held
    }
    return [file for file, row in enumerate(row_of) if row in alone] if alone else []


class _Walk:
    def __init__(
        self,
        order: Sequence[int],
        row_of: Sequence[int],
        relations: Relations,
        tiers: frozenset[Tier],
    ) -> None:
        related = relations.rows(tiers)
        if Tier.EXACT in tiers:
            count = Counter(row_of[file] for file in order)
            related.update(row for row, files in count.items() if files > 1)
        # Of a million images most are like no other: they are left out before anything is asked.
        self._order = [file for file in order if row_of[file] in related]
        self._row_of = row_of
        self._relations = relations
        self._tiers = tiers
        self._rank = {file: rank for rank, file in enumerate(self._order)}
        self._files: dict[int, list[int]] = defaultdict(list)
        for file in self._order:
            self._files[row_of[file]].append(file)

    def _related(self, file: int) -> Iterator[Member]:
        row = self._row_of[file]
        if Tier.EXACT in self._tiers:
            for other in self._files[row]:
                if other != file:
                    yield Member(other, Tier.EXACT, 1.0)
        for relation in self._relations.of(row, self._tiers):
            for other in self._files[relation.row]:
                yield Member(other, relation.tier, relation.similarity)

    def _relation(self, first: int, second: int) -> Member | None:
        left, right = self._row_of[first], self._row_of[second]
        if left == right:
            return Member(second, Tier.EXACT, 1.0) if Tier.EXACT in self._tiers else None
        relation = self._relations.between(left, right, self._tiers)
        return relation and Member(second, relation.tier, relation.similarity)

    def _go_together(self, first: int, second: int) -> bool:
        rows = self._row_of[first], self._row_of[second]
        known = self._relation(first, second)
        return known is not None or self._relations.through_copies(*rows) in self._tiers

    def _apart(self, first: int, second: int) -> bool:
        """Say whether two files are companions, which no chain of others makes duplicates."""
        pair = row_pair(self._row_of[first], self._row_of[second])
        return pair in self._relations.table.companions

    def _in_order(self, members: list[Member]) -> tuple[Member, ...]:
        return tuple(sorted(members, key=lambda member: self._rank[member.file]))

    def groups(self, *, complete: bool) -> list[FileGroup]:
        taken: set[int] = set()
        result = []
        for keeper in self._order:
            if keeper in taken:
                continue
            members: list[Member] = []
            for member in self._related(keeper):
                if member.file in taken:
                    continue
                if complete and not all(
                    self._go_together(other.file, member.file) for other in members
                ):
                    continue
                members.append(member)
                taken.add(member.file)
            if members:
                taken.add(keeper)
                result.append(FileGroup(keeper, self._in_order(members)))
        return result

    def components(self) -> list[FileGroup]:
        seen: set[int] = set()
        result = []
        for keeper in self._order:
            if keeper in seen:
                continue
            seen.add(keeper)
            waiting, reached, walked = [keeper], list[int](), set[int]()
            while waiting:
                file = waiting.pop()
                if self._row_of[file] in walked:  # all files of an image are related to the same
                    continue
                walked.add(self._row_of[file])
                for member in self._related(file):
                    if member.file not in seen and not self._apart(keeper, member.file):
                        seen.add(member.file)
                        reached.append(member.file)
                        waiting.append(member.file)
            if reached:
                members = [
                    self._relation(keeper, file) or Member(file, None, None) for file in reached
                ]
                result.append(FileGroup(keeper, self._in_order(members)))
        return result
