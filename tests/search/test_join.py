"""Whichever way pairs are proposed, the answer is that of brute force."""

from __future__ import annotations

import gc
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.search.cells import choose_overlap, divide, propose_within
from dedup.search.join import nearest_pairs, predicted_seconds, self_join
from dedup.search.similarity import MARGIN, inclusive, pair_similarities, unit_rows
from dedup.search.tiles import BF16_MARGIN, TileSizes, propose

Rows = npt.NDArray[np.float32]

USUAL = TileSizes()


def clusters(count: int, dimension: int = 64, seed: int = 0, spread: float = 0.25) -> Rows:
    """Background rows, and as many near copies of them in clusters of up to five."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, dimension))
    for start in range(0, count - 5, 10):
        noise = rng.normal(size=(4, dimension)) * rng.uniform(0, spread, (4, 1))
        vectors[start + 1 : start + 5] = vectors[start] + noise
    return unit_rows(vectors[rng.permutation(count)])


def settled(
    vectors: Rows, threshold: float, *, bf16: bool, sizes: TileSizes = USUAL
) -> list[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    for part in propose(vectors, threshold, bf16=bf16, tiles=sizes):
        exact = pair_similarities(vectors, vectors, part.first, part.second)
        assert np.abs(exact - part.products).max(initial=0) < MARGIN
        keep = exact >= inclusive(threshold)
        pairs = list(zip(part.first[keep].tolist(), part.second[keep].tolist(), strict=True))
        assert found.isdisjoint(pairs)
        found.update(pairs)
    return sorted(found)


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize(("tile", "count"), [(64, 63), (64, 64), (64, 65), (64, 300), (4096, 300)])
def test_both_ways_equal_brute_force(tile: int, count: int, *, bf16: bool) -> None:
    sizes = TileSizes(fp32=tile, bf16=tile)
    vectors = clusters(count)
    for threshold in (-1.0, 0.3, 0.9, 0.99, 1.0):
        expected = [pair[:2] for pair in oracles.pairs(vectors, threshold)]
        assert settled(vectors, threshold, bf16=bf16, sizes=sizes) == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 80), st.integers(1, 700), st.integers(0, 99), st.floats(-1, 1))
def test_bf16_loses_no_pair_at_any_threshold(
    count: int, dimension: int, seed: int, threshold: float
) -> None:
    vectors = clusters(count, dimension, seed)
    expected = [pair[:2] for pair in oracles.pairs(vectors, threshold)]
    assert settled(vectors, threshold, bf16=True) == expected


def test_the_bf16_margin_bounds_the_worst_rounding() -> None:
    # All factors halfway between two values of bf16, so that every one is rounded down.
    worst = 1 + 2.0**-8 - 2.0**-20
    for dimension in (4, 64, 1024, 8192):
        row = torch.full((1, dimension), worst / dimension**0.5)
        row[0, 0] = torch.sqrt(1 - (row[0, 1:].double() ** 2).sum().clamp(max=1)).float()
        exact = float((row.double() @ row.double().T).item())
        found = float((row.bfloat16() @ row.bfloat16().T).item())
        assert abs(exact - found) <= BF16_MARGIN
    u = 2.0**-8
    bound = (2 * u + u * u) + u * (1 + 2 * u + u * u) + 8192 * 2.0**-24
    assert bound < BF16_MARGIN
    rng = np.random.default_rng(0)
    vectors = torch.from_numpy(unit_rows(rng.normal(size=(300, 256))))
    products = (vectors.bfloat16() @ vectors.bfloat16().T).float()
    error = (products - vectors @ vectors.T).abs().max()
    assert 0.001 < float(error) < BF16_MARGIN


def test_the_order_of_proposals_does_not_depend_on_threads() -> None:
    vectors = clusters(3000)
    first, second = (
        [(part.first.tolist(), part.second.tolist()) for part in propose(vectors, 0.9, bf16=False)]
        for _ in range(2)
    )
    assert first == second


def test_progress_counts_every_tile() -> None:
    seen: list[tuple[int, int]] = []
    tiles = propose(
        clusters(350),
        0.9,
        lambda done, total: seen.append((done, total)),
        bf16=False,
        tiles=TileSizes(fp32=100),
    )
    assert len(list(tiles)) == 10
    assert seen == [(done, 10) for done in range(1, 11)]


def test_a_join_that_is_given_up_stops_its_threads() -> None:
    proposals = propose(clusters(5000), 0.0, bf16=False)
    next(iter(proposals))
    proposals.close()  # type: ignore[attr-defined]  # a generator
    assert len(self_join(clusters(50), 0.9)) > 0


# Cells


def test_cells_find_nearly_all_pairs_and_none_twice() -> None:
    vectors = clusters(12_000, spread=0.12)
    exact = self_join(vectors, 0.9, how="exact")
    notes: list[str] = []
    found = self_join(vectors, 0.9, how="ivf", note=notes.append)
    pairs = set(zip(exact.first.tolist(), exact.second.tolist(), strict=True))
    some = list(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert len(set(some)) == len(some)
    assert set(some) <= pairs
    assert len(pairs) > 5000
    assert len(some) / len(pairs) >= 0.999
    (note,) = notes
    assert note.startswith("Pairs were looked for within 24 overlapping cells")
    assert note.endswith("--join exact")


def test_the_measured_recall_is_about_the_true_one() -> None:
    vectors = clusters(6000, spread=0.12)
    cells = divide(vectors, 0.9, None)
    found = sum(len(part.first) for part in propose_within(vectors, cells, 0.9))
    exact = len(self_join(vectors, 0.9, how="exact"))
    assert cells.pairs > 1000
    assert cells.recall == pytest.approx(found / exact, abs=0.003)


def test_cells_of_nearest_pairs_agree_too() -> None:
    vectors = clusters(5000, spread=0.12)
    exact = nearest_pairs(vectors, 4, 0.8, how="exact")
    found = nearest_pairs(vectors, 4, 0.8, how="ivf")
    assert len(found.pairs) / len(exact.pairs) >= 0.999


def test_the_overlap_is_predicted_by_the_misses_of_smaller_ones() -> None:
    overlaps = [1, 2, 3, 4, 5, 6, 8]
    assert choose_overlap(overlaps, [0.2, 0.04, 0.008, 0, 0, 0, 0], 400) == 5  # .00032
    assert choose_overlap(overlaps, [0.5, 0.25, 0.125, 0.06, 0.03, 0.01, 0], 400) == 8  # never
    assert choose_overlap(overlaps, [0, 0, 0, 0, 0, 0, 0], 400) == 2
    assert choose_overlap(overlaps, [0] * 7, 0) == 1
    # Of many pairs the misses are told by counting: of 20,000, 100 may be missed, or 20.
    counted = [miss / 20_000 for miss in (8000, 2000, 500, 90, 79, 10, 2)]
    assert choose_overlap(overlaps, counted, 20_000, 0.005) == 5
    assert choose_overlap(overlaps, counted, 20_000, 0.001) == overlaps[5]


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_few_rows_are_one_cell(count: int) -> None:
    vectors = clusters(count) if count else np.empty((0, 8), np.float32)
    found = self_join(vectors, 0.9, how="ivf")
    exact = self_join(vectors, 0.9, how="exact")
    assert found.first.tolist() == exact.first.tolist()
    assert found.similarity.tolist() == exact.similarity.tolist()


def test_equal_rows_do_not_stop_cells() -> None:
    vectors = np.repeat(clusters(2), 1500, axis=0)
    assert len(self_join(vectors, 1.0, how="ivf")) == 2 * 1500 * 1499 // 2


# The choice


def test_auto_takes_cells_only_where_the_exact_join_would_take_long() -> None:
    vectors = clusters(20_000, spread=0.05)
    notes: list[str] = []
    exact = self_join(vectors, 0.9, note=notes.append)
    assert notes == []
    found = self_join(vectors, 0.9, note=notes.append, max_exact_seconds=0)
    assert len(notes) == 1
    assert "minutes" in notes[0]
    assert len(found) / len(exact) >= 0.999


def test_auto_waits_where_cells_would_miss_too_much() -> None:
    rng = np.random.default_rng(0)
    vectors = unit_rows(rng.normal(size=(3000, 64)))  # no clusters: neighbours are anywhere
    notes: list[str] = []
    found = self_join(vectors, 0.3, note=notes.append, max_exact_seconds=0)
    assert notes == []
    assert len(found) == len(self_join(vectors, 0.3, how="exact"))


def test_predictions_grow_with_the_square() -> None:
    small, large = predicted_seconds(10_000, 256), predicted_seconds(100_000, 256)
    assert 20 < large / small < 500  # 100 on a quiet machine
    with pytest.raises(ValueError, match="how must be one of auto, exact, ivf"):
        self_join(clusters(10), 0.9, how="best")


def test_a_small_join_imports_no_torch() -> None:
    code = (
        "import sys, numpy as np; from dedup.search.join import self_join\n"
        "rows = np.eye(300, dtype=np.float32)\n"
        "print(len(self_join(rows, 0.0)), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(300 * 299 // 2), "False"]


@pytest.mark.gpu
def test_a_gpu_equals_brute_force_also_where_its_memory_is_short() -> None:
    sizes = TileSizes(gpu=4096)
    vectors = clusters(9000)
    expected = [pair[:2] for pair in oracles.pairs(vectors, 0.95)]
    assert len(expected) > 1000
    assert settled(vectors, 0.95, bf16=True, sizes=sizes) == expected
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        # Less than the products of a tile take, 32 MB: quarters of it; then nothing at all, so that
        # the CPU has to do it.
        for left in (24 << 20, 0):
            gc.collect()
            torch.cuda.empty_cache()
            limit = torch.cuda.memory_reserved() + left
            torch.cuda.set_per_process_memory_fraction(limit / total)
            torch.cuda.reset_peak_memory_stats()
            assert settled(vectors, 0.95, bf16=True, sizes=sizes) == expected
            assert torch.cuda.max_memory_reserved() <= limit
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.gpu
def test_a_gpu_predicts_its_own_time() -> None:
    small, large = predicted_seconds(200_000, 256), predicted_seconds(2_000_000, 256)
    assert 20 < large / small < 500
