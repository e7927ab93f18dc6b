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


pytestmark = [  # of each kind, there is a quick test beside what it is about
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]


def test_a_few_faults_of_each_kind_do_no_harm() -> None:
    table = rows("--short")
    assert {"one byte of a collection flipped", "hostile names × every command"} < {*table}
    for fault, (asked, made, wrong, note) in table.items():
        assert (made, wrong) == (asked, "0") or note.startswith("skipped: "), (fault, wrong, note)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    arguments = ["--short", "kills migration", "--state", os.fspath(state)]
    assert rows(*arguments, "--part", "0.25")["upgrade of an older format, killed"][1] == 1
    before = state.read_text()
    assert rows(*arguments, "--part", "0.25")["upgrade of an older format, killed"][1] == 1
    assert state.read_text() == before
    table = rows(*arguments, "--part", "0.5")
    assert table["upgrade of an older format, killed"][1:3] == (2, "0")
