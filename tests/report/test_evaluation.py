"""Agreement with a truth, against plain counting; truth files, good and bad."""

from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ET
from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from dedup.errors import DedupError
from dedup.report.charts import Axis, Line, line_chart
from dedup.report.evaluation import FoundPair, Truth, evaluate
from dedup.report.truth import match, read_truth
from dedup.results import IMAGE_TIERS, Tier

if TYPE_CHECKING:
    from pathlib import Path

E, P, R, N, S = IMAGE_TIERS


def truth_of(*groups: tuple[Tier, str]) -> Truth:
    tiers = {pair: tier for tier, names in groups for pair in combinations(sorted(names), 2)}
    return Truth(frozenset("".join(names for _, names in groups)), tiers)


def test_levels_count_a_tier_and_all_surer_ones() -> None:
    truth = truth_of((N, "abc"), (S, "de"))
    found = [("b", "a", E, 1.0), ("a", "c", N, 0.8), ("d", "e", N, 0.9), ("c", "e", S, 0.7)]
    result = evaluate(truth, found)
    assert (result.images, result.judged, result.true_pairs) == (5, 10, 3)
    counts = [(level.tier, level.found, level.right) for level in result.levels]
    assert counts == [(E, 1, 1), (P, 1, 1), (R, 1, 1), (N, 3, 2), (S, 4, 2)]
    assert [level.precision for level in result.levels] == [1, 1, 1, 2 / 3, 2 / 4]
    assert [level.recall for level in result.levels] == [1 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3]


def test_confusion_holds_every_judged_pair_once() -> None:
    truth = truth_of((N, "abc"), (S, "de"))
    found = [("a", "b", E, 1.0), ("a", "c", S, 0.8), ("d", "e", N, 0.9), ("c", "e", S, 0.7)]
    confusion = evaluate(truth, found).confusion
    assert {key: count for key, count in confusion.items() if count} == {
        (N, E): 1, (N, S): 1, (N, None): 1, (S, N): 1, (None, S): 1, (None, None): 5,
    }  # fmt: skip
    assert sum(confusion.values()) == 10


def test_average_precision_of_a_ranking_worked_by_hand() -> None:
    truth = truth_of((N, "abc"))
    truth = Truth(truth.images | {"x"}, truth.tiers)
    found = [("a", "b", S, 0.9), ("a", "x", S, 0.8), ("b", "c", S, 0.7)]
    # right at ranks 1 and 3 of three true pairs, the third of which is never found
    assert evaluate(truth, found).average_precision == pytest.approx((1 + 2 / 3) / 3)


def test_ties_count_together_in_any_order() -> None:
    truth = truth_of((N, "abc"))
    truth = Truth(truth.images | {"x"}, truth.tiers)
    found: list[FoundPair] = [("a", "b", S, 0.9), ("a", "x", S, 0.9), ("b", "c", S, 0.9)]
    values: set[float | None] = set()
    for _ in range(6):
        random.shuffle(found)
        values.add(evaluate(truth, found).average_precision)
    assert list(values) == [pytest.approx(2 / 3 * 2 / 3)]


def test_a_surer_tier_ranks_before_a_higher_similarity() -> None:
    truth = truth_of((N, "ab"), (S, "cd"))
    found = [("a", "b", N, 0.6), ("c", "d", S, 0.95)]
    result = evaluate(truth, found)
    assert result.average_precision == 1
    assert result.average_precision_by_similarity == 0.5


def test_random_rankings_equal_plain_counting() -> None:
    for seed in range(20):
        dice = random.Random(seed)  # noqa: S311 - no secret
        names = [f"n{number:02}" for number in range(12)]
        tiers = {
            pair: dice.choice(IMAGE_TIERS) for pair in combinations(names, 2) if dice.random() < 0.3
        }
        found = [
            (*pair, dice.choice(IMAGE_TIERS), dice.choice([0.1, 0.2, 0.3, 0.4, 0.5]))
            for pair in combinations(names, 2)
            if dice.random() < 0.5
        ]
        result = evaluate(Truth(frozenset(names), tiers), found)
        true = {pair for pair, tier in tiers.items() if tier in (E, P, R, N)}
        area = 0.0
        for pair in true:
            own = next((row for row in found if row[:2] == pair), None)
            if own is None:
                continue
            before = [row for row in found if row[3] >= own[3]]
            area += sum(row[:2] in true for row in before) / len(before)
        assert result.average_precision_by_similarity == pytest.approx(area / len(true))
        for level in result.levels:
            kept = [row for row in found if row[2].looseness <= level.tier.looseness]
            assert level.found == len(kept)
            assert level.right == sum(row[:2] in true for row in kept)


def test_pairs_with_unmentioned_images_are_not_judged() -> None:
    result = evaluate(
        truth_of((N, "ab")), [("a", "z", N, 0.9), ("z", "a", S, 0.9), ("y", "z", N, 1)]
    )
    assert result.unjudged == 2
    assert result.levels[-1].found == 0
    assert result.levels[-1].precision is None
    assert result.average_precision == 0


def test_nothing_to_find_gives_no_recall() -> None:
    result = evaluate(truth_of((S, "ab")), [])
    assert result.true_pairs == 0
    assert result.levels[0].recall is None
    assert result.average_precision is None


def test_a_pair_that_comes_twice_has_its_surer_tier() -> None:
    result = evaluate(truth_of((N, "ab")), [("a", "b", S, 0.9), ("b", "a", P, 0.8)])
    assert [level.found for level in result.levels] == [0, 1, 1, 1, 1]


def test_groups_are_read_and_the_surer_of_two_wins(tmp_path: Path) -> None:
    file = tmp_path / "groups.json"
    groups = [
        {"set": "x", "tier": "similar", "members": ["a", "b", "c"], "note": "n"},
        {"set": "y", "tier": "near", "members": ["b", "c"]},
    ]
    file.write_text(json.dumps(groups))
    truth = read_truth(file)
    assert truth.images == {"a", "b", "c"}
    assert truth.tiers == {("a", "b"): S, ("a", "c"): S, ("b", "c"): N}


def test_pairs_are_read_from_csv(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text('first,second,tier\nb,a,exact\n"c,d",a,different\n')
    truth = read_truth(file)
    assert truth.images == {"a", "b", "c,d"}
    assert truth.tiers == {("a", "b"): E}
    file.write_text("second,first,duplicate,who\nb,a,1,me\nc,a,0,me\n")
    assert read_truth(file).tiers == {("a", "b"): N}


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("g.json", "[\n {\n", "line 3: not JSON"),
        ("g.json", "{}", "line 1: a list of groups"),
        (
            "g.json",
            '[\n {"tier": "near", "members": ["a"]},\n\n {"tier": "near"}\n]',
            "line 4: group 2",
        ),
        ("g.json", '[{"tier": "twin", "members": ["a"]}]', "tiers are exact"),
        ("g.json", "[3]", "group 1: an object"),
        ("p.csv", "", "line 1: columns"),
        ("p.csv", "first,other,tier\n", "line 1: columns"),
        ("p.csv", "first,second,tier\na,b,near\na,c,twin\n", "line 3: tier is 'twin'"),
        ("p.csv", "first,second,duplicate\na,b,yes\n", "line 2: duplicate is 'yes'"),
        ("p.csv", "first,second,duplicate\na,,1\n", "line 2: not a pair"),
        ("p.csv", "first,second,duplicate\na,a,1\n", "line 2: not a pair"),
        ("p.csv", "first,second,duplicate\na,b,1,2\n", "line 2: 4 cells, for the columns"),
        ("p.csv", 'first,second,duplicate\n"a,b,1\n', "not CSV"),
    ],
)
def test_a_malformed_file_names_its_line(tmp_path: Path, name: str, text: str, match: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DedupError, match=match):
        read_truth(tmp_path / name)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DedupError, match="cannot be read"):
        read_truth(tmp_path / "none.json")


def test_names_mean_files_under_a_root_or_by_their_ending() -> None:
    truth = Truth(
        frozenset({"a/1.jpg", "x/2.jpg", "3.jpg", "gone.jpg", "/p/a/4.jpg"}),
        {("a/1.jpg", "x/2.jpg"): N, ("a/1.jpg", "gone.jpg"): N, ("/p/a/4.jpg", "a/1.jpg"): S},
    )
    paths = ["/p/a/1.jpg", "/q/y/x/2.jpg", "/p/3.jpg", "/q/3.jpg", "/p/a/4.jpg", "/p/11.jpg"]
    matched = match(truth, paths, ["/r"])
    assert matched.missing == ("gone.jpg",)
    assert matched.ambiguous == ("3.jpg",)
    assert matched.truth.tiers == {
        ("/p/a/1.jpg", "/q/y/x/2.jpg"): N,
        ("/p/a/1.jpg", "/p/a/4.jpg"): S,
    }
    assert match(truth, paths, ["/q"]).truth.images >= {"/q/3.jpg"}


def test_the_groups_of_the_photographs_are_read(shared: Path) -> None:
    truth = read_truth(shared / "data" / "groups.json")
    assert len(truth.images) == 241
    photos = shared / "data" / "photos"
    paths = [str(path) for path in photos.rglob("*") if path.is_file()]
    matched = match(truth, paths, [str(photos)])
    assert len(matched.truth.images) == 241
    assert matched.missing == matched.ambiguous == ()
    assert sum(tier is S for tier in truth.tiers.values()) == 376


def test_a_chart_is_well_formed_and_in_its_frame() -> None:
    lines = [Line("a < b & c", [(0.5, 0.0), (1.0, 2.0)]), Line("none", [], dashed=True)]
    text = line_chart("title & more", Axis("x", 0.5, 1), Axis("y", 0, 1), lines)
    root = ET.fromstring(text)  # noqa: S314 - our own
    words = [element.text for element in root.iter() if element.text and element.text.strip()]
    assert "a < b & c" in words
    paths = [element.get("d") for element in root.iter() if element.get("stroke-width") == "2"]
    assert paths[0] == "M64.0 388.0 530.0 40.0"  # what lies outside is cut off
