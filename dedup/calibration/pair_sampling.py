"""What the most similar pairs of a collection are: sampled by rank, and checked on the pictures.

The pairs above a loose floor are known exactly. They are cut into strata by rank; from each some
are drawn and proven, and stand for the rest with a weight. What a person decided counts as it is.
Below the last stratum next to nothing is true, and everything counts as false.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dedup.search.join import self_join
from dedup.space.bounds import Events
from dedup.store.pairs import content_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from dedup.proof.prover import Prover
    from dedup.store.pairs import ContentPair, Decision

_ROWS = 65_536
"""Images that are paired with each other; of more, a drawn part stands for all."""

_PAIRS, _PAIRS_PER_IMAGE = 20_000, 4
_PROBES = 512  # rows whose similarities tell where a floor gives about so many pairs

_FIRST, _EACH = 256, 128
"""Pairs checked: all of the first stratum, and so many of each further one, which hold twice as
many pairs as the one before."""

_STOP = 0.01
"""A stratum with a smaller share of true pairs is the last."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The most similar pairs of a collection.

    Parameters
    ----------
    true, false : weighted to the whole collection
    lowest : the similarity down to which pairs were listed
    checked : pairs that were looked at, or decided by a person
    """

    true: Events
    false: Events
    lowest: float
    checked: int


class Census:
    """The judged pairs of a collection.

    Parameters
    ----------
    rows : (N, D) float32, unit rows, transformed
    contents : (N,) SHA-256 of each image
    decisions : what a person said of pairs
    prover : knows the files of the contents
    """

    def __init__(
        self,
        rows: npt.NDArray[np.float32],
        contents: Sequence[bytes],
        decisions: Mapping[ContentPair, Decision],
        prover: Prover,
    ) -> None:
        self._rows = rows
        self._contents = contents
        self._decisions = decisions
        self._prover = prover

    def take(self, rng: np.random.Generator, report: Callable[[str, int, int], None]) -> Judged:
        """Judge the most similar pairs."""
        count = len(self._rows)
        chosen = np.arange(count)
        if count > _ROWS:
            chosen = np.sort(rng.permutation(count)[:_ROWS])
        drawn = len(chosen)
        whole = count * (count - 1) / (drawn * (drawn - 1))
        floor = _floor(self._rows, chosen, rng)
        pairs = self_join(
            self._rows[chosen], floor, progress=lambda done, of: report("Pairing", done, of)
        )
        order = np.lexsort((pairs.second, pairs.first, -pairs.similarity))
        first = chosen[pairs.first[order]].astype(np.int64)
        second = chosen[pairs.second[order]].astype(np.int64)
        weight, true, checked = self._judge(first, second, rng, report)
        events = Events(pairs.similarity[order].astype(np.float64), weight * whole)
        counted = weight > 0
        lowest = float(events.similarity[-1]) if len(events) else floor
        return Judged(events.kept(counted & true), events.kept(counted & ~true), lowest, checked)

    def _judge(
        self,
        first: npt.NDArray[np.int64],
        second: npt.NDArray[np.int64],
        rng: np.random.Generator,
        report: Callable[[str, int, int], None],
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], int]:
        """Weigh pairs in order of rank (0: not drawn), tell the true ones, count the judged."""
        weight, true = np.zeros(len(first)), np.zeros(len(first), np.bool_)
        start, end = 0, _FIRST
        while start < len(first):
            ranks = np.arange(start, min(end, len(first)))
            self._judge_stratum(ranks, (first, second), (weight, true), rng)
            report("Checking neighbours", int(ranks[-1]) + 1, len(first))
            of_it = weight[ranks]
            share = float(of_it[true[ranks]].sum() / max(1.0, of_it.sum()))
            start, end = end, 2 * end
            if share < _STOP and start > _FIRST:
                break
        checked = int(np.count_nonzero(weight))
        weight[start:] = 1.0
        return weight, true, checked

    def _judge_stratum(
        self,
        ranks: npt.NDArray[np.int64],
        pairs: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
        judged: tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]],
        rng: np.random.Generator,
    ) -> None:
        first, second = pairs
        weight, true = judged
        contents = {
            rank: content_pair(self._contents[int(first[rank])], self._contents[int(second[rank])])
            for rank in ranks.tolist()
        }
        open_ranks = []
        for rank, pair in contents.items():
            decision = self._decisions.get(pair)
            if decision is None:
                open_ranks.append(rank)
            else:
                weight[rank], true[rank] = 1.0, decision.duplicate
        size = _FIRST if ranks[0] == 0 else _EACH
        drawn = sorted(rng.permutation(open_ranks)[:size].tolist())
        self._prover.prove([contents[rank] for rank in drawn])
        verdicts = {rank: self._prover.verdict(*contents[rank]) for rank in drawn}
        known = {rank: verdict for rank, verdict in verdicts.items() if verdict is not None}
        for rank, verdict in known.items():
            weight[rank], true[rank] = len(open_ranks) / len(known), verdict.near


def _floor(
    rows: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64], rng: np.random.Generator
) -> float:
    """Find the similarity that about as many pairs reach as are wanted."""
    count = len(chosen)
    wanted = max(_PAIRS, _PAIRS_PER_IMAGE * count)
    share = wanted / (count * (count - 1) / 2)
    if share >= 1:
        return -1.0
    probes = np.sort(rng.permutation(count)[:_PROBES])
    products = rows[chosen[probes]] @ rows[chosen].T
    products[np.arange(len(probes)), probes] = -1.0
    values = products.ravel()
    place = len(values) - max(1, round(share * len(probes) * (count - 1)))
    return float(np.clip(np.partition(values, place)[place], -1.0, 1.0))
