"""The exact self-join: every pair of a gallery at least as similar as a threshold.

Works on tiles of the upper triangle, so that neither an N×N matrix nor anything but the pairs found
is kept. Tiles propose with one fp32 matrix product; `similarity` settles who is in. Grouping is for
others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dedup.errors import SearchError
from dedup.search.similarity import MARGIN, inclusive, pair_similarities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

MAX_PAIRS = 20_000_000
"""Beyond this a threshold says nothing about a collection any more: 240 MB of pairs."""

_COMPACT_AT = 4_000_000
"""Pairs held before `nearest_pairs` drops those that can no longer count: 48 MB."""

_TILE = 2048
"""Rows and columns of a tile: 16 MB of products, near the peak rate of the matrix product."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of rows, sorted by (first, second), each once with first < second.

    Parameters
    ----------
    first, second : (P,) int32
    similarity : (P,) float32, in [-1, 1]
    """

    first: npt.NDArray[np.int32]
    second: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.first)

    def best_of_each_row(self, k: int) -> Pairs:
        """Keep the pairs that are among the k most similar of at least one of their rows.

        Ties go to the lower other row. Keeping the best of a part first changes nothing: a pair
        that is not among the k best of some is not among the k best of more.
        """
        row = np.concatenate([self.first, self.second])
        other = np.concatenate([self.second, self.first])
        similarity = np.tile(self.similarity, 2)
        order = np.lexsort((other, -similarity, row))
        starts = np.concatenate([[True], row[order][1:] != row[order][:-1]])
        rank = np.arange(len(order)) - np.maximum.accumulate(
            np.where(starts, np.arange(len(order)), 0)
        )
        keep = np.zeros(len(self), np.bool_)
        keep[order[rank < k] % max(1, len(self))] = True
        return Pairs(self.first[keep], self.second[keep], self.similarity[keep])

    @classmethod
    def joined(cls, parts: list[Pairs]) -> Pairs:
        """Put parts together, sorted."""
        if not parts:
            return cls.empty()
        first = np.concatenate([part.first for part in parts])
        second = np.concatenate([part.second for part in parts])
        similarity = np.concatenate([part.similarity for part in parts])
        order = np.lexsort((second, first))
        return cls(first[order], second[order], similarity[order])

    @classmethod
    def empty(cls) -> Pairs:
        """Give no pairs."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))


def self_join(
    vectors: npt.NDArray[np.float32],
    threshold: float,
    *,
    max_pairs: int = MAX_PAIRS,
    progress: Callable[[int, int], None] | None = None,
) -> Pairs:
    """Find all pairs of rows at least as similar as the threshold.

    Parameters
    ----------
    vectors : (N, D) float32, rows of unit L2 norm
    threshold : cosine in [-1, 1], inclusive
    max_pairs : more pairs than this are an error, not a truncated answer
    progress : told (tiles done, tiles in all)

    Raises
    ------
    SearchError : more than `max_pairs` pairs.
    """
    parts: list[Pairs] = []
    found = 0
    for top, left, rows, columns, _ in _tiles(vectors, threshold, progress):
        similarity = pair_similarities(
            vectors[top : top + _TILE], vectors[left : left + _TILE], rows, columns
        )
        keep = similarity >= inclusive(threshold)
        found += int(np.count_nonzero(keep))
        if found > max_pairs:
            raise SearchError(
                f"more than {max_pairs:,} pairs of {len(vectors):,} images reach a similarity of "
                f"{threshold:.4f}: choose a higher threshold"
            )
        parts.append(
            Pairs(
                (rows[keep] + top).astype(np.int32),
                (columns[keep] + left).astype(np.int32),
                similarity[keep],
            )
        )
    return Pairs.joined(parts)


@dataclass(frozen=True, slots=True)
class NearestPairs:
    """Pairs of rows with their nearest others, and how many rows had more than were kept."""

    pairs: Pairs
    capped: int


def nearest_pairs(
    vectors: npt.NDArray[np.float32],
    k: int,
    threshold: float,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> NearestPairs:
    """Pair each row with its k most similar ones, as far as these reach the threshold.

    Parameters
    ----------
    vectors : (N, D) float32, rows of unit L2 norm
    threshold : cosine in [-1, 1]

    Returns
    -------
    A pair is kept when it is among the k best of either of its rows. Memory is that of about
    N k pairs, however many reach the threshold.
    """
    waiting: list[Pairs] = []
    size = 0
    reached = np.zeros(len(vectors), np.int64)
    for top, left, rows, columns, products in _tiles(vectors, threshold, progress):
        first, second = (rows + top).astype(np.int32), (columns + left).astype(np.int32)
        reached += np.bincount(first, minlength=len(vectors))
        reached += np.bincount(second, minlength=len(vectors))
        waiting.append(Pairs(first, second, products))
        size += len(first)
        if size > _COMPACT_AT:
            waiting = [Pairs.joined(waiting).best_of_each_row(k)]
            size = len(waiting[0])
    best = Pairs.joined(waiting).best_of_each_row(k)
    exact = pair_similarities(vectors, vectors, best.first, best.second)
    return NearestPairs(Pairs(best.first, best.second, exact), int(np.count_nonzero(reached > k)))


def _tiles(
    vectors: npt.NDArray[np.float32],
    threshold: float,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[int, int, npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]]:
    """Go through the upper triangle: what may reach the threshold, tile by tile.

    Yields (first row, first column, rows and columns within the tile, fp32 products) with
    row < column over all; everything at least `MARGIN` below the threshold is left out.
    """
    count = len(vectors)
    corners = [(top, left) for top in range(0, count, _TILE) for left in range(top, count, _TILE)]
    room = np.empty(min(_TILE, count) ** 2, np.float32)
    for done, (top, left) in enumerate(corners, start=1):
        upper, lower = vectors[top : top + _TILE], vectors[left : left + _TILE]
        tile = room[: len(upper) * len(lower)].reshape(len(upper), len(lower))
        np.matmul(upper, lower.T, out=tile)
        rows, columns = np.nonzero(tile >= threshold - MARGIN)
        if top == left:
            above = rows < columns
            rows, columns = rows[above], columns[above]
        yield top, left, rows, columns, tile[rows, columns]
        if progress is not None:
            progress(done, len(corners))
