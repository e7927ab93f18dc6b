"""Pairs of classes within cells, and the best of each class over all cells.

A pair that shares several cells is found in the lowest of them. Each task keeps what can still be
among the best `CANDIDATES` of a class, so that what it writes is bounded however many are alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from dedup.distributed.blocks import stage_of
from dedup.distributed.commits import commit
from dedup.distributed.dividing import Division, vectors_of
from dedup.distributed.pieces import commit_pieces, cut_by, read_pieces
from dedup.distributed.schemas import PAIRS, ROW_BITS, assign_schema
from dedup.duplicates.tiers import CANDIDATES
from dedup.errors import SearchError
from dedup.search.cells import lowest_shared
from dedup.search.join import MAX_PAIRS
from dedup.search.pairs import Pairs, place_among_equals
from dedup.search.similarity import MARGIN, inclusive, pair_similarities
from dedup.search.tiles import TILE, found_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from dedup.distributed.blocks import Block, Limits
    from dedup.distributed.commits import Done
    from dedup.distributed.pieces import Piece
    from dedup.distributed.run import Run

    Rows = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

SHARDS_OF_RANGE: Final = 256
"""Shards whose classes one task of `best` looks at: up to two million."""

_WAITING_PAIRS: Final = 250_000  # until what is none of the best is left out
_APART_BITS: Final = np.uint64(32)
_ONE_MORE: Final = CANDIDATES + 1  # so that it shows which classes had more than were kept
_COMMON: Final = 0.25  # of a cell's classes, that make it worth to look at another they are all in
_DENSE: Final = 64  # pairs of a row in a tile, from which it is worth to leave some out at once


def pair_block(run: Run, division: str, limits: Limits, block: Block) -> Done | None:
    """Find the pairs of a block; writes `pair-…`, in pieces by range, of near ones and the others.

    Pairs come once for each of their classes, so that a range has all of its own.
    """
    schema = assign_schema(list(run.meta.pinned.compared))
    one = read_pieces(run.storage, block.first, schema)
    two = read_pieces(run.storage, block.second, schema) if block.second else None
    table = (one if two is None else pa.concat_tables([one, two])).combine_chunks()
    # Each class is unpacked once, however many of its cells are in this block.
    ids, first, at = np.unique(table["class"].to_numpy(), return_index=True, return_inverse=True)
    raw = vectors_of(run, table.take(first))
    cells = np.array(table["cells"].to_pylist(), np.int32).reshape(table.num_rows, -1)[first]
    cell = table["cell"].to_numpy()
    later = np.arange(len(cell)) >= one.num_rows if two is not None else None
    found = find_pairs(
        Division(run.storage, division).centre(raw), at, cell, cells, later, limits.near
    )
    near = Pairs(ids[found.first], ids[found.second], found.similarity)
    parts = [(0, near)]
    if limits.reach is not None:
        found = find_pairs(raw, at, cell, cells, later, limits.reach, every=True)
        parts.append((1, Pairs(ids[found.first], ids[found.second], found.similarity)))
    stage = f"{division}/{stage_of(limits)}"
    return commit_pieces(run.storage, stage, block.name, _by_range(parts))


def _by_range(parts: list[tuple[int, Pairs]]) -> Iterator[tuple[int, pa.Table]]:
    """Cut pairs by the ranges of either class; near ones have even numbers, the others odd ones."""
    for kind, pairs in parts:
        row = np.concatenate([pairs.first, pairs.second])
        other = np.concatenate([pairs.second, pairs.first])
        similarity = np.tile(pairs.similarity, 2)
        order = np.lexsort((other, row))
        row, other, ranges = row[order], other[order], range_of(row[order])
        table = pa.table([row, other, similarity[order]], schema=PAIRS)
        for number, part in cut_by(ranges, table):
            yield 2 * number + kind, part


def range_of(ids: Ids) -> Ids:
    """Give the ranges of classes."""
    return (ids >> ROW_BITS) // SHARDS_OF_RANGE


def find_pairs(
    rows: Rows,
    at: Ids,
    cell: npt.NDArray[np.int32],
    cells: npt.NDArray[np.int32],
    later: npt.NDArray[np.bool_] | None,
    floor: float,
    *,
    every: bool = False,
) -> Pairs:
    """Find the pairs within the cells of a block.

    Parameters
    ----------
    rows : (N, D) unit rows, of each class one
    at : (R,) the class of each row of the block
    cell : (R,) its cell
    cells : (N, M) all cells of each class, rising
    later : (R,) whether it is of the second block: pairs are of one of each; None: of any
    every : keep all pairs, not only the best of each class
    """
    bars = None if every else np.full(len(rows), floor - MARGIN, np.float32)
    kept = _Waiting(bars)
    for number in np.unique(cell).tolist():
        mine = np.flatnonzero(cell == number)
        sides = (mine,) if later is None else (mine[~later[mine]], mine[later[mine]])
        tiles = _tiles(rows, cells, [at[side] for side in sides], number, floor, bars)
        if bars is None:
            for pairs in tiles:
                kept.add(_similar(rows, _of_cell(pairs, cells, number), floor))
                if kept.count > MAX_PAIRS:
                    raise SearchError(
                        f"more than {MAX_PAIRS:,} pairs of one part of the collection reach a "
                        f"similarity of {floor:.4f}: choose a higher threshold"
                    )
            continue
        # Pairs of a lower cell raise bars as well as others: only what is left is asked about that.
        waiting = _Waiting(bars)
        for pairs in tiles:
            waiting.add(pairs)
        kept.add(_of_cell(waiting.joined(), cells, number))
    if bars is None or not kept.count:
        return kept.joined()
    found = _similar(rows, _nearest(kept.joined(), bars), floor)
    return found.best_of_each_row(_ONE_MORE) if len(found) else found


class _Waiting:
    """Pairs, of which those that are none of the best are left out whenever there are many.

    Parameters
    ----------
    bars : (N,) what a pair has to reach to be among the best of a class; None: all are kept
    """

    def __init__(self, bars: npt.NDArray[np.float32] | None) -> None:
        self._bars, self._most = bars, _WAITING_PAIRS
        self.parts: list[Pairs] = []
        self.count = 0

    def add(self, pairs: Pairs) -> None:
        self.parts.append(pairs)
        self.count += len(pairs)
        if self._bars is not None and self.count > self._most:
            self.parts = [_nearest(self.joined(), self._bars)]
            self.count = len(self.parts[0])
            self._most = 2 * self.count + _WAITING_PAIRS

    def joined(self) -> Pairs:
        """Give them in any order: `_by_range` sorts what is left."""
        first, second, similarity = (
            np.concatenate([getattr(part, name) for part in (Pairs.empty(), *self.parts)])
            for name in ("first", "second", "similarity")
        )
        return Pairs(first, second, similarity)


def _tiles(
    rows: Rows,
    cells: npt.NDArray[np.int32],
    sides: Sequence[Ids],
    number: int,
    floor: float,
    bars: npt.NDArray[np.float32] | None,
) -> Iterator[Pairs]:
    """Compare the classes of a cell with each other, or those of two sides.

    Parameters
    ----------
    sides : classes in the cell; one side: with each other
    bars : (N,) what a pair has to reach for it to be among the best of a class; raised here

    Returns
    -------
    Pairs with products for similarities, first < second; none where a lower cell has all of a tile.
    """
    limit, lowest = np.float32(floor - MARGIN), cells[:, 0]
    common = _common(cells, np.concatenate(sides), number)
    sides = [side[np.lexsort((side, lowest[side]))] for side in sides]
    one, two, is_same = sides[0], sides[-1], len(sides) == 1
    for top in range(0, len(one), TILE):
        above = one[top : top + TILE]
        for start in range(top if is_same else 0, len(two), TILE):
            across = two[start : start + TILE]
            ends = lowest[[above[0], above[-1], across[0], across[-1]]]
            if ends[0] < number and (ends == ends[0]).all():
                continue
            apart = None if common is None else common[above] @ common[across].T == 0
            left = 0 if apart is None else np.count_nonzero(apart)
            if apart is not None and not left:
                continue
            products = rows[above] @ rows[across].T
            if apart is not None and left <= _DENSE * len(above):
                np.copyto(products, -2, where=~apart)
            if bars is not None:
                _leave_out(products, limit, bars, above, across)
            tile = found_in(products, limit, top, start if is_same else start + len(one))
            first = above[tile.first - top]
            second = across[tile.second - (start if is_same else start + len(one))]
            yield Pairs(np.minimum(first, second), np.maximum(first, second), tile.products)


def _common(cells: npt.NDArray[np.int32], members: Ids, number: int) -> Rows | None:
    """(N, K) whether each class is in each lower cell that very many of a cell are in.

    None where there is no such cell. Rows that are nearly one share most of their cells, all but
    the first of which have nothing to say of them.

    Parameters
    ----------
    members : classes in the cell
    """
    every = cells[members]
    counts = np.bincount(every[every < number])
    common = np.flatnonzero(counts >= max(TILE, len(members) * _COMMON))
    if not len(common):
        return None
    return np.stack([(cells == one).any(axis=1) for one in common], axis=1).astype(np.float32)


def _of_cell(pairs: Pairs, cells: npt.NDArray[np.int32], number: int) -> Pairs:
    """Keep the pairs that share no lower cell than this."""
    one, two = cells[pairs.first, 0], cells[pairs.second, 0]
    mine = one == two
    rest = np.flatnonzero(~mine)
    mine &= one == number
    mine[rest] = lowest_shared(cells, pairs.first[rest], pairs.second[rest]) == number
    return Pairs(pairs.first[mine], pairs.second[mine], pairs.similarity[mine])


def _similar(rows: Rows, pairs: Pairs, floor: float) -> Pairs:
    """Give pairs their similarities, in place of products; those below the floor are left out."""
    similarity = pair_similarities(rows, rows, pairs.first, pairs.second)
    keep = similarity >= inclusive(floor)
    return Pairs(pairs.first[keep], pairs.second[keep], similarity[keep])


def _nearest(pairs: Pairs, bars: npt.NDArray[np.float32]) -> Pairs:
    """Leave out pairs that are not among the best of either class, and raise its bar.

    Products are within `MARGIN` of similarities: what is twice that below is none of the best.
    """
    first, second, product = pairs.first, pairs.second, pairs.similarity
    # Sorting the values takes a tenth of what sorting places by two keys does.
    apart = np.tile(np.maximum(np.float32(1) - product, np.float32(0)).view(np.uint32), 2)
    key = np.sort(np.concatenate([first, second]).astype(np.uint64) << _APART_BITS | apart)
    row = (key >> _APART_BITS).astype(np.int64)
    last = np.flatnonzero(place_among_equals(row) == _ONE_MORE - 1)
    bar = np.float32(1) - key[last].astype(np.uint32).view(np.float32) - np.float32(2 * MARGIN)
    bars[row[last]] = np.maximum(bars[row[last]], bar)
    keep = (product >= bars[first]) | (product >= bars[second])
    return Pairs(first[keep], second[keep], product[keep])


def _leave_out(
    products: Rows, limit: np.float32, bars: npt.NDArray[np.float32], rows: Ids, columns: Ids
) -> None:
    """Put -2 where many pairs of a tile are near, for those not among the best of either class.

    A class that has `_ONE_MORE` nearer ones in one tile loses nothing that would be kept of all.
    """
    most = _DENSE * len(rows)
    if np.count_nonzero(products >= limit) <= most:
        return
    best = products >= bars[rows][:, None]
    best |= products >= bars[columns]
    if np.count_nonzero(best) > most:
        for some, values in ((rows, products), (columns, products.T)):
            if values.shape[1] > _ONE_MORE:  # one more than that: on the diagonal a row has itself
                bar = np.partition(values, -_ONE_MORE - 1, axis=1)[:, -_ONE_MORE - 1] - 2 * MARGIN
                bars[some] = np.maximum(bars[some], bar)
        best = products >= bars[rows][:, None]
        best |= products >= bars[columns]
    products[~best] = -2


def best(run: Run, join: str, number: int, near: tuple[Piece, ...]) -> Done | None:
    """Keep the best pairs of the classes of a range; writes `best`.

    Facts: how many of its classes had more than were kept.
    """
    table = read_pieces(run.storage, near, PAIRS)
    row, other, similarity = (table[name].to_numpy() for name in PAIRS.names)
    order = np.lexsort((other, -similarity, row))
    row, other, similarity = row[order], other[order], similarity[order]
    place = place_among_equals(row)
    kept = place < CANDIDATES
    capped = int(np.count_nonzero(place == CANDIDATES))
    found = pa.table(
        [np.minimum(row, other)[kept], np.maximum(row, other)[kept], similarity[kept]], schema=PAIRS
    )
    return commit(run.storage, f"{join}/best", str(number), found, {"capped": capped})


def reach(run: Run, join: str, number: int, similar: tuple[Piece, ...]) -> Done | None:
    """Collect the pairs of a range that reach the threshold of `similar`; writes `reach`."""
    table = read_pieces(run.storage, similar, PAIRS)
    row, other, similarity = (table[name].to_numpy() for name in PAIRS.names)
    once = row < other
    found = pa.table([row[once], other[once], similarity[once]], schema=PAIRS)
    return commit(run.storage, f"{join}/reach", str(number), found)
