"""Candidates of a gallery, and of new images against one, compared with brute force."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import oracles
import pytest
from tables import images, proposals

from dedup.duplicates.candidates import (
    MAX_ROW_PAIRS,
    AgainstGallery,
    Centring,
    Proposals,
    WithinGallery,
    group_identical_inputs,
    propose,
)
from dedup.duplicates.tiers import CANDIDATES
from dedup.results import Tier
from dedup.search.similarity import unit_rows
from dedup.space.thresholds import CENTRE_FROM_IMAGES

if TYPE_CHECKING:
    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]

FLOORS = 0.2, 0.1


def quiet(*_: object) -> None:
    pass


def crowd(count: int, seed: int = 0, offset: float = 1.0) -> Rows:
    """Unit rows in a cone, with a copy of every tenth row near it."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 1, (count, 16)) + offset
    rows[1::10] = rows[:-1:10] + rng.normal(0, 0.1, rows[1::10].shape)
    return unit_rows(rows)


def test_identical_inputs_are_one_class_without_trivial_images() -> None:
    known = images(6, inputs=[b"a", b"b", b"a", b"c", b"c", b"a"], trivial=[3, 4])
    assert group_identical_inputs(known) == [[0, 2, 5], [1]]
    assert group_identical_inputs(known, [5, 2, 4]) == [[5, 2]]
    assert group_identical_inputs(images(0)) == []


def test_classes_stand_for_the_pairs_of_their_images() -> None:
    both = proposals([[0, 1], [2, 3], [4]], {(0, 1): 0.9})
    assert both.row_pairs() == {(0, 1), (2, 3), (0, 2), (0, 3), (1, 2), (1, 3)}
    one_sided = Proposals(both.members, both.pairs, one_sided=True)
    assert one_sided.row_pairs() == {(0, 2), (0, 3), (1, 2), (1, 3)}


def test_of_large_classes_one_stands_for_all() -> None:
    large, other = list(range(MAX_ROW_PAIRS + 1)), [MAX_ROW_PAIRS + 1]
    found = proposals([large, other], {(0, 1): 0.9}).row_pairs()
    assert found == {(0, row) for row in range(1, MAX_ROW_PAIRS + 2)}


def test_a_new_image_is_no_pair_with_itself() -> None:
    own = proposals([[3, 5], [3]], {(0, 1): 1.0})
    assert Proposals(own.members, own.pairs, one_sided=True).row_pairs() == {(3, 5)}


@pytest.mark.parametrize("count", [CENTRE_FROM_IMAGES - 1, CENTRE_FROM_IMAGES])
def test_enough_images_are_centred(count: int) -> None:
    rows = crowd(count)
    centring = Centring.of(rows, FLOORS)
    if count < CENTRE_FROM_IMAGES:
        assert centring.floor == FLOORS[0]
        assert centring.apply(rows) is rows
    else:
        assert centring.floor == FLOORS[1]
        centred = rows - rows.mean(axis=0)
        expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        np.testing.assert_allclose(centring.apply(rows), expected, atol=1e-6)


def within(rows: Rows, compared: Rows | None = None) -> WithinGallery:
    return WithinGallery(
        images(len(rows)), rows, rows if compared is None else compared, "exact", quiet
    )


@pytest.mark.parametrize("count", [0, 1, 2, 60, 220])
def test_a_gallery_s_candidates_equal_brute_force(count: int) -> None:
    rows = crowd(count) if count else np.empty((0, 16), np.float32)
    found = propose(within(rows), frozenset(Tier), 0.9, FLOORS, 0.5)
    centred = rows - rows.mean(axis=0) if count >= CENTRE_FROM_IMAGES else rows
    floor = FLOORS[1] if count >= CENTRE_FROM_IMAGES else FLOORS[0]
    expected = set()
    compared = unit_rows(centred)
    for row in range(count):
        others = [hit for hit in oracles.within(compared, compared[row], floor) if hit[0] != row]
        expected |= {tuple(sorted((row, other))) for other, _ in others[:CANDIDATES]}
    assert found.to_prove == expected
    similar = [(one, two) for one, two, _ in oracles.pairs(rows, 0.9)] if count else []
    assert sorted(found.similar.row_pairs()) == similar
    assert {tuple(pair) for pair in found.may_be_equal} == expected


def test_only_what_the_tiers_need_is_looked_for() -> None:
    source = within(crowd(40))
    exact = propose(source, frozenset({Tier.EXACT}), 0.9, FLOORS, 0.5)
    assert (len(exact.similar.pairs), exact.to_prove, exact.may_be_equal) == (0, set(), [])
    pixels = propose(source, frozenset({Tier.PIXELS}), 0.9, FLOORS, 0.97)
    assert pixels.to_prove == set()
    expected = [(one, two) for one, two, _ in oracles.pairs(crowd(40), 0.97)]
    assert sorted(tuple(pair) for pair in pixels.may_be_equal) == expected
    similar = propose(source, frozenset({Tier.SIMILAR}), 0.9, FLOORS, 0.5)
    full = propose(source, frozenset(Tier), 0.9, FLOORS, 0.5)
    assert similar.to_prove == full.to_prove != set()  # what is surer is found out first
    assert similar.may_be_equal == full.may_be_equal
    assert len(similar.similar.pairs) == len(oracles.pairs(crowd(40), 0.9))


def test_similarity_is_measured_on_what_is_compared_and_candidates_on_what_was_embedded() -> None:
    rows, compared = crowd(30, seed=1), crowd(30, seed=2)
    found = propose(within(rows, compared), frozenset({Tier.SIMILAR}), 0.9, FLOORS, 0.5)
    expected = [(one, two) for one, two, _ in oracles.pairs(compared, 0.9)]
    assert sorted(found.similar.row_pairs()) == expected


def test_trivial_images_are_compared_by_identical_input_only() -> None:
    rows = np.full((3, 4), 0.5, np.float32)
    known = images(3, inputs=[b"white", b"white", b"grey"], trivial=[0, 1, 2])
    source = WithinGallery(known, rows, rows, "exact", quiet)
    found = propose(source, frozenset(Tier), 0.5, FLOORS, 0.5)
    assert found.to_prove == set()
    assert found.may_be_equal == [[0, 1]]
    assert found.similar.row_pairs() == set()


@pytest.mark.parametrize("count", [1, 60, 220])
def test_new_images_find_what_brute_force_finds_in_the_reference(count: int) -> None:
    rows, asked = crowd(count), crowd(count + 20)[-20:]
    reference = list(range(0, count, 2))
    known = images(count + 20)
    source = AgainstGallery(
        known, (rows, rows), reference, list(range(count, count + 20)), (asked, asked)
    )
    found = propose(source, frozenset(Tier), 0.8, FLOORS, 0.5)
    part = rows[reference]
    mean = part.mean(axis=0) if len(part) >= CENTRE_FROM_IMAGES else np.zeros(16, np.float32)
    floor = FLOORS[1] if len(part) >= CENTRE_FROM_IMAGES else FLOORS[0]

    def brute(gallery: Rows, queries: Rows, least: float) -> set[tuple[int, int]]:
        return {
            (reference[row], count + number)
            for number, query in enumerate(queries)
            for row, value in oracles.neighbours(gallery, query, CANDIDATES)
            if value >= least
        }

    assert found.to_prove == brute(unit_rows(part - mean), unit_rows(asked - mean), floor)
    assert found.similar.row_pairs() == brute(part, asked, 0.8)


def test_new_images_are_paired_by_identical_input_with_the_reference() -> None:
    rows = np.eye(5, dtype=np.float32)
    known = images(5, inputs=[b"a", b"b", b"a", b"a", b"a"], trivial=[4])
    source = AgainstGallery(known, (rows[:3], rows[:3]), [0, 1], [2, 3, 4], (rows[2:], rows[2:]))
    assert source.identical_inputs() == [[2, 0], [3, 0], [4, 0]]
    assert source.close(0.5).row_pairs() == set()
    nothing = AgainstGallery(known, (rows[:3], rows[:3]), [], [2], (rows[2:3], rows[2:3]))
    assert nothing.nearest(FLOORS).row_pairs() == set()
