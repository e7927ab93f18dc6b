"""Which files show one image, over however many steps: what no subset of a data set may tear."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from dedup.duplicates.groups import group_files
from dedup.duplicates.relate import relate
from dedup.duplicates.tiers import PairFacts, evidence, takes_proof
from dedup.duplicates.unproven import may_be_related
from dedup.results import Grouping, Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

    from dedup.answer import Progress
    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.relate import Side
    from dedup.duplicates.relations import Joined, Relations
    from dedup.freshness import Lookout
    from dedup.policy import KeepPolicy

_MANY: Final = 0.01  # of all files: what goes to one subset as a whole makes the others poorer
_FEW: Final = 32


class Link(NamedTuple):
    """How a file is directly related to another one."""

    file: int
    tier: Tier
    similarity: float


class Together(NamedTuple):
    """The files of a collection that are here, and which of them belong together.

    Parameters
    ----------
    relations : None where nothing was proven, and files of a group only may belong together
    files : in keep order
    group : per file that belongs with others, the number of its group, from 1 in keep order
    """

    gallery: Gallery
    relations: Relations | None
    tiers: frozenset[Tier]
    files: list[int]
    group: dict[int, int]
    notes: tuple[str, ...]

    def path(self, file: int) -> str:
        """Give the absolute path of a file."""
        return os.fsdecode(self.gallery.files.path[file])

    def row(self, file: int) -> int:
        """Give the row of a file's image."""
        return int(self.gallery.files.row[file])

    def groups(self) -> dict[int, list[int]]:
        """Give the files of each group."""
        found: dict[int, list[int]] = {}
        for file in self.files:
            if file in self.group:
                found.setdefault(self.group[file], []).append(file)
        return found

    def links(self, file: int, files_of: dict[int, list[int]]) -> Iterator[Link]:
        """List the files directly related to one, the surest tier first.

        Parameters
        ----------
        files_of : the files that count, by row
        """
        row = self.row(file)
        if Tier.EXACT in self.tiers:
            yield from (Link(one, Tier.EXACT, 1.0) for one in files_of.get(row, ()) if one != file)
        for relation in self.relations.of(row, self.tiers) if self.relations else ():
            for one in files_of.get(relation.row, ()):
                yield Link(one, relation.tier, min(relation.similarity, 1.0))

    def evidence(self, first: int, second: int, tier: Tier) -> str:
        """Say in words what the second file is as against the first."""
        rows = self.row(first), self.row(second)
        facts = PairFacts(same_bytes=True)
        if rows[0] != rows[1]:
            facts = self.relations.table.facts(*rows) if self.relations else PairFacts()
        return evidence(
            tier, facts, self.gallery.image_file(first), self.gallery.image_file(second)
        )


def find_together(
    gallery: Gallery,
    tiers: frozenset[Tier],
    threshold: float,
    policy: KeepPolicy,
    lookout: Lookout,
    report: Progress,
    sides: Mapping[str, Hashable] | None = None,
) -> Together:
    """Find what belongs together; a file that is gone still joins what is here.

    Parameters
    ----------
    tiers, threshold, policy, report : as in `dedup.duplicates.find.find_groups`
    sides : by path what files are, such as their labels: given, only groups that hold several are
        sure to be found whole. Files that it lacks or has as None may be anything
    """
    of_rows = () if sides is None else _sides(gallery, sides)
    related = relate(gallery, tiers, threshold, report, policy, of_rows)
    row_of = gallery.files.row.tolist()
    components = group_files(
        related.order.files, row_of, related.relations, tiers, Grouping.COMPONENT
    )
    files = [file for file in related.order.files if lookout.shows(gallery.files.facts(file))]
    here, group = set(files), dict[int, int]()
    number = 0
    for component in components:
        members = [component.keeper, *(member.file for member in component.members)]
        shown = [file for file in members if file in here]
        if len(shown) > 1:
            number += 1
            group |= dict.fromkeys(shown, number)
    notes = (*related.relations.table.notes, *lookout.notes())
    return Together(gallery, related.relations, tiers, files, group, notes)


def _sides(gallery: Gallery, sides: Mapping[str, Hashable]) -> list[Side]:
    found: list[set[Hashable]] = [set() for _ in range(len(gallery.images))]
    for path, row in zip(gallery.files.path, gallery.files.row.tolist(), strict=True):
        found[row].add(sides.get(os.fsdecode(path)))
    return [frozenset(() if None in some else some) for some in found]


def find_unproven(
    gallery: Gallery,
    tiers: frozenset[Tier],
    threshold: float,
    policy: KeepPolicy,
    lookout: Lookout,
    report: Progress,
    hindered: Callable[[Together], Iterable[int]],
) -> Together | None:
    """Find what may belong together, and with it all that does, by a first look at pairs.

    Parameters
    ----------
    hindered : says which files are in the way where they are; these belong by proofs alone to what
        they belong to. Asked until it names no further ones
    the others : as in `find_together`

    Returns
    -------
    Files and groups in the order of the catalog. A group of more than a hundredth of all files is
    proven, pair by pair. None where no proofs are wanted.
    """
    if not takes_proof(tiers) or Tier.SIMILAR in tiers:
        return None
    files = [file for file in gallery.order if lookout.shows(gallery.files.facts(file))]
    row_of = gallery.files.row.tolist()

    def together(joined: Joined, notes: tuple[str, ...] = ()) -> Together:
        set_of = {file: joined.of(row_of[file]) for file in files}
        count, numbers = Counter(set_of.values()), dict[int, int]()
        group = {
            file: numbers.setdefault(one, len(numbers) + 1)
            for file, one in set_of.items()
            if count[one] > 1
        }
        return Together(gallery, None, tiers, files, group, (*notes, *lookout.notes()))

    def rows(joined: Joined) -> Iterator[int]:
        found = together(joined)
        yield from (row_of[file] for file in (hindered(found) if found.group else ()))

    most = max(_FEW, int(_MANY * len(files)))
    return together(*may_be_related(gallery, tiers, threshold, report, policy, most, rows))
