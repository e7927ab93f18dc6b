"""Answers as tables of pandas and Arrow, and Parquet from the commands."""

from __future__ import annotations

import csv
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from outcome import SMALL_MODEL, Outcome

import dedup
from dedup.answer import Answer, keys_of
from dedup.report.tables import arrow_of
from dedup.results import Skip, SkippedAnswer

if TYPE_CHECKING:
    from dedup.collection import Collection

Dedup = Callable[..., Outcome]
parquet = pytest.importorskip("pyarrow.parquet")


def answers() -> list[type[Answer[Any]]]:
    for module in pkgutil.walk_packages(dedup.__path__, "dedup."):
        if module.name.startswith(
            ("dedup.report.", "dedup.actions.", "dedup.results", "dedup.datasets.")
        ):
            importlib.import_module(module.name)
    # With slots a class is made twice, and the second counts.
    return list({kind.__name__: kind for kind in Answer.__subclasses__()}.values())


@pytest.mark.parametrize("kind", answers(), ids=lambda kind: kind.__name__)
def test_every_answer_is_a_table_also_without_rows(kind: type[Answer[Any]]) -> None:
    rows = kind.row_kind()
    keys = [kind.rows_in] if rows is None else keys_of(rows)
    table = arrow_of({key: [] for key in keys}, rows)
    assert table.column_names == keys
    assert "null" not in {str(one) for one in table.schema.types}


def test_groups_are_the_same_in_every_form(collection: Collection) -> None:
    pytest.importorskip("pandas")
    answer = collection.duplicates()
    columns = answer.to_dict()
    assert columns["keeper"] == [group.keeper for group in answer]
    assert columns["duplicates"][0][0]["path"] == answer[0].duplicates[0].path
    table = answer.to_arrow()
    assert table.num_rows == len(answer)
    assert table["tier"].to_pylist() == [group.tier.value for group in answer]
    assert table["duplicates"].to_pylist() == columns["duplicates"]
    assert answer.to_pandas()["reclaimable_bytes"].sum() == sum(columns["reclaimable_bytes"])


def test_the_calibrations_maps_and_names_that_are_no_text_become_tables() -> None:
    from dedup.report.calibration import CalibrationAnswer, FoundShare, Promise

    found = {"cropped": FoundShare(0.5, 0.4, 0.6)}
    promise = Promise(None, 0.5, 0.9, 1.0, 2.0, 3.0, 2.0, found)
    table = CalibrationAnswer((promise,), 1, 1, 1).to_arrow()
    assert table["found"].to_pylist() == [[("cropped", {"share": 0.5, "low": 0.4, "high": 0.6})]]
    assert table["precision"].to_pylist() == [None]
    odd = SkippedAnswer((Skip("a\udcff.jpg", "truncated"),))
    assert odd.to_arrow()["path"].to_pylist() == ["a\\udcff.jpg"]


def test_commands_write_parquet(dedup: Dedup, store: Path, drawn: Path, tmp_path: Path) -> None:
    image, output = drawn / "a/0.jpg", tmp_path / "x.parquet"
    asked = dedup("query", image, "-s", store, "--format", "parquet", "-o", output)
    assert (asked.code, asked.out) == (0, b"")
    rows = dedup("query", image, "-s", store).rows
    assert parquet.read_table(output).to_pylist() == rows
    assert dedup("list", "-s", store, "-o", output).code == 0
    assert parquet.read_table(output).to_pylist() == dedup("list", "-s", store).rows
    assert dedup("list", "-s", store, "-o", output, "--format", "csv").code == 2
    assert dedup("list", "-s", store, "-o", tmp_path / "no/x.parquet").code == 1
    compared = dedup("compare", image, "--against", store, "--format", "parquet")
    assert compared.out.startswith(b"PAR1")


@pytest.mark.parametrize(
    ("command", "count"),
    [
        (["status", "--skipped"], 2),
        (["status", "--remarks"], 0),
        (["roots"], 1),
        (["verify"], 0),
        (["repair"], 0),
        (["log"], 0),
        (["layers", SMALL_MODEL], 200),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_reports_of_rows_are_written_alike(
    dedup: Dedup, store: Path, tmp_path: Path, command: list[str], count: int
) -> None:
    where = [] if command[0] == "layers" else ["-s", store]
    output = tmp_path / "x.parquet"
    rows = dedup(*command, *where).rows
    assert len(rows) >= count
    assert dedup(*command, *where, "-o", output).out == b""
    table = parquet.read_table(output)
    assert table.to_pylist() == rows
    text = dedup(*command, *where, "--format", "csv").out.decode()
    assert next(csv.reader(text.splitlines())) == table.column_names
    assert len(text.splitlines()) == len(rows) + 1


@pytest.mark.parametrize("command", ["status", "why", "eval", "calibrate"])
def test_what_is_no_row_is_refused_as_a_table(dedup: Dedup, store: Path, command: str) -> None:
    given = {"why": ["a.jpg", "b.jpg"], "eval": ["--truth", "t.csv"]}.get(command, [])
    refused = dedup(command, *given, "-s", store, "--format", "parquet")
    assert refused.code == 2
    assert "parquet needs plain rows" in refused.err


def test_parquet_is_not_written_to_a_terminal(store: Path) -> None:
    code = (
        "import pty, sys\n"
        f"sys.exit(pty.spawn([sys.executable, '-m', 'dedup', 'list', '-s', {str(store)!r},"
        " '--format', 'parquet'], lambda fd: __import__('os').read(fd, 1024)) >> 8)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"name a file with -o" in done.stdout


def test_the_library_prints_nothing() -> None:
    package = Path(dedup.__file__).parent
    for path in package.rglob("*.py"):
        if "cli" not in path.parts:
            lines = path.read_text("utf-8").splitlines()
            assert not [line for line in lines if re.match(r"\s*print\(", line)], path
