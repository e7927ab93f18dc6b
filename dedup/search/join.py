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
    from collections.abc import Callable

    import numpy.typing as npt

MAX_PAIRS = 20_000_000
"""Beyond this a threshold says nothing about a collection any more: 240 MB of pairs."""

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
    count = len(vectors)
    tiles = [(top, left) for top in range(0, count, _TILE) for left in range(top, count, _TILE)]
    kept: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]] = []
    found = 0
    products = np.empty((min(_TILE, count), min(_TILE, count)), np.float32)
    for done, (top, left) in enumerate(tiles, start=1):
        upper = vectors[top : top + _TILE]
        lower = vectors[left : left + _TILE]
        tile = products[: len(upper), : len(lower)]
        if tile.flags.c_contiguous:
            np.matmul(upper, lower.T, out=tile)
        else:
            tile = upper @ lower.T
        rows, columns = np.nonzero(tile >= threshold - MARGIN)
        if top == left:
            above = rows < columns
            rows, columns = rows[above], columns[above]
        similarity = pair_similarities(upper, lower, rows, columns)
        keep = similarity >= inclusive(threshold)
        found += int(np.count_nonzero(keep))
        if found > max_pairs:
            raise SearchError(
                f"more than {max_pairs:,} pairs of {count:,} images reach a similarity of "
                f"{threshold:.4f}: choose a higher threshold"
            )
        if found and keep.any():
            kept.append(
                (
                    (rows[keep] + top).astype(np.int32),
                    (columns[keep] + left).astype(np.int32),
                    similarity[keep],
                )
            )
        if progress is not None:
            progress(done, len(tiles))
    if not kept:
        return Pairs.empty()
    first, second, similarity = (np.concatenate(column) for column in zip(*kept, strict=True))
    order = np.lexsort((second, first))
    return Pairs(first[order], second[order], similarity[order])
