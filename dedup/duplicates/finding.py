"""From a catalog to its duplicate groups: pair, compare pixels, group, and say what was found."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dedup.duplicates.evidence import describe_pair
from dedup.duplicates.groups import FileGroup, group_files
from dedup.duplicates.keep import keep_order
from dedup.duplicates.pixels import digest_pictures
from dedup.duplicates.relations import PIXELS_FLOOR, Proposals, Relations, propose, rows_to_compare
from dedup.results import Duplicate, Group, Grouping, Tier
from dedup.search.join import Pairs
from dedup.search.similarity import pair_similarities
from dedup.store.gallery import GalleryFiles, GalleryImages, read_files, read_images, read_vectors

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from dedup.store.catalog import Catalog


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


def find_groups(
    catalog: Catalog,
    tiers: frozenset[Tier],
    threshold: float,
    how: Grouping,
    report: Callable[[str, int, int], None],
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
    with catalog.snapshot():
        images = read_images(catalog)
        files = read_files(catalog, images.ids)
        vectors = read_vectors(catalog, catalog.fingerprint.layers[0], len(images))
    notes: list[str] = []
    proposals = Proposals([], Pairs.empty())
    digests = list(images.pixel_digest)
    if tiers - {Tier.EXACT}:
        floor = min(threshold, PIXELS_FLOOR) if Tier.SIMILAR in tiers else PIXELS_FLOOR
        proposals = propose(
            images, vectors, floor, lambda done, total: report("Pairing", done, total)
        )
    if Tier.PIXELS in tiers:
        unknown = _compare_pixels(catalog, images, files, proposals, digests, report)
        if unknown:
            notes.append(
                f"{unknown} picture{'s' if unknown > 1 else ''} could not be read again to be "
                "compared pixel by pixel (moved, changed, or on a drive that is not there)"
            )
    relations = Relations(len(images), proposals, digests, threshold)
    found = group_files(
        keep_order(images, files).tolist(), files.row.tolist(), relations, tiers, how
    )
    return Found(
        [
            _described(number, group, images, files, vectors)
            for number, group in enumerate(found, 1)
        ],
        notes,
    )


def _compare_pixels(
    catalog: Catalog,
    images: GalleryImages,
    files: GalleryFiles,
    proposals: Proposals,
    digests: list[bytes | None],
    report: Callable[[str, int, int], None],
) -> int:
    """Fill in the missing pixel digests; gives how many could not be had."""
    wanted = rows_to_compare(images, proposals)
    if not wanted:
        return 0
    paths: dict[int, list[bytes]] = defaultdict(list)
    for row, path in zip(files.row.tolist(), files.path, strict=True):
        paths[row].append(path)
    found = digest_pictures(
        {row: (images.digest[row], paths[row]) for row in wanted},
        lambda done, total: report("Comparing pixels", done, total),
    )
    for row, digest in found.items():
        digests[row] = digest
    catalog.remember_pixel_digests({int(images.ids[row]): digest for row, digest in found.items()})
    return len(wanted) - len(found)


def _described(
    number: int,
    group: FileGroup,
    images: GalleryImages,
    files: GalleryFiles,
    vectors: npt.NDArray[np.float32],
) -> Group:
    keeper = int(files.row[group.keeper])
    rows = [int(files.row[member.file]) for member in group.members]
    similarities = pair_similarities(
        vectors, vectors, np.full(len(rows), keeper), np.array(rows, np.int64)
    )
    duplicates = []
    for member, row, measured in zip(group.members, rows, similarities.tolist(), strict=True):
        tier = member.tier or Tier.SIMILAR
        duplicates.append(
            Duplicate(
                path=os.fsdecode(files.path[member.file]),
                tier=tier,
                # Equal inputs embedded in two batches may differ in the last bits; their class,
                # which is what passed the threshold, does not.
                similarity=measured
                if member.tier is not Tier.SIMILAR
                else member.similarity or 0.0,
                bytes=int(files.size[member.file]),
                evidence=describe_pair(images, keeper, row, tier),
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
