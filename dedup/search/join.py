"""The self-join: every pair of a gallery at least as similar as a threshold.

Works on tiles of the upper triangle (`tiles`), so that neither an N×N matrix nor anything but the
pairs found is kept; `similarity` settles who is in. Where that would take minutes, rows are
compared within cells instead (`cells`), and the share of pairs that this misses is measured and
told. Grouping is for others.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.errors import SearchError
from dedup.parallel.hardware import has_amx, sees_gpu
from dedup.search.similarity import inclusive, pair_similarities
from dedup.search.tiles import TILE, gpu_seconds, propose, takes_bf16

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from dedup.search.tiles import Proposed

MAX_PAIRS = 20_000_000
"""Beyond this a threshold says nothing about a collection any more: 240 MB of pairs."""

_COMPACT_AT = 4_000_000
"""Pairs held before `nearest_pairs` drops those that can no longer count: 48 MB."""

JOINS: Final = ("auto", "exact", "ivf")
"""How pairs are looked for; auto takes cells ("ivf") where the exact join would take long."""

_PATIENCE: Final = 120.0
"""Seconds that an exact join may be predicted to take before cells are tried."""

_LEAST_RECALL: Final = 0.99  # of cells, for auto to prefer them to waiting
_AMX_GAIN: Final = (
    6  # bf16 against fp32: 1.6 against .27 TFLOP/s on two cores (docs: DESIGN, facts)
)


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
    how: str = "auto",
    note: Callable[[str], None] | None = None,
) -> Pairs:
    """Find all pairs of rows at least as similar as the threshold.

    Parameters
    ----------
    vectors : (N, D) float32, rows of unit L2 norm
    threshold : cosine in [-1, 1], inclusive
    max_pairs : more pairs than this are an error, not a truncated answer
    progress : told (tiles done, tiles in all)
    how : one of `JOINS`
    note : told, in words, when the answer is not the exact one, and how far from it

    Raises
    ------
    SearchError : more than `max_pairs` pairs.
    """
    parts: list[Pairs] = []
    found = 0
    for proposed in _proposals(vectors, threshold, None, how, note, progress):
        similarity = pair_similarities(vectors, vectors, proposed.first, proposed.second)
        keep = similarity >= inclusive(threshold)
        found += int(np.count_nonzero(keep))
        if found > max_pairs:
            raise SearchError(
                f"more than {max_pairs:,} pairs of {len(vectors):,} images reach a similarity of "
                f"{threshold:.4f}: choose a higher threshold"
            )
        parts.append(Pairs(proposed.first[keep], proposed.second[keep], similarity[keep]))
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
    how: str = "auto",
    note: Callable[[str], None] | None = None,
) -> NearestPairs:
    """Pair each row with its k most similar ones, as far as these reach the threshold.

    Parameters
    ----------
    vectors : (N, D) float32, rows of unit L2 norm
    threshold : cosine in [-1, 1]
    how, note : as in `self_join`

    Returns
    -------
    A pair is kept when it is among the k best of either of its rows. Memory is that of about
    N k pairs, however many reach the threshold.
    """
    waiting: list[Pairs] = []
    size = 0
    reached = np.zeros(len(vectors), np.int64)
    for proposed in _proposals(vectors, threshold, k, how, note, progress):
        first, second = proposed.first, proposed.second
        reached += np.bincount(first, minlength=len(vectors))
        reached += np.bincount(second, minlength=len(vectors))
        waiting.append(Pairs(first, second, proposed.products))
        size += len(first)
        if size > _COMPACT_AT:
            waiting = [Pairs.joined(waiting).best_of_each_row(k)]
            size = len(waiting[0])
    best = Pairs.joined(waiting).best_of_each_row(k)
    exact = pair_similarities(vectors, vectors, best.first, best.second)
    return NearestPairs(Pairs(best.first, best.second, exact), int(np.count_nonzero(reached > k)))


def _proposals(
    vectors: npt.NDArray[np.float32],
    threshold: float,
    k: int | None,
    how: str,
    note: Callable[[str], None] | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Proposed]:
    """Choose a way by the time it is predicted to take, and go it."""
    if how not in JOINS:
        raise ValueError(f"how must be one of {', '.join(JOINS)}, not {how!r}")
    if how == "exact" or len(vectors) == 0:
        return propose(vectors, threshold, progress)
    seconds = predicted_seconds(*vectors.shape) if how == "auto" else 0.0
    if how == "auto" and seconds <= _PATIENCE:
        return propose(vectors, threshold, progress)
    from dedup.search.cells import divide, propose_within

    cells = divide(vectors, threshold, k)
    share = cells.products / (len(vectors) ** 2 / 2)
    if how == "auto" and (cells.recall < _LEAST_RECALL or share > 1 / 2):
        return propose(vectors, threshold, progress)
    if note is not None:
        saved = f" instead of about {seconds / 60:.0f} minutes" if how == "auto" else ""
        note(
            f"Pairs were looked for within {cells.count:,} overlapping cells, {share:.1%} of the "
            f"work{saved}; of {cells.pairs:,} pairs of sampled pictures that finds "
            f"{cells.recall:.2%}. For all of them: --join exact"
        )
    return propose_within(vectors, cells, threshold, progress)


def predicted_seconds(rows: int, dimension: int) -> float:
    """Predict how long the exact join takes, from a product of one tile, measured now."""
    if takes_bf16(rows, dimension) and sees_gpu():
        seconds = gpu_seconds(rows, dimension)
        if seconds is not None:
            return seconds
    tile = np.full((TILE, dimension), 1 / dimension**0.5, np.float32)
    room = np.empty((TILE, TILE), np.float32)
    fastest = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        np.matmul(tile, tile.T, out=room)
        fastest = min(fastest, time.perf_counter() - started)
    seconds = fastest * (rows / TILE) ** 2 / 2
    return seconds / _AMX_GAIN if has_amx() else seconds
