from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from outcome import SMALL_MODEL, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dedup.collection import Collection

    Dedup = Callable[..., Outcome]


def test_status_tells_the_story(dedup: Dedup, store: Path, drawn: Path) -> None:
    status = json.loads(dedup("status", "-s", store).out)
    assert status["model"] == f"{SMALL_MODEL} (untrained)"
    assert status["dimensions"] == {"global_pool": 288, "details": 1024}
    root = {"path": os.path.realpath(drawn), "files": 16, "present": True, "kind": "folder"}
    assert status["roots"] == [root]
    assert (status["files"], status["images"], status["trivial"]) == (16, 14, 2)
    assert status["skipped"] == 2
    assert sum(status["skips"].values()) == 2
    assert status["index"] == "none"
    dedup("query", drawn / "a/0.jpg", "-s", store)
    assert json.loads(dedup("status", "-s", store).out)["index"] == "fresh"
    table = dedup("status", "-s", store, "--format", "table").text
    assert "16 files" in table


def test_skipped_files_are_listed_with_reasons(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("status", "--skipped", "-s", store)
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [os.path.relpath(row["path"], drawn) for row in found] == ["cut.jpg", "text.jpg"]
    assert found[1]["reason"].startswith("not an image")


def test_a_damaged_video_counts_alike_everywhere(
    dedup: Dedup, own: Collection, images: Path
) -> None:
    pytest.importorskip("av", reason="needs the extra video")
    (images / "film.mp4").write_bytes(bytes(5000))
    first, again = (dedup("index", "-s", own.path).err for _ in range(2))
    assert first.startswith("19 images: 16 unchanged, 1 skipped, 2 skipped before and unchanged;")
    assert again.startswith("19 images: 16 unchanged, 3 skipped before and unchanged;")
    listed = dedup("status", "--skipped", "-s", own.path).rows
    assert len(listed) == 3
    status = json.loads(dedup("status", "-s", own.path).out)
    assert status["skipped"] == sum(status["skips"].values()) == 3
    assert set(status["skips"]) == {row["reason"] for row in listed}
    (line, _) = (x for x in dedup("index", images / "film.mp4", "-s", own.path).err.splitlines()
                 if "kipped" in x and " images: " not in x)  # fmt: skip
    assert line.startswith(f"  skipped {images}/film.mp4: not a video, or damaged")
    assert dedup("index", "-s", own.path, "--strict").code == 1
