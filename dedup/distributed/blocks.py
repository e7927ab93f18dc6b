"""Cutting cells into tasks that compare about as much."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.distributed.pieces import Piece, Pieces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import numpy.typing as npt

    from dedup.distributed.commits import Done
    from dedup.distributed.storage import Storage

    Ids = npt.NDArray[np.int64]

BLOCK_ROWS: Final = 16_000
"""Rows of a block; a group with more is compared block by block, one with itself or with half of
another in a task. Blocks have fewer where many pairs are near, each of which takes longer."""

_NEAR_TAKES: Final = 2  # times as long as others, besides: measured where all pairs are near


class Limits(NamedTuple):
    """What counts as a pair.

    Parameters
    ----------
    near : lowest similarity of a pair worth a proof, centred
    reach : lowest similarity of the tier `similar`, not centred; None: it is not asked for
    """

    near: float
    reach: float | None = None


def stage_of(limits: Limits) -> str:
    """Name the stage of pairs by what counts as one."""
    return "pair" if limits.reach is None else f"pair-{limits.reach:.6f}"


class Block(NamedTuple):
    """What one task compares: the rows of a block with each other, or those of two blocks.

    Parameters
    ----------
    name : of the task among those of its division
    first, second : pieces of `assign`; no second: the first with itself
    """

    name: str
    first: tuple[Piece, ...]
    second: tuple[Piece, ...] = ()


class Groups:
    """The pieces of `assign` by group of cells, and how crowded groups are.

    Parameters
    ----------
    assigned : commits of `assign`

    Attributes
    ----------
    numbers : of the groups, rising
    """

    def __init__(self, storage: Storage, assigned: Iterable[Done]) -> None:
        every = list(assigned)
        self.pieces = Pieces(storage, every)
        self.keys = [done.key for done in every]
        self.numbers = sorted({number // 2 for number in self.pieces.numbers})
        self._shares: dict[int, dict[int, float]] = {}
        for number, done in enumerate(every):
            for group, share in done.extra.get("near", {}).items():
                self._shares.setdefault(int(group), {})[number] = share

    def places(self, group: int) -> Ids:
        """(N,) the places of the pieces of a group, in the order of their objects."""
        spans = (self.pieces.span(2 * group + away) for away in (0, 1))
        places = np.concatenate([np.arange(span.start, span.stop) for span in spans])
        return places[np.argsort(self.pieces.objects(places), kind="stable")]

    def near(self, group: int) -> float:
        """Give the share of near pairs of a group; 0 where it is small."""
        shares = self._shares.get(group)
        if not shares:
            return 0.0
        places = self.places(group)
        rows, of = self.pieces.rows[places], self.pieces.objects(places)
        mine = np.array([shares.get(one, 0.0) for one in of.tolist()])
        return float(mine @ rows / rows.sum())


class Blocks(Mapping[str, Block]):
    """The tasks that compare the groups of cells, by name; they take about as long.

    Of each no more is held than its name says: what it compares is looked up when it begins.

    Parameters
    ----------
    new : keys of the objects that no earlier join compared; what was compared is left out
    label : begins the names of tasks
    """

    def __init__(self, groups: Groups, new: Collection[str], label: str) -> None:
        self._groups = groups
        self._is_new = np.array([key in new for key in groups.keys], np.bool_)
        self._cut = lru_cache(1)(self._parts)
        self._names: dict[str, tuple[int, int, int, int]] = {}
        for group in groups.numbers:
            before, parts = self._cut(group)
            for one in range(len(parts) if before < len(parts) else 0):
                for two in range(max(one, before), len(parts)):
                    name = f"{label}-{group:06d}-{one:03d}-{two:03d}"
                    if one == two:
                        self._names[name] = group, one, two, 0
                        continue
                    for number in range(len(self._halves(group, parts[two]))):
                        self._names[f"{name}-{number}"] = group, one, two, number

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> Block:
        group, one, two, number = self._names[name]
        at, (_, parts) = self._groups.pieces.at, self._cut(group)
        if one == two:
            return Block(name, at(parts[one]))
        # Twice as many pairs as within a part: so that no task takes longer than others.
        return Block(name, at(parts[one]), at(self._halves(group, parts[two])[number]))

    def _parts(self, group: int) -> tuple[int, list[Ids]]:
        """Cut a group; gives how many parts were compared, and all of them, these first."""
        places = self._groups.places(group)
        fresh = self._is_new[self._groups.pieces.objects(places)]
        before, after = (self._even(places[some], self._most(group)) for some in (~fresh, fresh))
        return len(before), before + after

    def _halves(self, group: int, part: Ids) -> list[Ids]:
        return self._even(part, self._most(group) // 2)

    def _most(self, group: int) -> int:
        return round(BLOCK_ROWS / math.sqrt(1 + _NEAR_TAKES * self._groups.near(group)))

    def _even(self, places: Ids, most: int) -> list[Ids]:
        """Cut pieces, in their order, into the fewest parts of about `most` rows or less, alike."""
        rows = self._groups.pieces.rows[places].astype(np.int64)
        total = int(rows.sum())
        if not total:
            return []
        part = (2 * np.cumsum(rows) - rows) * -(-total // most) // (2 * total)
        return np.split(places, np.flatnonzero(np.diff(part)) + 1)
