"""Files of slow disks."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from blocks import BlockMeans, fill, index

from dedup.errors import ImageError
from dedup.images.decode import read_file
from dedup.indexing import fetching
from dedup.indexing.diff import find_changes
from dedup.indexing.fetching import Fetching

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.store.catalog import Catalog


def slow() -> Fetching:
    found = Fetching()
    for _ in range(32):
        found.passed(0.009, 0.01)
    return found


def test_a_slow_disk_is_told_from_a_fast_one() -> None:
    with closing(Fetching()) as fast:
        for _ in range(100):
            fast.passed(0.002, 0.01)
        assert not fast.slow
    with closing(Fetching()) as found:
        for number in range(1, 100):
            found.passed(0.003, 0.01)
            assert found.slow == (number >= 32)


def test_files_of_a_slow_disk_are_read_beside(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = list(find_changes(catalog, [fill(tmp_path / "in", 6)]).work)
    wanted = [read_file(work.path) for work in works]
    together = threading.Barrier(5)

    def read_together(path: bytes) -> bytes:
        together.wait(10)  # as long as it takes for five to be under way at once
        return read_file(path)

    monkeypatch.setattr(fetching, "read_file", read_together)
    with closing(slow()) as found:
        found.expect(works[:5])
        assert [found.read(work.path) for work in works[:5]] == wanted[:5]
    monkeypatch.setattr(fetching, "read_file", read_file)
    with closing(slow()) as found:
        assert found.read(works[5].path) == wanted[5]  # nobody told of it


def test_nothing_is_read_beside_from_a_fast_disk_nor_more_than_there_is_room_for(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = list(find_changes(catalog, [fill(tmp_path / "in", 3)]).work)
    readers: list[threading.Thread] = []

    def read(path: bytes) -> bytes:
        readers.append(threading.current_thread())
        return read_file(path)

    monkeypatch.setattr(fetching, "read_file", read)
    with closing(Fetching()) as fast:
        fast.expect(works)
        fast.read(works[0].path)
    monkeypatch.setattr(fetching, "_ROOM", works[1].file.size + works[2].file.size - 1)
    with closing(slow()) as found:
        found.expect(works[1:])
        found.read(works[2].path)  # for which there was no room
        found.read(works[1].path)
    assert [reader is threading.current_thread() for reader in readers].count(True) == 2


def test_what_cannot_be_read_is_told_to_whom_it_concerns(catalog: Catalog, tmp_path: Path) -> None:
    works = list(find_changes(catalog, [fill(tmp_path / "in", 3)]).work)
    (tmp_path / "in/001.png").unlink()
    with closing(slow()) as found:
        found.expect(works)
        assert found.read(works[0].path) == read_file(works[0].path)
        with pytest.raises(ImageError, match="001"):
            found.read(works[1].path)
        assert found.read(works[2].path) == read_file(works[2].path)


def test_a_run_from_a_slow_disk_gives_the_same(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_slowly(path: bytes) -> bytes:
        time.sleep(0.01)
        return read_file(path)

    monkeypatch.setattr(fetching, "read_file", read_slowly)
    folder = fill(tmp_path / "in", 120)
    (folder / "050.png").write_bytes(b"")
    summary = index(catalog, BlockMeans(), folder)
    assert (summary.indexed, summary.skipped) == (119, 1)
    assert summary.stages is not None
    assert summary.stages.fetches
    assert summary.stages.disk > 0.25
