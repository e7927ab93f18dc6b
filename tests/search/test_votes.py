"""Votes of local features, against comparing all with all."""

from __future__ import annotations

import tempfile
from itertools import combinations

import numpy as np
import pytest

from dedup.placing import followers, following
from dedup.search import matching, votes
from dedup.search.votes import LocalFeatures, sharing_more, sharing_parts

FEATURES = 60


def made(images: list[tuple[np.ndarray, ...]]) -> LocalFeatures:
    """Join images of (codes, x, y, scale, angle, turned)."""
    owner = np.repeat(np.arange(len(images), dtype=np.int32), [len(image[0]) for image in images])
    return LocalFeatures(owner, *(np.concatenate(column) for column in zip(*images, strict=True)))


def random_image(rng: np.random.Generator, count: int = FEATURES) -> tuple[np.ndarray, ...]:
    return (
        rng.integers(0, 16, (count, 32)).astype(np.uint8),
        rng.random(count).astype(np.float32),
        rng.random(count).astype(np.float32),
        rng.uniform(-8, -4, count).astype(np.float32),
        rng.uniform(0, 2 * np.pi, count).astype(np.float32),
        rng.random(count) < 0.5,
    )


def placed(
    image: tuple[np.ndarray, ...],
    kept: int,
    scale: float,
    turn: float,
    *,
    mirrored: bool = False,
) -> tuple[np.ndarray, ...]:
    """Show some features of an image elsewhere: smaller, turned, mirrored."""
    codes, x, y, size, angle, turned = (column[:kept] for column in image)
    across = 1 - x if mirrored else x
    angle = np.pi - angle if mirrored else angle
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    return (
        codes,
        np.asarray(0.4 + cos * across - sin * y, np.float32),
        np.asarray(0.3 + sin * across + cos * y, np.float32),
        np.asarray(size + np.log2(scale), np.float32),
        np.asarray(np.mod(angle + turn, 2 * np.pi), np.float32),
        turned != mirrored,
    )


def joined(*parts: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


@pytest.mark.parametrize(
    ("scale", "turn", "mirrored"),
    [(1.0, 0.0, False), (0.3, 0.0, False), (0.5, 2.0, False), (0.3, 0.0, True), (2.0, 4.0, True)],
)
def test_a_part_is_found_wherever_it_lies(scale: float, turn: float, mirrored: bool) -> None:  # noqa: FBT001
    rng = np.random.default_rng(0)
    images = [random_image(rng) for _ in range(30)]
    part = placed(images[7], 12, scale, turn, mirrored=mirrored)
    images.append(joined(random_image(rng), part))
    assert sharing_parts(made(images), 10) == [(7, 30)]


def test_features_that_agree_on_no_place_are_no_part() -> None:
    rng = np.random.default_rng(1)
    images = [random_image(rng) for _ in range(10)]
    codes = random_image(rng, 20)
    images.append((images[3][0][:20], *codes[1:]))
    assert sharing_parts(made(images), 10) == []


def test_one_spot_is_one_vote() -> None:
    rng = np.random.default_rng(2)
    image = random_image(rng)
    for column, value in ((1, 0.5), (2, 0.5), (3, -6.0), (4, 1.0)):
        image[column][:] = value
    assert sharing_parts(made([image, placed(image, FEATURES, 1.0, 0.0)]), 10) == []


def test_matches_of_several_pairs_follow_as_those_of_each_pair_alone() -> None:
    rng = np.random.default_rng(11)
    image = random_image(rng, 80)
    one, two = made([image]), made([placed(image, 80, 0.5, 1.0, mirrored=True)])
    first, sizes = np.arange(80), np.array([4, 30, 1, 45])
    second = np.where(rng.random(80) < 0.5, first, rng.permutation(80))
    begins = sizes.cumsum() - sizes
    expected = np.zeros((80, 80), np.bool_)
    for begin, size in zip(begins, sizes, strict=True):
        some = slice(begin, begin + size)
        expected[some, some] = following(one, first[some], two, second[some])
    found = np.zeros((80, 80), np.bool_)
    found[followers(one, first, two, second, begins)] = True
    np.testing.assert_array_equal(found, expected)
    assert expected.sum() > 400


def all_with_all(features: LocalFeatures) -> set[tuple[int, int]]:
    """Pairs with four features whose codes are close and that one placing explains, slowly."""
    found = set()
    for first, second in combinations(range(int(features.owner.max()) + 1), 2):
        one, two = (np.flatnonzero(features.owner == image) for image in (first, second))
        apart = features.codes[one][:, None].astype(int) - features.codes[two][None]
        rows, columns = np.nonzero((apart**2).sum(axis=2) <= 30)
        if len(rows) < 4:
            continue
        shift = np.exp2(features.scale[two[columns]] - features.scale[one[rows]])
        turn = features.angle[two[columns]] - features.angle[one[rows]]
        here = features.x[one[rows]] + 1j * features.y[one[rows]]
        there = features.x[two[columns]] + 1j * features.y[two[columns]]
        placing = shift * np.exp(1j * turn)
        off = np.abs(there[:, None] + placing[:, None] * (here - here[:, None]) - there)
        if ((off < 0.01).sum(axis=1) >= 4).any():
            found.add((first, second))
    return found


@pytest.mark.parametrize("per_cell", [20, pytest.param(320, marks=pytest.mark.slow), 10**6])
def test_by_cells_as_by_comparing_all_with_all(
    monkeypatch: pytest.MonkeyPatch, per_cell: int
) -> None:
    rng = np.random.default_rng(3)
    images = [random_image(rng) for _ in range(60)]
    for number in range(0, 40, 2):
        part = placed(images[number], int(rng.integers(6, 20)), rng.uniform(0.3, 1), 0.5)
        images.append(joined(random_image(rng, 40), part))
    features = made(images)
    expected = all_with_all(features)
    assert len(expected) == 20
    monkeypatch.setattr(matching, "_PER_CELL", per_cell)
    assert set(sharing_parts(features, 10)) == expected


@pytest.mark.parametrize("features", [50, 61, 300])
def test_ranges_of_matches_change_nothing(monkeypatch: pytest.MonkeyPatch, features: int) -> None:
    rng = np.random.default_rng(9)
    images = [random_image(rng) for _ in range(12)]
    images += [placed(images[number], 20, 0.5, 0.0) for number in (0, 5, 11)]
    expected = [(0, 12), (5, 13), (11, 14)]
    assert sharing_parts(made(images), 10) == expected
    monkeypatch.setattr(votes, "_RANGE", features)
    assert sharing_parts(made(images), 10) == expected


def test_a_range_holds_any_number_of_features() -> None:
    owner = np.repeat(np.arange(3, dtype=np.int32), [70_000, 5, 5])
    floats = np.zeros(len(owner), np.float32)
    codes = np.zeros((len(owner), 32), np.uint8)
    features = LocalFeatures(owner, codes, floats, floats, floats, floats, floats > 0)
    found = [(69_999, 70_002), (0, 70_009), (70_001, 70_008), (1, 2)]
    with tempfile.TemporaryFile() as file:
        for ranges in (votes._Ranges(features), votes._Ranges(features, file)):  # noqa: SLF001
            for pairs in (found, [(two, one) for one, two in found]):
                ranges.add(*np.array(pairs, np.int32).T)
            every = np.concatenate([ranges.settle(number)[0] for number in range(len(ranges))])
            assert [divmod(key, len(owner)) for key in every.tolist()] == sorted(found[:3])


def test_new_images_are_compared_with_the_others_only() -> None:
    rng = np.random.default_rng(4)
    images = [random_image(rng) for _ in range(6)]
    images += [placed(images[0], 20, 0.5, 0.0), placed(images[1], 20, 0.5, 0.0)]
    images.append(placed(images[0], 20, 0.7, 0.0))
    assert sharing_parts(made(images), 10, first_new=6) == [(0, 6), (0, 8), (1, 7)]


def test_what_comes_later_is_paired_with_all_and_with_each_other() -> None:
    rng = np.random.default_rng(7)
    images = [random_image(rng) for _ in range(12)]
    images += [placed(images[0], 20, 0.5, 0.0), placed(images[1], 20, 0.5, 0.0)]  # 12, 13
    images.append(placed(images[0], 20, 0.7, 0.0))  # 14, of 0 and of 12
    images.append(joined(random_image(rng, 30), placed(images[9], 12, 0.5, 1.0)))  # 15
    every = sharing_parts(made(images), 10)
    assert every == [(0, 12), (0, 14), (1, 13), (9, 15), (12, 14)]
    found, known = sharing_more(made(images[:13]), 10)
    assert found == [(0, 12)]
    more, known = sharing_more(made(images[:15]), 10, known)
    assert more == [(0, 14), (1, 13), (12, 14)]
    assert sharing_more(made(images), 10, known)[0] == [(9, 15)]
    assert sharing_more(made(images), 10)[0] == every


def test_features_that_have_nearer_ones_match_nothing_that_comes_later() -> None:
    rng = np.random.default_rng(8)
    image = random_image(rng)
    # Nine copies fill what the features of the first are matched with, and of each other.
    images = [image, *[placed(image, FEATURES, 0.9, 0.0) for _ in range(9)]]
    _, known = sharing_more(made(images), 10)
    assert known.reach.max() == 0
    far = (image[0] ^ (np.arange(32) < 4).astype(np.uint8), *placed(image, FEATURES, 0.5, 0.0)[1:])
    assert {one for one, _ in sharing_more(made([*images, far]), 10, known)[0]} <= set(range(10))
    old, new = range(10 * FEATURES), range(10 * FEATURES, 11 * FEATURES)
    codes = made([*images, far]).codes
    near = known.division.nearest(codes)
    reach = np.append(known.reach, np.full(FEATURES, 30, np.uint8))
    parts = list(matching.matches(codes, known.division, near, (old, new), reach, 8))
    assert [len(part.one) for part in parts] == [0] * len(parts)
    assert sum(part.asked for part in parts) == len(old)


def test_few_that_come_later_are_found_up_to_where_each_reaches() -> None:
    rng = np.random.default_rng(12)
    base = rng.integers(3, 13, 32)
    codes = (base + rng.integers(-1, 2, (400, 32))).astype(np.uint8)
    old, new = range(395), range(395, 400)
    apart = ((codes[:395, None].astype(int) - codes[None, 395:]) ** 2).sum(axis=2)
    reaches = np.full(400, 30, np.uint8)
    reaches[:200] = apart[:200].min(axis=1)  # the nearest is just in reach, ...
    reaches[200:300] = apart[200:300].min(axis=1) - 1  # ... or just out of it
    division = matching.Division.of(codes[:300])
    parts = list(matching.matches(codes, division, division.nearest(codes), (old, new), reaches, 8))
    found = {
        pair for part in parts for pair in zip(part.one.tolist(), part.two.tolist(), strict=True)
    }
    one, two = np.nonzero(apart <= reaches[:395, None])
    assert found == set(zip(one.tolist(), (two + 395).tolist(), strict=True))
    assert {first for first, _ in found} >= set(range(200))
    assert not {first for first, _ in found} & set(range(200, 300))
    assert all(
        (np.diff(part.apart.astype(int))[np.diff(part.one) == 0] >= 0).all() for part in parts
    )


def test_an_image_brings_in_so_many_and_no_more() -> None:
    rng = np.random.default_rng(5)
    template = random_image(rng)
    images = [joined(template, random_image(rng, 20)) for _ in range(60)]
    assert len(sharing_parts(made(images), 3)) <= 3 * 60


def test_no_features_are_no_pairs() -> None:
    rng = np.random.default_rng(6)
    empty = tuple(column[:0] for column in random_image(rng))
    assert sharing_parts(made([empty, empty]), 10) == []
    none, known = sharing_more(made([empty, empty]), 10)
    assert none == []
    assert sharing_more(made([empty, empty, empty]), 10, known)[0] == []
