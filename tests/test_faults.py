"""The short form of `scripts/bench faults`: a few faults of each kind, none of which may harm."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROW = re.compile(
    r"\| (?P<fault>[^|]+) \| (?P<asked>\d+) \| (?P<made>\d+) \| (?P<wrong>\S+) \| (.*) \|"
)


def rows(*arguments: str) -> dict[str, tuple[int, int, str, str]]:
    """Run the benchmark; gives of each fault how many were asked for, made, went wrong, and why."""
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/faults.py", *arguments],
        env={**os.environ, "PYTHONPATH": os.fspath(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        found["fault"]: (int(found["asked"]), int(found["made"]), found["wrong"], found[5])
        for found in map(ROW.fullmatch, done.stdout.splitlines())
        if found
    }


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_few_faults_of_each_kind_do_no_harm() -> None:
    table = rows("--short")
    assert {"index, killed", "one byte of a collection flipped", "two writers at once"} < {*table}
    assert {"disk full: the collection", "hostile names × every command"} < {*table}
    flips = table.pop("one byte of a collection flipped")
    assert flips[1] == 20
    assert int(flips[2]) <= 2, flips  # none, once every row has a checksum
    for fault, (asked, made, wrong, note) in table.items():
        assert (made, wrong) == (asked, "0") or note.startswith("skipped: "), (fault, wrong, note)
    kills = sum(made for fault, (_, made, _, _) in table.items() if "killed" in fault)
    assert kills >= 12
    assert table["runs over 50 mutated files"][1] == 4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    arguments = ["kills migration", "--state", os.fspath(state)]
    assert rows(*arguments, "--part", "0.08")["upgrade of an older format, killed"][1] == 2
    before = state.read_text()
    assert rows(*arguments, "--part", "0.08")["upgrade of an older format, killed"][1] == 2
    assert state.read_text() == before
    assert rows(*arguments, "--part", "0.12")["upgrade of an older format, killed"][1] == 3
