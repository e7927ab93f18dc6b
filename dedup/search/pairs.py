"""Pairs of rows with their similarities, as joins return them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

MIXING: Final = np.uint64(0x9E3779B97F4A7C15)
"""Spreads what is multiplied by it (Fibonacci hashing)."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of rows, sorted by (first, second), each once with first < second.

    Parameters
    ----------
    first, second : (P,) int32 rows, or int64 ids
    similarity : (P,) float32, in [-1, 1]
    """

    first: npt.NDArray[np.integer]
    second: npt.NDArray[np.integer]
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
        rank = place_among_equals(row[order])
        keep = np.zeros(len(self), np.bool_)
        keep[order[rank < k] % max(1, len(self))] = True
        return Pairs(self.first[keep], self.second[keep], self.similarity[keep])

    @classmethod
    def joined(cls, parts: list[Pairs]) -> Pairs:
        """Concatenate parts, sorted."""
        if not parts:
            return cls.empty()
        first = np.concatenate([part.first for part in parts])
        second = np.concatenate([part.second for part in parts])
        similarity = np.concatenate([part.similarity for part in parts])
        order = np.lexsort((second, first))
        return cls(first[order], second[order], similarity[order])

    @classmethod
    def empty(cls) -> Pairs:
        """Return no pairs."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))


def first_of_equals(values: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Mark the first of each run of equal values, without a copy of them."""
    first = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=first[1:])
    return first


def place_among_equals(values: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Give for each of sorted values the number of equal ones before it."""
    starts = np.flatnonzero(first_of_equals(values))
    place = np.arange(len(values))
    place -= np.repeat(starts, np.diff(starts, append=len(values)))
    return place
