"""What comparing is estimated to take, against counts of products."""

from __future__ import annotations

import pytest

from dedup.distributed.cost import compare_seconds, row_seconds
from dedup.distributed.divisions import ONE_CELL


def test_one_cell_compares_each_two_once() -> None:
    divide, pair = compare_seconds(ONE_CELL, 1024, product=1e-8, unpack=0.0)
    assert divide == 0
    assert pair == pytest.approx(ONE_CELL**2 / 2 * 1e-8)


def test_cells_take_the_square_of_their_size() -> None:
    _, pair = compare_seconds(10_000_000, 1024, product=1e-8, unpack=0.0)
    # 500 cells of 80,000 rows, a third more since they are of unequal size.
    assert pair == pytest.approx(500 * 80_000**2 / 2 * 1.35 * 1e-8)
    _, twice = compare_seconds(20_000_000, 1024, product=1e-8, unpack=0.0)
    assert twice == pytest.approx(2 * pair)
    _, more = compare_seconds(10_000_000, 1024, product=1e-8, unpack=0.0, overlap=8)
    assert more == pytest.approx(4 * pair)


def test_longer_rows_take_longer() -> None:
    short, long = row_seconds(64), row_seconds(2048)
    assert all(0 < one < two for one, two in zip(short, long, strict=True))
