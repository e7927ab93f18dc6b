"""The nearest codes of local features: small whole numbers, very many of them, compared exactly.

Codes are divided by k-means of two levels, so that finding the cells of one takes some hundred
products and not thousands. Each code asks the codes of its nearest cells, by products of matrices;
all numbers are whole and small, so that these are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.search.kmeans import find_centres, half_squares, nearest_centres
from dedup.search.pairs import MIXING
from dedup.search.products import highest_of_block, on_every_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]
    Places = npt.NDArray[np.int32]
    Cells = npt.NDArray[np.integer]
    Codes = npt.NDArray[np.uint8]

_PER_CELL: Final = 320
_TRAINING_PER_CELL: Final = 32
_TRAINING_ROUNDS: Final = 6
_PROBED: Final = 3  # cells of a code
_REGIONS: Final = 3  # that these are looked for in
_SPARE: Final = 1.2  # times as many as are drawn, for those that are equal
_LABELLED: Final = 1 << 16  # codes at a time
_ASKING: Final = 5 << 18  # codes at a time, at most: the more, the fewer products of few rows
_CELLS: Final = 16  # that one core asks before it takes others
_GIVEN: Final = 1 << 15  # codes whose matches are given at once
_TILE: Final = 1 << 17  # ranks at a time, which stay in the cache
_ROWS: Final = 512
_COLUMN_BITS: Final = 10
_COLUMNS: Final = 1 << _COLUMN_BITS  # ranks of 32 values of half a byte stay whole in float32
_HIGHEST: Final = 15
_FARTHEST: Final = 63  # squared distance, as which all that are farther count
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
        found = on_every_core(lambda start: self._nearest(codes[start : start + _LABELLED]), starts)
        kind = _narrow(np.empty(0, np.int32), len(self.cells)).dtype
        near = np.empty((len(codes) - first, min(_PROBED, len(self.cells))), kind)
        for start, some in zip(starts, found, strict=True):
            near[start - first : start - first + _LABELLED] = some
        return near

    def _nearest(self, codes: Codes) -> Cells:
        """Find the cells of a block, region by region."""
        halves = half_squares(self.cells)
        of = _nearest_of_block(codes, self.regions, half_squares(self.regions))
        probed, near = min(_PROBED, len(self.cells)), of.shape[1]
        best = np.full((len(codes) * near, probed), -np.inf, np.float32)
        cells = np.zeros((len(codes) * near, probed), np.int32)
        order, ends = _by_cell(of.ravel(), len(self.regions))
        for region, end in enumerate(self.ends.tolist()):
            begin = int(self.ends[region - 1]) if region else 0
            there, less = self.cells[begin:end], halves[begin:end]
            for start in range(int(ends[region]), int(ends[region + 1]), _ROWS):
                some = order[start : min(start + _ROWS, int(ends[region + 1]))]
                rows = codes.take(some // near, axis=0).astype(np.float32)
                found, places = highest_of_block(rows, there, probed, less)
                best[some, : found.shape[1]] = found
                cells[some, : found.shape[1]] = places + begin
        best, cells = (each.reshape(len(codes), -1) for each in (best, cells))
        first = np.argsort(-best, axis=1, kind="stable")[:, :probed]
        return _narrow(np.take_along_axis(cells, first, 1), len(self.cells))


def _nearest_of_block(codes: Codes, centres: Rows, halves: Rows) -> Numbers:
    blocks = (codes[start : start + _ROWS] for start in range(0, len(codes), _ROWS))
    parts = [
        highest_of_block(block.astype(np.float32), centres, _REGIONS, halves)[1] for block in blocks
    ]
    return np.concatenate(parts)


def near_codes(
    codes: Codes,
    sides: Sequence[tuple[range, range]],
    reach: int,
    nearest: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[tuple[Places, Places]]:
    """Find the nearest codes of each, as far as they are in reach; one that is asked finds itself.

    Parameters
    ----------
    codes : (F, D) uint8, 0 to 15; D at most 32, so that ranks are exact in float32
    sides : pairs of codes that ask and codes that are asked
    reach : squared distance, inclusive; below 63
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
    side: tuple[range, range],
    reaches: npt.NDArray[np.uint8],
    nearest: int,
) -> Iterator[Matches]:
    """Let some codes ask others; as `near_codes`, in cells that are known.

    Parameters
    ----------
    near : (F, M) as `Division.nearest` gives them
    reaches : (F,) of each code, inclusive; below 63

    Yields
    ------
    Codes that asked in their order, and what each of them found, nearest first.
    """
    asking, asked = side
    homes = _Homes(codes, asked, near, len(division.cells))
    blocks = -(-len(asking) // _ASKING)
    size = -(-len(asking) // max(1, blocks))
    for start in range(0, len(asking), max(1, size)):
        yield from homes.matched(asking[start : start + size], near, reaches, nearest)


class _Homes:
    """Codes that are asked, by the cell that each is in.

    Parameters
    ----------
    near : as in `matches`
    cells : that there are
    """

    def __init__(self, codes: Codes, asked: range, near: Cells, cells: int) -> None:
        self._codes = codes
        self._asked, self._ends = _by_cell(near[asked.start : asked.stop, 0], cells)
        self._asked += np.int32(asked.start)
        self._inhabited = np.diff(self._ends) > 0

    def matched(
        self, block: range, near: Cells, reaches: npt.NDArray[np.uint8], nearest: int
    ) -> Iterator[Matches]:
        """Match some codes; as `matches`."""
        some = np.zeros(len(block), np.bool_)
        for slot in near[block.start : block.stop].T:
            some |= self._inhabited[slot]
        asking = np.flatnonzero(some).astype(np.int32)
        asking += np.int32(block.start)
        if left := len(block) - len(asking):
            nothing = np.empty(0, np.int32)
            yield Matches(nothing, nothing, nothing.astype(np.uint8), left)
        found = _Nearest(self._codes, asking, reaches[asking], nearest)
        self._ask_all(found, near)
        yield from on_every_core(found.given, range(0, len(asking), _GIVEN))

    def _ask_all(self, found: _Nearest, near: Cells) -> None:
        """Let codes ask their cells: all that ask one do so at once, in fewer, larger products."""
        slots = [
            _by_cell(near[found.asking, slot], len(self._inhabited))
            for slot in range(near.shape[1])
        ]
        cells = np.flatnonzero(self._inhabited).tolist()

        def ask(start: int) -> None:
            for cell in cells[start : start + _CELLS]:
                parts = [order[ends[cell] : ends[cell + 1]] for order, ends in slots]
                self._ask(cell, np.concatenate(parts), found)

        for _ in on_every_core(ask, range(0, len(cells), _CELLS)):
            pass

    def _ask(self, cell: int, numbers: Places, found: _Nearest) -> None:
        """Let some codes, by their numbers, ask one cell."""
        asked = self._asked[self._ends[cell] : self._ends[cell + 1]]
        for left in range(0, len(asked), _COLUMNS):
            columns = asked[left : left + _COLUMNS]
            ranking = _ranking(self._codes[columns])
            rows = max(1, _TILE // len(columns))
            for top in range(0, len(numbers), rows):
                found.ask(numbers[top : top + rows], columns, ranking)


class _Nearest:
    """The nearest codes of N that ask, as far as they have been asked.

    A code that was found is kept as a number that rises with its distance, and of equal ones with
    its place.

    Attributes
    ----------
    asking : (N,) int32
    """

    def __init__(
        self, codes: Codes, asking: Places, reaches: npt.NDArray[np.uint8], nearest: int
    ) -> None:
        self.asking = asking
        self._codes, self._reaches, self._nearest = codes, reaches, nearest
        self._squares = _squares(codes, asking)
        self._least = ((self._squares - reaches) << _COLUMN_BITS).astype(np.float32)
        self._lock = Lock()
        self._bits = len(codes).bit_length()
        kind = np.int32 if (_FARTHEST + 1) << self._bits < 1 << 31 else np.int64
        self._found = np.full((len(asking), nearest), np.iinfo(kind).max, kind)

    def ask(self, numbers: Places, asked: Places, ranking: Rows) -> None:
        """Let some codes, by their numbers, ask others, at most `_COLUMNS`."""
        ranks = _beside_ones(self._codes[self.asking[numbers]]) @ ranking.T
        if len(asked) <= self._nearest:  # few of what came later: nearly none is in reach of any
            some = np.flatnonzero(ranks.T.copy().max(axis=0) >= self._least[numbers])
            numbers, ranks = numbers[some], ranks[some]
        if ranks.shape[1] > self._nearest:
            # Whole numbers above 0 sort as their bits do, in a third of the time.
            ranks.view(np.int32).partition(ranks.shape[1] - self._nearest, axis=1)
        highest = ranks[:, -self._nearest :].astype(np.int32)
        # Of numbers above 0, a third of the time of division and remainder.
        places = asked[_COLUMNS - 1 - (highest & (_COLUMNS - 1))]
        apart = self._squares[numbers, None] - (highest >> _COLUMN_BITS)
        keys = np.minimum(apart, _FARTHEST).astype(self._found.dtype)
        keys <<= self._bits
        keys |= places
        with self._lock:  # a code may ask two cells at once
            every = np.concatenate([self._found.take(numbers, axis=0), keys], axis=1)
            every.partition(self._nearest - 1, axis=1)
            self._found[numbers] = every[:, : self._nearest]

    def given(self, start: int) -> Matches:
        """Give what was found by those from a number on, as far as it is in reach."""
        some, keys = self.asking[start : start + _GIVEN], self._found[start : start + _GIVEN]
        keys.sort(axis=1)
        apart = keys >> self._bits
        near = apart <= self._reaches[start : start + _GIVEN, None]
        one = np.repeat(some, np.count_nonzero(near, axis=1))
        two = keys[near] & ((1 << self._bits) - 1)
        return Matches(one, two.astype(np.int32), apart[near].astype(np.uint8), len(some))


def _ranking(codes: Codes) -> Rows:
    """Make of codes that are asked what gives ranks by products with `_beside_ones`: (C, D + 1).

    A rank is how near a code is, and of equally near ones which comes first: `_COLUMNS` times a
    whole number that falls with the squared distance, and the columns after its own. All that is
    summed up is above 0.
    """
    rows = _beside_ones(codes)
    whole = _most(codes.shape[1]) + 1 - np.einsum("nd,nd->n", rows, rows)
    rows *= 2 * _COLUMNS
    rows[:, -1] = whole * _COLUMNS
    rows[:, -1] += np.arange(_COLUMNS - 1, _COLUMNS - 1 - len(codes), -1, dtype=np.float32)
    return rows


def _beside_ones(codes: Codes) -> Rows:
    rows = np.empty((len(codes), codes.shape[1] + 1), np.float32)
    rows[:, :-1], rows[:, -1] = codes, 1
    return rows


def _most(values: int) -> int:
    """Give the most that the squares of the values of a code come to."""
    return values * _HIGHEST * _HIGHEST


def _squares(codes: Codes, some: Places) -> npt.NDArray[np.int32]:
    """(N,) what ranks of some codes, without the columns, fall short of by the squared distance."""
    squares = np.empty(len(some), np.int32)
    for start in range(0, len(some), _LABELLED):
        rows = codes[some[start : start + _LABELLED]].astype(np.float32)
        whole = np.einsum("nd,nd->n", rows, rows) + _most(rows.shape[1])
        squares[start : start + _LABELLED] = whole
    return squares


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


def _by_cell(cells: Cells, count: int) -> tuple[Places, Numbers]:
    """Sort by cell; gives the order, and where each of the cells and the one after them begins."""
    order = np.argsort(_narrow(cells, count), kind="stable").astype(np.int32)
    return order, np.append(0, np.bincount(cells, minlength=count).cumsum())


def _narrow(cells: Cells, count: int) -> Cells:
    """Give cells in half the bytes where there are few; sorting takes a quarter of the time."""
    return cells.astype(np.uint16 if count <= 1 << 16 else np.int32, copy=False)
