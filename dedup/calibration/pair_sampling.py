"""Which of the most similar pairs of a collection are true: sampled by rank, and proven.

The pairs above a loose floor are known exactly. They are divided into strata by rank; some of each
are drawn, proven or refuted, and weighted to stand for all. What a person decided counts as it is.
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

_MAX_IMAGES = 65_536
"""Images that are paired with each other; of more, a random sample stands for all."""

_MIN_PAIRS, _PAIRS_PER_IMAGE = 20_000, 4
_PROBE_ROWS = 512  # to estimate the floor that about so many pairs reach

_FIRST_STRATUM_PAIRS, _PAIRS_PER_STRATUM = 256, 128
"""Pairs proven or refuted: all of the first stratum, and so many of each further one; a stratum
holds twice as many pairs as the one before."""

_MIN_TRUE_SHARE = 0.01
"""A stratum with a smaller share of true pairs is the last."""


@dataclass(frozen=True, slots=True)
class SampledPairs:
    """The most similar pairs of a collection, as far as they were judged.

    Parameters
    ----------
    true, false : weighted to the whole collection
    lowest : the similarity down to which pairs were listed
    checked : pairs that were proven or refuted, or decided by a person
    """

    true: Events
    false: Events
    lowest: float
    checked: int


@dataclass(frozen=True, slots=True)
class KnownPairs:
    """What is known of some images, whatever a proof would say.

    Parameters
    ----------
    contents : of the images, by SHA-256
    same : pairs of them that are one image; all others of them are different
    names : contents that no proof can read
    """

    contents: frozenset[bytes] = frozenset()
    same: frozenset[ContentPair] = frozenset()
    names: frozenset[bytes] = frozenset()

    def said(self, pair: ContentPair) -> bool | None:
        """Say whether two are one image; None where that is not known."""
        return pair in self.same if self.contents.issuperset(pair) else None


class PairSampler:
    """Samples the most similar pairs of a collection.

    Parameters
    ----------
    rows : (N, D) float32, unit rows as they are compared
    contents : (N,) SHA-256 of each image
    decisions : what a person said of pairs
    prover : with the files of all contents
    known : pairs that are not proven
    """

    def __init__(
        self,
        rows: npt.NDArray[np.float32],
        contents: Sequence[bytes],
        decisions: Mapping[ContentPair, Decision],
        prover: Prover,
        known: KnownPairs | None = None,
    ) -> None:
        self._known = known or KnownPairs()
        self._rows = rows
        self._contents = contents
        self._decisions = decisions
        self._prover = prover

    def sample(
        self, rng: np.random.Generator, report: Callable[[str, int, int], None]
    ) -> SampledPairs:
        """Judge the most similar pairs."""
        count = len(self._rows)
        chosen = np.arange(count)
        if count > _MAX_IMAGES:
            chosen = np.sort(rng.permutation(count)[:_MAX_IMAGES])
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
        return SampledPairs(
            events.kept(counted & true), events.kept(counted & ~true), lowest, checked
        )

    def _judge(
        self,
        first: npt.NDArray[np.int64],
        second: npt.NDArray[np.int64],
        rng: np.random.Generator,
        report: Callable[[str, int, int], None],
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], int]:
        """Return each pair's weight (0: not drawn), whether it is true, and the number judged."""
        weight, true = np.zeros(len(first)), np.zeros(len(first), np.bool_)
        start, end = 0, _FIRST_STRATUM_PAIRS
        while start < len(first):
            ranks = np.arange(start, min(end, len(first)))
            self._judge_stratum(ranks, (first, second), (weight, true), rng)
            report("Checking neighbours", int(ranks[-1]) + 1, len(first))
            drawn = weight[ranks]
            share = float(drawn[true[ranks]].sum() / max(1.0, drawn.sum()))
            start, end = end, 2 * end
            if share < _MIN_TRUE_SHARE and start > _FIRST_STRATUM_PAIRS:
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
            decision, said = self._decisions.get(pair), self._known.said(pair)
            if decision is None and said is None:
                if self._known.names.isdisjoint(pair):
                    open_ranks.append(rank)
            else:
                weight[rank] = 1.0
                true[rank] = said if decision is None else decision.duplicate
        size = _FIRST_STRATUM_PAIRS if ranks[0] == 0 else _PAIRS_PER_STRATUM
        drawn = sorted(rng.permutation(open_ranks)[:size].tolist())
        self._prover.prove([contents[rank] for rank in drawn])
        verdicts = {rank: self._prover.verdict(*contents[rank]) for rank in drawn}
        known = {rank: verdict for rank, verdict in verdicts.items() if verdict is not None}
        for rank, verdict in known.items():
            weight[rank], true[rank] = len(open_ranks) / len(known), verdict.tier is not None


def _floor(
    rows: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64], rng: np.random.Generator
) -> float:
    """Estimate the similarity that about as many pairs reach as are wanted."""
    count = len(chosen)
    wanted = max(_MIN_PAIRS, _PAIRS_PER_IMAGE * count)
    share = wanted / (count * (count - 1) / 2)
    if share >= 1:
        return -1.0
    probes = np.sort(rng.permutation(count)[:_PROBE_ROWS])
    products = rows[chosen[probes]] @ rows[chosen].T
    products[np.arange(len(probes)), probes] = -1.0
    values = products.ravel()
    position = len(values) - max(1, round(share * len(probes) * (count - 1)))
    return float(np.clip(np.partition(values, position)[position], -1.0, 1.0))
