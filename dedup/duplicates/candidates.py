"""Which pairs of images are worth a closer look, by their embeddings.

There are two sources of candidates: a gallery with itself (`WithinGallery`) and new images against
a gallery (`AgainstGallery`). `propose` asks either for the same things. Images whose decoded input
is identical are one class, so that a thousand blank pages cost a thousand rows and not half a
million pairs. What a pair turns out to be is decided elsewhere: by threshold (`relations`), by
pixels or by proof (`pairs`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dedup.duplicates.pairs import row_pair
from dedup.duplicates.tiers import CANDIDATES, compares_pixels, takes_proof
from dedup.results import Tier
from dedup.search.join import Pairs, nearest_pairs, self_join
from dedup.search.similarity import inclusive, unit_rows
from dedup.space.thresholds import CENTRE_FROM_IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from dedup.duplicates.pairs import Report, RowPair
    from dedup.store.gallery import GalleryImages

    Rows = npt.NDArray[np.float32]

MAX_ROW_PAIRS = 16
"""Pairs of one pair of classes that are all looked at; beyond, one stands for all."""


@dataclass(frozen=True, slots=True)
class Proposals:
    """Pairs of classes of images with identical decoded input.

    Parameters
    ----------
    members : per class the rows of its images, rising; trivial images are in none
    pairs : of classes
    capped : classes that had more near ones than `CANDIDATES`
    one_sided : the members of one class are no pairs
    """

    members: list[list[int]]
    pairs: Pairs
    capped: int = 0
    one_sided: bool = False

    def row_pairs(self) -> set[RowPair]:
        """List the pairs of images, at most `MAX_ROW_PAIRS` per pair of classes.

        Of larger classes one image stands for all; images that are later found related through it
        are paired with their keeper then.
        """
        pairs: set[RowPair] = set()
        for rows in [] if self.one_sided else self.members:
            if len(rows) * (len(rows) - 1) // 2 <= MAX_ROW_PAIRS:
                pairs.update(combinations(rows, 2))
            else:
                pairs.update((rows[0], other) for other in rows[1:])
        for one, two in zip(self.pairs.first.tolist(), self.pairs.second.tolist(), strict=True):
            left, right = self.members[one], self.members[two]
            # A new image that is in the gallery finds its own class.
            different = [pair for pair in product(left, right) if pair[0] != pair[1]]
            kept = different if len(left) * len(right) <= MAX_ROW_PAIRS else different[:1]
            pairs.update(row_pair(*pair) for pair in kept)
        return pairs


def group_identical_inputs(
    images: GalleryImages, rows: Iterable[int] | None = None
) -> list[list[int]]:
    """Sort images that are not trivial into classes of identical decoded input.

    Parameters
    ----------
    rows : the images that count; None: all
    """
    classes: dict[bytes, list[int]] = defaultdict(list)
    trivial = images.trivial.tolist()
    for row in range(len(images)) if rows is None else rows:
        if not trivial[row]:
            classes[images.input_digest[row]].append(row)
    return list(classes.values())


@dataclass(frozen=True, slots=True)
class Centring:
    """What is taken off embeddings before the nearest are looked for.

    Networks crowd images in a cone, and what all have in common says nothing of copies.

    Parameters
    ----------
    mean : (D,); None where there are too few images to centre
    floor : lowest similarity of a candidate, once centred
    """

    mean: Rows | None
    floor: float

    @classmethod
    def of(cls, gallery: Rows, floors: tuple[float, float]) -> Centring:
        """Measure a gallery.

        Parameters
        ----------
        gallery : (N, D) unit rows
        floors : lowest similarity, as it is and after centring
        """
        if len(gallery) < CENTRE_FROM_IMAGES:
            return cls(None, floors[0])
        return cls(gallery.mean(axis=0), floors[1])

    def apply(self, rows: Rows) -> Rows:
        """Centre (N, D) unit rows; gives unit rows."""
        return rows if self.mean is None else unit_rows(rows - self.mean)


class Source(Protocol):
    """Where candidates come from."""

    @property
    def notes(self) -> list[str]:
        """What a person should know of how pairs were looked for."""
        ...

    def reaching(self, threshold: float) -> Proposals:
        """Pair classes that are at least this similar, inclusive, as they are compared."""
        ...

    def close(self, floor: float) -> Proposals:
        """Pair classes that are at least this similar, inclusive, as they were embedded."""
        ...

    def nearest(self, floors: tuple[float, float]) -> Proposals:
        """Pair each class with its `CANDIDATES` nearest, as far as they reach `Centring.floor`."""
        ...

    def identical_inputs(self) -> list[list[int]]:
        """List sets of rows, trivial images among them, whose decoded input is identical."""
        ...


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs that are worth a closer look.

    Parameters
    ----------
    similar : pairs of classes that reach the threshold
    may_be_equal : sets of rows whose pixels may be the same
    to_prove : pairs that may be one photograph
    capped : as in `Proposals`
    notes : what a person should know, one sentence each
    """

    similar: Proposals
    may_be_equal: list[Sequence[int]]
    to_prove: set[RowPair]
    capped: int
    notes: tuple[str, ...]


def propose(
    source: Source,
    tiers: frozenset[Tier],
    threshold: float,
    near_floors: tuple[float, float],
    pixels_floor: float,
) -> Candidates:
    """Look for the pairs that the tiers asked for need.

    Parameters
    ----------
    threshold : lowest similarity of the tier `similar`, inclusive
    near_floors : lowest similarity of a pair worth a proof, as it is and after centring
    pixels_floor : lowest similarity of a pair worth comparing pixel by pixel
    """
    nothing = Proposals([], Pairs.empty())
    similar = source.reaching(threshold) if Tier.SIMILAR in tiers else nothing
    proves = takes_proof(tiers)
    nearest = source.nearest(near_floors) if proves else nothing
    to_prove = nearest.row_pairs()
    may_be_equal: list[Sequence[int]] = []
    if compares_pixels(tiers):
        close = to_prove if proves else source.close(pixels_floor).row_pairs()
        may_be_equal = [*source.identical_inputs(), *close]
    notes = tuple(dict.fromkeys(source.notes))
    return Candidates(similar, may_be_equal, to_prove, nearest.capped, notes)


class WithinGallery:
    """Candidates among the images of a gallery.

    Parameters
    ----------
    raw : (N, D) float32, unit rows as embedded
    vectors : (N, D') float32, unit rows as they are compared
    join : how pairs are looked for, see `dedup.search.join.JOINS`
    """

    def __init__(
        self, images: GalleryImages, raw: Rows, vectors: Rows, join: str, report: Report
    ) -> None:
        self._images = images
        self._raw, self._vectors = raw, vectors
        self._join, self._report = join, report
        self._members = group_identical_inputs(images)
        names = images.is_name
        self._readable = self._members
        if names.any():  # which no proof can read
            self._readable = [rows for rows in self._members if not names[rows[0]]]
        self.notes: list[str] = []
        if count := int(np.count_nonzero(names)):
            some = "All ids are" if count == len(names) else f"{count:,} ids are"
            self.notes.append(f"{some} names and no files: they can be in the tier similar only")

    def _progress(self, done: int, total: int) -> None:
        self._report("Pairing", done, total)

    def reaching(self, threshold: float) -> Proposals:
        """Pair classes by a join of all with all."""
        return self._joined(self._members, self._vectors, threshold)

    def close(self, floor: float) -> Proposals:
        """Pair classes by a join of all with all."""
        return self._joined(self._readable, self._raw, floor)

    def _joined(self, members: list[list[int]], rows: Rows, threshold: float) -> Proposals:
        pairs = self_join(
            _representatives(members, rows),
            threshold,
            progress=self._progress,
            how=self._join,
            note=self.notes.append,
        )
        return Proposals(members, pairs)

    def nearest(self, floors: tuple[float, float]) -> Proposals:
        """Pair classes; a pair counts when either is among the nearest of the other."""
        chosen = _representatives(self._readable, self._raw)
        centring = Centring.of(chosen, floors)
        found = nearest_pairs(
            centring.apply(chosen),
            CANDIDATES,
            centring.floor,
            progress=self._progress,
            how=self._join,
            note=self.notes.append,
        )
        return Proposals(self._readable, found.pairs, found.capped)

    def identical_inputs(self) -> list[list[int]]:
        """List sets of two and more."""
        return identical_inputs(self._images)


class AgainstGallery:
    """Candidates of new images among the images of a gallery, which is not compared with itself.

    Parameters
    ----------
    images : of the gallery, and behind them the new ones
    raw, vectors : of the gallery, as in `WithinGallery`
    reference : the rows of the gallery that count, rising
    new : the row of each new image, none twice; an image that is in the gallery has its row there
    new_raw, new_vectors : of the new images
    """

    def __init__(
        self,
        images: GalleryImages,
        gallery: tuple[Rows, Rows],
        reference: Sequence[int],
        new: Sequence[int],
        embedded: tuple[Rows, Rows],
    ) -> None:
        self._images, self._new, self._reference = images, new, reference
        self._raw, self._vectors = gallery
        self._classes = group_identical_inputs(images, reference)
        self._asking = [place for place, row in enumerate(new) if not images.trivial[row]]
        self._new_raw, self._new_vectors = (rows[self._asking] for rows in embedded)
        self._members = [*self._classes, *([new[place]] for place in self._asking)]
        self.notes: list[str] = []

    def reaching(self, threshold: float) -> Proposals:
        """Pair each new image with its `CANDIDATES` nearest, as far as they reach a threshold."""
        return self._neighbours(
            _representatives(self._classes, self._vectors), self._new_vectors, threshold
        )

    def close(self, floor: float) -> Proposals:
        """Pair each new image with its `CANDIDATES` nearest, as far as they reach a floor."""
        return self._neighbours(_representatives(self._classes, self._raw), self._new_raw, floor)

    def nearest(self, floors: tuple[float, float]) -> Proposals:
        """Pair each new image with its `CANDIDATES` nearest."""
        chosen = _representatives(self._classes, self._raw)
        centring = Centring.of(chosen, floors)
        return self._neighbours(
            centring.apply(chosen), centring.apply(self._new_raw), centring.floor
        )

    def _neighbours(self, gallery: Rows, queries: Rows, floor: float) -> Proposals:
        from dedup.search.index import VectorIndex

        if not len(gallery) or not len(queries):
            return Proposals(self._members, Pairs.empty(), one_sided=True)
        found = VectorIndex(gallery, fp32=True).neighbours(queries, CANDIDATES)
        parts = []
        for number, hits in enumerate(found, len(gallery)):
            enough = hits.similarity >= inclusive(floor)
            first = hits.rows[enough].astype(np.int32)
            second = np.full(len(first), number, np.int32)
            parts.append(Pairs(first, second, hits.similarity[enough]))
        return Proposals(self._members, Pairs.joined(parts), one_sided=True)

    def identical_inputs(self) -> list[list[int]]:
        """List each new image with the images of the gallery whose decoded input is identical."""
        by_input: dict[bytes, list[int]] = defaultdict(list)
        for row in self._reference:
            by_input[self._images.input_digest[row]].append(row)
        found = []
        for row in self._new:
            same = [other for other in by_input[self._images.input_digest[row]] if other != row]
            if same:
                found.append([row, *same])
        return found


def identical_inputs(images: GalleryImages) -> list[list[int]]:
    """List sets of two and more rows, trivial images among them."""
    by_input: dict[bytes, list[int]] = defaultdict(list)
    names = images.is_name.tolist()
    for row, digest in enumerate(images.input_digest):
        if not names[row]:
            by_input[digest].append(row)
    return [rows for rows in by_input.values() if len(rows) > 1]


def _representatives(members: list[list[int]], vectors: Rows) -> Rows:
    """Take the row of the first image of each class, without copying where all are alone."""
    if len(members) == len(vectors):
        return vectors
    if not members:
        return vectors[:0]
    chosen: Rows = vectors[[rows[0] for rows in members]]
    return chosen
