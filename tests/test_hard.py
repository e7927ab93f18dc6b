"""The short form of `scripts/bench hard`: a few drawn pairs of the worst kinds, by the proof."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from hardset.kinds import Asked, Half
from hardset.measure import BY_NAME, is_right, tier_of
from hardset.table import KINDS

# The slow ones cost most, and the proof's own tests have their like.
KINDS_TESTED = (
    pytest.param("invoice, number", marks=pytest.mark.slow),
    pytest.param("invoice, total", marks=pytest.mark.slow),
    "spreadsheet, one cell",
    "page scrolled",
    pytest.param("scans with one cover", marks=pytest.mark.slow),
    pytest.param("slides of one deck", marks=pytest.mark.slow),
    "one mark, smooth",
    pytest.param("spot the differences", marks=pytest.mark.slow),
    pytest.param("trading cards", marks=pytest.mark.slow),
    "bar codes",
    pytest.param("calendars", marks=pytest.mark.slow),
    pytest.param("chess, one man moved", marks=pytest.mark.slow),
    pytest.param("line charts", marks=pytest.mark.slow),
    "trading card, JPEG",
    "crop to 45 %, drawn",
    pytest.param("caption bar, drawn", marks=pytest.mark.slow),
    "mirrored, drawn",
)


@pytest.mark.parametrize("name", KINDS_TESTED)
def test_a_hard_pair_is_called_what_it_is(name: str, tmp_path: Path) -> None:
    kind = BY_NAME[name]
    tier = tier_of(kind.pair(0, None), tmp_path)
    assert is_right(kind.asked, tier), f"{kind.asked} is called {tier}"


@pytest.mark.parametrize(
    ("name", "number", "seed"),
    [
        ("passports", 5, 21),  # words in a coarse look, and a face in other colours
        ("spot the differences", 7, 21),  # a disc where the other has a square
        ("one mark, smooth", 14, 11),  # rows of one mark as a panel of the other
    ],
)
def test_a_pair_that_was_once_called_near_is_not(
    name: str, number: int, seed: int, tmp_path: Path
) -> None:
    assert tier_of(BY_NAME[name].pair(number, None, seed), tmp_path) is None


def test_a_page_saved_again_is_called_resaved(tmp_path: Path) -> None:
    assert tier_of(BY_NAME["invoice, JPEG"].pair(0, None), tmp_path) == "resaved"


def test_every_family_has_a_kind_in_each_half() -> None:
    assert len(BY_NAME) == len(KINDS) >= 40
    halves = {(kind.family, kind.half) for kind in KINDS}
    assert halves == {(kind.family, half) for kind in KINDS for half in Half}
    assert {kind.asked for kind in KINDS if not kind.photographs} == {*Asked}


def test_pairs_are_the_same_each_time() -> None:
    kind = BY_NAME["identity cards"]
    assert kind.pair(1, None) == kind.pair(1, None) != kind.pair(2, None)
