"""Models of other packages: a small real one, installed into a folder on the path."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from dedup.collection import Collection
from dedup.errors import ModelError
from dedup.models.plugins import is_plugin, plugin_names
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from outcome import Outcome

CODE = """
import torch
from torch import nn
from dedup import OwnModel

def model(weights):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    return OwnModel(net, size=40)

def wrong(weights):
    return "a model"

def broken(weights):
    raise OSError("no such file: net.bin")
"""
METADATA = "Metadata-Version: 2.1\nName: stripes-model\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
ENTRY_POINTS = """
[dedup.models]
stripes = stripes_model:model
wrong = stripes_model:wrong
broken = stripes_model:broken
resnet18 = stripes_model:model
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    wheel = folder / "stripes_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        about = "stripes_model-1.0.dist-info"
        file.writestr("stripes_model.py", CODE)
        file.writestr(f"{about}/METADATA", METADATA)
        file.writestr(f"{about}/WHEEL", WHEEL)
        file.writestr(f"{about}/entry_points.txt", ENTRY_POINTS)
        file.writestr(f"{about}/RECORD", "")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
         "--target", str(folder / "installed"), str(wheel)],
        capture_output=True, check=True,
    )  # fmt: skip
    return folder / "installed"


@pytest.fixture
def installed(built: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(built)
    yield built
    sys.modules.pop("stripes_model", None)


def test_an_installed_package_offers_a_model(
    installed: Path, dedup: Callable[..., Outcome], drawn: Path, tmp_path: Path
) -> None:
    assert installed.is_dir()
    assert "stripes" in plugin_names()
    done = dedup("index", drawn / "a", "-s", tmp_path / "s", "--model", "stripes")
    assert done.code == 0, done.err
    done = dedup("query", drawn / "b" / "2 small.jpg", "-s", tmp_path / "s", "-k", 1)
    assert [row["path"] for row in done.rows] == [str(drawn / "a" / "2.jpg")]
    assert "layer" in dedup("layers", "stripes").text


def test_timms_names_keep_their_meaning(installed: Path) -> None:
    assert installed.is_dir()
    assert is_plugin("stripes")
    assert not is_plugin("resnet18")
    assert not is_plugin("resnet18.a1_in1k")


def test_packages_that_fail_are_named(installed: Path, tmp_path: Path) -> None:
    assert installed.is_dir()
    with pytest.raises(ModelError, match="wrong of the package stripes-model is a str, not an Own"):
        Collection.create(tmp_path / "s", ModelSpec("wrong"))
    with pytest.raises(ModelError, match=r"stripes-model cannot be loaded: OSError: no such file"):
        Collection.create(tmp_path / "s", ModelSpec("broken"))
    with pytest.raises(ModelError, match="leave --untrained out"):
        Collection.create(tmp_path / "s", ModelSpec("stripes", untrained=True))
    assert not (tmp_path / "s").exists()
