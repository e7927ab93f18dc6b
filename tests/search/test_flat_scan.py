"""A scan finds what comparing every pair finds, in blocks of any size."""

from __future__ import annotations

import numpy as np
import pytest

from dedup.search import scan
from dedup.search.index import VectorIndex
from dedup.search.scan import Scan
from dedup.search.similarity import unit_rows


@pytest.mark.parametrize("block", [1, 7, 100, 1000])
def test_a_scan_agrees_with_a_flat_index(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(scan, "_BLOCK_ROWS", block)
    generator = np.random.default_rng(0)
    rows = unit_rows(generator.normal(size=(100, 16)))
    rows[40:60] = rows[:20]  # ties
    ids = np.arange(100, dtype=np.int64)
    queries = unit_rows(generator.normal(size=(5, 16)) + rows[:5])
    index, found = VectorIndex(rows), Scan(ids, lambda wanted: rows[wanted])
    assert len(found) == 100
    for k in (1, 3, 50, 500):
        for one, other in zip(
            index.neighbours(queries, k), found.neighbours(queries, k), strict=True
        ):
            assert one.rows.tolist() == other.rows.tolist()
            assert one.similarity.tolist() == other.similarity.tolist()
    threshold = float(index.neighbours(queries, 9)[0].similarity[-1])
    for one, other in zip(
        index.within(queries, threshold), found.within(queries, threshold), strict=True
    ):
        assert one.rows.tolist() == other.rows.tolist()
