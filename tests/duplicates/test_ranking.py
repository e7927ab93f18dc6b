"""Who stays, case by case."""

from __future__ import annotations

import itertools

import pytest
from tables import files, images

from dedup.duplicates.ranking import rank_files

# What each file is: size of its image, bytes, time, path. The first of each case is to stay.
CASES = {
    "more pixels": [((40, 30), 10, 5, b"/b"), ((39, 30), 99, 1, b"/a")],
    "pixels, not the longer side": [((20, 20), 10, 5, b"/b"), ((60, 6), 99, 1, b"/a")],
    "more bytes at equal pixels": [((30, 40), 99, 5, b"/b"), ((40, 30), 98, 1, b"/a")],
    "older at equal bytes": [((40, 30), 10, 1, b"/b"), ((40, 30), 10, 2, b"/a")],
    "lower path at equal age": [((40, 30), 10, 1, b"/a"), ((40, 30), 10, 1, b"/b")],
    "paths are bytes": [((40, 30), 10, 1, b"/Z"), ((40, 30), 10, 1, b"/a")],
    "paths that are no text": [((40, 30), 10, 1, b"/a"), ((40, 30), 10, 1, b"/\xff")],
    "a prefix first": [((40, 30), 10, 1, b"/a"), ((40, 30), 10, 1, b"/a copy")],
    "no overflow of pixels": [((1 << 16, 1 << 15), 1, 2, b"/b"), ((40, 30), 9, 1, b"/a")],
    "four in a row": [
        ((40, 30), 20, 9, b"/d"),
        ((40, 30), 10, 1, b"/c"),
        ((40, 30), 10, 2, b"/a"),
        ((40, 30), 10, 2, b"/b"),
    ],
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_who_stays(case: list[tuple[tuple[int, int], int, int, bytes]]) -> None:
    expected = [path for *_, path in case]
    for order in itertools.permutations(case):
        known = images(len(order), sizes=[size for size, *_ in order])
        members = files(*((row, one[3], one[1], one[2]) for row, one in enumerate(order)))
        assert [members.path[file] for file in rank_files(known, members)] == expected


def test_a_damaged_image_stays_only_where_no_other_does() -> None:
    known = images(3, sizes=[(90, 90), (10, 10), (80, 80)], damaged=[0, 2])
    members = files((0, b"/large", 99, 1), (1, b"/small", 5, 3), (2, b"/smaller", 99, 1))
    assert rank_files(known, members).tolist() == [1, 0, 2]


def test_files_of_one_image_share_its_pixels() -> None:
    known = images(2, sizes=[(10, 10), (20, 20)])
    members = files((0, b"/big file", 99, 1), (1, b"/later", 5, 3), (1, b"/sooner", 5, 2))
    assert rank_files(known, members).tolist() == [2, 1, 0]
