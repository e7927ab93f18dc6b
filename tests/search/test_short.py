"""Short rows bound the products of the rows, and lose no pair and no cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from dedup.search.cells import divide, propose_within
from dedup.search.graph import nearest_rows
from dedup.search.short import directions, shortened
from dedup.search.similarity import unit_rows

Rows = npt.NDArray[np.float32]


def drawn(count: int, width: int, *, copies: bool = True) -> Rows:
    """Rows about some centres; every tenth a copy of the one before, at about .95."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(count // 30 + 1, width))
    rows = centres[rng.integers(len(centres), size=count)] + 0.9 * rng.normal(size=(count, width))
    if copies:
        rows[1::10] = rows[0 : count - 1 : 10] + 0.4 * rng.normal(size=rows[1::10].shape)
    return unit_rows(rows)


@pytest.mark.parametrize("width", [2, 16, 128])
def test_no_product_falls_below_that_of_the_rows(width: int) -> None:
    rows = drawn(400, 256)
    rows[7], rows[8] = 0, rows[9]
    onto = directions(rows, width)
    assert onto is not None
    assert onto.shape == (256, width - 1)
    short = shortened(rows, onto)
    assert short.shape == (400, width)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, atol=1e-6)
    exact = rows.astype(np.float64) @ rows.T.astype(np.float64)
    assert (short @ short.T - exact).min() > -2e-6


def test_rows_within_the_directions_keep_their_products() -> None:
    rng = np.random.default_rng(0)
    rows = unit_rows(rng.normal(size=(300, 20)) @ rng.normal(size=(20, 200)))
    onto = directions(rows, 32)
    assert onto is not None
    short = shortened(rows, onto)
    np.testing.assert_allclose(short @ short.T, rows @ rows.T, atol=2e-6)


@pytest.mark.parametrize(("count", "dimension"), [(400, 255), (127, 512)])
def test_narrow_and_few_rows_stay_as_they_are(count: int, dimension: int) -> None:
    assert directions(drawn(count, dimension), 128) is None


@pytest.mark.parametrize("threshold", [0.85, 0.2])  # few of the short products reach it, and many
def test_cells_of_short_rows_know_the_pairs_there_are(threshold: float) -> None:
    rows = drawn(1100, 256)
    rows[11] = 0
    exact = np.triu(np.round(rows.astype(np.float64) @ rows.T.astype(np.float64), 6), 1)
    wanted = int(np.count_nonzero(exact >= threshold))
    cells = divide(rows, threshold, None)
    if threshold > 0.5:  # the sample is all rows, and none has more than are counted
        assert cells.pairs == 2 * wanted
    found = sum(len(part.first) for part in propose_within(rows, cells, threshold))
    assert found >= 0.99 * wanted
    assert cells.recall >= 0.99


def test_a_sampled_row_counts_its_nearest_only() -> None:
    rows = drawn(1100, 256, copies=False)
    for place in range(0, 900, 9):
        rows[place : place + 4] = rows[place]
    assert divide(rows, 0.95, 2).pairs == 100 * 4 * 2


def test_a_graph_by_cells_of_short_rows_finds_what_it_says() -> None:
    rows = drawn(1100, 256)
    found = nearest_rows(rows, 5, exact=False)
    exact = nearest_rows(rows, 5, exact=True)
    right = float((found.similarity >= exact.similarity - np.float32(2e-6)).mean())
    assert found.recall >= 0.95
    assert abs(right - found.recall) < 0.02
