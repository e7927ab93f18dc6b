"""Which images are directly related, and in which tier.

Images whose decoded input is identical are folded into one class before pairing, so that a
thousand blank pages cost a thousand rows and not half a million pairs; a pair of classes stands
for all pairs of their images. Images of one pixel digest are equal bit for bit. Trivial images
(blank, tiny) are related by bytes and pixels only, never by similarity. What a relation means for
a group is for `groups`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dedup.results import Tier
from dedup.search.join import Pairs, self_join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from dedup.store.gallery import GalleryImages

PIXELS_FLOOR = 0.95
"""Pairs of equal size at least this similar are compared pixel by pixel. One picture decoded at a
reduced scale from JPEG and in full from PNG stays above .98 (benchmarks/RESULTS.md)."""


class Relation(NamedTuple):
    """How another image is related to the one asked about."""

    row: int
    tier: Tier
    similarity: float


@dataclass(frozen=True, slots=True)
class Proposals:
    """Pairs of classes of images with identical decoded input.

    Parameters
    ----------
    members : per class the rows of its images, rising; trivial images are in none
    pairs : of classes, at least as similar as was asked
    """

    members: list[list[int]]
    pairs: Pairs


def propose(
    images: GalleryImages,
    vectors: npt.NDArray[np.float32],
    threshold: float,
    progress: Callable[[int, int], None] | None = None,
) -> Proposals:
    """Fold identical inputs and pair what remains.

    Parameters
    ----------
    vectors : (N, D) float32, rows of unit L2 norm, one per image
    threshold : cosine in [-1, 1], inclusive
    """
    classes: dict[bytes, list[int]] = defaultdict(list)
    for row, digest in enumerate(images.input_digest):
        if not images.trivial[row]:
            classes[digest].append(row)
    members = list(classes.values())
    representatives = np.array([rows[0] for rows in members], np.int64)
    every_row = len(representatives) == len(vectors)
    chosen = vectors if every_row else vectors[representatives]
    return Proposals(members, self_join(chosen, threshold, progress=progress))


def rows_to_compare(images: GalleryImages, proposals: Proposals) -> list[int]:
    """List the images that may equal another bit for bit and were not looked at yet, rising.

    Those are stills of one upright size, either with identical decoded input or in a proposed pair
    at least `PIXELS_FLOOR` similar.
    """
    width, height = images.width.tolist(), images.height.tolist()
    still = (images.frames == 1).tolist()
    wanted: set[int] = set()

    def compare(rows: Sequence[int]) -> None:
        by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row in rows:
            if still[row]:
                by_size[width[row], height[row]].append(row)
        for same in by_size.values():
            if len(same) > 1:
                wanted.update(same)

    by_input: dict[bytes, list[int]] = defaultdict(list)
    for row, digest in enumerate(images.input_digest):
        by_input[digest].append(row)
    for rows in by_input.values():
        if len(rows) > 1:
            compare(rows)
    pairs = proposals.pairs
    close = pairs.similarity >= PIXELS_FLOOR
    for first, second in zip(
        pairs.first[close].tolist(), pairs.second[close].tolist(), strict=True
    ):
        compare(proposals.members[first] + proposals.members[second])
    return sorted(row for row in wanted if images.pixel_digest[row] is None)


class Relations:
    """The relations among N images.

    Parameters
    ----------
    proposals : pairs of classes; those below `threshold` only served to find equal pixels
    pixel_digest : per image; None or b"" for none
    threshold : lowest similarity of tier `similar`, inclusive
    """

    def __init__(
        self,
        count: int,
        proposals: Proposals,
        pixel_digest: Sequence[bytes | None],
        threshold: float,
    ) -> None:
        self._members = proposals.members
        self._class_of: list[int | None] = [None] * count
        for number, rows in enumerate(proposals.members):
            for row in rows:
                self._class_of[row] = number
        self._adjacent: dict[int, dict[int, float]] = defaultdict(dict)
        pairs = proposals.pairs
        near = pairs.similarity >= np.float32(threshold)
        for first, second, similarity in zip(
            pairs.first[near].tolist(),
            pairs.second[near].tolist(),
            pairs.similarity[near].tolist(),
            strict=True,
        ):
            self._adjacent[first][second] = similarity
            self._adjacent[second][first] = similarity
        self._pixel_digest = pixel_digest
        self._equal: dict[bytes, list[int]] = defaultdict(list)
        for row, digest in enumerate(pixel_digest):
            if digest:
                self._equal[digest].append(row)

    def of(self, row: int, tiers: frozenset[Tier]) -> Iterator[Relation]:
        """List the other images related to one, each once in its tier, surest tier first."""
        equal = self._equal[self._pixel_digest[row] or b""] if self._pixel_digest[row] else []
        if Tier.PIXELS in tiers:
            yield from (Relation(other, Tier.PIXELS, 1.0) for other in equal if other != row)
        own = self._class_of[row]
        if Tier.SIMILAR not in tiers or own is None:
            return
        surer = {row, *equal}
        for other in self._members[own]:
            if other not in surer:
                yield Relation(other, Tier.SIMILAR, 1.0)
        adjacent = self._adjacent.get(own, {})
        for number in sorted(adjacent, key=lambda number: (-adjacent[number], number)):
            for other in self._members[number]:
                if other not in surer:
                    yield Relation(other, Tier.SIMILAR, adjacent[number])

    def between(self, first: int, second: int) -> Relation | None:
        """Say how `second` is related to `first`, a different image; None when it is not."""
        digest = self._pixel_digest[first]
        if digest and digest == self._pixel_digest[second]:
            return Relation(second, Tier.PIXELS, 1.0)
        mine, other = self._class_of[first], self._class_of[second]
        if mine is None or other is None:
            return None
        similarity = 1.0 if mine == other else self._adjacent.get(mine, {}).get(other)
        return None if similarity is None else Relation(second, Tier.SIMILAR, similarity)
