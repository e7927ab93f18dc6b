"""From a catalog to its duplicate groups: pair, compare pixels, prove, group, say what was found.

The tiers that are asked for decide how much is done: `exact` needs no vectors, `pixels` decodes
pictures of equal size in full, `near` proves candidates on the pictures themselves. Whatever was
found about a pair is kept in the catalog, so that a second look costs nothing.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from dedup.duplicates.candidates import (
    CANDIDATES,
    Proposals,
    fold,
    propose_above,
    propose_nearest,
    row_pairs,
    rows_to_compare,
)
from dedup.duplicates.groups import FileGroup, group_files
from dedup.duplicates.ranking import keep_order
from dedup.duplicates.relations import Relations, RowPair, row_pair
from dedup.duplicates.tiers import describe_pair
from dedup.proof.pixel_digests import digest_pictures
from dedup.proof.prover import Prover
from dedup.results import Duplicate, Group, Grouping, Tier
from dedup.search.join import Pairs
from dedup.search.similarity import pair_similarities
from dedup.store.gallery import read_files, read_images
from dedup.store.pairs import content_pair, read_decisions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from dedup.space.space import Space
    from dedup.store.catalog import Catalog
    from dedup.store.gallery import GalleryFiles, GalleryImages

    Report = Callable[[str, int, int], None]

_ROUNDS = 8
"""Times that families are completed; each may join what was apart."""

_KEEPERS = 8
"""Keepers of one family that are paired with what better ones did not take."""


@dataclass(frozen=True, slots=True)
class Found:
    """Duplicate groups, and what a person should know about them.

    Parameters
    ----------
    groups : by the keep order of their keepers
    notes : one sentence each
    """

    groups: list[Group]
    notes: list[str]


@dataclass(slots=True)
class Gallery:
    """The live images and files of a collection at one moment, and what was found about pairs.

    Parameters
    ----------
    raw : (N, D) float32, unit rows as stored: what candidates are proposed by
    vectors : (N, D') float32, unit rows as they are compared: what similarity is
    order : (M,) files, from the one most worth keeping
    digests : per image, of its pixels; filled in as they become known
    join : how pairs are looked for, see `dedup.search.join.JOINS`
    """

    catalog: Catalog
    space: Space
    images: GalleryImages
    files: GalleryFiles
    raw: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32]
    order: list[int]
    digests: list[bytes | None]
    ignored: set[RowPair]
    near: dict[RowPair, float] = field(default_factory=dict)
    evidence: dict[RowPair, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    join: str = "auto"

    def note(self, text: str) -> None:
        """Keep a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def paths(self) -> dict[int, list[bytes]]:
        """Map rows to the files of their images."""
        result: dict[int, list[bytes]] = defaultdict(list)
        for row, path in zip(self.files.row.tolist(), self.files.path, strict=True):
            result[row].append(path)
        return result


def read_gallery(catalog: Catalog, space: Space, join: str = "auto") -> Gallery:
    """Read a collection as it is now.

    Parameters
    ----------
    join : how pairs are looked for, see `dedup.search.join.JOINS`
    """
    with catalog.snapshot():
        images = read_images(catalog)
        files = read_files(catalog, images.ids)
        raw = space.rows(catalog, len(images))
        decisions = read_decisions(catalog)
    rows = {digest: row for row, digest in enumerate(images.digest)}
    return Gallery(
        catalog,
        space,
        images,
        files,
        raw,
        space.vectors(raw),
        keep_order(images, files).tolist(),
        list(images.pixel_digest),
        ignored={
            row_pair(rows[first], rows[second])
            for (first, second), decision in decisions.items()
            if not decision.duplicate and first in rows and second in rows
        },
        join=join,
    )


def find_groups(
    gallery: Gallery,
    tiers: frozenset[Tier],
    threshold: float,
    how: Grouping,
    report: Report,
) -> Found:
    """Find the duplicate groups of a collection.

    Parameters
    ----------
    tiers : the relations that count
    threshold : lowest similarity of the tier `similar`, inclusive
    report : told what is being done, how much of it is done, and how much there is

    Raises
    ------
    SearchError : the threshold is so low that everything is similar to everything.
    """
    relations = relate(gallery, tiers, threshold, report)
    found = group_files(gallery.order, gallery.files.row.tolist(), relations, tiers, how)
    groups = [_described(number, group, gallery) for number, group in enumerate(found, 1)]
    return Found(groups, gallery.notes)


def tiered_pairs(
    gallery: Gallery, tiers: frozenset[Tier], threshold: float, report: Report
) -> Iterator[tuple[str, str, Tier, float]]:
    """List every pair of files in its tier, with its similarity; parameters as in `find_groups`."""
    relations = relate(gallery, tiers, threshold, report)
    paths = {row: [os.fsdecode(path) for path in found] for row, found in gallery.paths().items()}
    for row, files in paths.items():
        if Tier.EXACT in tiers:
            for first, second in combinations(files, 2):
                yield first, second, Tier.EXACT, 1.0
        for relation in relations.of(row, tiers):
            if relation.row > row:
                for first, second in product(files, paths[relation.row]):
                    yield first, second, relation.tier, relation.similarity


def relate(gallery: Gallery, tiers: frozenset[Tier], threshold: float, report: Report) -> Relations:
    """Find all relations of the tiers asked for; parameters as in `find_groups`."""
    images = gallery.images
    members = fold(images)
    above = nearest = Proposals(members, Pairs.empty())

    def pairing(done: int, total: int) -> None:
        report("Pairing", done, total)

    how = pairing, gallery.join, gallery.note
    if Tier.SIMILAR in tiers:
        above = propose_above(members, gallery.vectors, threshold, *how)
    if Tier.NEAR in tiers:
        floors = gallery.space.near_floors
        nearest = propose_nearest(members, gallery.raw, floors, *how)
    if Tier.PIXELS in tiers:
        close = nearest
        if Tier.NEAR not in tiers:
            floor = gallery.space.pixels_floor
            close = propose_above(members, gallery.raw, floor, *how)
        _compare_pixels(gallery, row_pairs(close), report)
    if Tier.NEAR in tiers:
        _prove(gallery, nearest, tiers, report)
    return Relations(len(images), above, gallery.digests, threshold, gallery.near, gallery.ignored)


def _compare_pixels(gallery: Gallery, pairs: Iterable[RowPair], report: Report) -> None:
    """Fill in the missing pixel digests of pictures that may be equal."""
    images = gallery.images
    wanted = rows_to_compare(images, pairs)
    if not wanted:
        return
    paths = gallery.paths()
    found = digest_pictures(
        {row: (images.digest[row], paths[row]) for row in wanted},
        lambda done, total: report("Comparing pixels", done, total),
    )
    for row, digest in found.items():
        gallery.digests[row] = digest
    gallery.catalog.remember_pixel_digests(
        {int(images.ids[row]): digest for row, digest in found.items()}
    )
    unknown = len(wanted) - len(found)
    if unknown:
        gallery.notes.append(_unreadable(unknown, "compared pixel by pixel"))


def _prove(gallery: Gallery, nearest: Proposals, tiers: frozenset[Tier], report: Report) -> None:
    """Prove or refute the candidates, then the members of each family against their keeper.

    A family is what proofs join. Its members need not have been candidates of its keeper (a turned
    copy may resemble another copy more than the original), so that those pairs are proven too.
    """
    digest, digests = gallery.images.digest, gallery.digests
    rows = gallery.paths()

    def open_questions(pairs: Iterable[RowPair]) -> set[RowPair]:
        return {
            (one, two)
            for one, two in pairs
            if (one, two) not in gallery.ignored
            and not (digests[one] and digests[one] == digests[two])
        }

    with Prover(gallery.catalog, {digest[row]: rows[row] for row in rows}, report) as prover:
        pairs = open_questions(row_pairs(nearest))
        asked = set(pairs)
        for _ in range(_ROUNDS):
            prover.prove({content_pair(digest[one], digest[two]) for one, two in pairs})
            for pair in pairs:
                verdict = prover.verdict(digest[pair[0]], digest[pair[1]])
                if verdict is not None:
                    gallery.evidence[pair] = verdict.evidence
                    if verdict.near:
                        gallery.near[pair] = _similarity(gallery.vectors, *pair)
            pairs = open_questions(_within_families(gallery, tiers)) - asked
            asked |= pairs
            if not pairs:
                break
    if prover.unreadable:
        gallery.notes.append(_unreadable(len(prover.unreadable), "proven on the pictures"))
    if nearest.capped:
        gallery.notes.append(
            f"Of {nearest.capped:,} pictures only the {CANDIDATES} nearest look-alikes were proven "
            "or refuted; further copies of theirs are found through those"
        )


def _within_families(gallery: Gallery, tiers: frozenset[Tier]) -> Iterable[RowPair]:
    """Pair each keeper in a family with the members that better keepers did not take."""
    row_of = gallery.files.row.tolist()
    nothing = Proposals([], Pairs.empty())
    relations = Relations(
        len(gallery.images), nothing, gallery.digests, 1.0, gallery.near, gallery.ignored
    )
    proven = (tiers | {Tier.EXACT}) - {Tier.SIMILAR}
    taken_by: dict[int, int] = {}
    for group in group_files(gallery.order, row_of, relations, proven):
        taken_by |= {member.file: group.keeper for member in group.members}
    rank = {file: place for place, file in enumerate(gallery.order)}
    for family in group_files(gallery.order, row_of, relations, proven, Grouping.COMPONENT):
        files = [family.keeper, *(member.file for member in family.members)]
        keepers = sorted({taken_by.get(file, file) for file in files}, key=rank.__getitem__)
        for keeper in keepers[:_KEEPERS]:
            for file in files:
                other = taken_by.get(file, file)
                if rank[other] > rank[keeper] and row_of[file] != row_of[keeper]:
                    yield row_pair(row_of[keeper], row_of[file])


def _unreadable(count: int, purpose: str) -> str:
    return (
        f"{count:,} picture{'s' if count > 1 else ''} could not be read again to be {purpose} "
        "(moved, changed, or on a drive that is not there)"
    )


def _similarity(vectors: npt.NDArray[np.float32], first: int, second: int) -> float:
    return float(pair_similarities(vectors, vectors, np.array([first]), np.array([second]))[0])


def _described(number: int, group: FileGroup, gallery: Gallery) -> Group:
    files, vectors = gallery.files, gallery.vectors
    keeper = int(files.row[group.keeper])
    rows = [int(files.row[member.file]) for member in group.members]
    similarities = pair_similarities(
        vectors, vectors, np.full(len(rows), keeper), np.array(rows, np.int64)
    )
    duplicates = []
    for member, row, measured in zip(group.members, rows, similarities.tolist(), strict=True):
        tier = member.tier or Tier.SIMILAR
        found = gallery.evidence.get(row_pair(keeper, row), "")
        duplicates.append(
            Duplicate(
                path=os.fsdecode(files.path[member.file]),
                tier=tier,
                # Equal inputs embedded in two batches may differ in the last bits; their class,
                # which is what passed the threshold, does not.
                similarity=measured if member.tier is not Tier.SIMILAR else member.similarity or 0,
                bytes=int(files.size[member.file]),
                evidence=describe_pair(
                    gallery.images,
                    keeper,
                    row,
                    tier,
                    found,
                    share=int(files.size[member.file]) / int(files.size[group.keeper]),
                ),
            )
        )
    return Group(
        number=number,
        tier=max((duplicate.tier for duplicate in duplicates), key=lambda tier: tier.looseness),
        keeper=os.fsdecode(files.path[group.keeper]),
        min_similarity=min(_lowest(vectors, sorted({keeper, *rows})), 1.0),
        reclaimable_bytes=sum(duplicate.bytes for duplicate in duplicates),
        duplicates=tuple(duplicates),
    )


def _lowest(vectors: npt.NDArray[np.float32], rows: list[int]) -> float:
    """Find the lowest similarity among images; 1 for a single one. Works 1024 rows at a time."""
    chosen = vectors[rows]
    lowest = 1.0
    for start in range(0, len(rows), 1024):
        products = chosen[start : start + 1024] @ chosen[start:].T
        at = np.unravel_index(int(np.argmin(products)), products.shape)
        exact = pair_similarities(
            chosen, chosen, np.array([start + int(at[0])]), np.array([start + int(at[1])])
        )
        lowest = min(lowest, float(exact[0]))
    return lowest
