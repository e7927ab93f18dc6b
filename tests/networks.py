"""Small real networks and the weights beside the repository, shared by the tests of models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from huggingface_hub import constants
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def _seeded_and_single_threaded() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small networks: on a busy machine, threads only wait for each other
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small_net() -> nn.Sequential:
    """Convolution, in-place ReLU, pooling and a classifier, with weights from a fixed seed."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )


@pytest.fixture(scope="session")
def mobilenet_weights() -> Path:
    """Real pretrained weights of ``mobilenetv2_100``."""
    path = _SHARED / "weights" / "mobilenetv2_100.safetensors"
    if not path.is_file():
        pytest.skip("needs ../shared/weights/mobilenetv2_100.safetensors")
    return path


@pytest.fixture(scope="session")
def photographs() -> list[Path]:
    """A few real photographs of several kinds, in a fixed order."""
    found = sorted((_SHARED / "data" / "photos").glob("c*/*/*.jpg"))
    if not found:
        pytest.skip("needs the photographs in ../shared/data/photos")
    return found[:: max(1, len(found) // 8)][:8]


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the hub's client an empty cache, and an address where nothing answers."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return folder
