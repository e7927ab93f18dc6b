from __future__ import annotations

import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import images, proposals, table

from dedup.duplicates.groups import FileGroup, family_pairs, group_files, left_alone
from dedup.duplicates.relations import Relations
from dedup.results import Grouping, Tier

ALL = frozenset(Tier)


def relations(
    count: int,
    edges: dict[tuple[int, int], float],
    pixels: dict[int, bytes] | None = None,
    near: dict[tuple[int, int], float] | None = None,
    ignored: set[tuple[int, int]] | None = None,
) -> Relations:
    known = images(count, pixels=pixels)
    similar = proposals([[row] for row in range(count)], edges)
    return Relations(table(known, near, ignored=ignored or ()), similar, 0.9)


def as_sets(groups: list[FileGroup]) -> list[tuple[int, set[int]]]:
    return [(group.keeper, {member.file for member in group.members}) for group in groups]


graphs = st.integers(1, 25).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.sets(
            st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(
                lambda pair: pair[0] < pair[1]
            ),
            max_size=60,
        ),
    )
)


@settings(max_examples=60, deadline=None)
@given(graphs)
def test_cover_equals_brute_force_and_never_chains(graph: tuple[int, set[tuple[int, int]]]) -> None:
    count, edges = graph
    found = group_files(
        range(count), range(count), relations(count, dict.fromkeys(edges, 0.95)), ALL
    )
    assert as_sets(found) == oracles.cover(count, edges)
    for group in found:
        for member in group.members:
            assert (group.keeper, member.file) in edges  # keepers come first in this order


@settings(max_examples=60, deadline=None)
@given(graphs)
def test_clique_members_are_all_related(graph: tuple[int, set[tuple[int, int]]]) -> None:
    count, edges = graph
    found = group_files(
        range(count),
        range(count),
        relations(count, dict.fromkeys(edges, 0.95)),
        ALL,
        Grouping.CLIQUE,
    )
    seen: set[int] = set()
    for keeper, members in as_sets(found):
        everyone = sorted({keeper} | members)
        assert not seen & set(everyone)
        seen |= set(everyone)
        assert all(
            (first, second) in edges
            for position, first in enumerate(everyone)
            for second in everyone[position + 1 :]
        )
    left = set(range(count)) - seen
    assert not any(first in left and second in left for first, second in edges)


@settings(max_examples=60, deadline=None)
@given(graphs)
def test_components_equal_brute_force(graph: tuple[int, set[tuple[int, int]]]) -> None:
    count, edges = graph
    found = group_files(
        range(count),
        range(count),
        relations(count, dict.fromkeys(edges, 0.95)),
        ALL,
        Grouping.COMPONENT,
    )
    assert [{keeper} | members for keeper, members in as_sets(found)] == oracles.components(
        count, edges
    )


def test_a_chain_is_no_group_of_cover() -> None:
    chain = relations(4, {(0, 1): 0.95, (1, 2): 0.95, (2, 3): 0.95})
    assert as_sets(group_files(range(4), range(4), chain, ALL)) == [(0, {1}), (2, {3})]
    together = group_files(range(4), range(4), chain, ALL, Grouping.COMPONENT)
    assert as_sets(together) == [(0, {1, 2, 3})]
    assert [member.tier for member in together[0].members] == [Tier.SIMILAR, None, None]


def test_order_decides_who_stays() -> None:
    star = relations(3, {(0, 1): 0.95, (1, 2): 0.95})
    assert as_sets(group_files([1, 0, 2], range(3), star, ALL)) == [(1, {0, 2})]
    assert as_sets(group_files([0, 1, 2], range(3), star, ALL)) == [(0, {1})]


def test_files_of_one_image_are_exact() -> None:
    (group,) = group_files([2, 0, 1], [0, 0, 0], relations(1, {}), ALL)
    assert (group.keeper, [member.file for member in group.members]) == (2, [0, 1])
    assert {member.tier for member in group.members} == {Tier.EXACT}


def test_a_pair_has_its_surest_tier_once() -> None:
    both = relations(3, {(0, 1): 0.99, (0, 2): 0.95}, pixels={0: b"same", 1: b"same", 2: b""})
    (group,) = group_files(range(3), range(3), both, ALL)
    assert [(member.file, member.tier) for member in group.members] == [
        (1, Tier.PIXELS),
        (2, Tier.SIMILAR),
    ]


def test_no_digest_is_no_equality() -> None:
    blank = relations(4, {}, pixels={0: b"", 1: b""})
    assert group_files(range(4), range(4), blank, ALL) == []


@pytest.mark.parametrize("grouping", list(Grouping))
def test_only_the_tiers_asked_for_count(grouping: Grouping) -> None:
    mixed = relations(3, {(0, 2): 0.95}, pixels={0: b"same", 1: b"same"})
    files = [0, 0, 1, 2]

    def members(*tiers: Tier) -> list[set[int]]:
        found = group_files(range(4), files, mixed, frozenset(tiers), grouping)
        return [{group.keeper} | {member.file for member in group.members} for group in found]

    assert members(Tier.EXACT) == [{0, 1}]
    assert members(Tier.EXACT, Tier.PIXELS) == [{0, 1, 2}]
    assert {0, 2} <= members(Tier.PIXELS)[0]


def test_similarity_below_the_threshold_is_no_relation() -> None:
    weak = relations(2, {(0, 1): 0.89})
    assert group_files(range(2), range(2), weak, ALL) == []


def test_a_class_of_equal_inputs_is_one_group_with_its_neighbours() -> None:
    classes = proposals([list(range(1000)), [1000]], {(0, 1): 0.95})
    grouped = Relations(table(images(1001)), classes, 0.9)
    (group,) = group_files(range(1001), range(1001), grouped, ALL)
    assert len(group.members) == 1000
    assert group.members[-1].similarity == pytest.approx(0.95)


def test_near_counts_when_proven_and_similar_when_not() -> None:
    mixed = relations(3, {(0, 1): 0.95, (0, 2): 0.95}, near={(0, 1): 0.95})
    (group,) = group_files(range(3), range(3), mixed, ALL)
    assert [(member.file, member.tier) for member in group.members] == [
        (1, Tier.NEAR),
        (2, Tier.SIMILAR),
    ]
    proven = group_files(range(3), range(3), mixed, frozenset({Tier.NEAR}))
    assert as_sets(proven) == [(0, {1})]


@settings(max_examples=60, deadline=None)
@given(graphs)
def test_no_duplicate_of_cover_is_unproven_against_its_keeper(
    graph: tuple[int, set[tuple[int, int]]],
) -> None:
    count, edges = graph
    similar = dict.fromkeys(edges, 0.95)
    near = {pair: 0.95 for number, pair in enumerate(sorted(edges)) if number % 2}
    tiers = frozenset({Tier.EXACT, Tier.PIXELS, Tier.NEAR})
    for group in group_files(
        range(count), range(count), relations(count, similar, near=near), tiers
    ):
        for member in group.members:
            assert (group.keeper, member.file) in near
            assert member.tier is Tier.NEAR


@pytest.mark.parametrize("grouping", list(Grouping))
def test_what_a_person_refused_is_no_relation_in_any_tier(grouping: Grouping) -> None:
    refused = relations(
        4,
        {(0, 1): 0.99, (2, 3): 0.99},
        pixels={0: b"same", 1: b"same"},
        near={(2, 3): 0.99},
        ignored={(0, 1), (2, 3)},
    )
    assert group_files(range(4), range(4), refused, ALL, grouping) == []


def test_copies_of_one_image_are_a_clique_though_not_every_pair_of_them_is_proven() -> None:
    known = images(4)
    proven = table(known, {(0, 3): 0.9}, resaved={(0, 1): 1.0, (0, 2): 1.0})
    found = Relations(proven, proposals([[0], [1], [2], [3]], {}), 0.9)
    clique = group_files(range(4), range(4), found, ALL, Grouping.CLIQUE)
    assert as_sets(clique) == [(0, {1, 2, 3})]
    copies = frozenset({Tier.RESAVED})
    assert as_sets(group_files(range(4), range(4), found, copies, Grouping.CLIQUE)) == [(0, {1, 2})]


def test_a_familys_keepers_are_paired_with_what_better_ones_did_not_take() -> None:
    # 0 takes 1, and 2 takes 3; that 1 and 3 are related joins them to one family.
    chain = relations(4, {}, near={(0, 1): 0.9, (1, 3): 0.9, (2, 3): 0.9})
    proven = frozenset({Tier.EXACT, Tier.NEAR})
    assert set(family_pairs(range(4), range(4), chain, proven)) == {(0, 2), (0, 3)}
    apart = relations(4, {}, near={(0, 1): 0.9, (2, 3): 0.9})
    assert set(family_pairs(range(4), range(4), apart, proven)) == set()


def test_what_is_proven_against_a_duplicate_only_is_not_lost() -> None:
    chain = relations(3, {}, near={(0, 1): 0.95, (1, 2): 0.95})
    groups = group_files(range(3), range(3), chain, ALL)
    assert as_sets(groups) == [(0, {1})]
    assert left_alone(groups, range(3), chain, ALL) == [2]
    whole = relations(3, {}, near={(0, 1): 0.95, (0, 2): 0.95})
    assert left_alone(group_files(range(3), range(3), whole, ALL), range(3), whole, ALL) == []
    alike = relations(3, {(0, 1): 0.95, (1, 2): 0.95})
    assert left_alone(group_files(range(3), range(3), alike, ALL), range(3), alike, ALL) == []


@settings(max_examples=60, deadline=None)
@given(graphs, graphs, st.sampled_from([Grouping.COVER, Grouping.CLIQUE]))
def test_nothing_proven_is_lost(
    graph: tuple[int, set[tuple[int, int]]],
    other: tuple[int, set[tuple[int, int]]],
    how: Grouping,
) -> None:
    count, near = graph
    alike = {pair: 0.95 for pair in other[1] if max(pair) < count}
    found = relations(count, alike, near=dict.fromkeys(near, 0.95))
    groups = group_files(range(count), range(count), found, ALL, how)
    left = left_alone(groups, range(count), found, ALL)
    held = {
        file
        for group in groups
        for member in group.members
        if member.tier is Tier.NEAR
        for file in (group.keeper, member.file)
    }
    assert held | set(left) == {row for pair in near for row in pair}
    assert not held & set(left)
