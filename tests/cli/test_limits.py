"""Poor machines: one core, little memory. The right answer, slower, or one clear line."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from outcome import SMALL_MODEL

from dedup.collection import Collection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEDUP = [sys.executable, "-m", "dedup"]
pytestmark = pytest.mark.slow  # a dozen processes, some of which import torch
LITTLE = 2 << 30  # bytes of address space; libraries alone take most of it

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")


def run(
    arguments: list[str | Path], limit: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [*DEDUP, *(os.fspath(argument) for argument in arguments)]
    return subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=False)


def little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (LITTLE, LITTLE))


def one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def vectors(store: Path) -> np.ndarray:
    with Collection.open(store) as collection:
        return np.concatenate([*collection.features().embeddings.values()], axis=1)


@linux
def test_one_core_gives_what_all_give(drawn: Path, tmp_path: Path) -> None:
    model: list[str | Path] = ["--untrained", "--model", SMALL_MODEL]
    assert run(["index", drawn, "-s", tmp_path / "all", *model]).returncode == 0
    done = run(["index", drawn, "-s", tmp_path / "one", "-v", *model], one_core)
    assert "Read by 1 thread" in done.stderr
    np.testing.assert_array_equal(vectors(tmp_path / "one"), vectors(tmp_path / "all"))
    pairs = [run(["list", "-s", tmp_path / name]).stdout for name in ("one", "all")]
    assert pairs[0] == pairs[1]


@linux
def test_two_gigabytes_suffice_once_the_model_is_converted(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))
    model: list[str | Path] = ["--untrained", "--model", SMALL_MODEL]
    store = tmp_path / "store"
    failed = run(["index", drawn, "-s", store, *model], little_memory)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("Error: a package cannot be loaded (")
    assert "Traceback" not in failed.stderr
    assert run(["index", drawn / "a", "-s", store, *model]).returncode == 0
    done = run(["index", drawn, "-s", store], little_memory)
    assert done.returncode == 0, done.stderr
    assert run(["list", "-s", store], little_memory).returncode == 0


@linux
def test_two_gigabytes_suffice_for_details(drawn: Path, tmp_path: Path) -> None:
    arguments: list[str | Path] = ["index", drawn, "--views", "details"]
    assert run([*arguments, "-s", tmp_path / "little"], little_memory).returncode == 0
    assert run([*arguments, "-s", tmp_path / "all"]).returncode == 0
    np.testing.assert_array_equal(vectors(tmp_path / "little"), vectors(tmp_path / "all"))
