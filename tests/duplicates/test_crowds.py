"""Very many copies of one image: who is held against whom, and who speaks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tables import images, proposals, table

from dedup.duplicates.crowds import LARGE, TRIED, but_copies, crowds, one_path, speaking, tried
from dedup.duplicates.find import find_groups
from dedup.duplicates.pairs import row_pair
from dedup.duplicates.relations import Relations
from dedup.results import Grouping, Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dedup.duplicates.gallery import Gallery

SURE = frozenset({Tier.EXACT, Tier.PIXELS, Tier.RESAVED, Tier.NEAR})


def relations(count: int, resaved: Iterable[tuple[int, int]] = ()) -> Relations:
    known = table(images(count), resaved=dict.fromkeys(resaved, 1.0))
    return Relations(known, proposals([[row] for row in range(count)], {}), 0.9)


def ring(rows: range, reach: int) -> set[tuple[int, int]]:
    """Pair each row with so many that follow it."""
    count = len(rows)
    return {
        row_pair(rows[at], rows[(at + step) % count])
        for at in range(count)
        for step in range(1, reach + 1)
    }


def test_a_crowd_is_what_very_many_candidates_join() -> None:
    many, few = range(LARGE), range(LARGE, 2 * LARGE)
    small = range(2 * LARGE, 2 * LARGE + 20)
    pairs = ring(many, 6) | ring(few, 2) | ring(small, 6)
    assert crowds(pairs) == [list(many)]
    assert one_path(pairs, relations(300)) <= pairs
    assert len(one_path(pairs, relations(300))) == len(many) - 1 + len(small) - 1


def test_copies_need_no_path_and_no_proof() -> None:
    pairs = ring(range(20), 6)
    joined = relations(20, [(0, row) for row in range(1, 20)])
    assert one_path(pairs, joined) == set()
    assert but_copies(pairs, joined) == set()
    assert but_copies(pairs, relations(20)) == pairs


def test_some_of_all_are_tried() -> None:
    rows = range(1000)
    assert TRIED <= len(tried(rows)) <= 2 * TRIED
    assert max(tried(rows)) > 900
    assert tried(range(3)) == range(3)


def test_the_best_speaks_for_very_many_copies() -> None:
    star = [(0, row) for row in range(1, LARGE)]
    members = [[row] for row in range(LARGE + 5)]
    found = speaking(members, relations(LARGE + 5, star), lambda row: -row)
    assert found == [[LARGE - 1], *members[LARGE:]]
    few = relations(LARGE + 5, star[:10])
    assert speaking(members, few, lambda row: -row) == members


@pytest.mark.slow
def test_very_many_copies_are_one_group_by_as_many_proofs(
    copies_of_one: Callable[[int], Gallery],
) -> None:
    gallery = copies_of_one(LARGE + 6)
    found = find_groups(gallery, SURE, 0.999, Grouping.COVER, lambda *_: None)
    (group,) = found.groups
    assert len(group.duplicates) == len(gallery.files) - 1
    assert sum(one.tier is Tier.RESAVED for one in group.duplicates) > LARGE // 2
    proven = gallery.catalog.connection.execute("SELECT count(*) FROM verdicts").fetchone()[0]
    assert proven < 4 * len(gallery.files)  # twenty candidates each are 700 and more
    again = find_groups(gallery, SURE, 0.999, Grouping.COVER, lambda *_: None)
    assert again.groups == found.groups
