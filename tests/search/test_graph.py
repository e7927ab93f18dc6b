"""The graph of nearest neighbours against brute force."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from dedup.search.graph import nearest_rows
from dedup.search.similarity import unit_rows

Rows = npt.NDArray[np.float32]


def clustered(count: int, width: int) -> Rows:
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(count // 20 + 1, width))
    rows = centres[rng.integers(len(centres), size=count)] + 0.3 * rng.normal(size=(count, width))
    rows[1:count:50] = rows[0 : count - 1 : 50]  # ties at 1
    return unit_rows(rows)


def by_brute_force(rows: Rows, k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    similarity = np.round(rows.astype(np.float64) @ rows.T.astype(np.float64), 6)
    np.fill_diagonal(similarity, -3)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(similarity, order, 1)


@pytest.mark.parametrize(("count", "k"), [(2, 1), (7, 10), (1500, 10)])
def test_all_compared_with_all_misses_nothing(count: int, k: int) -> None:
    rows = clustered(count, 24)
    found = nearest_rows(rows, k)
    order, similarity = by_brute_force(rows, min(k, count - 1))
    assert found.recall == 1
    there = min(k, count - 1)
    np.testing.assert_allclose(found.similarity[:, :there], similarity, atol=2e-6)
    np.testing.assert_array_equal(found.rows[:, :there], order)
    assert (found.rows[:, there:] == -1).all()
    assert (found.similarity[:, there:] == -2).all()


def test_cells_find_what_they_say() -> None:
    rows = clustered(2500, 24)
    seen: list[tuple[int, int]] = []
    found = nearest_rows(rows, 5, exact=False, progress=lambda *done: seen.append(done))
    _, similarity = by_brute_force(rows, 5)
    right = float((found.similarity >= similarity - 2e-6).mean())
    assert found.recall >= 0.95
    assert abs(right - found.recall) < 0.02
    assert seen[-1] == (2500, 2500)


def test_one_row_has_no_neighbours() -> None:
    found = nearest_rows(clustered(1, 8), 3)
    assert found.rows.tolist() == [[-1, -1, -1]]
