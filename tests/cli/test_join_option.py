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
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (images / "new.bmp").write_bytes(next(images.rglob("*.bmp")).read_bytes() + b"x")
    done = dedup("index", images, "-s", store, "--runtime", "torch")
    assert done.code == 0
    assert "1 indexed" in done.err
    monkeypatch.setenv("DEDUP_RUNTIME", "onnx")
    (images / "newer.bmp").write_bytes(next(images.rglob("*.bmp")).read_bytes() + b"xy")
    refused = dedup("query", images / "newer.bmp", "-s", store)
    assert refused.code == 1
    assert (
        "DEDUP_RUNTIME is 'onnx'; it must be one of auto, torch, openvino, onnxruntime"
        in refused.err
    )
