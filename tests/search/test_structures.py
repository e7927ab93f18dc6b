"""Searches that look at a part of the rows: what they find is right, and what they miss is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import oracles
import pytest

from dedup.search.index import VectorIndex
from dedup.search.index_file import saved_facts
from dedup.search.similarity import unit_rows
from dedup.search.structures import MAX_FLAT_ROWS, FlatSearch, build, spread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt
    from outcome import Outcome


def rows(count: int, dimension: int = 32) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(max(1, count // 20), dimension))
    vectors = centres[rng.integers(0, len(centres), count)]
    return unit_rows(vectors + 0.3 * rng.normal(size=(count, dimension)))


IVF = 0
"""Rows up to which an index is flat, for one that never is."""


def test_what_is_found_is_right_and_the_recall_true() -> None:
    gallery = rows(5000)
    index = VectorIndex(gallery, max_flat_rows=IVF)
    assert index.kind == "ivf"
    assert 0.99 <= index.recall <= 1
    found = wanted = 0
    for query, hits in zip(gallery[:300:3], index.neighbours(gallery[:300:3], 10), strict=True):
        expected = oracles.neighbours(gallery, query, 10)
        exact = oracles.similarities(query[None], gallery[hits.rows])[0]
        np.testing.assert_allclose(hits.similarity, exact, atol=1e-6)
        assert (np.diff(hits.similarity) <= 0).all()
        found += len({row for row, _ in expected} & set(hits.rows.tolist()))
        wanted += 10
    assert found / wanted >= 0.98


def test_thresholds_are_inclusive_in_cells_too() -> None:
    gallery = rows(2000)
    index = VectorIndex(gallery, max_flat_rows=IVF)
    found = wanted = 0
    for query, hits in zip(gallery[:50], index.within(gallery[:50], 0.8), strict=True):
        expected = [row for row, _ in oracles.within(gallery, query, 0.8)]
        assert set(hits.rows.tolist()) <= set(expected)
        found += len(hits.rows)
        wanted += len(expected)
    assert wanted > 500
    assert found / wanted >= 0.98


@pytest.mark.parametrize("max_flat_rows", [MAX_FLAT_ROWS, IVF])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_rows_suit_every_structure(max_flat_rows: int, count: int) -> None:
    gallery = rows(count) if count else np.empty((0, 32), np.float32)
    (hits,) = VectorIndex(gallery, max_flat_rows=max_flat_rows).neighbours(rows(3)[:1], 10)
    assert sorted(hits.rows.tolist()) == list(range(count))


@pytest.mark.parametrize(("kind", "max_flat_rows"), [("flat", 1000), ("ivf", 999)])
def test_saved_structures_answer_alike_and_say_what_they_are(
    kind: str, max_flat_rows: int, tmp_path: Path
) -> None:
    gallery = rows(1000)
    index = VectorIndex(gallery, max_flat_rows=max_flat_rows)
    index.save(tmp_path / "index", 3)
    facts = saved_facts(tmp_path / "index")
    assert facts is not None
    assert (facts.version, facts.kind, facts.recall) == (3, kind, index.recall)
    loaded = VectorIndex.load(tmp_path / "index", 3, gallery.__getitem__)
    assert loaded is not None
    assert (loaded.kind, loaded.recall) == (kind, index.recall)
    for one, two in zip(
        index.neighbours(gallery[:20], 5), loaded.neighbours(gallery[:20], 5), strict=True
    ):
        assert one.rows.tolist() == two.rows.tolist()
        assert one.similarity.tolist() == two.similarity.tolist()


def test_rows_in_fp16_are_off_by_no_more_than_said() -> None:
    rng = np.random.default_rng(0)
    for dimension in (1, 2, 32, 1280):
        gallery = unit_rows(rng.normal(size=(3000, dimension)) * rng.exponential(size=dimension))
        queries = unit_rows(rng.normal(size=(200, dimension)))
        held, *_ = build(gallery)
        lost = gallery - held.reconstruct_n(0, 3000)
        bound = spread(gallery)
        assert bound <= 5e-4
        assert bound == pytest.approx(np.linalg.norm(lost, axis=1).max(), abs=1e-8)
        # the worst query: that which points along what was lost
        queries[0] = unit_rows(lost[[np.linalg.norm(lost, axis=1).argmax()]])[0]
        assert np.abs(queries.astype(float) @ lost.T.astype(float)).max() <= bound + 1e-8


@pytest.mark.parametrize("queries", [1, 3, 16, 40])
def test_ways_of_searching_flat_rows_agree(queries: int) -> None:
    gallery = rows(1000)
    gallery[500:520] = gallery[7]  # ties across threads and blocks
    asked = gallery[:queries]
    how = FlatSearch(
        nearest_queries=16, within_queries=16, block_rows=300, thread_values=1, threads=3
    )
    index = VectorIndex(gallery, how=how)
    for query, hits in zip(asked, index.neighbours(asked, 15), strict=True):
        wanted = oracles.neighbours(gallery, query, 15)
        assert hits.rows.tolist() == [row for row, _ in wanted]
    for query, hits in zip(asked, index.within(asked, 0.7), strict=True):
        wanted = oracles.within(gallery, query, 0.7)
        assert hits.rows.tolist() == [row for row, _ in wanted]


def test_the_structure_goes_by_size() -> None:
    assert MAX_FLAT_ROWS == 200_000
    assert VectorIndex(rows(500), max_flat_rows=500).kind == "flat"
    assert VectorIndex(rows(501), max_flat_rows=500).kind == "ivf"


def test_an_index_of_a_kind_that_is_gone_counts_as_absent(tmp_path: Path) -> None:
    gallery = rows(50)
    index = VectorIndex(gallery)
    index.kind = "hnsw"  # as a version before this one may have written it
    index.save(tmp_path / "index", 3)
    assert saved_facts(tmp_path / "index") is None
    assert VectorIndex.load(tmp_path / "index", 3, gallery.__getitem__) is None


def test_the_structure_is_told_by_status(
    dedup: Callable[..., Outcome], store: Path, drawn: Path
) -> None:
    image = min(drawn.rglob("*.jpg"))
    assert dedup("query", image, "-s", store, "-k", "3").code == 0
    (row,) = dedup("status", "-s", store, "--format", "jsonl").rows
    assert (row["index"], row["index_kind"], row["index_recall"]) == ("fresh", "flat", 1)
    table = dedup("status", "-s", store, "--format", "table").text
    assert "up to date; finds 100.0% of the ten nearest images" in table
