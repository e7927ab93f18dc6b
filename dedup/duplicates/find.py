"""From a catalog to its duplicate groups: propose, compare pixels, prove, relate, group, describe.

The tiers that are asked for decide how much is done: `exact` needs no vectors, `pixels` decodes
images of equal size in full, `near` proves candidates on the images themselves. Each step takes
what the one before it gave. What is found of a pair is kept in the catalog as well, so that a
second look costs nothing.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from dedup.descriptors.vlad import PARTS_VERSION
from dedup.duplicates.candidates import CANDIDATES, WithinGallery, group_identical_inputs, propose
from dedup.duplicates.groups import FileGroup, family_pairs, group_files
from dedup.duplicates.pairs import PairTable, compare_pixels, prove, row_pair, unreadable_note
from dedup.duplicates.ranking import rank_files
from dedup.duplicates.relations import Relations
from dedup.duplicates.sharing import share_parts
from dedup.duplicates.tiers import PROVEN, ImageFile, evidence
from dedup.freshness import Lookout
from dedup.proof import VERIFIER
from dedup.proof.prover import Prover
from dedup.results import Duplicate, Group, Grouping, Tier
from dedup.search.similarity import pair_similarities
from dedup.store.gallery import leaving_out, read_files, read_images
from dedup.store.pairs import read_decisions, read_proven

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from dedup.duplicates.pairs import Report, RowPair
    from dedup.space.space import Space
    from dedup.store.catalog import Catalog
    from dedup.store.gallery import GalleryFiles, GalleryImages
    from dedup.store.pairs import ContentPair, Decision

MAX_FAMILY_ROUNDS = 8
"""Times that families are completed; each may join what was apart."""

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


@dataclass(frozen=True, slots=True)
class Gallery:
    """The live images and files of a collection at one moment.

    Parameters
    ----------
    raw : (N, D) float32, unit rows as stored: what candidates are proposed by
    vectors : (N, D') float32, unit rows as they are compared: what similarity is
    order : (M,) files, from the one most worth keeping
    decisions : what a person said of pairs
    near_floors, pixels_floor : as `candidates.propose` takes them
    join : how pairs are looked for, see `dedup.search.join.JOINS`
    parts : whether images that show a part of another are looked for
    """

    catalog: Catalog
    images: GalleryImages
    files: GalleryFiles
    raw: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32]
    order: list[int]
    decisions: Mapping[ContentPair, Decision]
    near_floors: tuple[float, float]
    pixels_floor: float
    join: str = "auto"
    parts: bool = True

    def paths(self) -> dict[int, list[bytes]]:
        """Map rows to the files of their images."""
        result: dict[int, list[bytes]] = defaultdict(list)
        for row, path in zip(self.files.row.tolist(), self.files.path, strict=True):
            result[row].append(path)
        return result

    def image_file(self, file: int) -> ImageFile:
        """Give what evidence says of a file."""
        images, row = self.images, int(self.files.row[file])
        width, height = int(images.width[row]), int(images.height[row])
        return ImageFile(images.format[row], width, height, int(self.files.size[file]))


def read_gallery(
    catalog: Catalog,
    space: Space,
    join: str = "auto",
    *,
    parts: bool = True,
) -> Gallery:
    """Read a collection as it is now.

    Parameters
    ----------
    space : of the collection
    join, parts : as in `Gallery`
    """

    def read() -> tuple[GalleryImages, GalleryFiles, npt.NDArray[np.float32]]:
        images = read_images(catalog)
        return images, read_files(catalog, images.ids), space.rows(catalog, len(images))

    with catalog.snapshot():
        images, files, raw = leaving_out(catalog, read)
        decisions = read_decisions(catalog)
    return Gallery(
        catalog,
        images,
        files,
        raw=raw,
        vectors=space.vectors(raw),
        order=rank_files(images, files).tolist(),
        decisions=decisions,
        near_floors=space.near_floors,
        pixels_floor=space.pixels_floor,
        join=join,
        parts=parts,
    )


def find_groups(
    gallery: Gallery,
    tiers: frozenset[Tier],
    threshold: float,
    how: Grouping,
    report: Report,
    lookout: Lookout | None = None,
) -> Found:
    """Find the duplicate groups of a collection, of files that are still what was indexed.

    Parameters
    ----------
    tiers : the relations that count
    threshold : lowest similarity of the tier `similar`, inclusive
    report : called with what is being done, how much of it is done, and how much there is
    lookout : looks at the files; None: files of offline roots are left out

    Raises
    ------
    SearchError : the threshold is so low that everything is similar to everything.
    """
    lookout = lookout or Lookout(gallery.catalog.roots())
    relations = relate(gallery, tiers, threshold, report)
    found = _fresh_groups(gallery, relations, tiers, how, lookout)
    groups = [
        _described(number, group, gallery, relations.table, lookout)
        for number, group in enumerate(found, 1)
    ]
    return Found(groups, [*relations.table.notes, *lookout.notes()])


def _fresh_groups(
    gallery: Gallery,
    relations: Relations,
    tiers: frozenset[Tier],
    how: Grouping,
    lookout: Lookout,
) -> list[FileGroup]:
    """Group files, look at those in groups, and group again without what must not be shown."""
    files, order = gallery.files, gallery.order
    row_of = files.row.tolist()
    while True:
        found = group_files(order, row_of, relations, tiers, how)
        lost = {
            file
            for group in found
            for file in (group.keeper, *(member.file for member in group.members))
            if not lookout.shows(files.facts(file))
        }
        if not lost:
            return found
        order = [file for file in order if file not in lost]


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
    source = WithinGallery(gallery.images, gallery.raw, gallery.vectors, gallery.join, report)
    candidates = propose(source, tiers, threshold, gallery.near_floors, gallery.pixels_floor)
    table = PairTable.of(gallery.images, gallery.decisions).noted(candidates.notes)
    table = compare_pixels(table, candidates.may_be_equal, gallery.paths(), gallery.catalog, report)
    relations = Relations(table, candidates.similar, threshold)
    if not tiers & PROVEN:
        return relations
    relations = _prove_all(gallery, relations, candidates.to_prove, tiers, report)
    if not candidates.capped:
        return relations
    note = (
        f"Of {candidates.capped:,} images only the {CANDIDATES} nearest look-alikes were proven "
        "or refuted; further copies of theirs are found through those"
    )
    return relations.with_table(relations.table.noted([note]))


def _prove_all(
    gallery: Gallery,
    relations: Relations,
    pairs: set[RowPair],
    tiers: frozenset[Tier],
    report: Report,
) -> Relations:
    """Prove what embeddings propose, what parts propose, and what was proven before.

    Parts are compared once for each state of the catalog: from then on what was proven is known,
    and what was refuted need not be proposed.
    """
    catalog, notes = gallery.catalog, list[str]()
    state = f"{catalog.version} {VERIFIER} {PARTS_VERSION}"
    shared: set[RowPair] = set()
    compares = gallery.parts and catalog.parts_compared != state
    if compares:
        members = group_identical_inputs(gallery.images)
        shared, notes = share_parts(catalog, gallery.images, members, report)
    relations = relations.with_table(relations.table.noted(notes))
    relations = _prove(gallery, relations, pairs | shared | _known_pairs(gallery), tiers, report)
    table = relations.table
    if compares and not notes and not (table.unproven(shared) or shared & table.ignored):
        catalog.parts_compared = state
    return relations


def _known_pairs(gallery: Gallery) -> set[RowPair]:
    """List the pairs that were proven before, by `why` or when there were other candidates."""
    rows = {digest: row for row, digest in enumerate(gallery.images.digest)}
    return {
        row_pair(rows[first], rows[second])
        for first, second in read_proven(gallery.catalog, VERIFIER)
        if first in rows and second in rows
    }


def _prove(
    gallery: Gallery,
    relations: Relations,
    pairs: set[RowPair],
    tiers: frozenset[Tier],
    report: Report,
) -> Relations:
    """Prove or refute pairs, then the members of each family against its keepers.

    Members of a family need not have been candidates of its keeper: a turned copy may resemble
    another copy more than the original.
    """
    digest, row_of = gallery.images.digest, gallery.files.row.tolist()
    sources = {digest[row]: paths for row, paths in gallery.paths().items()}
    proven = (tiers | {Tier.EXACT}) - {Tier.SIMILAR}
    new = relations.table.unproven(pairs)
    asked = set(new)
    with Prover(gallery.catalog, sources, report) as prover:
        for _ in range(MAX_FAMILY_ROUNDS):
            relations = relations.with_table(prove(relations.table, new, prover, gallery.vectors))
            families = family_pairs(gallery.order, row_of, relations, proven)
            new = relations.table.unproven(families) - asked
            asked |= new
            if not new:
                break
        return relations.with_table(relations.table.noted(unreadable_note(prover)))


def _described(
    number: int, group: FileGroup, gallery: Gallery, table: PairTable, lookout: Lookout
) -> Group:
    files, vectors = gallery.files, gallery.vectors
    keeper = int(files.row[group.keeper])
    rows = [int(files.row[member.file]) for member in group.members]
    similarities = pair_similarities(
        vectors, vectors, np.full(len(rows), keeper), np.array(rows, np.int64)
    )
    kept = gallery.image_file(group.keeper)
    duplicates = []
    for member, row, measured in zip(group.members, rows, similarities.tolist(), strict=True):
        tier = member.tier or Tier.SIMILAR
        facts, other = table.facts(keeper, row), gallery.image_file(member.file)
        duplicates.append(
            Duplicate(
                path=os.fsdecode(files.path[member.file]),
                tier=tier,
                # Equal inputs embedded in two batches may differ in the last bits; their class,
                # which is what passed the threshold, does not.
                similarity=measured if member.tier is not Tier.SIMILAR else member.similarity or 0,
                bytes=other.bytes or 0,
                evidence=evidence(tier, facts, kept, other)
                + _offline_words(lookout, files.root[group.keeper], files.root[member.file]),
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


def _offline_words(lookout: Lookout, kept: int, other: int) -> str:
    if lookout.is_offline(kept):
        return "; the keeper is offline"
    return "; offline" if lookout.is_offline(other) else ""


def _lowest(vectors: npt.NDArray[np.float32], rows: list[int]) -> float:
    """Find the lowest similarity among images; 1 for a single one."""
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
