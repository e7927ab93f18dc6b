"""Each example runs from top to bottom, on drawn images and without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py") if path.name != "samples.py")
EXPECTED = {
    "clean_a_folder": "4 copies,",
    "features": "s4: (200, 368)",
    "pipeline": "the same after saving: True",
    "leaks": "3 of 9 test images are in the training set",
    "threshold": "1. 1.0000 ",
}

pytestmark = pytest.mark.slow  # processes that import torch


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    if "sklearn" in path.read_text("utf-8"):
        pytest.importorskip("sklearn", reason="needs the extra examples")
    if "matplotlib" in path.read_text("utf-8"):
        pytest.importorskip("matplotlib", reason="needs the extra examples")
    environment = os.environ | {"TMPDIR": os.fspath(tmp_path), "HF_HUB_OFFLINE": "1"}
    environment.pop("PHOTOS", None)
    done = subprocess.run(
        [sys.executable, path],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert EXPECTED[path.stem] in done.stdout


def test_every_example_is_in_the_list() -> None:
    listed = (ROOT / "examples" / "README.md").read_text("utf-8")
    assert all(f"`{path.name}`" in listed for path in EXAMPLES)
