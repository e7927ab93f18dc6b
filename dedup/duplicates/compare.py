"""Which of some new images are in a gallery already: one way, the surest match of each.

Equal contents come first and cost nothing more; the rest goes the way of `find`, with candidates
from one side: new images are paired with the gallery, and the gallery is never paired with itself.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from dedup.duplicates.candidates import AgainstGallery, group_identical_inputs, propose
from dedup.duplicates.pairs import (
    PairTable,
    companion_pairs,
    companions_note,
    compare_pixels,
    prove,
    unreadable_note,
)
from dedup.duplicates.sharing import share_parts
from dedup.duplicates.tiers import (
    ImageFile,
    PairFacts,
    decide,
    evidence,
    reaches,
    takes_proof,
)
from dedup.freshness import Lookout
from dedup.proof.prover import Prover
from dedup.results import Match, Tier
from dedup.search.similarity import pair_similarities
from dedup.store.gallery import GalleryImages

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    import numpy.typing as npt

    from dedup.duplicates.candidates import Candidates
    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.pairs import Report, RowPair
    from dedup.records import ImageFacts

OFFLINE_NOTE = "offline: not there now, known from when it was indexed"


@dataclass(frozen=True, slots=True)
class NewImages:
    """Images to look for.

    Parameters
    ----------
    paths : (Q,) as they were given
    facts : (Q,)
    raw : (Q, D) float32, unit rows as embedded: what candidates are proposed by
    vectors : (Q, D') float32, unit rows as they are compared: what similarity is
    parts : (Q,) packed; None where the catalog holds them, or details are no view
    """

    paths: list[str]
    facts: list[ImageFacts]
    raw: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32]
    parts: Sequence[bytes | None]


def compare(
    gallery: Gallery,
    within: bytes | None,
    new: NewImages,
    tiers: frozenset[Tier],
    threshold: float,
    report: Report,
    lookout: Lookout | None = None,
) -> tuple[list[Match], list[str]]:
    """Find the surest match of each new image, if it has one.

    Parameters
    ----------
    within : absolute folder that matches must be in; None: anywhere in the collection
    tiers : that count
    threshold : lowest similarity of the tier `similar`, inclusive
    lookout : looks at the files of the gallery; None: those of offline roots are left out, unless
        `within` is there

    Returns
    -------
    Matches, surest tier and highest similarity first, ties by path; and notes for a person.
    """
    lookout = lookout or Lookout(gallery.catalog.roots(), asked=within)
    reference = _Reference(gallery, within, lookout)
    found: dict[int, list[Match]] = defaultdict(list)
    if Tier.EXACT in tiers:
        for number, match in _exact(reference, new):
            found[number].append(match)
    left = [number for number in range(len(new.paths)) if number not in found]
    notes: tuple[str, ...] = ()
    if left and reference.files and tiers - {Tier.EXACT}:
        joint = _Joint(gallery, new, left)
        candidates, table = _checked(reference, joint, tiers, threshold, report)
        pairs = joint.from_one_side(candidates, reference.files)
        for number, match in _matches(reference, joint, table, pairs, tiers, threshold):
            found[number].append(match)
        notes = table.notes
    best = [min(matches, key=sureness) for matches in found.values()]
    return sorted(best, key=sureness), [*notes, *lookout.notes()]


def sureness(match: Match) -> tuple[int, float, str, str]:
    """Give the key by which matches are sorted."""
    return match.tier.looseness, -match.similarity, match.path, match.match


class _Reference:
    """The part of a gallery that new images are compared with."""

    def __init__(self, gallery: Gallery, within: bytes | None, lookout: Lookout) -> None:
        self.gallery = gallery
        self._lookout = lookout
        self.files: dict[int, list[int]] = defaultdict(list)
        """Per row the files of the image, the best first."""
        for file in gallery.order:
            path = gallery.files.path[file]
            if within is None or path.startswith(within.rstrip(b"/") + b"/"):
                self.files[int(gallery.files.row[file])].append(file)

    def other_file(self, row: int, path: str) -> int | None:
        """Give the best file of an image that may be shown and is not the new image itself."""
        name, files = os.fsencode(path), self.gallery.files
        own = {name, os.path.realpath(name)}  # itself where it is a name, and where it is a file
        others = (file for file in self.files[row] if files.path[file] not in own)
        return next((file for file in others if self._lookout.shows(files.facts(file))), None)

    def match(
        self, path: str, new: ImageFile, file: int, facts: PairFacts, tier: Tier, similarity: float
    ) -> Match:
        """Describe a match with a file of the gallery."""
        words = evidence(tier, facts, self.gallery.image_file(file), new)
        name = os.fsdecode(self.gallery.files.path[file])
        offline = self._lookout.is_offline(self.gallery.files.root[file])
        return Match(path, tier, name, similarity, words, OFFLINE_NOTE if offline else "")


def _exact(reference: _Reference, new: NewImages) -> Iterator[tuple[int, Match]]:
    digest = reference.gallery.images.digest
    row_of = {digest[row]: row for row in reference.files}
    facts = PairFacts(same_bytes=True)
    for number, (path, image) in enumerate(zip(new.paths, new.facts, strict=True)):
        row = row_of.get(image.digest)
        file = None if row is None else reference.other_file(row, path)
        if file is not None:
            ours = _image_file(path, image)
            yield number, reference.match(path, ours, file, facts, Tier.EXACT, 1.0)


def _image_file(path: str, facts: ImageFacts) -> ImageFile:
    try:
        size = os.path.getsize(path)
    except OSError:
        size = None
    return ImageFile(facts.format, facts.width, facts.height, size)


class _Joint:
    """A gallery, and behind its rows the new images that it does not hold.

    Parameters
    ----------
    numbers : of the new images that count
    """

    def __init__(self, gallery: Gallery, new: NewImages, numbers: list[int]) -> None:
        self.gallery, self.new = gallery, new
        self.numbers: dict[int, list[int]] = {}
        """Per row of a new image the numbers under which it was given."""
        self.rows = {digest: row for row, digest in enumerate(gallery.images.digest)}
        added: list[ImageFacts] = []
        for number in numbers:
            facts = new.facts[number]
            row = self.rows.setdefault(facts.digest, len(self.rows))
            if row == len(gallery.images) + len(added):
                added.append(facts)
            self.numbers.setdefault(row, []).append(number)
        self.images = _with_new(gallery.images, added)

    def source(self, reference: Sequence[int]) -> AgainstGallery:
        """Give the source of candidates."""
        gallery, new = self.gallery, self.new
        first = [numbers[0] for numbers in self.numbers.values()]
        return AgainstGallery(
            self.images,
            (gallery.raw, gallery.vectors),
            reference,
            list(self.numbers),
            (new.raw[first], new.vectors[first]),
        )

    def sharing_parts(
        self, reference: Sequence[int], report: Report
    ) -> tuple[set[RowPair], list[str]]:
        """Pair new images with those of the gallery that show a part of them, or they of those."""
        gallery, trivial = self.gallery, self.images.trivial
        if not gallery.parts:
            return set(), []
        fresh = [
            (row, self.new.parts[numbers[0]])
            for row, numbers in self.numbers.items()
            if not trivial[row]
        ]
        members = group_identical_inputs(self.images, reference)
        if not fresh:
            return set(), []
        return share_parts(gallery.catalog, self.images, members, report, fresh)

    def paths(self) -> dict[int, list[bytes]]:
        """Map rows to the files of their images, those that were just read first."""
        paths = self.gallery.paths()
        for row, numbers in self.numbers.items():
            paths[row] = [os.fsencode(self.new.paths[one]) for one in numbers] + paths[row]
        return paths

    def companions(self) -> tuple[set[RowPair], set[bytes]]:
        """Find raw images and what was developed from them, and the new raw files among them."""
        paths, new = self.gallery.paths(), set()
        for name, facts in zip(self.new.paths, self.new.facts, strict=True):
            path = os.path.realpath(os.fsencode(name))
            new.add(path)
            if facts.digest in self.rows:  # also of those that have a match by their bytes
                paths.setdefault(self.rows[facts.digest], []).append(path)
        pairs = companion_pairs(self.images, paths)
        return set(pairs), new & set().union(*pairs.values())

    def from_one_side(
        self, pairs: set[RowPair], reference: Container[int]
    ) -> list[tuple[int, int]]:
        """Turn pairs of rows into pairs of a new image's number and a row of the reference."""
        return [
            (number, row)
            for pair in sorted(pairs)
            for new, row in (pair, pair[::-1])
            if row in reference
            for number in self.numbers.get(new, ())
        ]


def _with_new(images: GalleryImages, new: list[ImageFacts]) -> GalleryImages:
    return GalleryImages(
        ids=np.append(images.ids, np.full(len(new), -1, np.int64)),
        digest=images.digest + [one.digest for one in new],
        format=images.format + [one.format for one in new],
        width=np.append(images.width, np.array([one.width for one in new], np.int32)),
        height=np.append(images.height, np.array([one.height for one in new], np.int32)),
        frames=np.append(images.frames, np.array([one.frames for one in new], np.int32)),
        trivial=np.append(images.trivial, np.array([one.trivial for one in new], np.bool_)),
        input_digest=images.input_digest + [one.input_digest for one in new],
        pixel_digest=images.pixel_digest + [None] * len(new),
        damaged=np.append(images.damaged, np.array([one.damaged for one in new], np.bool_)),
    )


def _checked(
    reference: _Reference,
    joint: _Joint,
    tiers: frozenset[Tier],
    threshold: float,
    report: Report,
) -> tuple[set[RowPair], PairTable]:
    """Propose pairs, compare their pixels, and prove them; gives all that may be related."""
    gallery, paths = reference.gallery, joint.paths()
    candidates = propose(
        joint.source(sorted(reference.files)),
        tiers,
        threshold,
        gallery.near_floors,
        gallery.pixels_floor,
    )
    apart, raws = joint.companions()
    table = PairTable.of(joint.images, gallery.decisions, apart).noted(candidates.notes)
    table = table.noted(companions_note(raws))
    table = compare_pixels(table, candidates.may_be_equal, paths, gallery.catalog, report)
    to_prove = set(candidates.to_prove)
    if takes_proof(tiers):
        shared, notes = joint.sharing_parts(sorted(reference.files), report)
        table, to_prove = table.noted(notes), to_prove | shared
        sources = {joint.images.digest[row]: found for row, found in paths.items()}
        with Prover(gallery.catalog, sources, report) as prover:
            table = prove(table, table.unproven(to_prove), prover)
            table = table.noted(unreadable_note(prover))
    return _all_pairs(candidates) | to_prove, table


def _all_pairs(candidates: Candidates) -> set[RowPair]:
    equal = (product(rows[:1], rows[1:]) for rows in candidates.may_be_equal)
    return (
        candidates.to_prove
        | candidates.similar.row_pairs()
        | {(min(pair), max(pair)) for pairs in equal for pair in pairs}
    )


def _matches(
    reference: _Reference,
    joint: _Joint,
    table: PairTable,
    pairs: list[tuple[int, int]],
    tiers: frozenset[Tier],
    threshold: float,
) -> Iterator[tuple[int, Match]]:
    """Yield the pairs of a new image's number and a row of the gallery that are matches."""
    new = joint.new
    numbers, rows = np.array(pairs, np.int64).reshape(-1, 2).T
    similarities = pair_similarities(new.vectors, reference.gallery.vectors, numbers, rows)
    for (number, row), similarity in zip(pairs, similarities.tolist(), strict=True):
        alike = reaches(similarity, threshold)
        facts = table.facts(row, joint.rows[new.facts[number].digest], alike=alike)
        tier, path = decide(facts, tiers), new.paths[number]
        file = None if tier is None else reference.other_file(row, path)
        if tier is not None and file is not None:
            ours = _image_file(path, new.facts[number])
            yield number, reference.match(path, ours, file, facts, tier, similarity)
