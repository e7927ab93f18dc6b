"""How many parts of two images agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dedup.descriptors.agreement import (
    FEW,
    FEWEST,
    MANY,
    TELLING,
    Agreement,
    agreement,
    promising,
)
from dedup.descriptors.parts import VALUES, Parts

COUNT = 40
TURN, SCALE, SHIFT = 0.7, 0.5, (0.2, 0.1)


def features(count: int, seed: int) -> Parts:
    """Draw features, each on a spot and with a code of its own."""
    rng = np.random.default_rng(seed)
    spots = rng.permutation(900)[:count]
    return Parts(
        rng.integers(0, 16, (count, VALUES)).astype(np.uint8),
        (0.1 + spots % 30 / 38).astype(np.float32),
        (0.1 + spots // 30 / 38).astype(np.float32),
        np.full(count, -4, np.float32),
        rng.uniform(0, 2 * np.pi, count).astype(np.float32),
        np.zeros(count, np.bool_),
    )


def placed(parts: Parts) -> Parts:
    """Lay features on another image: turned, half as large, moved."""
    cos, sin = SCALE * np.cos(TURN), SCALE * np.sin(TURN)
    return replace(
        parts,
        x=(cos * parts.x - sin * parts.y + SHIFT[0] + 0.3).astype(np.float32),
        y=(sin * parts.x + cos * parts.y + SHIFT[1]).astype(np.float32),
        scale=parts.scale + np.float32(np.log2(SCALE)),
        angle=np.mod(parts.angle + np.float32(TURN), np.float32(2 * np.pi)),
    )


def columns(parts: Parts) -> tuple[Any, ...]:
    return tuple(getattr(parts, name) for name in Parts.__slots__)


def some(parts: Parts, rows: slice) -> Parts:
    return Parts(*(getattr(parts, name)[rows] for name in Parts.__slots__))


def test_all_parts_of_a_copy_agree() -> None:
    parts = features(COUNT, 1)
    assert agreement(parts, parts).spots == COUNT


def test_a_part_turned_shrunk_and_moved_agrees() -> None:
    parts = features(COUNT, 2)
    copy = placed(parts)
    spots = {(round(x * 64), round(y * 64)) for x, y in zip(copy.x, copy.y, strict=True)}
    assert agreement(parts, copy).spots == len(spots)


def test_some_parts_that_agree_say_nothing_among_many_that_do_not() -> None:
    def beside(others: int) -> tuple[Parts, Parts]:
        shared = features(20, 10)
        one, two = (features(others, seed) for seed in (11, 12))
        sides = (shared, one), (placed(shared), placed(two))
        left, right = (
            Parts(*(np.concatenate(values) for values in zip(*map(columns, side), strict=True)))
            for side in sides
        )
        return left, right

    for others, few in ((20, False), (360, True)):
        pair = beside(others)
        assert agreement(*pair).spots >= FEWEST
        assert (promising(*pair) is None) == few


def test_a_mirrored_copy_agrees() -> None:
    parts = features(COUNT, 3)
    mirrored = replace(
        parts,
        x=1 - parts.x,
        angle=np.mod(np.float32(np.pi) - parts.angle, np.float32(2 * np.pi)),
        turned=~parts.turned,
    )
    assert agreement(parts, mirrored).spots == COUNT


def test_features_in_other_places_do_not_agree() -> None:
    parts = features(COUNT, 4)
    elsewhere = features(COUNT, 5)
    moved = replace(parts, x=elsewhere.x, y=elsewhere.y, angle=elsewhere.angle)
    assert agreement(parts, moved).spots < FEW
    assert promising(parts, moved) is None


def test_strangers_match_nowhere() -> None:
    assert agreement(features(COUNT, 6), features(COUNT, 7)).spots < FEW


def sharing(count: int, *, mirrored: bool = False) -> tuple[Parts, Parts]:
    """Give two images that share a few parts."""
    parts, others = features(COUNT, 10), features(COUNT, 11)
    copy = placed(parts)
    if mirrored:
        angle = np.mod(np.float32(np.pi) - copy.angle, np.float32(2 * np.pi))
        copy = replace(copy, x=1 - copy.x, angle=angle, turned=~copy.turned)
    names = Parts.__slots__
    mixed = (
        np.concatenate([getattr(copy, name)[:count], getattr(others, name)[count:]])
        for name in names
    )
    return parts, Parts(*mixed)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_few_parts_place_a_small_copy_by_turn_scale_and_shift(*, mirrored: bool) -> None:
    parts, copy = sharing(FEWEST - 1, mirrored=mirrored)
    found = promising(parts, copy)
    assert found is not None
    assert FEW <= found.spots < FEWEST
    assert found.mirrored == mirrored
    assert found.matrix is not None
    back = np.linalg.inv(found.matrix)
    there = back @ np.stack([parts.x, parts.y, np.ones(COUNT)])[:, :FEW]
    assert there[:2] == pytest.approx(np.stack([copy.x, copy.y])[:, :FEW], abs=1e-3)


@pytest.mark.parametrize("stretch", [1.0, 1.25])
def test_somewhat_more_place_it_so_where_no_stretch_shows(stretch: float) -> None:
    parts, copy = sharing(MANY - 2)
    rough = np.random.default_rng(12).uniform(-0.004, 0.004, (2, COUNT)).astype(np.float32)
    copy = replace(copy, x=copy.x + rough[0], y=copy.y * np.float32(stretch) + rough[1])
    found = agreement(parts, copy)
    assert FEWEST <= found.spots < MANY
    assert found.matrix is not None
    back = np.linalg.inv(found.matrix)
    alike = (back[0, 0], back[0, 1]) == pytest.approx((back[1, 1], -back[1, 0]))
    assert alike == (stretch == 1)
    assert back[1, 0] / back[0, 0] == pytest.approx(stretch * np.tan(TURN), rel=0.05)


def test_fewer_parts_than_a_few_tell_of_no_copy() -> None:
    assert promising(*sharing(FEW - 1)) is None


def test_too_few_features_tell_nothing() -> None:
    few = some(features(COUNT, 8), slice(TELLING - 1))
    assert promising(few, features(COUNT, 9)) == Agreement(0)


def repeating(seed: int, kinds: int = 4) -> Parts:
    """Draw features of which many have one code."""
    parts = features(200, seed)
    codes = np.random.default_rng(0).integers(0, 16, (kinds, VALUES)).astype(np.uint8)
    return replace(parts, codes=codes[np.arange(len(parts)) % kinds])


def test_parts_that_repeat_refute_nothing_where_the_same_lie_at_their_places() -> None:
    parts = repeating(1)
    rng = np.random.default_rng(2)
    copy = some(parts, slice(0, 180))
    noise = rng.normal(0, 0.002, (2, len(copy))).astype(np.float32)
    # Of matches that are as near, chance picks: here those of other directions.
    turns = rng.uniform(0, 2 * np.pi, len(copy)).astype(np.float32)
    copy = replace(copy, x=copy.x + noise[0], y=copy.y + noise[1], angle=turns)
    assert agreement(parts, copy).spots < FEW
    assert promising(parts, copy) == Agreement(0)


def test_other_things_of_the_same_parts_are_refuted() -> None:
    assert promising(repeating(3), repeating(4)) is None


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_is_small_on_a_sheet_is_found_by_what_lies_at_its_place(*, mirrored: bool) -> None:
    def sheet(like: int) -> tuple[Parts, Parts]:
        """Show an image small among others: three features as they were, and some changed."""
        image = replace(features(60, 20), scale=np.full(60, -3, np.float32))
        panel = some(image, slice(3 + like))
        codes = panel.codes.copy()
        codes[3:, :10] = np.where(codes[3:, :10] < 8, codes[3:, :10] + 2, codes[3:, :10] - 2)
        across = -panel.x if mirrored else panel.x
        panel = replace(
            panel,
            codes=codes,
            x=(0.2 * across + 0.5).astype(np.float32),
            y=(0.2 * panel.y + 0.5).astype(np.float32),
            scale=panel.scale + np.float32(np.log2(0.2)),
            angle=np.float32(np.pi) - panel.angle if mirrored else panel.angle,
            turned=np.full(3 + like, mirrored),
        )
        others = features(200, 21)
        both = (np.concatenate(each) for each in zip(columns(panel), columns(others), strict=True))
        return image, Parts(*both)

    found = promising(*sheet(20))
    assert found is not None
    assert found.spots >= FEWEST
    assert found.mirrored == mirrored
    assert found.matrix is not None
    assert np.linalg.norm(found.matrix[0, :2]) == pytest.approx(5, rel=0.05)
    assert promising(*sheet(0)) is None
