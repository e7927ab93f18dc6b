"""`--join` and `--runtime`: other ways to the same answer, chosen by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from outcome import Outcome


def test_every_join_lists_the_same_groups(dedup: Callable[..., Outcome], store: Path) -> None:
    command = ("list", "-s", store, "--tier", "exact,pixels,near,similar", "--threshold", "0.99")
    exact, cells, auto = (
        dedup(*command, "--join", join, "--format", "jsonl") for join in ("exact", "ivf", "auto")
    )
    assert exact.code == cells.code == auto.code == 0
    assert exact.out == cells.out == auto.out
    assert exact.out.count(b"\n") >= 3
    assert "overlapping cells" in cells.err
    assert "overlapping cells" not in exact.err + auto.err


def test_the_runtime_is_chosen_by_option_and_by_environment(
    dedup: Callable[..., Outcome],
    store: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (pictures / "new.bmp").write_bytes(next(pictures.rglob("*.bmp")).read_bytes() + b"x")
    done = dedup("index", pictures, "-s", store, "--runtime", "torch")
    assert done.code == 0
    assert "1 indexed" in done.err
    monkeypatch.setenv("DEDUP_RUNTIME", "onnx")
    (pictures / "newer.bmp").write_bytes(next(pictures.rglob("*.bmp")).read_bytes() + b"xy")
    refused = dedup("query", pictures / "newer.bmp", "-s", store)
    assert refused.code == 1
    assert "DEDUP_RUNTIME is 'onnx'; it is one of auto, torch, openvino, onnxruntime" in refused.err
