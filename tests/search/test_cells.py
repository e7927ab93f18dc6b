"""The pure functions that joins through cells run on, here and in other engines."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
import oracles
import pytest

from dedup.search.cells import Cells, labels, pairs_of_cell, propose_within, train
from dedup.search.similarity import unit_rows

Rows = npt.NDArray[np.float32]


def clusters(count: int, dimension: int = 24, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, count // 4), dimension))
    rows = centres[rng.integers(0, len(centres), count)]
    return unit_rows(rows + 0.15 * rng.normal(size=(count, dimension)))


def test_centres_are_unit_rows_that_the_seed_decides() -> None:
    sample = clusters(900)
    centres = train(sample, 7, seed=3)
    assert centres.shape == (7, 24)
    assert centres.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(train(sample, 7, seed=3), centres)
    assert not np.array_equal(train(sample, 7, seed=4), centres)


def test_each_centre_is_the_mean_direction_of_its_rows() -> None:
    # Three far clusters: k-means has converged, so that centres can be computed by hand.
    rng = np.random.default_rng(0)
    owners = rng.integers(0, 3, 600)
    sample = unit_rows(np.eye(3, 8)[owners] + 0.05 * rng.normal(size=(600, 8)))
    centres = train(sample, 3)
    nearest = labels(sample, centres, 1)[:, 0]
    assert len(set(zip(nearest.tolist(), owners.tolist(), strict=True))) == 3
    for cell in range(3):
        wanted = unit_rows(sample[nearest == cell].mean(axis=0, keepdims=True))[0]
        np.testing.assert_allclose(centres[cell], wanted, atol=1e-4)


@pytest.mark.parametrize("cells", [0, 6])
def test_cells_are_as_many_as_there_are_rows_for(cells: int) -> None:
    with pytest.raises(ValueError, match="5 rows cannot be divided"):
        train(clusters(5), cells)


@pytest.mark.parametrize("overlap", [1, 3, 9])
def test_labels_are_the_nearest_centres_in_order(overlap: int) -> None:
    rows, centres = clusters(400), train(clusters(400), 9)
    found = labels(rows, centres, overlap)
    assert found.shape == (400, overlap)
    assert found.dtype == np.int32
    wanted = np.argsort(-(rows.astype(float) @ centres.T.astype(float)), axis=1)[:, :overlap]
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(labels(rows[100:103], centres, overlap), found[100:103])


@pytest.mark.parametrize("overlap", [0, 4])
def test_a_row_is_in_as_many_cells_as_there_are(overlap: int) -> None:
    with pytest.raises(ValueError, match=f"in {overlap} of 3 cells"):
        labels(clusters(9), train(clusters(9), 3), overlap)


@pytest.mark.parametrize(
    ("count", "threshold"),
    [*product([0, 1, 2, 300], [-1.0, 0.5, 0.9, 1.0]), *product([1030], [0.5, 0.9, 1.0])],
)
def test_pairs_of_a_cell_equal_brute_force(count: int, threshold: float) -> None:
    rows = clusters(count) if count else np.empty((0, 24), np.float32)
    ids = np.random.default_rng(1).permutation(10 * count)[:count] + 2**40
    found = pairs_of_cell(rows, ids, threshold)
    wanted = sorted(
        (*sorted((int(ids[one]), int(ids[two]))), similarity)
        for one, two, similarity in oracles.pairs(rows, threshold)
    )
    assert found.first.tolist() == [pair[0] for pair in wanted]
    assert found.second.tolist() == [pair[1] for pair in wanted]
    np.testing.assert_allclose(found.similarity, [pair[2] for pair in wanted], atol=1e-6)


def test_with_labels_the_pairs_of_all_cells_hold_none_twice() -> None:
    rows = clusters(600)
    near = labels(rows, train(rows, 6), 3)
    listed: list[tuple[int, int]] = []
    for cell in range(6):
        ids = np.flatnonzero((near == cell).any(axis=1))
        found = pairs_of_cell(rows[ids], ids, 0.8, cell=cell, labels=near[ids])
        listed += zip(found.first.tolist(), found.second.tolist(), strict=True)
    wanted = [
        (one, two)
        for one, two, _ in oracles.pairs(rows, 0.8)
        if set(near[one].tolist()) & set(near[two].tolist())
    ]
    assert sorted(listed) == wanted
    assert len(wanted) > 500


def test_a_pair_is_found_once_where_a_row_asks_the_home_of_the_other() -> None:
    rows = clusters(1100)
    near = labels(rows, train(rows, 6), 3)
    cells = Cells(near, 6, 1.0, 0, 0.0)
    listed = [
        (*pair, similarity)
        for part in propose_within(rows, cells, 0.8)
        for *pair, similarity in zip(
            part.first.tolist(), part.second.tolist(), part.products.tolist(), strict=True
        )
    ]
    wanted = [
        (one, two, similarity)
        for one, two, similarity in oracles.pairs(rows, 0.8)
        if near[one, 0] in near[two] or near[two, 0] in near[one]
    ]
    assert [pair[:2] for pair in sorted(listed)] == [pair[:2] for pair in wanted]
    np.testing.assert_allclose(
        [pair[2] for pair in sorted(listed)], [pair[2] for pair in wanted], atol=1e-6
    )
    assert len(wanted) > 500
