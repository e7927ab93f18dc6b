"""The nearest codes of local features: small whole numbers, very many of them, compared exactly.

Codes are divided by k-means of two levels, so that finding the cells of one takes some hundred
products and not thousands. Each code asks the codes of its nearest cells, by products of matrices;
all numbers are whole and small, so that these are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.search.kmeans import find_centres, half_squares, nearest_centres
from dedup.search.pairs import place_among_equals
from dedup.search.products import highest_of_block, on_every_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]
    Places = npt.NDArray[np.int32]
    Codes = npt.NDArray[np.uint8]

_PER_CELL: Final = 320
_TRAINING_PER_CELL: Final = 32
_TRAINING_ROUNDS: Final = 6
_PROBED: Final = 3  # cells of a code, and regions that these are looked for in
_LABELLED: Final = 1 << 18  # codes at a time
_ASKING: Final = 1 << 18
_CELLS_AT_ONCE: Final = 16
_ROWS: Final = 1024
_COLUMNS: Final = 4096
_APART_BITS: Final = 6
_PLACE_BITS: Final = 30
MIXING: Final = np.uint64(0x9E3779B97F4A7C15)
"""Spreads what is multiplied by it (Fibonacci hashing)."""

_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Division:
    """Codes in cells, and these in regions.

    Attributes
    ----------
    regions : (R, D) centres of regions
    cells : (C, D) centres of cells, region by region
    ends : (R,) where the cells of each region end
    """

    regions: Rows
    cells: Rows
    ends: Numbers

    @classmethod
    def of(cls, codes: Codes) -> Division:
        """Divide codes, at least one, into cells, which do not depend on the order of the codes."""
        cells = max(1, len(codes) // _PER_CELL)
        # In another order, as of another machine, the same images are to find the same ones.
        _, first = np.unique(_mixed(codes), return_index=True)
        sample = codes[first[: cells * _TRAINING_PER_CELL]].astype(np.float32)
        count = min(max(1, round(cells**0.5)), len(sample))
        step = max(1, len(sample) // (count * _TRAINING_PER_CELL))
        regions = find_centres(sample[::step], count, _TRAINING_ROUNDS, _SEED)
        home = nearest_centres(sample, regions, 1)[1][:, 0]
        order, ends = np.argsort(home, kind="stable"), np.bincount(home, minlength=count).cumsum()
        centres = [
            find_centres(
                rows, max(1, round(len(rows) / _TRAINING_PER_CELL)), _TRAINING_ROUNDS, _SEED
            )
            for rows in np.split(sample[order], ends[:-1])
            if len(rows)
        ]
        there = np.flatnonzero(np.bincount(home, minlength=count))
        sizes = np.cumsum([len(each) for each in centres])
        return cls(regions[there], np.concatenate(centres), sizes)

    def nearest(self, codes: Codes) -> Places:
        """(F, M) the cells nearest to each code, nearest first; M is `_PROBED` at most."""
        starts = range(0, len(codes), _LABELLED)
        parts = on_every_core(lambda start: self._nearest(codes[start : start + _LABELLED]), starts)
        return np.concatenate(list(parts))

    def _nearest(self, codes: Codes) -> Places:
        """Find the cells of a block, region by region."""
        rows = codes.astype(np.float32)
        halves = half_squares(self.cells)
        of = _nearest_of_block(rows, self.regions, half_squares(self.regions))
        probed = min(_PROBED, len(self.cells))
        wide = of.shape[1] * probed
        best = np.full((len(rows), wide), -np.inf, np.float32)
        cells = np.zeros((len(rows), wide), np.int32)
        order, ends = _by_cell(of.ravel().astype(np.int32), len(self.regions))
        for region, end in enumerate(self.ends.tolist()):
            asking = order[ends[region] : ends[region + 1]]
            row, slot = np.divmod(asking, of.shape[1])
            begin = int(self.ends[region - 1]) if region else 0
            for start in range(0, len(row), _ROWS):
                some = row[start : start + _ROWS]
                found, places = highest_of_block(
                    rows[some], self.cells[begin:end], probed, halves[begin:end]
                )
                at = slot[start : start + _ROWS, None] * probed + np.arange(found.shape[1])
                best[some[:, None], at], cells[some[:, None], at] = found, places + begin
        first = np.argsort(-best, axis=1, kind="stable")[:, :probed]
        return np.take_along_axis(cells, first, 1)


def _nearest_of_block(rows: Rows, centres: Rows, halves: Rows) -> Numbers:
    parts = [
        highest_of_block(rows[start : start + _ROWS], centres, _PROBED, halves)[1]
        for start in range(0, len(rows), _ROWS)
    ]
    return np.concatenate(parts)


def near_codes(
    codes: Codes,
    sides: list[tuple[Numbers, Numbers]],
    reach: int,
    nearest: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[tuple[Numbers, Numbers]]:
    """Find the nearest codes of each, as far as they are in reach; one that is asked finds itself.

    Parameters
    ----------
    codes : (F, D) uint8, so small that products of two are exact in float32
    sides : pairs of codes that ask and codes that are asked; either rising
    reach : squared distance, inclusive; below 64
    nearest : codes that one is matched with at most
    progress : called with (codes that have asked, codes that ask)

    Returns
    -------
    (M,) codes that ask and (M,) codes that they found, in parts.
    """
    total, done = sum(len(asking) for asking, _ in sides), 0
    if not total:
        return
    division = Division.of(codes)
    near, reaches = division.nearest(codes), np.full(len(codes), reach, np.uint8)
    for side in sides:
        for one, two, _ in matches(codes, division, near, side, reaches, nearest):
            yield one, two
            done += min(_ASKING, len(side[0]))
            progress(min(done, total), total)


def matches(
    codes: Codes,
    division: Division,
    near: Places,
    side: tuple[Numbers, Numbers],
    reaches: npt.NDArray[np.uint8],
    nearest: int,
) -> Iterator[tuple[Numbers, Numbers, Numbers]]:
    """Let some codes ask others; as `near_codes`, in cells that are known.

    Parameters
    ----------
    near : (F, M) as `Division.nearest` gives them
    reaches : (F,) of each code, inclusive; below 64

    Returns
    -------
    (M,) codes that ask, rising, (M,) codes that they found and (M,) squared distances, in parts.
    """
    asking, asked = side
    homes = _Homes(codes, asked, near[asked, 0], len(division.cells))
    for start in range(0, len(asking), _ASKING):
        block = asking[start : start + _ASKING]
        yield homes.asked_by(block, near[block], reaches[block], nearest)


class _Homes:
    """Codes that are asked, by the cell that each is in.

    Parameters
    ----------
    asked, homes : (A,) codes and their cells
    """

    def __init__(self, codes: Codes, asked: Numbers, homes: Places, cells: int) -> None:
        self._codes, self._cells = codes, cells
        order, self._ends = _by_cell(homes, cells)
        self._asked = asked[order]

    def asked_by(
        self, asking: Numbers, near: Places, reaches: npt.NDArray[np.uint8], nearest: int
    ) -> tuple[Numbers, Numbers, Numbers]:
        """Find the matches of some codes.

        The nearest cell of each comes first, and says how near those in its others have to be.
        """
        squares = _squares(self._codes[asking])
        limit = squares - reaches
        keys: list[Numbers] = []
        for slots in (near[:, :1], near[:, 1:]):
            order, ends = _by_cell(slots.ravel(), self._cells)
            order //= max(1, slots.shape[1])

            def search(first: int, order: Numbers = order, ends: Numbers = ends) -> list[Numbers]:
                cells = range(first, min(first + _CELLS_AT_ONCE, self._cells))
                return [
                    key
                    for cell in cells
                    for key in self._in_cell(
                        cell, order[ends[cell] : ends[cell + 1]], asking, squares, limit, nearest
                    )
                ]

            for found in on_every_core(search, range(0, self._cells, _CELLS_AT_ONCE)):
                keys += found
        every = np.sort(np.concatenate([np.empty(0, np.int64), *keys]))
        number = every >> (_PLACE_BITS + _APART_BITS)
        every = every[place_among_equals(number) < nearest]
        apart = (every >> _PLACE_BITS) & ((1 << _APART_BITS) - 1)
        one, two = asking[every >> (_PLACE_BITS + _APART_BITS)], every & ((1 << _PLACE_BITS) - 1)
        return one, two, apart

    def _in_cell(
        self,
        cell: int,
        numbers: Numbers,
        asking: Numbers,
        squares: Rows,
        limit: Rows,
        nearest: int,
    ) -> Iterator[Numbers]:
        """Let some of those that ask, by their numbers, ask one cell; yields what sorts matches."""
        asked = self._asked[self._ends[cell] : self._ends[cell + 1]]
        if not len(asked):
            return
        rows = self._codes[asked].astype(np.float32)
        less = _squares(self._codes[asked])
        for top in range(0, len(numbers), _ROWS):
            some = numbers[top : top + _ROWS]
            twice = self._codes[asking[some]].astype(np.float32)
            twice *= 2
            for left in range(0, len(rows), _COLUMNS):
                closeness = twice @ rows[left : left + _COLUMNS].T
                closeness -= less[left : left + _COLUMNS]
                at, limit[some] = _closest(closeness, limit[some], nearest)
                row = at // np.int32(closeness.shape[1])
                column = at - row * np.int32(closeness.shape[1])
                number = some[row]
                apart = (squares[number] - closeness.ravel()[at]).astype(np.int64)
                key = (number << _APART_BITS | apart) << _PLACE_BITS
                yield key | asked[left + column]


def _closest(closeness: Rows, limit: Rows, nearest: int) -> tuple[Places, Rows]:
    """Choose what reaches the limit of its row, of very many the highest of each row.

    Parameters
    ----------
    closeness : (R, C) whole numbers

    Returns
    -------
    Places in the flat array, and the limits as they are then.
    """
    at = np.flatnonzero(closeness >= limit[:, None]).astype(np.int32)
    count, columns = closeness.shape
    if len(at) <= nearest * count or columns <= nearest:
        return at, limit
    ranks = closeness.astype(np.int32)
    ranks *= _COLUMNS
    ranks += np.arange(columns - 1, -1, -1, dtype=np.int32)  # ties to the first
    lowest = np.partition(ranks, columns - nearest, axis=1)[:, columns - nearest]
    lowest = np.maximum(lowest, limit.astype(np.int32) * _COLUMNS)
    at = np.flatnonzero(ranks >= lowest[:, None]).astype(np.int32)
    return at, (lowest // _COLUMNS).astype(np.float32)


def _mixed(codes: Codes) -> npt.NDArray[np.uint64]:
    """(F,) numbers that look drawn, equal for equal codes."""
    count, dimension = codes.shape
    words = np.zeros((count, -(-dimension // 8) * 8), np.uint8)
    words[:, :dimension] = codes
    mixed = np.zeros(count, np.uint64)
    for column in words.view(np.uint64).T:
        mixed = (mixed ^ column) * MIXING
        mixed ^= mixed >> np.uint64(32)
    return mixed


def _by_cell(cells: Places, count: int) -> tuple[Numbers, Numbers]:
    """Sort by cell; gives the order, and where each of the cells and the one after them begins."""
    narrow = cells.astype(np.uint16 if count <= 1 << 16 else np.int32)  # a quarter of the time
    return np.argsort(narrow, kind="stable"), np.append(
        0, np.bincount(cells, minlength=count).cumsum()
    )


def _squares(codes: Codes) -> Rows:
    rows = codes.astype(np.float32)
    squares: Rows = np.einsum("nd,nd->n", rows, rows)
    return squares
