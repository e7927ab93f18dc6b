"""Which pairs of images are worth a closer look, by their embeddings.

Images whose decoded input is identical are folded into one class before pairing, so that a
thousand blank pages cost a thousand rows and not half a million pairs. What a pair turns out to be
is decided elsewhere: by threshold (`relations`), by pixels (`pixels`) or by proof (`proof`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING

from dedup.duplicates.relations import row_pair
from dedup.search.join import Pairs, nearest_pairs, self_join
from dedup.search.similarity import unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

    from dedup.duplicates.relations import RowPair
    from dedup.store.gallery import GalleryImages

CANDIDATES = 20
"""Nearest others of an image that are proven or refuted, as far as they reach the floor: of 1,800
edited copies 99.5 % have their original among them, by content and details together; by details
alone 98.4 %, by `mobilenetv2_100` alone 99.4 % (`scripts/bench quality`, docs/benchmarks.md)."""

CENTRE_FROM = 200
"""Images from which their mean tells what all pictures have in common, rather than what these few
have: below it, centring would push two copies apart."""

_ALL_PAIRS = 16  # pairs of one pair of classes that are all looked at; beyond, one for all


@dataclass(frozen=True, slots=True)
class Proposals:
    """Pairs of classes of images with identical decoded input.

    Parameters
    ----------
    members : per class the rows of its images, rising; trivial images are in none
    pairs : of classes
    capped : classes that had more near ones than `CANDIDATES`
    """

    members: list[list[int]]
    pairs: Pairs
    capped: int = 0


def fold(images: GalleryImages) -> list[list[int]]:
    """Sort images that are not trivial into classes of identical decoded input."""
    classes: dict[bytes, list[int]] = defaultdict(list)
    for row, digest in enumerate(images.input_digest):
        if not images.trivial[row]:
            classes[digest].append(row)
    return list(classes.values())


def _representatives(
    members: list[list[int]], vectors: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    if len(members) == len(vectors):
        return vectors
    chosen: npt.NDArray[np.float32] = vectors[[rows[0] for rows in members]]
    return chosen


def propose_above(
    members: list[list[int]],
    vectors: npt.NDArray[np.float32],
    threshold: float,
    progress: Callable[[int, int], None] | None = None,
    how: str = "auto",
    note: Callable[[str], None] | None = None,
) -> Proposals:
    """Pair the classes that are at least as similar as a threshold.

    Parameters
    ----------
    vectors : (N, D) float32, rows of unit L2 norm, one per image
    threshold : cosine in [-1, 1], inclusive
    how, note : as `dedup.search.join.self_join` takes them
    """
    chosen = _representatives(members, vectors)
    return Proposals(members, self_join(chosen, threshold, progress=progress, how=how, note=note))


def propose_nearest(
    members: list[list[int]],
    vectors: npt.NDArray[np.float32],
    floors: tuple[float, float],
    progress: Callable[[int, int], None] | None = None,
    how: str = "auto",
    note: Callable[[str], None] | None = None,
) -> Proposals:
    """Pair each class with its `CANDIDATES` nearest, as far as these reach a loose floor.

    Similarity is measured after centring on the mean of all classes, when there are enough of them:
    networks crowd pictures in a cone, and what all have in common says nothing of copies.

    Parameters
    ----------
    floors : lowest similarity, as it is and after centring
    how, note : as `dedup.search.join.nearest_pairs` takes them
    """
    chosen = _representatives(members, vectors)
    floor, centred_floor = floors
    if len(chosen) >= CENTRE_FROM:
        chosen, floor = unit_rows(chosen - chosen.mean(axis=0)), centred_floor
    found = nearest_pairs(chosen, CANDIDATES, floor, progress=progress, how=how, note=note)
    return Proposals(members, found.pairs, found.capped)


def row_pairs(proposals: Proposals) -> set[RowPair]:
    """List the pairs of images that proposals stand for, at most `_ALL_PAIRS` per pair of classes.

    Of larger classes one image stands for all; images that are later found related through it are
    paired with their keeper then.
    """
    pairs: set[RowPair] = set()
    for rows in proposals.members:
        if len(rows) * (len(rows) - 1) // 2 <= _ALL_PAIRS:
            pairs.update(combinations(rows, 2))
        else:
            pairs.update((rows[0], other) for other in rows[1:])
    first, second = proposals.pairs.first.tolist(), proposals.pairs.second.tolist()
    for one, two in zip(first, second, strict=True):
        left, right = proposals.members[one], proposals.members[two]
        if len(left) * len(right) <= _ALL_PAIRS:
            pairs.update(row_pair(*pair) for pair in product(left, right))
        else:
            pairs.add(row_pair(left[0], right[0]))
    return pairs


def rows_to_compare(images: GalleryImages, pairs: Iterable[RowPair]) -> list[int]:
    """List the images that may equal another bit for bit and were not looked at yet, rising.

    Those are stills of one upright size, either with identical decoded input or in one of `pairs`.
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
    for pair in pairs:
        compare(pair)
    return sorted(row for row in wanted if images.pixel_digest[row] is None)
