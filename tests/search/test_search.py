from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.errors import SearchError
from dedup.search.index import VectorIndex
from dedup.search.index_file import saved_facts
from dedup.search.join import Pairs, nearest_pairs, self_join
from dedup.search.similarity import MARGIN, pair_similarities, unit_rows

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


def rows(
    count: int, dimension: int = 32, seed: int = 0, copies: float = 0.3
) -> npt.NDArray[np.float32]:
    """Unit rows, a share of them exact copies of others, some slightly moved."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, dimension))
    for row in range(1, count):
        chance = rng.random()
        if chance < copies:
            vectors[row] = vectors[rng.integers(row)]
        elif chance < copies + 0.2:
            vectors[row] = vectors[rng.integers(row)] + rng.normal(size=dimension) * 0.2
    return unit_rows(vectors)


def as_list(found: Pairs) -> list[tuple[int, int]]:
    return list(zip(found.first.tolist(), found.second.tolist(), strict=True))


@pytest.mark.parametrize("fp32", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 17, 300, 5000])
def test_neighbours_equal_brute_force_with_ties(count: int, *, fp32: bool) -> None:
    gallery = rows(count)
    index = VectorIndex(gallery, fp32=fp32)
    queries = np.concatenate([gallery[:: max(1, count // 20)], rows(5, seed=9)])
    for k in (1, 10, count + 5):
        for query, hits in zip(queries, index.neighbours(queries, k), strict=True):
            expected = oracles.neighbours(gallery, query, k)
            assert hits.rows.tolist() == [row for row, _ in expected]
            np.testing.assert_allclose(hits.similarity, [value for _, value in expected], atol=1e-5)


def test_all_rows_equal_gives_the_lowest_numbers() -> None:
    gallery = np.repeat(rows(1), 1000, axis=0)
    (hits,) = VectorIndex(gallery).neighbours(gallery[:1], 7)
    assert hits.rows.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert hits.similarity.tolist() == [1.0] * 7


@pytest.mark.parametrize("fp32", [False, True])
@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.5, 0.9, 1.0])
def test_within_equals_brute_force(threshold: float, *, fp32: bool) -> None:
    gallery = rows(400)
    found = VectorIndex(gallery, fp32=fp32).within(gallery[:40], threshold)
    for query, hits in zip(gallery[:40], found, strict=True):
        assert hits.rows.tolist() == [row for row, _ in oracles.within(gallery, query, threshold)]


def test_threshold_is_inclusive() -> None:
    gallery = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    (hits,) = VectorIndex(gallery).within(gallery[:1], 0.6)
    assert hits.rows.tolist() == [0, 1]
    assert as_list(self_join(gallery, 0.6)) == [(0, 1), (1, 2)]
    assert as_list(self_join(gallery, 0.6001)) == [(1, 2)]


def test_identical_rows_pair_at_threshold_one() -> None:
    gallery = np.repeat(rows(50, dimension=1280, copies=0), 2, axis=0)
    assert as_list(self_join(gallery, 1.0)) == [(row, row + 1) for row in range(0, 100, 2)]


@pytest.mark.parametrize(
    "count", [0, 1, 2, 1023, 1024, 1025, pytest.param(2049, marks=pytest.mark.slow)]
)
def test_self_join_equals_brute_force_around_the_tile_size(count: int) -> None:
    vectors = rows(count, dimension=16) if count else np.empty((0, 16), np.float32)
    found = self_join(vectors, 0.95)
    expected = oracles.pairs(vectors, 0.95)
    assert as_list(found) == [(first, second) for first, second, _ in expected]
    np.testing.assert_allclose(found.similarity, [value for _, _, value in expected], atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 99), st.floats(-1, 1))
def test_self_join_equals_brute_force(
    count: int, dimension: int, seed: int, threshold: float
) -> None:
    vectors = rows(count, dimension, seed) if count else np.empty((0, dimension), np.float32)
    found = self_join(vectors, threshold)
    assert as_list(found) == [pair[:2] for pair in oracles.pairs(vectors, threshold)]


@pytest.mark.parametrize(("count", "k"), [(0, 3), (1, 3), (50, 1), (400, 5), (2100, 3)])
def test_nearest_pairs_equal_brute_force(count: int, k: int) -> None:
    vectors = rows(count, dimension=24, copies=0) if count else np.empty((0, 24), np.float32)
    found = nearest_pairs(vectors, k, 0.3, max_waiting_pairs=1000)
    values = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    np.fill_diagonal(values, -2)
    expected = set()
    for row in range(count):
        for other in np.argsort(-values[row], kind="stable")[:k]:
            if values[row, other] >= 0.3:
                expected.add((min(row, int(other)), max(row, int(other))))
    assert set(as_list(found.pairs)) == expected
    assert found.capped == int(((values >= 0.3).sum(1) > k).sum())


def test_too_many_pairs_is_an_error_and_no_truncated_answer() -> None:
    gallery = np.repeat(rows(1), 100, axis=0)
    assert len(self_join(gallery, 0.9, max_pairs=4950)) == 4950
    with pytest.raises(SearchError, match="choose a higher threshold"):
        self_join(gallery, 0.9, max_pairs=4949)


@pytest.mark.parametrize("dimension", [2, 256, 1280, 8192])
def test_fp32_products_stay_within_the_margin(dimension: int) -> None:
    count = 400 if dimension < 8192 else 100
    vectors = rows(count, dimension)
    row, column = np.triu_indices(count, 1)
    exact = pair_similarities(vectors, vectors, row, column)
    assert np.abs((vectors @ vectors.T)[row, column] - exact).max() < MARGIN / 5


def test_rows_of_zeros_stay_zeros_and_match_nothing() -> None:
    vectors = unit_rows(np.array([[0, 0], [3, 4]], np.float32))
    np.testing.assert_allclose(vectors, np.array([[0, 0], [0.6, 0.8]]))
    (hits,) = VectorIndex(vectors).within(vectors[:1], 0.1)
    assert len(hits.rows) == 0


def test_saved_index_answers_alike(tmp_path: Path) -> None:
    gallery = rows(200)
    path = tmp_path / "index.faiss"
    VectorIndex(gallery).save(path, 7)
    loaded = VectorIndex.load(path, 7, gallery.__getitem__)
    assert loaded is not None
    facts = saved_facts(path)
    assert facts is not None
    assert facts.version == 7
    for left, right in zip(
        loaded.neighbours(gallery, 5), VectorIndex(gallery).neighbours(gallery, 5), strict=True
    ):
        assert left.rows.tolist() == right.rows.tolist()
        assert left.similarity.tolist() == right.similarity.tolist()


def test_a_saved_index_reads_what_it_proposes_by_name(tmp_path: Path) -> None:
    gallery = rows(200)
    path = tmp_path / "index.faiss"
    names = np.arange(200, dtype=np.int64) * 3 + 7
    VectorIndex(gallery, ids=names).save(path, 7)
    asked: list[int] = []

    def read(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        asked.extend(ids.tolist())
        assert (np.diff(ids) > 0).all()
        return gallery[(ids - 7) // 3]

    loaded = VectorIndex.load(path, 7, read)
    assert loaded is not None
    assert loaded.ids.tolist() == names.tolist()
    (hits,) = loaded.neighbours(gallery[5:6], 3)
    wanted = [row for row, _ in oracles.neighbours(gallery, gallery[5], 3)]
    assert hits.rows.tolist() == wanted
    assert set(names[wanted].tolist()) <= set(asked)
    assert len(asked) < 200


def test_an_index_of_another_version_counts_as_absent(tmp_path: Path) -> None:
    path = tmp_path / "index.faiss"
    VectorIndex(rows(10)).save(path, 7)
    assert VectorIndex.load(path, 8, rows(10).__getitem__) is None
    assert VectorIndex.load(tmp_path / "none", 7, rows(10).__getitem__) is None


@pytest.mark.parametrize("offset", [0, 30, 60, 200, -41, -30, -1])
def test_a_damaged_index_counts_as_absent(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "index.faiss"
    VectorIndex(rows(10)).save(path, 7)
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    assert VectorIndex.load(path, 7, rows(10).__getitem__) is None


@pytest.mark.parametrize("length", [0, 1, 31, 32, 100])
def test_a_truncated_index_counts_as_absent(tmp_path: Path, length: int) -> None:
    path = tmp_path / "index.faiss"
    VectorIndex(rows(10)).save(path, 7)
    path.write_bytes(path.read_bytes()[:length])
    assert VectorIndex.load(path, 7, rows(10).__getitem__) is None
    assert saved_facts(path) is None


def test_an_empty_gallery_finds_nothing() -> None:
    index = VectorIndex(np.empty((0, 4), np.float32))
    query = np.array([[1, 0, 0, 0]], np.float32)
    assert len(index.neighbours(query, 3)[0].rows) == 0
    assert len(index.within(query, -1)[0].rows) == 0


def test_queries_of_another_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(Q, 32\)"):
        VectorIndex(rows(3)).neighbours(np.zeros((1, 5), np.float32), 1)
