from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from outcome import SMALL_MODEL, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
