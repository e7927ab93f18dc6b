"""Decisions in the catalog, and as JSON lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dedup.errors import DedupError
from dedup.fingerprint import Fingerprint
from dedup.store.catalog import Catalog
from dedup.store.decisions import read_lines, write_lines
from dedup.store.pairs import (
    Decision,
    content_pair,
    forget_decision,
    read_decisions,
    write_decisions,
)

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO, THREE = (bytes([number]) * 32 for number in (1, 2, 3))
NOON, LATER = "2026-01-01T12:00:00+00:00", "2026-01-01T12:00:01+00:00"
REFUSED = Decision((ONE, TWO), duplicate=False, decided=NOON)
ACCEPTED = Decision((ONE, TWO), duplicate=True, decided=LATER)
OTHER = Decision((ONE, THREE), duplicate=True, decided=NOON)


def test_lines_are_sorted_by_content_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    write_lines([OTHER, REFUSED], path)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"first": "01" * 32, "second": second * 32, "duplicate": duplicate, "decided": NOON}
        for second, duplicate in (("02", False), ("03", True))
    ]
    assert read_lines(path) == [REFUSED, OTHER]
    with pytest.raises(DedupError, match="cannot be written: No such file"):
        write_lines([], tmp_path / "nowhere" / "decisions.jsonl")


@pytest.mark.parametrize("order", [[REFUSED, ACCEPTED], [ACCEPTED, REFUSED]])
def test_the_latest_line_on_a_pair_counts(order: list[Decision], tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    for number, decision in enumerate(order):
        write_lines([decision], tmp_path / f"{number}")
    path.write_text((tmp_path / "0").read_text() + "\n" + (tmp_path / "1").read_text())
    assert read_lines(path) == [ACCEPTED]


def test_the_order_of_a_pair_in_a_line_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    row = {"first": TWO.hex(), "second": ONE.hex(), "duplicate": False, "decided": NOON}
    path.write_text(json.dumps(row))
    assert read_lines(path) == [REFUSED]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe", "not a file of decisions"),
        (b"[1]\n", "line 1: wants the keys"),
        (b'{"first": 1, "second": 2, "duplicate": true, "decided": ""}', "hexadecimal"),
        (
            json.dumps({"first": "a" * 64, "second": "A" * 64, "duplicate": 1, "decided": ""}),
            "true/false",
        ),
        (
            json.dumps({"first": "a" * 64, "second": "A" * 64, "duplicate": True, "decided": ""}),
            "two different SHA-256",
        ),
    ],
)
def test_what_is_no_decision_is_refused_with_its_line(
    content: bytes | str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DedupError, match=says):
        read_lines(path)
    with pytest.raises(DedupError, match="cannot be read: Is a directory"):
        read_lines(tmp_path)


def test_the_catalog_keeps_the_latest_decision_on_a_pair(tmp_path: Path) -> None:
    catalog = Catalog.create(
        tmp_path / "store", Fingerprint("m", "none", "0" * 64, ("pool",), 8, 8, "test")
    )
    write_decisions(catalog, [ACCEPTED, OTHER])
    write_decisions(catalog, [REFUSED])
    pair = content_pair(TWO, ONE)
    assert read_decisions(catalog) == {pair: ACCEPTED, OTHER.pair: OTHER}
    assert [forget_decision(catalog, pair) for _ in range(2)] == [True, False]
    assert read_decisions(catalog) == {OTHER.pair: OTHER}
    catalog.close()
