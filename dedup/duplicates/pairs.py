"""What is known of pairs of images, and the two checks that find it out: pixels and proof.

Images go by their rows in a table. `list` fills that with a gallery, `compare` with a gallery and
the new images behind it; the checks are the same for both. A `PairTable` never changes: a check
returns another one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from dedup.duplicates.tiers import PROVEN, PairFacts, decide, unreadable_words
from dedup.images.companions import companions
from dedup.images.digest import FIRST_DIGEST_BYTES
from dedup.proof.pixel_digests import digest_images
from dedup.search.similarity import pair_similarities
from dedup.store.pairs import content_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from dedup.proof.prover import Prover
    from dedup.store.catalog import Catalog
    from dedup.store.gallery import GalleryImages
    from dedup.store.pairs import ContentPair, Decision, StoredVerdict

    Report = Callable[[str, int, int], None]

RowPair = tuple[int, int]
"""Two rows, the lower first."""


def row_pair(first: int, second: int) -> RowPair:
    """Order two rows."""
    return (first, second) if first <= second else (second, first)


@dataclass(frozen=True, slots=True)
class PairTable:
    """What is known of the pairs of N images.

    Parameters
    ----------
    images : (N,); rows without an id in the catalog have -1
    pixel_digest : (N,); None where nobody looked yet, b"" where there is none
    ignored : pairs of which a person said that they are no duplicates
    verdicts : of the pairs that were checked
    proven : of the pairs in the tiers `resaved` and `near`, their similarity
    notes : what a person should know of the checks, one sentence each
    companions : pairs of a raw image and what was developed from it, which are kept apart
    """

    images: GalleryImages
    pixel_digest: Sequence[bytes | None]
    ignored: frozenset[RowPair] = frozenset()
    verdicts: Mapping[RowPair, StoredVerdict] = field(default_factory=dict)
    proven: Mapping[RowPair, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    companions: frozenset[RowPair] = frozenset()

    @classmethod
    def of(
        cls,
        images: GalleryImages,
        decisions: Mapping[ContentPair, Decision],
        apart: Iterable[RowPair] = (),
    ) -> PairTable:
        """Begin with what the catalog knows.

        Parameters
        ----------
        images : no content twice
        apart : as `companions`
        """
        rows = {digest: row for row, digest in enumerate(images.digest)}
        ignored = frozenset(
            row_pair(rows[first], rows[second])
            for (first, second), decision in decisions.items()
            if not decision.duplicate and first in rows and second in rows
        )
        current = [
            None if digest is not None and len(digest) == FIRST_DIGEST_BYTES else digest
            for digest in images.pixel_digest
        ]
        return cls(images, current, ignored, companions=frozenset(apart))

    def facts(self, first: int, second: int, *, alike: bool = False) -> PairFacts:
        """Give what is known of two different images; the verdict is of the second."""
        pair, trivial, pixels = row_pair(first, second), self.images.trivial, self.pixel_digest
        verdict = self.verdicts.get(pair)
        return PairFacts(
            same_pixels=bool(pixels[first]) and pixels[first] == pixels[second],
            verdict=verdict.turned() if verdict is not None and pair[0] != first else verdict,
            alike=alike,
            trivial=bool(trivial[first] or trivial[second]),
            ignored=pair in self.ignored or pair in self.companions,
            named=not (self.images.frames[first] and self.images.frames[second]),
        )

    def made_from(self) -> Iterator[tuple[int, int]]:
        """List pairs of an original and of what a proof says was made from it."""
        for (first, second), verdict in self.verdicts.items():
            if verdict.tier is not None and verdict.derived:
                yield (second, first) if verdict.derived == 1 else (first, second)

    def noted(self, notes: Iterable[str]) -> PairTable:
        """Add notes."""
        return replace(self, notes=(*self.notes, *notes))

    def unproven(self, pairs: Iterable[RowPair]) -> set[RowPair]:
        """Keep the pairs that a proof can tell something of, and that were not checked."""
        found = set()
        for pair in pairs:
            if pair not in self.verdicts:  # most of them, in a second list
                facts = self.facts(*pair)
                if not (facts.ignored or facts.trivial or facts.same_pixels or facts.named):
                    found.add(pair)
        return found


def companion_pairs(
    images: GalleryImages, paths: Mapping[int, Sequence[bytes]]
) -> dict[RowPair, set[bytes]]:
    """Find the raw images and the JPEG or HEIC beside them, by names; each pair with its raw files.

    What holds for two files holds for their contents wherever else these are: a raw image on a
    card is no copy of the JPEG that was developed from it and has been moved to the library.

    Parameters
    ----------
    paths : per row the files of the image, absolute
    """
    kinds = images.format
    if "RAW" not in kinds:
        return {}
    row_of = {
        path: row
        for row, found in paths.items()
        if kinds[row] in {"RAW", "JPEG", "HEIF"}
        for path in found
    }
    pairs: dict[RowPair, set[bytes]] = defaultdict(set)
    for raw, developed in companions(row_of).raws.items():
        for other in developed:
            if kinds[row_of[raw]] == "RAW" != kinds[row_of[other]]:
                pairs[row_pair(row_of[raw], row_of[other])].add(raw)
    return dict(pairs)


def companions_note(raws: Collection[bytes], more: str = "") -> tuple[str, ...]:
    """Say how many raw files are kept apart from what was developed from them."""
    if not raws:
        return ()
    one = len(raws) == 1
    files = (
        "1 RAW file and the JPEG beside it"
        if one
        else (f"{len(raws):,} RAW files and the JPEGs beside them")
    )
    return (f"{files} count as {'a pair' if one else 'pairs'}, not duplicates{more}",)


def compare_pixels(
    table: PairTable,
    may_be_equal: Iterable[Sequence[int]],
    paths: Mapping[int, Sequence[bytes]],
    catalog: Catalog,
    report: Report,
) -> PairTable:
    """Digest the pixels of the images that may be equal bit for bit, each once.

    Parameters
    ----------
    may_be_equal : sets of rows; only stills of one upright size are looked at
    paths : per row the files of the image
    catalog : remembers what was found
    """
    images = table.images
    wanted = _rows_to_digest(table, may_be_equal)
    if not wanted:
        return table
    found = digest_images(
        {row: (images.digest[row], paths[row]) for row in wanted},
        lambda done, total: report("Comparing pixels", done, total),
    )
    catalog.remember_pixel_digests(
        {int(images.ids[row]): digest for row, digest in found.items() if images.ids[row] >= 0}
    )
    digests = list(table.pixel_digest)
    for row, digest in found.items():
        digests[row] = digest
    unknown = len(wanted) - len(found)
    notes = (unreadable_words(unknown, "compared pixel by pixel"),) if unknown else ()
    return replace(table, pixel_digest=digests, notes=table.notes + notes)


def _rows_to_digest(table: PairTable, may_be_equal: Iterable[Sequence[int]]) -> list[int]:
    """List the stills that share their upright size with another of a set, rising."""
    wanted = set(chain.from_iterable(of_one_size(table.images, may_be_equal)))
    return sorted(row for row in wanted if table.pixel_digest[row] is None)


def of_one_size(images: GalleryImages, rows: Iterable[Sequence[int]]) -> Iterator[list[int]]:
    """List the stills of each set that share their upright size, where these are two or more.

    Files of one format are decoded in one way, so that those of equal pixels were equal as inputs:
    sets of one format whose inputs all differ are left out.
    """
    width, height = images.width.tolist(), images.height.tolist()
    still = (images.frames == 1).tolist()
    for some in rows:
        by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row in some:
            if still[row]:
                by_size[width[row], height[row]].append(row)
        for same in by_size.values():
            if len(same) < 2:  # noqa: PLR2004 - to compare
                continue
            formats = {images.format[row] for row in same}
            inputs = {images.input_digest[row] for row in same}
            if len(formats) > 1 or len(inputs) < len(same):
                yield same


def prove(
    table: PairTable,
    pairs: Iterable[RowPair],
    prover: Prover,
    vectors: npt.NDArray[np.float32] | None = None,
) -> PairTable:
    """Check pairs; those with an image that cannot be read stay unchecked.

    Parameters
    ----------
    vectors : (N, D) float32, unit rows as they are compared, where the similarity of proven pairs
        is wanted
    """
    contents = _contents(table, pairs)
    prover.prove([content_pair(*content) for content in contents.values()])
    return _checked(table, contents, prover, vectors)


def prove_copies(
    table: PairTable,
    pairs: Iterable[RowPair],
    prover: Prover,
    vectors: npt.NDArray[np.float32],
) -> PairTable:
    """Check pairs that are likely to be one image saved twice; those that are not stay unchecked.

    Parameters as in `prove`.
    """
    contents = _contents(table, pairs)
    prover.prove_copies([content_pair(*content) for content in contents.values()])
    return _checked(table, contents, prover, vectors)


def sift(table: PairTable, pairs: Iterable[RowPair], prover: Prover) -> set[RowPair]:
    """Leave out the pairs of which no parts agree; no image is read for this."""
    contents = {pair: content_pair(*both) for pair, both in _contents(table, pairs).items()}
    kept = prover.sift(contents.values())
    return {pair for pair, content in contents.items() if content in kept}


def _contents(table: PairTable, pairs: Iterable[RowPair]) -> dict[RowPair, ContentPair]:
    digest = table.images.digest
    return {(one, two): (digest[one], digest[two]) for one, two in pairs}


def _checked(
    table: PairTable,
    contents: Mapping[RowPair, ContentPair],
    prover: Prover,
    vectors: npt.NDArray[np.float32] | None,
) -> PairTable:
    """Take over what a prover knows."""
    found = {pair: prover.verdict(*content) for pair, content in contents.items()}
    known = {pair: verdict for pair, verdict in found.items() if verdict is not None}
    checked = replace(table, verdicts={**table.verdicts, **known})
    right = sorted(pair for pair in known if decide(checked.facts(*pair)) in PROVEN)
    if vectors is None or not right:
        return checked
    first, second = np.array(right, np.int64).T
    similarities = pair_similarities(vectors, vectors, first, second).tolist()
    return replace(checked, proven={**table.proven, **dict(zip(right, similarities, strict=True))})


def unreadable_note(prover: Prover) -> tuple[str, ...]:
    """Say of how many images a prover could read no file; nothing where it read all."""
    count = len(prover.unreadable)
    return (unreadable_words(count, "compared"),) if count else ()
