from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tables import images, proposals, table

from dedup.duplicates.relations import Relation, Relations
from dedup.results import Tier
from dedup.store.pairs import StoredVerdict

if TYPE_CHECKING:
    from collections.abc import Iterable

ALL = frozenset(Tier)


def relations(ignored: Iterable[tuple[int, int]] = ()) -> Relations:
    """Seven images: 0, 1 and 2 of one class and 3 and 4 of another, which is similar to it.

    0 and 1 have the same pixels, 0 and 3 are near, 0 and 5 too, though in no class; 6 is alone.
    """
    known = images(7, pixels={0: b"same", 1: b"same", 6: b""}, trivial=[6])
    similar = proposals([[0, 1, 2], [3, 4], [5]], {(0, 1): 0.93, (1, 2): 0.89})
    near = {(0, 3): 0.93, (0, 5): 0.95}
    return Relations(table(known, near, ignored=ignored), similar, 0.9)


def test_the_surest_come_first_each_once() -> None:
    assert list(relations().of(0, ALL)) == [
        (1, Tier.PIXELS, 1.0),
        (5, Tier.NEAR, 0.95),
        (3, Tier.NEAR, 0.93),
        (2, Tier.SIMILAR, 1.0),
        (4, Tier.SIMILAR, pytest.approx(0.93)),
    ]
    assert list(relations().of(6, ALL)) == []


@pytest.mark.parametrize(
    ("tiers", "rows"),
    [
        ({Tier.PIXELS}, [1]),
        ({Tier.NEAR}, [5, 3]),
        ({Tier.SIMILAR}, [2, 4]),
        ({Tier.PIXELS, Tier.SIMILAR}, [1, 2, 4]),
        ({Tier.EXACT}, []),
    ],
)
def test_only_the_tiers_asked_for_are_listed(tiers: set[Tier], rows: list[int]) -> None:
    assert [relation.row for relation in relations().of(0, frozenset(tiers))] == rows


def test_a_pair_is_related_as_its_list_says_in_either_order() -> None:
    found = relations()
    for first in range(7):
        listed = {relation.row: relation for relation in found.of(first, ALL)}
        for second in set(range(7)) - {first}:
            assert found.between(first, second) == listed.get(second)
            back = found.between(second, first)
            assert (back and back[1:]) == (listed.get(second) and listed[second][1:])


def test_rows_without_relations_are_told_beforehand() -> None:
    found = relations()
    assert found.rows(ALL) == {0, 1, 2, 3, 4, 5}
    assert found.rows(frozenset({Tier.PIXELS})) == {0, 1, 3, 5}  # and not those that are alike
    unlike = Relations(found.table, proposals([[0], [1], [2], [3]], {(2, 3): 0.89}), 0.9)
    assert unlike.rows(ALL) == {0, 1, 3, 5}
    for each in (found, unlike):
        listed = {row for row in range(7) if list(each.of(row, ALL))}
        assert listed <= each.rows(ALL)


def test_below_the_threshold_classes_are_not_related() -> None:
    assert relations().between(3, 5) is None


def test_what_a_person_ignores_is_related_in_no_tier() -> None:
    pairs = [(0, 1), (0, 3), (0, 2)]
    found = relations(ignored=pairs)
    assert [relation.row for relation in found.of(0, ALL)] == [5, 4]
    assert [found.between(*pair) for pair in pairs] == [None] * 3


def test_what_copies_of_two_images_prove_is_no_look_alike() -> None:
    # 0, 1 and 2 are copies, 3 and 4 of the same pixels, and 3 was made from 0.
    known = images(6, pixels={3: b"same", 4: b"same"})
    proven = table(known, {(0, 3): 0.9}, resaved={(0, 1): 1.0, (1, 2): 1.0}, ignored=[(2, 4)])
    found = Relations(proven, proposals([list(range(6))], {}), 0.9)
    alike = {
        row: [each.row for each in found.of(row, frozenset({Tier.SIMILAR}))] for row in range(6)
    }
    assert alike == {0: [5], 1: [5], 2: [5], 3: [5], 4: [5], 5: [0, 1, 2, 3, 4]}
    assert found.between(0, 2) is found.between(1, 4) is None
    tiers = [found.through_copies(*pair) for pair in [(0, 2), (1, 4), (2, 4), (3, 5)]]
    assert tiers == [Tier.RESAVED, Tier.NEAR, None, None]


@pytest.mark.parametrize(("derived", "alike"), [((2, 2), False), ((2, 1), True), ((0, 2), True)])
def test_two_versions_of_one_original_are_no_look_alikes(
    derived: tuple[int, int],
    alike: bool,  # noqa: FBT001 - by pytest
) -> None:
    known = table(images(3), {(0, 1): 0.9, (0, 2): 0.9})
    verdicts = {
        (0, row): StoredVerdict(Tier.NEAR, "cropped", "shows more", made)
        for row, made in zip((1, 2), derived, strict=True)
    }
    found = Relations(replace(known, verdicts=verdicts), proposals([[0, 1, 2]], {}), 0.9)
    assert (found.between(1, 2) is not None) == alike
    assert (2 in {relation.row for relation in found.of(1, ALL)}) == alike


def test_later_proofs_leave_the_relations_before_as_they_were() -> None:
    before = relations()
    known = before.table.images
    after = before.with_table(table(known, {(3, 5): 0.4}))
    assert after.between(3, 5) == Relation(5, Tier.NEAR, 0.4)
    assert before.between(3, 5) is None
