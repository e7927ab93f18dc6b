"""Pairs that tasks find against the exact join of one machine."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from distributed.shards import of_vectors

from dedup.distributed import blocks, dividing, pairing
from dedup.distributed.commits import Done, committed, read
from dedup.distributed.engine import Inline
from dedup.distributed.joining import Joined, join
from dedup.distributed.pieces import Piece, read_pieces
from dedup.distributed.schemas import assign_schema
from dedup.distributed.settings import Settings
from dedup.distributed.storage import Storage
from dedup.duplicates.candidates import Centring
from dedup.duplicates.tiers import CANDIDATES
from dedup.search.join import nearest_pairs, self_join
from dedup.search.similarity import unit_rows
from dedup.space.space import Space
from dedup.store.vectors import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from dedup.distributed.run import Run

    Found = dict[tuple[int, int], float]

SHARD = 300


def clustered(count: int, seed: int) -> npt.NDArray[np.float32]:
    """Draw rows around themes, some of them near copies of others, and a few equal."""
    rng = np.random.default_rng(seed)
    themes = rng.normal(size=(count // 20, 48))
    rows = themes[rng.integers(len(themes), size=count)] + rng.normal(size=(count, 48))
    for copy, of in zip(range(0, count, 5), rng.integers(count, size=count), strict=False):
        rows[copy] = rows[of] + rng.normal(size=48) * rng.choice([0.0, 0.1, 0.3, 0.6])
    return unit_rows(rows.astype(np.float32))


def stored(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Round rows as they are stored."""
    return unit_rows(unpack("global_pool", pack("global_pool", rows).vectors))


def in_ids(rows: npt.NDArray[np.integer], shard: int = SHARD) -> list[int]:
    """Name rows as their files are."""
    return [(row // shard) << 20 | row % shard for row in rows.tolist()]


def classes(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Give the first row of each set of equal ones, rising."""
    return np.sort(np.unique(rows, axis=0, return_index=True)[1])


def by_one_machine(run: Run, rows: npt.NDArray[np.float32]) -> tuple[Found, int]:
    every = stored(rows)
    first = classes(every)
    centring = Centring.of(every[first], Space(run.meta.pinned).near_floors)
    found = nearest_pairs(centring.apply(every[first]), CANDIDATES, centring.floor, how="exact")
    one, two = first[found.pairs.first], first[found.pairs.second]
    pairs = zip(in_ids(one), in_ids(two), strict=True)
    return dict(zip(pairs, found.pairs.similarity.tolist(), strict=True)), found.capped


def by_tasks(run: Run, settings: Settings, stage: str = "best") -> tuple[Found, Joined]:
    with Inline() as engine:
        told = join(run, engine, settings, lambda *_: None)
    found: Found = {}
    for done in committed(run.storage, f"{settings.join}/{stage}").values():
        for row in read(run.storage, done).to_pylist():
            found[row["first"], row["second"]] = row["similarity"]
    return found, told


def placed(
    run: Run, wanted: Sequence[Piece]
) -> tuple[list[int], list[int], list[set[int]], npt.NDArray[np.float32]]:
    """Read what is in a group of cells: classes, the cell and all cells of each, their vectors."""
    table = read_pieces(run.storage, wanted, assign_schema(["global_pool"])).combine_chunks()
    rows = dividing.Division(run.storage, "division/000").centre(dividing.vectors_of(run, table))
    columns = (table[name].to_pylist() for name in ("class", "cell", "cells"))
    at, cell, cells = columns
    return at, cell, [set(one) for one in cells], rows


def with_a_crowd(count: int, alike: int) -> npt.NDArray[np.float32]:
    """Draw rows of which some, anywhere among them, are nearly one and the same."""
    rows = clustered(count, 5)
    some = np.random.default_rng(6).permutation(count)[:alike]
    rows[some] = unit_rows(rows[0] + rows[some] * np.float32(0.2))
    return rows


def test_one_cell_finds_what_the_exact_join_finds(tmp_path: Path) -> None:
    rows = clustered(1500, 1)
    run = of_vectors(Storage.at(f"file://{tmp_path}/store"), rows, SHARD)
    expected, capped = by_one_machine(run, rows)
    found, told = by_tasks(run, Settings(1, 0.9))
    assert found.keys() == expected.keys()
    assert max(abs(found[pair] - expected[pair]) for pair in found) < 2e-6
    assert (told.capped, told.cells, told.overlap, told.recall) == (capped, 1, 1, 1.0)
    assert (told.files, told.images) == (1500, 1500)
    assert told.classes == len(classes(stored(rows))) < 1500


def test_of_very_many_alike_the_best_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "TILE", 128)
    monkeypatch.setattr(pairing, "_DENSE", 4)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 350)
    monkeypatch.setattr(dividing, "PIECE_ROWS", 64)
    rows = with_a_crowd(900, 400)
    run = of_vectors(Storage.at(f"file://{tmp_path}/store"), rows, SHARD)
    expected, capped = by_one_machine(run, rows)
    found, told = by_tasks(run, Settings(1, 0.9))
    assert capped > 400
    assert told.capped == capped
    assert found.keys() == expected.keys()


@pytest.mark.parametrize(
    "sizes", [[100], [4096] * 5, [2600] * 17, [500] * 160, [10, 4000, 3000, 1, 2500] * 6]
)
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_tasks_compare_each_two_pieces_once_and_are_alike(sizes: list[int], share: float) -> None:
    pieces = [Piece(f"{number}", 0, 1, rows) for number, rows in enumerate(sizes)]
    old = {piece.key for piece in pieces[int(share * len(sizes)) :]} if share < 1 else set()
    new = frozenset(piece.key for piece in pieces) - old
    seen, work = Counter[tuple[Piece, ...]](), list[float]()
    told = ({"pieces": [[7, 0, 1, piece.rows]]} for piece in pieces)
    assigned = (Done("", piece.key, 0, 0, "", one) for piece, one in zip(pieces, told, strict=True))
    groups = blocks.Groups(Storage.at("file:///nowhere"), assigned)
    tasks = list(blocks.Blocks(groups, new, "7").values())
    for task in tasks:
        if task.second:
            seen.update(itertools.product(task.first, task.second))
            work.append(sum(one.rows * two.rows for one in task.first for two in task.second))
        else:
            seen.update(itertools.combinations_with_replacement(task.first, 2))
            work.append(sum(piece.rows for piece in task.first) ** 2 / 2)
    wanted = [
        pair
        for pair in itertools.combinations_with_replacement(pieces, 2)
        if not {pair[0].key, pair[1].key} <= old
    ]
    assert {frozenset(pair) for pair in seen} == {frozenset(pair) for pair in wanted}
    assert seen.total() == len(wanted)
    assert len({task.name for task in tasks}) == len(tasks)
    if share == 1:
        assert max(work, default=0) <= 1.5 * np.median(work)


@pytest.mark.usefixtures("small_cells")
def test_cells_find_what_they_promise(tmp_path: Path) -> None:
    rows = clustered(1500, 2)
    run = of_vectors(Storage.at(f"file://{tmp_path}/store"), rows, SHARD)
    expected, _ = by_one_machine(run, rows)
    found, told = by_tasks(run, Settings(1, 0.9, recall=0.99))
    assert told.cells > 10
    assert 1 < told.overlap < told.cells
    missed = [pair for pair in expected if pair not in found]
    assert abs(1 - len(missed) / len(expected) - told.recall) < 0.01
    assert told.recall > 0.98
    # What is found is right: of each class the best, where it was not missed.
    both = found.keys() & expected.keys()
    assert max(abs(found[pair] - expected[pair]) for pair in both) < 2e-6


@pytest.mark.usefixtures("small_cells")
def test_of_very_many_alike_in_the_same_cells_each_pair_is_found_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "TILE", 32)
    monkeypatch.setattr(dividing, "_CROWD", 8)
    monkeypatch.setattr(dividing, "ROWS_OF_GROUP", 1)
    rows = with_a_crowd(600, 250)
    found = []
    for name, common in (("store", 0.1), ("other", 2.0)):  # which no cell has
        monkeypatch.setattr(pairing, "_COMMON", common)
        run = of_vectors(Storage.at(f"file://{tmp_path}/{name}"), rows, SHARD)
        found.append(by_tasks(run, Settings(1, 0.9, recall=0.99)))
    assert found[0] == found[1]
    assert found[0][1].capped > 200
    assigned = committed(run.storage, "division/000/assign").values()
    groups = blocks.Groups(run.storage, assigned)
    crowded = max(groups.numbers, key=groups.near)
    assert groups.near(crowded) > 0.1
    # The share that is told, against a count of all pairs of that group.
    at, cell, cells, vectors = placed(run, groups.pieces.at(groups.places(crowded)))
    similar = vectors @ vectors.T >= Space(run.meta.pinned).near_floors[1]
    hits = sum(
        similar[one, two] and min(cells[one] & cells[two]) == cell[one] == cell[two]
        for one, two in itertools.permutations(range(len(at)), 2)
    )
    assert groups.near(crowded) == pytest.approx(hits / len(at) ** 2, abs=0.1)
    new = frozenset(done.key for done in assigned)
    even = (replace(done, extra={**done.extra, "near": {}}) for done in assigned)
    assert len(blocks.Blocks(groups, new, "7")) > len(
        blocks.Blocks(blocks.Groups(run.storage, even), new, "7")
    )


@pytest.mark.slow
@pytest.mark.usefixtures("small_cells")
def test_pairs_above_a_threshold_are_all_there(tmp_path: Path) -> None:
    rows = clustered(2000, 3)
    run = of_vectors(Storage.at(f"file://{tmp_path}/store"), rows, SHARD)
    settings = Settings(1, 0.9, ("similar",))
    found, told = by_tasks(run, settings, "reach")
    every = stored(rows)
    first = classes(every)
    pairs = self_join(every[first], 0.9, how="exact")
    expected = set(zip(in_ids(first[pairs.first]), in_ids(first[pairs.second]), strict=True))
    assert len(expected) > 200
    assert found.keys() <= expected
    assert len(found) / len(expected) > 0.98
    assert told.recall > 0.98


@pytest.mark.slow
@pytest.mark.usefixtures("small_cells")
def test_a_second_join_compares_only_what_is_new(tmp_path: Path) -> None:
    rows = clustered(1200, 4)
    storage = Storage.at(f"file://{tmp_path}/store")
    run = of_vectors(storage, rows[:900], SHARD)
    by_tasks(run, Settings(1, 0.9))
    of_vectors(storage, rows[900:], SHARD, first=3)
    assigned = {done.key for done in committed(storage, "division/000/assign").values()}
    found, told = by_tasks(run, Settings(2, 0.9))
    again = committed(storage, "division/000/assign")
    assert assigned < {done.key for done in again.values()}
    assert len(again) == 4
    # The same as all at once in the same division.
    whole = Storage.at(f"file://{tmp_path}/whole")
    other = of_vectors(whole, rows[:900], SHARD)
    by_tasks(other, Settings(1, 0.9))
    of_vectors(whole, rows[900:], SHARD, first=3)
    for stage in ("division/000/pair", "division/000/pair-compared"):
        for done in committed(whole, stage).values():
            whole.delete([done.key, f"{stage}/_done/{done.shard}.json"])
    assert by_tasks(other, Settings(2, 0.9))[0] == found
    assert told.classes == len(classes(stored(rows)))
