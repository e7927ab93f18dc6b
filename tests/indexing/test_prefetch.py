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
from dedup.indexing.diff import find_changes
from dedup.indexing.prefetch import Prefetch
from dedup.indexing.readahead import ReadPolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dedup.store.catalog import Catalog


def slow(read: Callable[[bytes], bytes] = read_file, max_bytes: int = 1 << 20) -> Prefetch:
    found = Prefetch(read, max_bytes)
    for _ in range(32):
        found.took(0.009, 0.01)
    return found


def test_a_slow_disk_is_told_from_a_fast_one() -> None:
    with closing(Prefetch()) as fast:
        for _ in range(100):
            fast.took(0.002, 0.01)
        assert not fast.slow
    with closing(Prefetch()) as found:
        for number in range(1, 100):
            found.took(0.003, 0.01)
            assert found.slow == (number >= 32)


def test_files_of_a_slow_disk_are_read_in_parallel(catalog: Catalog, tmp_path: Path) -> None:
    works = list(find_changes(catalog, [fill(tmp_path / "in", 6)]).work)
    wanted = [read_file(work.path) for work in works]
    together = threading.Barrier(5)

    def read_together(path: bytes) -> bytes:
        together.wait(10)  # as long as it takes for five to be under way at once
        return read_file(path)

    with closing(slow(read_together)) as found:
        found.expect(works[:5])
        assert [found.read(work.path) for work in works[:5]] == wanted[:5]
    with closing(slow()) as found:
        assert found.read(works[5].path) == wanted[5]  # which was not expected


def test_nothing_is_prefetched_from_a_fast_disk_nor_more_than_allowed(
    catalog: Catalog, tmp_path: Path
) -> None:
    works = list(find_changes(catalog, [fill(tmp_path / "in", 3)]).work)
    readers: list[threading.Thread] = []

    def read(path: bytes) -> bytes:
        readers.append(threading.current_thread())
        return read_file(path)

    with closing(Prefetch(read)) as fast:
        fast.expect(works)
        fast.read(works[0].path)
    with closing(slow(read, works[1].entry.size + works[2].entry.size - 1)) as found:
        found.expect(works[1:])
        found.read(works[2].path)  # beyond the limit
        found.read(works[1].path)
    assert [reader is threading.current_thread() for reader in readers].count(True) == 2


def test_what_cannot_be_read_is_raised_where_it_is_needed(catalog: Catalog, tmp_path: Path) -> None:
    works = list(find_changes(catalog, [fill(tmp_path / "in", 3)]).work)
    (tmp_path / "in/001.png").unlink()
    with closing(slow()) as found:
        found.expect(works)
        assert found.read(works[0].path) == read_file(works[0].path)
        with pytest.raises(ImageError, match="001"):
            found.read(works[1].path)
        assert found.read(works[2].path) == read_file(works[2].path)


def test_a_run_from_a_slow_disk_gives_the_same(catalog: Catalog, tmp_path: Path) -> None:
    def read_slowly(path: bytes) -> bytes:
        time.sleep(0.01)
        return read_file(path)

    folder = fill(tmp_path / "in", 120)
    (folder / "050.png").write_bytes(b"")
    summary = index(catalog, BlockMeans(), folder, policy=ReadPolicy(read=read_slowly))
    assert (summary.indexed, summary.skipped) == (119, 1)
    assert summary.stages is not None
    assert summary.stages.fetches
    assert summary.stages.disk > 0.25
