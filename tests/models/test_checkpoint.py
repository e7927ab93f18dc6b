"""Checkpoints of torch: refused unless asked for, and read as tensors only."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from dedup.collection import Collection
from dedup.errors import WeightsError
from dedup.models.loading import load_model
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from pathlib import Path

SMALL = "test_resnet"


def state() -> dict[str, torch.Tensor]:
    return dict(load_model(SMALL, untrained=True).module.state_dict())


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}},
        lambda state: {"model": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {"state_dict": {f"_orig_mod.{key}": value for key, value in state.items()}},
    ],
    ids=["plain", "training", "parallel", "compiled"],
)
def test_checkpoints_load_on_request(tmp_path: Path, wrapped: Any) -> None:
    wanted, path = state(), tmp_path / f"{SMALL}.pth"
    torch.save(wrapped(wanted), path)
    with pytest.raises(WeightsError, match=r"is a pickle.*with --unpickle"):
        load_model(weights=path)
    loaded = load_model(weights=path, unpickle=True)
    assert loaded.name == SMALL
    found = loaded.module.state_dict()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def test_a_checkpoint_with_code_is_refused_with_what_it_would_call(tmp_path: Path) -> None:
    path, trace = tmp_path / "w.pt", tmp_path / "it-ran"
    torch.save({"state_dict": state(), "extra": Bomb(trace)}, path)
    with pytest.raises(WeightsError, match=r"w\.pt holds code: opening it would call \w+\.mkdir"):
        load_model(SMALL, weights=path, unpickle=True)
    assert not trace.exists()
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(WeightsError, match=r"would call torch\.nn\.modules\.linear\.Linear"):
        load_model(SMALL, weights=path, unpickle=True)


def test_other_checkpoints_say_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced: Any = torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2))  # type: ignore[no-untyped-call]  # torch's
        traced.save(path)
    with pytest.raises(WeightsError, match="holds code: it is a TorchScript program"):
        load_model(SMALL, weights=path, unpickle=True)
    torch.save({"epoch": 1, "loss": 0.5}, path)
    with pytest.raises(WeightsError, match="holds no weights by name: its keys are epoch, loss"):
        load_model(SMALL, weights=path, unpickle=True)
    torch.save(torch.zeros(3), path)
    with pytest.raises(WeightsError, match="it is a Tensor"):
        load_model(SMALL, weights=path, unpickle=True)
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(WeightsError, match="is damaged, or no checkpoint"):
        load_model(SMALL, weights=path, unpickle=True)
    torch.save({"fc.weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match=r"does not fit test_resnet\. missing"):
        load_model(SMALL, weights=path, unpickle=True)


def test_a_collection_remembers_that_its_checkpoint_was_asked_for(
    tmp_path: Path, drawn: Path
) -> None:
    path = tmp_path / f"{SMALL}.pth"
    torch.save(state(), path)
    spec = ModelSpec(weights=path, unpickle=True, views="content")
    with Collection.create(tmp_path / "store", spec) as made:
        made.index(drawn / "a")
    with Collection.open(tmp_path / "store") as again:
        (nearest,) = again.query(drawn / "b" / "2 small.jpg", 1)
        assert nearest.path == str(drawn / "a" / "2.jpg")
