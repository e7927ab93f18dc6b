"""The nearest codes, and the products and centres they are found by, against brute force."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from dedup.search import matching as by_cells
from dedup.search.kmeans import find_centres, nearest_centres
from dedup.search.matching import near_codes
from dedup.search.products import highest_products

Codes = npt.NDArray[np.uint8]
REACH, NEAREST = 30, 4


def crowded(count: int, seed: int = 0) -> Codes:
    """Draw codes of which most have more than `NEAREST` in reach, and a tenth are alike."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(3, 13, (count // 25 + 1, 32))
    near = centres[rng.integers(len(centres), size=count)] + rng.integers(-1, 2, (count, 32))
    near[: count // 10] = near[0]
    return near.astype(np.uint8)


def by_brute_force(
    codes: Codes, asking: npt.ArrayLike, asked: npt.ArrayLike
) -> set[tuple[int, int]]:
    found, others = set(), np.asarray(asked, np.int64)
    for one in np.asarray(asking).tolist():
        apart = ((codes[others].astype(int) - codes[one]) ** 2).sum(axis=1)
        best = sorted(zip(apart.tolist(), others.tolist(), strict=True))[:NEAREST]
        found |= {(one, other) for far, other in best if far <= REACH}
    return found


def found_of(codes: Codes, sides: list[tuple[range, range]]) -> list[tuple[int, int]]:
    parts = near_codes(codes, sides, REACH, NEAREST)
    return [pair for one, two in parts for pair in zip(one.tolist(), two.tolist(), strict=True)]


@pytest.mark.parametrize("count", [1, 2, 5, 700])
def test_in_one_cell_all_are_found_with_the_first_of_ties(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    codes, every = crowded(count), range(count)
    monkeypatch.setattr(by_cells, "_PER_CELL", 10**6)
    found = found_of(codes, [(every, every)])
    assert len(found) == len(set(found))
    assert set(found) == by_brute_force(codes, every, every)


@pytest.mark.parametrize(("tile", "bits"), [(3000, 10), (1 << 17, 4), (40, 1)])
def test_tiles_and_blocks_change_nothing(
    monkeypatch: pytest.MonkeyPatch, tile: int, bits: int
) -> None:
    codes, every = crowded(500), range(500)
    monkeypatch.setattr(by_cells, "_PER_CELL", 10**6)
    sizes = {"_COLUMN_BITS": bits, "_COLUMNS": 1 << bits, "_TILE": tile, "_ASKING": 150}
    sizes |= {"_GIVEN": 40, "_CELLS": 1}
    for name, value in sizes.items():
        monkeypatch.setattr(by_cells, name, value)
    assert set(found_of(codes, [(every, every)])) == by_brute_force(codes, every, every)


def test_one_side_asks_the_other_only() -> None:
    codes = crowded(200)
    new, old = range(150, 200), range(150)
    found = set(found_of(codes, [(new, old), (old, new)]))
    assert found == by_brute_force(codes, new, old) | by_brute_force(codes, old, new)


def test_cells_find_nearly_all_that_are_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, every = crowded(1200), range(1200)
    monkeypatch.setattr(by_cells, "_PER_CELL", 60)
    apart = {
        pair: int(((codes[pair[0]].astype(int) - codes[pair[1]]) ** 2).sum())
        for pair in found_of(codes, [(every, every)])
    }
    expected = by_brute_force(codes, every, every)
    assert max(apart.values()) <= REACH
    assert len(apart.keys() & expected) >= 0.95 * len(expected)


def test_the_order_of_codes_changes_no_match(monkeypatch: pytest.MonkeyPatch) -> None:
    every = range(1200)
    codes = np.random.default_rng(4).integers(0, 3, (1200, 32), np.uint8)
    monkeypatch.setattr(by_cells, "_PER_CELL", 20)
    monkeypatch.setattr(f"{__name__}.NEAREST", 1200)  # so that no tie is left out
    order = np.random.default_rng(5).permutation(1200)
    found = found_of(codes, [(every, every)])
    shuffled = found_of(codes[order], [(every, every)])
    assert {(order[one], order[other]) for one, other in shuffled} == set(found)
    assert len(found) < len(by_brute_force(codes, every, every))  # cells leave some out


def test_equal_codes_are_divided_too(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, every = np.ones((90, 32), np.uint8), range(90)
    monkeypatch.setattr(by_cells, "_PER_CELL", 10)
    assert set(found_of(codes, [(every, every)])) == by_brute_force(codes, every, every)


def test_codes_are_drawn_without_those_that_are_equal() -> None:
    codes = np.repeat(np.random.default_rng(6).integers(0, 16, (300, 32), np.uint8), 40, axis=0)
    _, lowest = np.unique(by_cells._mixed(codes), return_index=True)  # noqa: SLF001 - of which drawn
    for count in (1, 7, 299, 300, 1200):
        np.testing.assert_array_equal(by_cells._drawn(codes, count), lowest[:count])  # noqa: SLF001


def test_nothing_asks_nothing() -> None:
    assert found_of(np.empty((0, 32), np.uint8), [(range(0), range(0))]) == []


@pytest.mark.parametrize(
    ("queries", "rows", "k"), [(1, 1, 3), (65, 1025, 5), (65, 2050, 4), (40, 1026, 3), (1030, 7, 7)]
)
def test_the_highest_products_are_those_of_all(queries: int, rows: int, k: int) -> None:
    rng = np.random.default_rng(0)
    one, two = (rng.normal(size=(count, 16)).astype(np.float32) for count in (queries, rows))
    less = rng.random(rows).astype(np.float32)
    found, places = highest_products(one, two, k, less)
    expected = one @ two.T - less
    np.testing.assert_allclose(found, -np.sort(-expected, axis=1)[:, :k], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(expected, places, 1), found, atol=1e-5)


def test_centres_are_the_means_of_what_is_nearest_to_them() -> None:
    rng = np.random.default_rng(2)
    middles = rng.normal(size=(6, 8)) * 10
    rows = (middles[rng.integers(6, size=600)] + rng.normal(size=(600, 8))).astype(np.float32)
    centres = find_centres(rows, 9, 30, seed=0)
    of = nearest_centres(rows, centres, 1)[1][:, 0]
    apart = ((rows[:, None] - centres[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(of, apart.argmin(axis=1))
    means = np.stack([rows[of == cell].mean(axis=0) for cell in range(9)])
    np.testing.assert_allclose(centres, means, atol=1e-3)


def test_centres_of_equal_rows_leave_no_cell_without_a_centre() -> None:
    rows = np.tile(np.array([1, 2, 3], np.float32), (5, 1))
    np.testing.assert_array_equal(find_centres(rows, 4, 3, seed=0), rows[:4])
