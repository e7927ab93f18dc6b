"""A catalog in threads, after close and after a fork."""

from __future__ import annotations

import gc
import os
import threading
from typing import TYPE_CHECKING

import pytest

from dedup.errors import CollectionError
from dedup.fingerprint import Fingerprint
from dedup.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FINGERPRINT = Fingerprint("m", "none", "0" * 64, ("pool",), 8, 8, "test")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog.create(tmp_path / "store", FINGERPRINT)
    yield opened
    opened.close()


def in_thread(work: Callable[[], object]) -> object:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def test_every_thread_has_a_connection_of_its_own(catalog: Catalog) -> None:
    assert in_thread(catalog.roots) == []
    mine, theirs = id(catalog.connection), in_thread(lambda: id(catalog.connection))
    assert mine != theirs
    (root,) = catalog.add_roots([b"/a"])
    assert in_thread(catalog.roots) == [root]


def test_a_thread_sees_nothing_of_another_ones_transaction(catalog: Catalog) -> None:
    before = catalog.version
    with catalog.transaction():
        catalog.gallery_changed()
        assert catalog.version == before + 1
        assert in_thread(lambda: catalog.version) == before
    assert in_thread(lambda: catalog.version) == before + 1


def test_a_thread_that_ends_leaves_no_open_file(catalog: Catalog) -> None:
    in_thread(catalog.roots)  # SQLite keeps a descriptor for the next connection
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc") else 0
    for _ in range(20):
        in_thread(catalog.roots)
    gc.collect()
    after = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc") else 0
    assert after == before


def test_a_closed_catalog_says_so_in_every_thread(catalog: Catalog) -> None:
    ready, closed = threading.Event(), threading.Event()
    said: list[str] = []

    def wait_and_ask() -> None:
        catalog.roots()
        ready.set()
        closed.wait(10)
        try:
            catalog.roots()
        except CollectionError as error:
            said.append(error.reason)

    thread = threading.Thread(target=wait_and_ask)
    thread.start()
    ready.wait(10)
    catalog.close()
    closed.set()
    thread.join()
    assert said == ["the collection is closed"]
    with pytest.raises(CollectionError, match="the collection is closed"):
        catalog.add_roots([b"/a"])
    catalog.close()  # once more is no mistake


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_works_with_connections_of_its_own(catalog: Catalog) -> None:
    catalog.add_roots([b"/parent"])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            catalog.add_roots([b"/child"])
            gc.collect()
            code = 0 if [root.path for root in catalog.roots()] == [b"/child", b"/parent"] else 2
            catalog.close()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert [root.path for root in catalog.roots()] == [b"/child", b"/parent"]
    catalog.add_roots([b"/after"])
    assert len(catalog.roots()) == 3
