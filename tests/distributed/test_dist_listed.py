"""Lists of what was listed and read, whatever was broken off, and of what comes and goes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from drawings import scene

from dedup.distributed import embedding, pairing
from dedup.distributed.collection import SharedCollection
from dedup.distributed.storage import Storage, StorageError
from dedup.errors import CollectionError, SearchError
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from s3_faults import Proxy

    from dedup.distributed.commits import Done
    from dedup.distributed.engine import Task
    from dedup.distributed.run import Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three scenes that are not alike."""
    path = tmp_path / "images"
    path.mkdir()
    for seed in range(3):
        scene(seed).save(path / f"{seed}.jpg")
    return path


def opened(folder: Path) -> SharedCollection:
    url = f"file://{folder.parent}/store"
    return SharedCollection.open(
        url, ModelSpec(views="details"), create=True, engine="inline", shard=2
    )


def listed(shared: SharedCollection, tier: str = "exact") -> list[list[str]]:
    return sorted(sorted(group.paths) for group in shared.duplicates(tier, parts=False))


def index_broken_off(shared: SharedCollection, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Index all but the last shard."""
    every = embedding.tasks

    def some(
        run: Run, shards: Sequence[Done], gone: dict[str, list[int]], *, own: bool
    ) -> list[Task]:
        return every(run, shards[:-1], gone, own=own)

    with monkeypatch.context() as patch:
        patch.setattr(embedding, "tasks", some)
        with pytest.raises(KeyError):
            shared.index(root)


def test_a_list_waits_until_what_was_listed_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"file://{folder}"
    for seed in range(3):
        shutil.copy(folder / f"{seed}.jpg", folder / f"copy of {seed}.jpg")
    shared = opened(folder)
    index_broken_off(shared, root, monkeypatch)
    with pytest.raises(CollectionError, match=r"not read yet: 1\. To go on .* dedup index --store"):
        shared.duplicates()
    shared.index()
    before = listed(shared)
    assert len(before) == 3
    # Until what is new is read whole, the list is of what was there before.
    for seed in range(3, 7):
        scene(seed).save(folder / f"{seed}.jpg")
        shutil.copy(folder / f"{seed}.jpg", folder / f"copy of {seed}.jpg")
    (folder / "copy of 0.jpg").unlink()
    index_broken_off(shared, root, monkeypatch)
    assert listed(shared) == before
    (note,) = shared.duplicates("exact", parts=False).notes
    assert "of the files listed before: shards of what was listed last that are not read" in note
    shared.index()
    assert listed(shared) == [
        [f"{root}/{seed}.jpg", f"{root}/copy of {seed}.jpg"] for seed in range(1, 7)
    ]


def test_where_nothing_is_alike_lists_are_empty(folder: Path) -> None:
    shared = opened(folder)
    shared.index(f"file://{folder}")
    assert listed(shared, "near") == listed(shared, "near") == []


def test_a_look_at_what_is_as_it_was_loads_nothing_that_decodes_or_compares(folder: Path) -> None:
    shutil.copy(folder / "1.jpg", folder / "copy of 1.jpg")
    shared = opened(folder)
    shared.index(f"file://{folder}")
    wanted = listed(shared)
    code = (
        "import sys\n"
        "from dedup.distributed.collection import SharedCollection\n"
        "shared = SharedCollection.open(sys.argv[1], engine='inline')\n"
        "shared.index()\n"
        "print([sorted(one.paths) for one in shared.duplicates('exact', parts=False)])\n"
        "print({'cv2', 'PIL', 'faiss', 'openvino', 'dedup.proof'} & {*sys.modules})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, shared.path], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{wanted}\nset()\n"
    assert len(wanted) == 1


def test_content_that_comes_back_is_compared(folder: Path) -> None:
    """Its class is named after a file that was gone before the first list, which divided all."""
    drawn = scene(1)
    drawn.resize((drawn.width // 2, drawn.height // 2)).save(folder / "small.jpg")
    shared = opened(folder)
    shared.index(f"file://{folder}")
    (folder / "small.jpg").rename(folder.parent / "elsewhere.jpg")
    shared.index()
    assert listed(shared, "resaved") == []
    (folder.parent / "elsewhere.jpg").rename(folder / "back.jpg")
    shared.index()
    assert listed(shared, "resaved") == [
        [f"file://{folder}/{name}" for name in ("1.jpg", "back.jpg")]
    ]


def test_too_many_similar_pairs_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairing, "MAX_PAIRS", 2)
    shared = opened(folder)
    shared.index(f"file://{folder}")
    with pytest.raises(SearchError, match=r"similarity of -0\.9.*: choose a higher threshold"):
        shared.duplicates("similar", threshold=-0.9)


def test_what_may_not_be_read_can_be_left_out_later(
    folder: Path, proxy: Proxy, bucket: str
) -> None:
    place, shared = Storage.at(f"{bucket}/photos"), opened(folder)
    first, *others = sorted(folder.iterdir())
    place.put(first.name, first.read_bytes())
    shared.index(place.url)
    for file in others:
        place.put(file.name, file.read_bytes())

    def refuse(stage: str, _done: int, _total: int) -> None:
        proxy.faults.forbidden = "AccessDenied" if stage == "Indexing" else ""

    with pytest.raises(StorageError, match=r"too many files cannot be read. The last: .*photos/"):
        shared.index(progress=refuse)
    proxy.faults.forbidden = ""
    found = shared.index(exclude=["1.jpg", "2.jpg"], progress=refuse)
    assert (found.indexed, found.gone) == (0, 2)
    proxy.faults.forbidden = ""
    status = shared.status()
    assert (status.indexed, status.skipped, status.pending) == (1, 0, 0)
    assert shared.duplicates("exact").notes == ()
