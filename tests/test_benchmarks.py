"""What benchmarks record, and the page that is drawn from it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
FIELDS = {"name", "title", "command", "machine", "dedup", "versions", "date"}
FIELDS |= {"statistic", "columns", "rows", "note"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", ["benchmarks/speed.py", "my photos", "--json"])
    import machine

    return machine


def test_a_table_takes_the_place_of_the_one_of_its_name(
    machine: ModuleType, tmp_path: Path
) -> None:
    for rate in (1, 2):
        machine.record("speed", "index", "Indexing", ["images/s"], [[rate]], folder=tmp_path)
    machine.record("speed", "list", "Listing", ["s"], [[None]], device="GPU", folder=tmp_path)
    first, second = json.loads((tmp_path / "speed.json").read_text("utf-8"))
    assert first["rows"] == [[2]]
    assert first["command"] == "scripts/bench speed 'my photos' --json"
    assert second["rows"] == [[None]]
    assert second["machine"].startswith("GPU, ")
    assert first.keys() == second.keys() == FIELDS


@pytest.mark.parametrize(
    "path", sorted((BENCHMARKS / "results").glob("*.json")), ids=lambda p: p.stem
)
def test_every_recorded_table_is_whole(path: Path) -> None:
    tables = json.loads(path.read_text("utf-8"))
    assert len({table["name"] for table in tables}) == len(tables) > 0
    for table in tables:
        assert table.keys() == FIELDS
        assert all(len(row) == len(table["columns"]) for row in table["rows"]), table["name"]
