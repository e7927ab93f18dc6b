"""Which of some new pictures are in a gallery already: one way, the surest match of each.

Equal contents come first and cost nothing more; the nearest others of the rest are compared pixel
by pixel and proven, as they are within a collection. The gallery is never compared with itself.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dedup.duplicates.candidates import CANDIDATES, CENTRE_FROM
from dedup.proof.pixel_digests import digest_pictures
from dedup.proof.prover import Prover
from dedup.results import Match, Tier
from dedup.search.index import VectorIndex
from dedup.search.similarity import inclusive, pair_similarities, unit_rows
from dedup.store.pairs import content_pair, read_decisions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from dedup.duplicates.find import Gallery

    Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class NewImages:
    """Pictures to look for.

    Parameters
    ----------
    paths : (Q,) as they were given
    contents : (Q,) SHA-256
    trivial : (Q,) blank or tiny: matched by bytes and pixels only
    raw : (Q, D) float32, unit rows as embedded: what candidates are proposed by
    vectors : (Q, D') float32, unit rows as they are compared: what similarity is
    """

    paths: list[str]
    contents: list[bytes]
    trivial: list[bool]
    raw: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32]


class _Reference:
    """The part of a gallery that new pictures are compared with."""

    def __init__(self, gallery: Gallery, within: bytes | None) -> None:
        self.gallery = gallery
        self.files: dict[int, list[bytes]] = defaultdict(list)
        for file in gallery.order:
            path = gallery.files.path[file]
            if within is None or path.startswith(within.rstrip(b"/") + b"/"):
                self.files[int(gallery.files.row[file])].append(path)
        self.rows = np.array(sorted(self.files), np.int64)
        self.row_of = {gallery.images.digest[row]: row for row in self.files}

    def other_files(self, row: int, path: str) -> list[bytes]:
        """List the files of an image, the best to keep first, without the new picture itself."""
        own = os.path.realpath(os.fsencode(path))
        return [file for file in self.files[row] if file != own]


def compare(
    gallery: Gallery,
    within: bytes | None,
    new: NewImages,
    tiers: frozenset[Tier],
    threshold: float,
    report: Report,
) -> tuple[list[Match], list[str]]:
    """Find the surest match of each new picture, if it has one.

    Parameters
    ----------
    within : absolute folder that matches must be in; None: anywhere in the collection
    tiers : that count
    threshold : lowest similarity of the tier `similar`, inclusive

    Returns
    -------
    Matches, surest tier and highest similarity first, ties by path; and notes for a person.
    """
    reference = _Reference(gallery, within)
    found: dict[int, list[Match]] = defaultdict(list)
    if Tier.EXACT in tiers:
        for number, match in _exact(reference, new):
            found[number].append(match)
    left = [number for number in range(len(new.paths)) if number not in found]
    notes: list[str] = []
    if left and len(reference.rows) and tiers - {Tier.EXACT}:
        candidates = _candidates(reference, new, left, tiers, threshold)
        for number, match in _judged(reference, new, candidates, tiers, threshold, report, notes):
            found[number].append(match)
    best = [min(matches, key=_sureness) for matches in found.values()]
    return sorted(best, key=_sureness), notes


def _sureness(match: Match) -> tuple[int, float, str, str]:
    return match.tier.looseness, -match.similarity, match.path, match.match


def _exact(reference: _Reference, new: NewImages) -> Iterator[tuple[int, Match]]:
    for number, (path, content) in enumerate(zip(new.paths, new.contents, strict=True)):
        row = reference.row_of.get(content)
        others = [] if row is None else reference.other_files(row, path)
        if others:
            yield number, Match(path, Tier.EXACT, os.fsdecode(others[0]), 1.0, "same bytes")


def _candidates(
    reference: _Reference,
    new: NewImages,
    numbers: list[int],
    tiers: frozenset[Tier],
    threshold: float,
) -> set[tuple[int, int]]:
    """Pair new pictures with the rows that are worth a look."""
    gallery, queries = reference.gallery.raw[reference.rows], new.raw[numbers]
    floor, centred_floor = reference.gallery.space.near_floors
    if len(gallery) >= CENTRE_FROM:
        mean = gallery.mean(axis=0)
        gallery, queries, floor = (
            unit_rows(gallery - mean),
            unit_rows(queries - mean),
            centred_floor,
        )
    pairs = set(_nearest(reference, gallery, numbers, queries, floor))
    if Tier.SIMILAR in tiers:
        compared = reference.gallery.vectors[reference.rows]
        pairs |= set(_nearest(reference, compared, numbers, new.vectors[numbers], threshold))
    return pairs


def _nearest(
    reference: _Reference,
    gallery: npt.NDArray[np.float32],
    numbers: list[int],
    queries: npt.NDArray[np.float32],
    floor: float,
) -> Iterator[tuple[int, int]]:
    found = VectorIndex(gallery, fp32=True).neighbours(queries, CANDIDATES)
    for number, hits in zip(numbers, found, strict=True):
        enough = hits.similarity >= inclusive(floor)
        yield from ((number, row) for row in reference.rows[hits.rows[enough]].tolist())


def _judged(
    reference: _Reference,
    new: NewImages,
    candidates: set[tuple[int, int]],
    tiers: frozenset[Tier],
    threshold: float,
    report: Report,
    notes: list[str],
) -> Iterator[tuple[int, Match]]:
    """Yield the matches among candidates."""
    gallery = reference.gallery
    digest = gallery.images.digest
    refused = {
        pair for pair, decision in read_decisions(gallery.catalog).items() if not decision.duplicate
    }
    pairs = sorted(
        (number, row)
        for number, row in candidates
        if content_pair(new.contents[number], digest[row]) not in refused
        and new.contents[number] != digest[row]
    )
    numbers = np.array([number for number, _ in pairs], np.int64)
    rows = np.array([row for _, row in pairs], np.int64)
    similarities = pair_similarities(new.vectors, gallery.vectors, numbers, rows).tolist()
    as_embedded = pair_similarities(new.raw, gallery.raw, numbers, rows).tolist()
    sources = {digest[row]: reference.files[row] for row in reference.files}
    sources |= {
        content: [os.fsencode(path)] for content, path in zip(new.contents, new.paths, strict=True)
    }
    pixels: dict[bytes, bytes | None] = {digest[row]: gallery.digests[row] for _, row in pairs}
    if Tier.PIXELS in tiers:
        floor = gallery.space.pixels_floor
        close = [
            content
            for (number, row), similarity in zip(pairs, as_embedded, strict=True)
            if similarity >= floor
            for content in (new.contents[number], digest[row])
            if pixels.get(content) is None
        ]
        pixels |= digest_pictures(
            {content: (content, sources[content]) for content in sorted(set(close))},
            lambda done, total: report("Comparing pixels", done, total),
        )
    with Prover(gallery.catalog, sources, report) as prover:
        if Tier.NEAR in tiers:
            prover.prove(
                {
                    content_pair(new.contents[number], digest[row])
                    for number, row in pairs
                    if not new.trivial[number]
                }
            )
        if prover.unreadable:
            notes.append(
                f"{len(prover.unreadable):,} pictures could not be read again to be proven"
            )
    for (number, row), similarity in zip(pairs, similarities, strict=True):
        others = reference.other_files(row, new.paths[number])
        if not others:
            continue
        ours = pixels.get(new.contents[number])
        verdict = prover.verdict(new.contents[number], digest[row])
        if Tier.PIXELS in tiers and ours and ours == pixels.get(digest[row]):
            tier, evidence = Tier.PIXELS, "same pixels, other container or metadata"
        elif verdict is not None and verdict.near and Tier.NEAR in tiers:
            tier, evidence = Tier.NEAR, verdict.evidence
        elif (
            Tier.SIMILAR in tiers
            and not new.trivial[number]
            and not gallery.images.trivial[row]
            and similarity >= inclusive(threshold)
        ):
            tier, evidence = Tier.SIMILAR, "looks alike"
        else:
            continue
        match = Match(new.paths[number], tier, os.fsdecode(others[0]), similarity, evidence)
        yield number, match
