"""The self-join: every pair of a gallery at least as similar as a threshold.

Works on tiles of the upper triangle (`tiles`), so that neither an N×N matrix nor anything but the
pairs found is kept; `similarity` decides which pairs are in. Where that would take minutes, rows
are compared within cells instead (`cells`), and the share of pairs that this misses is measured and
reported. Grouping is done elsewhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.errors import SearchError
from dedup.parallel.hardware import has_amx, sees_gpu
from dedup.search.pairs import Pairs
from dedup.search.similarity import inclusive, pair_similarities
from dedup.search.tiles import TILE, gpu_seconds, propose, takes_bf16

__all__ = [
    "JOINS",
    "MAX_PAIRS",
    "NearestPairs",
    "Pairs",
    "nearest_pairs",
    "predicted_seconds",
    "self_join",
]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from dedup.search.tiles import Proposed

MAX_PAIRS = 20_000_000
"""Beyond this a threshold says nothing about a collection any more: 240 MB of pairs."""

MAX_WAITING_PAIRS = 4_000_000
"""Pairs held before `nearest_pairs` drops those that can no longer count: 48 MB."""

JOINS: Final = ("auto", "exact", "ivf")
"""How pairs are looked for; auto takes cells ("ivf") where the exact join would take long."""

MAX_EXACT_SECONDS: Final = 120.0
"""What an exact join may be predicted to take before cells are tried."""

_MIN_RECALL: Final = 0.99  # of cells, for auto to prefer them to waiting
_SLOWEST: Final = 2e9  # FLOP/s that every CPU does in fp32; two cores without AVX-512 do 1e11
_AMX_GAIN: Final = 6  # bf16 against fp32: 1.6 against .27 TFLOP/s, measured on two cores


def self_join(
    vectors: npt.NDArray[np.float32],
    threshold: float,
    *,
    max_pairs: int = MAX_PAIRS,
    max_exact_seconds: float = MAX_EXACT_SECONDS,
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
    max_exact_seconds : an exact join that is predicted to take longer is replaced by cells, where
        `how` is "auto"
    progress : called with (tiles done, tiles in all)
    how : one of `JOINS`
    note : called with a sentence when the answer is not the exact one, which says how far from it

    Raises
    ------
    SearchError : more than `max_pairs` pairs.
    """
    parts: list[Pairs] = []
    found = 0
    for proposed in _proposals(vectors, threshold, None, how, note, progress, max_exact_seconds):
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
    max_waiting_pairs: int = MAX_WAITING_PAIRS,
) -> NearestPairs:
    """Pair each row with its k most similar ones, as far as these reach the threshold.

    Parameters
    ----------
    vectors : (N, D) float32, rows of unit L2 norm
    threshold : cosine in [-1, 1]
    how, note : as in `self_join`
    max_waiting_pairs : pairs held before those are dropped that can no longer count

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
        if size > max_waiting_pairs:
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
    max_exact_seconds: float = MAX_EXACT_SECONDS,
) -> Iterator[Proposed]:
    """Choose exact tiles or cells, by the time that tiles are predicted to take."""
    if how not in JOINS:
        raise ValueError(f"how must be one of {', '.join(JOINS)}, not {how!r}")
    if how == "exact" or len(vectors) == 0:
        return propose(vectors, threshold, progress)
    rows, dimension = vectors.shape
    if how == "auto" and rows**2 * dimension / _SLOWEST <= max_exact_seconds:
        return propose(vectors, threshold, progress)  # measuring takes longer than most joins
    seconds = predicted_seconds(rows, dimension) if how == "auto" else 0.0
    if how == "auto" and seconds <= max_exact_seconds:
        return propose(vectors, threshold, progress)
    from dedup.search.cells import divide, propose_within

    cells = divide(vectors, threshold, k)
    share = cells.products / (len(vectors) ** 2 / 2)
    if how == "auto" and (cells.recall < _MIN_RECALL or share > 1 / 2):
        return propose(vectors, threshold, progress)
    if note is not None:
        saved = f" instead of about {seconds / 60:.0f} minutes" if how == "auto" else ""
        note(
            f"Pairs were looked for within {cells.count:,} overlapping cells, {share:.1%} of the "
            f"work{saved}; of {cells.pairs:,} pairs of sampled images that finds "
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
    products = np.empty((TILE, TILE), np.float32)
    fastest = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        np.matmul(tile, tile.T, out=products)
        fastest = min(fastest, time.perf_counter() - started)
    seconds = fastest * (rows / TILE) ** 2 / 2
    return seconds / _AMX_GAIN if has_amx() else seconds
