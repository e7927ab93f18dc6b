"""From a catalog to its duplicate groups: propose, compare pixels, prove, relate, group, describe.

The loosest tier that is asked for decides how much is done: `exact` needs no vectors, `pixels`
decodes images of equal size in full, what is looser proves candidates on the images. Each step
takes what the one before it gave. What is found of a pair is kept in the catalog as well, so that a
second look costs nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from dedup.duplicates.groups import FileGroup, Member, group_files, left_alone
from dedup.duplicates.relate import Related, held_again, relate
from dedup.duplicates.rounds import keepers_tell
from dedup.duplicates.select import Wanted
from dedup.duplicates.tiers import evidence, group_of, left_note
from dedup.freshness import Lookout
from dedup.policy import KeepPolicy
from dedup.results import Duplicate, Group, Grouping, Tier
from dedup.search.similarity import pair_similarities

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.pairs import Report

MAX_ROWS_MULTIPLIED = 1024
"""Rows of one product when the least similar pair of a group is looked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """Duplicate groups, and what a person should know about them.

    Parameters
    ----------
    groups : by the rank of their keepers
    notes : one sentence each
    """

    groups: list[Group]
    notes: list[str]


def find_groups(
    gallery: Gallery,
    tiers: frozenset[Tier],
    threshold: float,
    how: Grouping,
    report: Report,
    lookout: Lookout | None = None,
    policy: KeepPolicy | None = None,
    wanted: Wanted | None = None,
) -> Found:
    """Find the duplicate groups of a collection, of files that are still what was indexed.

    Parameters
    ----------
    tiers : the relations that count
    threshold : lowest similarity of the tier `similar`, inclusive
    report : called with what is being done, how much of it is done, and how much there is
    lookout : looks at the files; None: files of offline roots are left out
    policy : which file of a group stays; None: the default
    wanted : the duplicates that are given; None: all

    Raises
    ------
    SearchError : the threshold is so low that everything is similar to everything.
    """
    lookout = lookout or Lookout(gallery.catalog.roots())
    policy, absent = policy or KeepPolicy(), _left_out(gallery, lookout)
    few = keepers_tell(tiers, how)
    related = relate(gallery, tiers, threshold, report, policy, few=few, absent=absent)
    found, lost = fresh_groups(gallery, related, tiers, how, lookout)
    while lost - absent:
        absent |= lost
        related = held_again(gallery, related, tiers, report, policy, absent)
        found, lost = fresh_groups(gallery, related, tiers, how, lookout)
    chosen, notes = _chosen(gallery, found, wanted or Wanted())
    groups = described(chosen, gallery, related, lookout)
    notes = [*related.relations.table.notes, *lookout.notes(), *notes]
    if how is not Grouping.COMPONENT:
        files = gallery.files
        alone = left_alone(found, files.row.tolist(), related.relations, tiers)
        notes += left_note(sum(lookout.shows(files.facts(file)) for file in alone))
    return Found(groups, notes)


def _chosen(
    gallery: Gallery, groups: list[FileGroup], wanted: Wanted
) -> tuple[list[FileGroup], list[str]]:
    """Keep the duplicates that are wanted; says of how many groups only the keeper would be."""
    files, chosen, keepers = gallery.files, list[FileGroup](), 0
    for group in groups:
        members = tuple(
            one for one in group.members
            if wanted.takes(files.path[one.file], int(files.size[one.file]))
        )  # fmt: skip
        if members:
            chosen.append(replace(group, members=members))
        elif wanted.under and wanted.holds(files.path[group.keeper]):
            keepers += 1
    if not keepers:
        return chosen, []
    more = f"{keepers:,}{' more' if chosen else ''} group{'' if keepers == 1 else 's'}"
    where = "that folder" if len(wanted.under) == 1 else "those folders"
    small = ", or the others there are too small" if wanted.min_bytes else ""
    return chosen, [f"In {more} only the keeper is in {where}{small}"]


def _left_out(gallery: Gallery, lookout: Lookout) -> set[int]:
    """List the files of roots that are left out altogether."""
    root = gallery.files.root
    left = [number for number in np.unique(root).tolist() if lookout.leaves_out(number)]
    return set(np.flatnonzero(np.isin(root, left)).tolist()) if left else set()


def fresh_groups(
    gallery: Gallery,
    related: Related,
    tiers: frozenset[Tier],
    how: Grouping,
    lookout: Lookout,
) -> tuple[list[FileGroup], set[int]]:
    """Group files, look at those in groups, and group again without what must not be shown.

    Returns
    -------
    With the files that were left out of groups.
    """
    files, order, lost = gallery.files, related.order.files, set[int]()
    row_of = files.row.tolist()
    while True:
        found = group_files(order, row_of, related.relations, tiers, how)
        new = {
            file
            for group in found
            for file in (group.keeper, *(member.file for member in group.members))
            if not lookout.shows(files.facts(file))
        }
        if not new:
            return found, lost
        lost |= new
        order = [file for file in order if file not in lost]


def described(
    groups: Sequence[FileGroup], gallery: Gallery, related: Related, lookout: Lookout
) -> list[Group]:
    """Describe groups of files, numbered as they come, their members in the order given."""
    similarities = _similarities_to_keepers(gallery, groups)
    return [
        _described(number, group, measured, gallery, related, lookout)
        for number, (group, measured) in enumerate(zip(groups, similarities, strict=True), 1)
    ]


def _similarities_to_keepers(gallery: Gallery, groups: Sequence[FileGroup]) -> list[list[float]]:
    """Compute the similarity of the members of each group to its keeper, all groups at once."""
    row = gallery.files.row
    counts = [len(group.members) for group in groups]
    keepers = np.repeat([group.keeper for group in groups], counts).astype(np.int64)
    members = np.array([member.file for group in groups for member in group.members], np.int64)
    first, second = row[keepers], row[members]
    found = np.where(  # what is one image is at 1 of itself, also where its vector is zero
        first == second, 1, pair_similarities(gallery.vectors, gallery.vectors, first, second)
    )
    every = iter(found.tolist())
    return [list(islice(every, count)) for count in counts]


def _described(
    number: int,
    group: FileGroup,
    similarities: Sequence[float],
    gallery: Gallery,
    related: Related,
    lookout: Lookout,
) -> Group:
    files, table = gallery.files, related.relations.table
    keeper = int(files.row[group.keeper])
    rows = [int(files.row[member.file]) for member in group.members]
    every = sorted({keeper, *rows})
    kept = gallery.image_file(group.keeper)
    duplicates = []
    for member, row, measured in zip(group.members, rows, similarities, strict=True):
        tier = member.tier or Tier.SIMILAR
        facts, other = table.facts(keeper, row), gallery.image_file(member.file)
        duplicates.append(
            Duplicate(
                path=os.fsdecode(files.path[member.file]),
                tier=tier,
                similarity=_similarity(member, measured),
                bytes=other.bytes or 0,
                evidence=evidence(tier, facts, kept, other)
                + _offline_words(lookout, files.root[group.keeper], files.root[member.file]),
                # Of pixels none are lost with what has the same ones.
                is_original=tier is not Tier.PIXELS and related.order.is_made_from(keeper, row),
            )
        )
    return group_of(
        number,
        os.fsdecode(files.path[group.keeper]),
        duplicates,
        min(_lowest(gallery.vectors, every), *similarities, 1.0),
        related.order.why(group.keeper, [member.file for member in group.members]),
    )


def _similarity(member: Member, measured: float) -> float:
    if member.tier in (Tier.EXACT, Tier.PIXELS):
        return 1.0
    # Equal inputs embedded in two batches may differ in the last bits; their class, which is what
    # passed the threshold, does not.
    return measured if member.tier is not Tier.SIMILAR else member.similarity or 0.0


def _offline_words(lookout: Lookout, kept: int, other: int) -> str:
    if lookout.is_offline(kept):
        return "; the keeper is offline"
    return "; offline" if lookout.is_offline(other) else ""


def _lowest(vectors: npt.NDArray[np.float32], rows: list[int]) -> float:
    """Find the lowest similarity among three and more images; of two, that to the keeper tells."""
    if len(rows) < 3:  # noqa: PLR2004 - most groups
        return 1.0
    chosen = vectors[rows]
    lowest = 1.0
    for start in range(0, len(rows), MAX_ROWS_MULTIPLIED):
        products = chosen[start : start + MAX_ROWS_MULTIPLIED] @ chosen[start:].T
        at = np.unravel_index(int(np.argmin(products)), products.shape)
        exact = pair_similarities(
            chosen, chosen, np.array([start + int(at[0])]), np.array([start + int(at[1])])
        )
        lowest = min(lowest, float(exact[0]))
    return lowest
