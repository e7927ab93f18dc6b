"""Placing groups and taking samples, against every possible placing and plain definitions."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from dedup.datasets.sample import k_center
from dedup.datasets.split import Share, SplitAnswer, Unit, assign, hindered, wanted_subsets
from dedup.datasets.together import Together
from dedup.duplicates.tiers import SURE


def units_of(groups: list[list[int]]) -> list[Unit]:
    made = []
    for group in groups:
        classes, counts = np.unique(np.array(group), return_counts=True)
        made.append(Unit(len(group), classes.astype(np.int64), counts.astype(np.float64)))
    return made


def off(groups: list[list[int]], subset: Any, classes: int, ratios: Any) -> tuple[float, float]:
    """Give by how many files the subsets are off their shares at most: of all, and of a class."""
    counts = np.zeros((classes, len(ratios)))
    for group, one in zip(groups, subset, strict=True):
        for label in group:
            counts[label, one] += 1
    total = counts.sum(axis=0)
    wanted = np.outer(counts.sum(axis=1), ratios)
    return float(np.abs(total - total.sum() * ratios).max()), float(np.abs(counts - wanted).max())


@pytest.mark.parametrize("seed", range(6))
def test_small_sets_are_placed_about_as_well_as_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [[int(rng.integers(2))] * int(rng.integers(1, 4)) for _ in range(9)]
    ratios = np.array([0.6, 0.4])
    best = min(off(groups, subset, 2, ratios)[0] for subset in product(range(2), repeat=9))
    found = off(groups, assign(units_of(groups), 2, ratios, 0), 2, ratios)
    assert found[0] <= best + 0.5
    fair = min(
        of_class
        for subset in product(range(2), repeat=9)
        for of_all, of_class in [off(groups, subset, 2, ratios)]
        if of_all <= found[0] + 1e-9
    )
    assert found[1] <= fair + 1


@pytest.mark.parametrize("ratios", [(0.8, 0.1, 0.1), (0.5, 0.5), (0.2,) * 5])
def test_shares_are_within_a_hundredth_of_all_and_of_every_class(ratios: Any) -> None:
    rng = np.random.default_rng(0)
    groups = [
        [int(label)] * int(size)
        for label, size in zip(rng.integers(0, 8, 900), rng.zipf(2, 900).clip(1, 20), strict=True)
    ]
    subset = assign(units_of(groups), 8, np.array(ratios), 3)
    count = np.bincount([label for group in groups for label in group])
    of_all, of_class = off(groups, subset, 8, np.array(ratios))
    assert of_all <= 0.01 * count.sum()
    assert of_class <= max(1, 0.01 * count.min())


def test_many_small_classes_do_not_all_round_the_same_way() -> None:
    groups = [[label] for label in range(200) for _ in range(3)]
    of_all, of_class = off(groups, assign(units_of(groups), 200, np.array([0.8, 0.1, 0.1]), 0),
                           200, np.array([0.8, 0.1, 0.1]))  # fmt: skip
    assert of_all <= 6
    assert of_class <= 1


def test_equal_seeds_place_equally_and_others_do_not() -> None:
    units = units_of([[0]] * 200)
    one, two, other = (assign(units, 1, np.array([0.5, 0.5]), seed) for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()


@pytest.mark.parametrize(
    ("ratios", "names", "says"),
    [
        ([0.8, 0.1], (), r"add up to 1, not to 0\.9: 0\.8 0\.1"),
        ([1.0], (), r"ratios are two and more, such as \.8 \.1 \.1, not 1"),
        ([], (), r"not none"),
        ([1.2, -0.2], (), r"each of the ratios is above 0 and below 1"),
        ([float("nan"), 0.5], (), r"each of the ratios is above 0"),
        ([0.5, 0.5], ("a", "a"), r"names are 2, one a ratio and none twice, not a, a"),
        ([0.5, 0.5], ("a",), r"names are 2"),
    ],
)
def test_ratios_that_make_no_sense(ratios: Any, names: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        wanted_subsets(ratios, names)


def test_parts_have_usual_names() -> None:
    assert wanted_subsets([0.8, 0.2], ()).names == ("train", "test")
    assert wanted_subsets([0.8, 0.1, 0.1], ()).names == ("train", "val", "test")
    assert wanted_subsets([0.25] * 4, ()).names == ("subset-1", "subset-2", "subset-3", "subset-4")


def silent(*_: object) -> None:
    """Take no notice of progress."""


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_each_taken_image_is_the_one_furthest_from_those_before(count: int) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    order, similarity, left = k_center(rows, count, 5, silent)
    assert len(set(order.tolist())) == count
    products = rows @ rows.T
    for number in range(1, count):
        before = order[:number]
        nearest = products[:, before].max(axis=1)
        nearest[before] = np.inf
        assert similarity[number] == pytest.approx(nearest.min(), abs=1e-5)
        assert nearest[order[number]] == pytest.approx(nearest.min(), abs=1e-5)
    rest = np.setdiff1d(np.arange(60), order)
    expected = products[rest][:, order].max(axis=1).min() if len(rest) else 1.0
    assert left == pytest.approx(expected, abs=1e-5)
    assert k_center(rows, count, 5, silent)[0].tolist() == order.tolist()
    assert order.tolist() == k_center(rows, 60, 5, silent)[0].tolist()[:count]


@pytest.mark.parametrize(
    ("of_all", "of_few", "expected"),
    [
        ((8, 8), (3, 1), [0, 1]),
        ((8, 8), (2, 2), []),
        ((8, 9), (2, 1), []),  # half a file off, as three are whatever goes where
        ((12, 4), (3, 1), [0, 1, 2]),
    ],
)
def test_files_of_shares_that_are_off_by_a_file_are_in_the_way(
    of_all: tuple[int, int], of_few: tuple[int, int], expected: list[int]
) -> None:
    gallery: Any = None  # not asked
    labels = {0: ("few",), 1: ("few", "many"), 2: ("many",), 3: ("few",)}
    together = Together(gallery, None, SURE, [0, 1, 2, 3], {0: 1, 1: 1, 2: 1}, ())
    shares = tuple(
        Share(subset, label, files, files / sum(both), 0.5)
        for label, both in ((None, of_all), ("few", of_few))
        for subset, files in zip(("train", "test"), both, strict=True)
    )
    assert hindered(SplitAnswer((), shares), together, labels) == expected
