"""What neighbours and a classifier say of labels, against fitting it again without each image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dedup.datasets.mislabelled import (
    DISAGREES,
    NEIGHBOURS,
    centred,
    judge,
    nearest_others,
    remoteness,
)


def clusters(count: int, classes: int = 4, spread: float = 0.25) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, count)
    rows = rng.normal(size=(classes, 16))[truth] + spread * rng.normal(size=(count, 16)) + 1
    return centred(rows.astype(np.float32)), truth.astype(np.int64)


def brute_neighbours(rows: Any, together: Any) -> list[list[int]]:
    similarity = rows.astype(np.float64) @ rows.T.astype(np.float64)
    found = []
    for row, own in enumerate(similarity):
        others = np.flatnonzero(together != together[row])
        found.append(others[np.argsort(-own[others])][:NEIGHBOURS].tolist())
    return found


def brute_agreement(rows: Any, labels: Any, together: Any) -> tuple[list[float], list[int]]:
    """Fit a ridge regression for each image without it and its copies, and count neighbours."""
    size = rows.shape[1]
    wide = rows.astype(np.float64)
    truth = np.eye(labels.max() + 1)[labels]
    prior = truth.mean(axis=0)
    ridge = 2 * np.trace(wide.T @ wide) / size
    agreement, other = [], []
    for row, near in enumerate(brute_neighbours(rows, together)):
        rest = together != together[row]
        left = wide[rest]
        weights = np.linalg.solve(
            left.T @ left + ridge * np.eye(size), left.T @ (truth[rest] - prior)
        )
        votes = np.zeros(len(prior))
        for one in near:
            votes[labels[one]] += np.exp(10 * float(wide[row] @ wide[one]))
        share = (wide[row] @ weights + prior + votes / votes.sum()) / 2
        own = share[labels[row]]
        share[labels[row]] = -np.inf
        agreement.append(min(1.0, max(0.0, (1 + own - share.max()) / 2)))
        other.append(int(share.argmax()))
    return agreement, other


@pytest.mark.parametrize("copies", [False, True])
def test_leaving_out_equals_fitting_again(copies: bool) -> None:  # noqa: FBT001 - a parameter
    rows, labels = clusters(60)
    labels[::7] = (labels[::7] + 1) % 4
    together = np.arange(60)
    if copies:
        together[[3, 10, 11]] = 3
        together[[20, 40]] = 20
        rows[[10, 11]] = rows[3]
    near = nearest_others(rows, together)
    for row, expected in enumerate(brute_neighbours(rows, together)):
        assert set(near.rows[row].tolist()) == set(expected)
    found = judge(rows, near, labels, together)
    agreement, other = brute_agreement(rows, labels, together)
    np.testing.assert_allclose(found.agreement, agreement, atol=2e-4)
    assert found.other.tolist() == other


def test_planted_errors_are_found_and_no_others() -> None:
    rows, truth = clusters(800)
    labels = truth.copy()
    wrong = np.random.default_rng(1).random(800) < 0.08
    labels[wrong] = (labels[wrong] + 1) % 4
    found = judge(rows, nearest_others(rows, np.arange(800)), labels, np.arange(800))
    flagged = found.agreement < DISAGREES
    assert (flagged == wrong).mean() > 0.99
    assert (found.other[flagged & wrong] == truth[flagged & wrong]).all()


def test_copies_do_not_vouch_for_each_other() -> None:
    rows, labels = clusters(200)
    five = np.flatnonzero(labels == 0)[:5]
    rows[five] = rows[five[0]]
    labels[five] = 1
    together = np.arange(200)
    apart = judge(rows, nearest_others(rows, together), labels, together)
    assert (apart.agreement[five] >= DISAGREES).all()
    together[five] = five[0]
    found = judge(rows, nearest_others(rows, together), labels, together)
    assert (found.agreement[five] < DISAGREES).all()
    assert (found.other[five] == 0).all()


def test_what_cannot_be_judged_is_not() -> None:
    rows, labels = clusters(50)
    labels[:] = 0
    one = judge(rows, nearest_others(rows, np.arange(50)), labels, np.arange(50))
    assert np.isnan(one.agreement).all()  # a single class
    labels[:25], labels[25:27], labels[27:30] = 1, 2, -1
    found = judge(rows, nearest_others(rows, np.arange(50)), labels, np.arange(50))
    assert np.isnan(found.agreement[25:30]).all()  # two images of a class, and no label
    assert not np.isnan(found.agreement[np.r_[0:25, 30:50]]).any()


@pytest.mark.parametrize("count", [0, 1, 2, NEIGHBOURS, NEIGHBOURS + 2])
def test_any_number_of_images_has_neighbours(count: int) -> None:
    rows = centred(np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32))
    near = nearest_others(rows, np.arange(count))
    assert (near.rows >= 0).sum() == count * min(NEIGHBOURS, max(0, count - 1))
    remote = remoteness(near)
    similarity = rows @ rows.T
    for row in range(count):
        others = sorted(np.delete(similarity[row], row), reverse=True)[:NEIGHBOURS]
        expected = np.mean(others) if others else np.nan
        assert remote[row] == pytest.approx(expected, abs=1e-5, nan_ok=True)
