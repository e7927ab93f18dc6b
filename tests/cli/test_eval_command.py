from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Dedup = Callable[..., Outcome]


KNOWN = [
    {"tier": "exact", "members": ["a/0.jpg", "b/0 copy.jpg", "b/0 again.jpg"]},
    {"tier": "pixels", "members": ["a/1.jpg", "b/1.png", "b/1.bmp"]},
    {"tier": "near", "members": ["a/2.jpg", "b/2 small.jpg"]},
    {"tier": "similar", "members": ["a/3.jpg", "a/4.jpg"]},
]


def test_eval_counts_tier_against_tier(
    dedup: Dedup, store: Path, drawn: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps([*KNOWN, {"tier": "near", "members": ["x.jpg", "y.jpg"]}]))
    done = dedup("eval", "-s", store, "--truth", truth, "--root", drawn)
    (row,) = done.rows
    assert (row["images"], row["missing"], row["true_pairs"]) == (10, 2, 7)
    levels = {level["tier"]: level for level in row["levels"]}
    assert levels["near"]["precision"] == levels["near"]["recall"] == 1.0
    assert levels["exact"]["found"] == 3
    assert "x.jpg" in done.err
    table = dedup("eval", "-s", store, "--truth", truth, "--format", "table")
    assert "µAP" in table.text


def test_eval_takes_pairs_and_draws_a_curve(dedup: Dedup, store: Path, tmp_path: Path) -> None:
    truth = tmp_path / "pairs.csv"
    truth.write_text("first,second,duplicate\na/0.jpg,b/0 copy.jpg,1\na/3.jpg,a/4.jpg,0\n")
    done = dedup("eval", "-s", store, "--truth", truth, "--plot", tmp_path / "curve.svg")
    assert done.code == 0
    assert (tmp_path / "curve.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("name", "content"),
    [("truth.json", "[{"), ("truth.json", "{}"), ("pairs.csv", "a,b\n1,2\n"), ("none.json", None)],
)
def test_eval_names_what_is_wrong_with_the_truth(
    dedup: Dedup, store: Path, tmp_path: Path, name: str, content: str | None
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    done = dedup("eval", "-s", store, "--truth", tmp_path / name)
    assert done.code == 1
    assert name in done.err
