"""Every pair of files in its tier, group or no group."""

from __future__ import annotations

import os
from itertools import combinations, product
from typing import TYPE_CHECKING

from dedup.duplicates.relate import relate
from dedup.duplicates.tiers import PairFacts, evidence
from dedup.policy import KeepPolicy
from dedup.results import Tier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.pairs import Report
    from dedup.freshness import Lookout


def tiered_pairs(
    gallery: Gallery, tiers: frozenset[Tier], threshold: float, report: Report
) -> Iterator[tuple[str, str, Tier, float]]:
    """List every pair of files in its tier, with its similarity; parameters as in `find_groups`."""
    relations = relate(gallery, tiers, threshold, report, KeepPolicy()).relations
    paths = {row: [os.fsdecode(path) for path in found] for row, found in gallery.paths().items()}
    for row, files in paths.items():
        if Tier.EXACT in tiers:
            for first, second in combinations(files, 2):
                yield first, second, Tier.EXACT, 1.0
        for relation in relations.of(row, tiers):
            if relation.row > row:
                for first, second in product(files, paths[relation.row]):
                    yield first, second, relation.tier, relation.similarity


def best_pairs(
    gallery: Gallery,
    tiers: frozenset[Tier],
    threshold: float,
    report: Report,
    lookout: Lookout,
    policy: KeepPolicy,
) -> tuple[list[tuple[str, str, Tier, float, str]], list[str]]:
    """List the pairs of images by their best files, and copies with the best of theirs.

    Files of the same bytes, and images of the same pixels, are each paired with the best of them
    only: that says it all, and ten thousand of them are not fifty million pairs.

    Parameters
    ----------
    the others : as in `find_groups`

    Returns
    -------
    (first, second, tier, similarity, evidence), the surest tier first, then by paths; and notes.
    """
    related = relate(gallery, tiers, threshold, report, policy)
    relations, files = related.relations, gallery.files
    best: dict[int, int] = {}
    found: list[tuple[int, int, Tier, float]] = []
    equals: dict[bytes, int] = {}
    shown = [file for file in related.order.files if lookout.shows(files.facts(file))]
    for file in shown:
        row = int(files.row[file])
        if best.setdefault(row, file) != file and Tier.EXACT in tiers:
            found.append((best[row], file, Tier.EXACT, 1.0))
    place = {row: at for at, row in enumerate(best)}
    for row, file in best.items():
        digest = relations.table.pixel_digest[row]
        chief = equals.setdefault(digest, row) if digest else row
        for one in relations.of(row, tiers):
            implied = one.tier is Tier.PIXELS and chief != row
            if place.get(one.row, -1) > place[row] and not implied:
                found.append((file, best[one.row], one.tier, one.similarity))
    rows = []
    for first, second, tier, similarity in found:
        mine, other = int(files.row[first]), int(files.row[second])
        same = PairFacts(same_bytes=True)
        facts = same if mine == other else relations.table.facts(mine, other)
        words = evidence(tier, facts, gallery.image_file(first), gallery.image_file(second))
        paths = os.fsdecode(files.path[first]), os.fsdecode(files.path[second])
        rows.append((*paths, tier, min(similarity, 1.0), words))
    rows.sort(key=lambda row: (row[2].looseness, os.fsencode(row[0]), os.fsencode(row[1])))
    return rows, [*relations.table.notes, *lookout.notes()]
