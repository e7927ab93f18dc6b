"""Medians and percentiles against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from dedup.proof.ranks import (
    counted,
    level_at,
    median,
    median_level,
    percentiles,
)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 101, 1000])
def test_ranks_are_numpys(count: int) -> None:
    values = np.random.default_rng(count).normal(0, 40, count).astype(np.float32)
    assert median(values) == np.median(values)
    shares = (0, 3, 20, 50, 97, 100)
    assert percentiles(values, *shares) == pytest.approx(np.percentile(values, shares), rel=1e-5)


def test_tables_are_taken_as_a_whole() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert median(values) == 5.5
    assert percentiles(values, 0, 100) == [0, 11]


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (5, 4), (60, 41)])
def test_levels_are_ranked_by_their_counts(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(shape[0])
    levels = rng.integers(0, 256, shape, dtype=np.uint8)
    some = rng.random(shape) < 0.7
    some[0, 0] = True
    assert median_level(levels) == np.median(levels)
    assert median_level(levels, some) == np.median(levels[some])
    ranked = np.sort(levels, axis=None).tolist()
    assert [level_at(counted(levels), place) for place in range(len(ranked))] == ranked
