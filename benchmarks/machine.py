"""Say what machine a figure was seen on, and record figures for docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Sequence

    Cell = str | int | float | None

DISTRIBUTION = "dedup-vision"
PACKAGES = (
    "torch",
    "openvino",
    "onnxruntime",
    "timm",
    "faiss-cpu",
    "opencv-python-headless",
    "pillow",
    "numpy",
)
RESULTS = Path(__file__).parent / "results"


def add_json_option(parser: ArgumentParser) -> None:
    """Add --json, with which a benchmark writes its tables to benchmarks/results/ as well."""
    parser.add_argument("--json", action="store_true", help="record the tables for the docs")


def record(
    subject: str,
    name: str,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    statistic: str = "",
    note: str = "",
    device: str = "",
    folder: Path = RESULTS,
) -> None:
    """Put a table into benchmarks/results/SUBJECT.json, in place of the one of that name.

    Parameters
    ----------
    subject : the file, a section of docs/benchmarks.md
    name : of the table, unique in the file
    rows : cells, one to a column; None is shown as a dash
    statistic : what a figure is, such as "median of 5 rounds"
    device : an accelerator that did the work, named before the processor
    """
    table = {
        "name": name,
        "title": title,
        "command": shlex.join(["scripts/bench", Path(sys.argv[0]).stem, *sys.argv[1:]]),
        "machine": f"{device}, {hardware()}" if device else hardware(),
        "dedup": _version(DISTRIBUTION),
        "versions": {"Python": platform.python_version()}
        | {package: _version(package) for package in PACKAGES},
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "statistic": statistic,
        "columns": list(columns),
        "rows": [list(row) for row in rows],
        "note": note,
    }
    path = folder / f"{subject}.json"
    tables = json.loads(path.read_text("utf-8")) if path.is_file() else []
    names = [each["name"] for each in tables]
    if name in names:
        tables[names.index(name)] = table
    else:
        tables.append(table)
    path.write_text(json.dumps(tables, indent=1, ensure_ascii=False) + "\n", "utf-8")


def describe() -> str:
    """Give date, processor, memory and versions in one line."""
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {hardware()}; Python {platform.python_version()}, "
        f"{versions}"
    )


def hardware() -> str:
    """Give the processor, its vector units and the memory."""
    cpu = platform.processor() or "unknown processor"
    flags = ""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = dict(
            line.split(":", 1) for line in info.read_text("utf-8").splitlines() if ":" in line
        )
        facts = {key.strip(): value.strip() for key, value in lines.items()}
        cpu = facts.get("model name", cpu)
        wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
        flags = " ".join(flag for flag in wanted if flag in facts.get("flags", "").split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {cpu} ({flags}), {memory:.0f} GiB"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
