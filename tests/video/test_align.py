"""Spans against every offset and every run, tried one by one."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from dedup.video.align import AGREE, find_spans
from dedup.video.decode import Facts
from dedup.video.sample import TICKS, Film, unit_looks

FACTS = Facts("h264", 320, 240, 10.0, 25.0, sound=False)


def film(looks: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> Film:
    times = np.arange(0, len(looks) / TICKS, 2, dtype=np.float32)
    nothing = np.empty(0, np.uint8)
    return Film(FACTS, looks, nothing, True, times, np.empty((len(times), 0), np.float32))


def walk(seed: int, ticks: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Looks that change slowly, as those of a moving camera do."""
    steps = np.random.default_rng(seed).normal(0, 12, (ticks + 20, 144)).cumsum(axis=0)
    return np.asarray(np.clip(128 + steps[20:] - steps[:-20], 0, 255), np.uint8)


def oracle(one: Film, two: Film) -> tuple[int, int, int]:
    """Give the longest run of ticks that agree, over all offsets; of several the most alike."""
    alike = unit_looks(one.looks) @ unit_looks(two.looks).T
    best, most = (0, 0, 0), 0.0
    for offset in range(-len(alike) + 1, alike.shape[1]):
        start = max(0, -offset)
        ticks = enumerate(np.diagonal(alike, offset).tolist())
        for agrees, run in groupby(ticks, lambda each: each[1] >= AGREE):
            values = list(run)
            total = sum(value for _, value in values)
            if agrees and total > most:
                first = start + values[0][0]
                best, most = (first, first + offset, len(values)), total
    return best


@pytest.mark.parametrize("seed", range(8))
def test_a_cut_is_found_where_the_oracle_finds_it(seed: int) -> None:
    dice = np.random.default_rng(seed)
    whole = walk(seed, 160)
    start, length = int(dice.integers(0, 100)), int(dice.integers(24, 60))
    noise = dice.integers(-3, 4, (length, 144))
    cut = np.clip(whole[start : start + length].astype(int) + noise, 0, 255).astype(np.uint8)
    films = [film(whole), film(cut), film(walk(seed + 100, 120))]
    found = find_spans(films, [True] * 3)
    assert set(found) == {(0, 1)}
    span = found[0, 1]
    assert (span.first, span.second, span.ticks) == oracle(films[0], films[1]) == (start, 0, length)
    assert span.similarity > 0.99


def test_pairs_of_old_videos_are_left_out_and_new_ones_found_from_either_side() -> None:
    whole = walk(1, 160)
    films = [film(whole), film(whole[40:90]), film(whole[40:90])]
    assert set(find_spans(films, [False, False, True])) == {(0, 2), (1, 2)}
    assert set(find_spans(films, [True, False, False])) == {(0, 1), (0, 2)}
    assert find_spans(films, [False] * 3) == {}
    assert find_spans([], []) == {}
    same = find_spans(films, [True] * 3)[1, 2]
    assert same[:3] == (0, 0, 50)
    assert same.similarity == pytest.approx(1)


def test_short_and_black_spans_are_none() -> None:
    whole = walk(2, 160)
    black = np.zeros((80, 144), np.uint8)
    short = np.concatenate([whole[:15], walk(9, 60)])
    assert find_spans([film(whole), film(short)], [True, True]) == {}
    assert find_spans([film(black), film(black)], [True, True]) == {}
    dark = np.concatenate([whole[:20], black, black])
    light = np.concatenate([whole[:20], black, walk(5, 60)])
    assert (0, 1) not in find_spans([film(dark), film(light)], [True, True])
