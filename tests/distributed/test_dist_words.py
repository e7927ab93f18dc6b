"""Files, images and objects in what commands say of a collection in object storage.

A file is what was listed; an image is what could be indexed of it; an object is what the collection
keeps of its own.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from drawings import scene

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Dedup = Callable[..., Outcome]


def test_each_word_means_one_thing(dedup: Dedup, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in (1, 2):
        scene(seed).save(folder / f"{seed}.png")
    shutil.copy(folder / "1.png", folder / "copy.png")
    (folder / "text.jpg").write_text("no image")
    here, store = f"file://{folder}", ("--store", url)
    dry = dedup("index", here, *store, "--views", "details", "--dry-run")
    counts = [" ".join(line.split()[:3]) for line in dry.text.splitlines()[2:]]
    assert counts == [
        "list 4 files", "embed 4 files", "assign 3 images", "pair 3 images", "prove 2 pairs",
        "all 4 files",
    ]  # fmt: skip
    dedup("index", here, *store, "--views", "details")
    lines = [
        line.split() for line in dedup("status", *store, "--format", "table").text.splitlines()
    ]
    assert "images 3 of 4 files," in [" ".join(line[:5]) for line in lines]
    assert ["skipped", "1", "file"] in lines

    plan = tmp_path / "plan.json"
    assert "To delete: 1 file, " in dedup("plan", *store, "--action", "delete", "-o", plan).err
    fetched = dedup("fetch", *store, tmp_path / "fetched")
    assert fetched.err.startswith(f"Fetched 3 images to {tmp_path}/fetched; ")
    done = dedup("apply", plan, *store, "--yes", "--unversioned")
    assert [row["outcome"] for row in done.rows] == ["done"]
    assert "1 file done, " in done.err
    assert "1 file deleted for good: no version of it is kept" in done.err
    assert "To take it back" not in done.err  # nothing keeps a version of it
