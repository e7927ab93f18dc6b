"""The nearest codes of local features: small whole numbers, very many of them, compared exactly.

Codes are divided by k-means of two levels, so that finding the cells of one takes some hundred
products and not thousands. Each code asks the codes of its nearest cells, by products of matrices;
all numbers are whole and small, so that these are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.parallel.workers import cores
from dedup.search.kmeans import find_centres, half_squares, nearest_centres
from dedup.search.pairs import place_among_equals
from dedup.search.products import highest_of_block, on_every_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]
    Places = npt.NDArray[np.int32]
    Indices = npt.NDArray[np.integer]
    Cells = npt.NDArray[np.integer]
    Codes = npt.NDArray[np.uint8]

_PER_CELL: Final = 320
_TRAINING_PER_CELL: Final = 32
_TRAINING_ROUNDS: Final = 6
_PROBED: Final = 3  # cells of a code
_REGIONS: Final = 3  # that these are looked for in
_SPARE: Final = 1.2  # times as many as are drawn, for those that are equal
_LABELLED: Final = 1 << 16  # codes at a time
_ASKING: Final = 1 << 17  # codes at a time, on each core, at most
_MOST_BLOCKS: Final = 24  # of all codes, which are larger where these are very many
_FEWEST_ASKING: Final = 1 << 13  # likewise, at least
_TRIMMED: Final = 1 << 14  # of these at a time
_MOST_TIMES: Final = 4  # as many of either, where few are asked
_FEW: Final = 32  # codes for each cell
_BLOCKS: Final = 3  # of each core, at least; with more, each asks most cells of a few codes alone
_ROWS: Final = 1024
_COLUMNS: Final = 1024  # ranks of 32 values of half a byte stay whole in float32
_APART_BITS: Final = 6
_PLACE_BITS: Final = 30
MIXING: Final = np.uint64(0x9E3779B97F4A7C15)
"""Spreads what is multiplied by it (Fibonacci hashing)."""

_SEED: Final = 0


class Matches(NamedTuple):
    """What some codes found.

    Parameters
    ----------
    one, two : (M,) int32, codes that asked, those of one together, and codes that they found
    apart : (M,) uint8, squared distances
    asked : codes that asked, with those that found nothing
    """

    one: Places
    two: Places
    apart: npt.NDArray[np.uint8]
    asked: int


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
        sample = codes[_drawn(codes, cells * _TRAINING_PER_CELL)].astype(np.float32)
        count = min(max(1, round(cells**0.5)), len(sample))
        step = max(1, len(sample) // (count * _TRAINING_PER_CELL))
        regions = find_centres(sample[::step], count, _TRAINING_ROUNDS, _SEED)
        home = nearest_centres(sample, regions, 1)[1][:, 0]
        order, ends = np.argsort(home, kind="stable"), np.bincount(home, minlength=count).cumsum()
        centres = [
            find_centres(
                sample[some], max(1, round(len(some) / _TRAINING_PER_CELL)), _TRAINING_ROUNDS, _SEED
            )
            for some in np.split(order, ends[:-1])
            if len(some)
        ]
        there = np.flatnonzero(np.bincount(home, minlength=count))
        sizes = np.cumsum([len(each) for each in centres])
        return cls(regions[there], np.concatenate(centres), sizes)

    def nearest(self, codes: Codes, first: int = 0) -> Cells:
        """(F, M) the cells nearest to codes from one on, nearest first; M is `_PROBED` at most."""
        starts = range(first, len(codes), _LABELLED)
        parts = on_every_core(lambda start: self._nearest(codes[start : start + _LABELLED]), starts)
        return np.concatenate(list(parts))

    def _nearest(self, codes: Codes) -> Cells:
        """Find the cells of a block, region by region."""
        rows = codes.astype(np.float32)
        halves = half_squares(self.cells)
        of = _nearest_of_block(rows, self.regions, half_squares(self.regions))
        probed = min(_PROBED, len(self.cells))
        wide = of.shape[1] * probed
        best = np.full((len(rows), wide), -np.inf, np.float32)
        cells = np.zeros((len(rows), wide), np.int32)
        order, ends = _by_cell(of.ravel(), len(self.regions))
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
        return _narrow(np.take_along_axis(cells, first, 1), len(self.cells))


def _nearest_of_block(rows: Rows, centres: Rows, halves: Rows) -> Numbers:
    parts = [
        highest_of_block(rows[start : start + _ROWS], centres, _REGIONS, halves)[1]
        for start in range(0, len(rows), _ROWS)
    ]
    return np.concatenate(parts)


def near_codes(
    codes: Codes,
    sides: Sequence[tuple[Indices, Indices]],
    reach: int,
    nearest: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[tuple[Places, Places]]:
    """Find the nearest codes of each, as far as they are in reach; one that is asked finds itself.

    Parameters
    ----------
    codes : (F, D) uint8, 0 to 15; D at most 32, so that ranks are exact in float32
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
        for part in matches(codes, division, near, side, reaches, nearest):
            yield part.one, part.two
            done += part.asked
            progress(done, total)


def matches(
    codes: Codes,
    division: Division,
    near: Cells,
    side: tuple[Indices, Indices],
    reaches: npt.NDArray[np.uint8],
    nearest: int,
) -> Iterator[Matches]:
    """Let some codes ask others; as `near_codes`, in cells that are known.

    Parameters
    ----------
    near : (F, M) as `Division.nearest` gives them
    reaches : (F,) of each code, inclusive; below 64
    """
    asking, asked = (one.astype(np.int32, copy=False) for one in side)
    few = min(len(asking), len(asked)) < _FEW * len(division.cells)
    homes = _Homes(codes, asked, near[asked, 0], len(division.cells), first=0 if few else 1)
    # Neighbours together ask the same few cells: one product for many of them.
    asking = asking[_by_cell(near[asking, 0], len(division.cells))[0]]
    # Where few are asked, they are few in each cell: then blocks that ask are larger.
    times = min(_MOST_TIMES, max(1, len(asking) // max(1, len(asked))))
    blocks = _BLOCKS * cores() if cores() > 1 else 1
    even, most = (-(-len(asking) // count) for count in (blocks, _MOST_BLOCKS))
    size = min(max(_ASKING * times, most), max(_FEWEST_ASKING * times, even))

    def ask(start: int) -> Matches:
        block = asking[start : start + size]
        return homes.asked_by(block, near[block], reaches[block], nearest)

    yield from on_every_core(ask, range(0, len(asking), size))


class _Homes:
    """Codes that are asked, by the cell that each is in.

    Parameters
    ----------
    asked, homes : (A,) codes and their cells
    cells : that there are
    first : nearest cells of a code that it asks before its others
    """

    def __init__(
        self, codes: Codes, asked: Places, homes: Cells, cells: int, *, first: int
    ) -> None:
        self._codes, self._cells, self._first = codes, cells, first
        order, self._ends = _by_cell(homes, cells)
        self._asked = asked[order]

    def asked_by(
        self, asking: Places, near: Cells, reaches: npt.NDArray[np.uint8], nearest: int
    ) -> Matches:
        """Find the matches of some codes.

        The nearest cell of each comes first, and says how near those in its others have to be: of
        few, all come at once, since it takes longer to go through the cells twice.
        """
        codes = self._codes[asking]
        squares = _squares(codes)
        limit = squares - reaches
        keys = [np.empty(0, np.int64)]
        for slots in np.split(near, [self._first], axis=1):
            order, ends = _by_cell(slots.ravel(), self._cells)
            order //= max(1, slots.shape[1])
            for cell in np.flatnonzero(np.diff(ends)).tolist():
                numbers = order[ends[cell] : ends[cell + 1]]
                keys += self._in_cell(cell, numbers, codes, squares, limit, nearest)
        every = np.concatenate(keys)
        keys.clear()
        every.sort()
        begins = np.arange(0, len(asking) + 1, _TRIMMED) << (_PLACE_BITS + _APART_BITS)
        parts = np.split(every, np.searchsorted(every, begins)[1:])
        found = [_nearest_of(part, nearest) for part in parts]
        number, two, apart = (np.concatenate(side) for side in zip(*found, strict=True))
        return Matches(asking[number], two, apart, len(asking))

    def _in_cell(
        self,
        cell: int,
        numbers: Numbers,
        codes: Codes,
        squares: Rows,
        limit: Rows,
        nearest: int,
    ) -> Iterator[Numbers]:
        """Let some codes, by their numbers, ask one cell; yields what sorts matches."""
        asked = self._asked[self._ends[cell] : self._ends[cell + 1]]
        for left in range(0, len(asked), _COLUMNS):
            ranking = _ranking(self._codes[asked[left : left + _COLUMNS]])
            rows = _ROWS * (_MOST_TIMES if ranking.shape[1] <= _FEW else 1)
            for top in range(0, len(numbers), rows):
                some = numbers[top : top + rows]
                ranks = _twice(codes[some]) @ ranking
                at, limit[some] = _closest(ranks, limit[some], nearest)
                row = at // np.int32(ranks.shape[1])
                column = at - row * np.int32(ranks.shape[1])
                number = some[row]
                closeness = np.floor(ranks.ravel()[at] / np.float32(_COLUMNS))
                apart = (squares[number] - closeness).astype(np.int64)
                key = (number << _APART_BITS | apart) << _PLACE_BITS
                yield key | asked[left + column]


def _nearest_of(keys: Numbers, nearest: int) -> tuple[Places, Places, npt.NDArray[np.uint8]]:
    """Keep the nearest of what each code found; gives the codes, what they found, and how far."""
    number = (keys >> (_PLACE_BITS + _APART_BITS)).astype(np.int32)
    kept = place_among_equals(number) < nearest
    keys = keys[kept]
    two = (keys & ((1 << _PLACE_BITS) - 1)).astype(np.int32)
    keys >>= _PLACE_BITS
    keys &= (1 << _APART_BITS) - 1
    return number[kept], two, keys.astype(np.uint8)


def _ranking(codes: Codes) -> Rows:
    """Make of codes that are asked what gives ranks when multiplied by `_twice`: (D + 1, C).

    A rank is how near a code is, and of equally near ones which comes first: `_COLUMNS` times a
    whole number that falls with the squared distance, and the columns after its own.
    """
    rows = np.empty((codes.shape[1] + 1, len(codes)), np.float32)
    rows[:-1], rows[-1] = codes.T, -_squares(codes)
    rows *= _COLUMNS
    rows[-1] += np.arange(_COLUMNS - 1, _COLUMNS - 1 - len(codes), -1, dtype=np.float32)
    return rows


def _twice(codes: Codes) -> Rows:
    rows = np.empty((len(codes), codes.shape[1] + 1), np.float32)
    rows[:, :-1], rows[:, -1] = codes, 0.5
    rows *= 2
    return rows


def _closest(ranks: Rows, limit: Rows, nearest: int) -> tuple[Places, Rows]:
    """Choose what reaches the limit of its row, of very many the highest of each row.

    Parameters
    ----------
    ranks : (R, C) whole numbers, those of a row all different

    Returns
    -------
    Places in the flat array, and the limits as they are then.
    """
    lowest = limit * np.float32(_COLUMNS)
    at = np.flatnonzero(ranks >= lowest[:, None]).astype(np.int32)
    count, columns = ranks.shape
    if len(at) <= nearest * count or columns <= nearest:
        return at, limit
    highest = np.partition(ranks, columns - nearest, axis=1)[:, columns - nearest]
    lowest = np.maximum(highest, lowest)
    at = np.flatnonzero(ranks >= lowest[:, None]).astype(np.int32)
    return at, np.floor(lowest / np.float32(_COLUMNS))


def _drawn(codes: Codes, count: int) -> Numbers:
    """Draw different codes, the same ones in whatever order they come, as of another machine."""
    mixed = _mixed(codes)
    share = min(1.0, _SPARE * count / len(mixed))
    while True:  # the lowest alone are sorted: a tenth of all
        low = np.flatnonzero(mixed <= np.uint64(min(2**64 - 1, int(share * 2**64))))
        _, first = np.unique(mixed[low], return_index=True)
        if len(first) >= count or share == 1.0:
            return low[first[:count]]
        share = min(1.0, 2 * share)


def _mixed(codes: Codes) -> npt.NDArray[np.uint64]:
    """(F,) numbers that look drawn, equal for equal codes."""
    mixed = np.empty(len(codes), np.uint64)
    for start in range(0, len(codes), _LABELLED):
        mixed[start : start + _LABELLED] = _mixed_block(codes[start : start + _LABELLED])
    return mixed


def _mixed_block(codes: Codes) -> npt.NDArray[np.uint64]:
    mixed = np.zeros(len(codes), np.uint64)
    for begin in range(0, codes.shape[1], 8):
        word = np.zeros((len(codes), 8), np.uint8)
        some = codes[:, begin : begin + 8]
        word[:, : some.shape[1]] = some
        mixed = (mixed ^ word.view(np.uint64)[:, 0]) * MIXING
        mixed ^= mixed >> np.uint64(32)
    return mixed


def _by_cell(cells: Cells, count: int) -> tuple[Numbers, Numbers]:
    """Sort by cell; gives the order, and where each of the cells and the one after them begins."""
    return np.argsort(_narrow(cells, count), kind="stable"), np.append(
        0, np.bincount(cells, minlength=count).cumsum()
    )


def _narrow(cells: Cells, count: int) -> Cells:
    """Give cells in half the bytes where there are few; sorting takes a quarter of the time."""
    return cells.astype(np.uint16 if count <= 1 << 16 else np.int32, copy=False)


def _squares(codes: Codes) -> Rows:
    squares = np.empty(len(codes), np.float32)
    for start in range(0, len(codes), _LABELLED):
        rows = codes[start : start + _LABELLED].astype(np.float32)
        np.einsum("nd,nd->n", rows, rows, out=squares[start : start + _LABELLED])
    return squares
