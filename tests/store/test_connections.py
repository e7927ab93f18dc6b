"""A catalog in threads, after close and after a fork."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
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
    gc.collect()  # what other tests left
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


# In a process of its own: to close what a thread is inside of ends the whole process.
CLOSE_WHILE_THREADS_READ = """
import sys, threading, time
from pathlib import Path
from dedup.errors import CollectionError
from dedup.store.catalog import Catalog

said = []

def read(catalog):
    try:
        while True:
            list(catalog.connection.execute("SELECT * FROM meta WHERE value LIKE '%x%'"))
            catalog.files_by_state()
    except CollectionError as error:
        said.append(error.reason)

for _ in range(30):
    catalog = Catalog.open(Path(sys.argv[1]))
    threads = [threading.Thread(target=read, args=(catalog,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.01)
    catalog.close()
    for thread in threads:
        thread.join()
print(len(said), *set(said))
"""


def test_closing_while_other_threads_read_stops_them_in_words(catalog: Catalog) -> None:
    with catalog.transaction():
        catalog.connection.executemany(
            "INSERT INTO meta (key, value) VALUES (?, ?)",
            [(f"key {number}", "x") for number in range(3000)],
        )
    done = subprocess.run(
        [sys.executable, "-c", CLOSE_WHILE_THREADS_READ, catalog.store],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "120 the collection is closed\n"


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
may_fork = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def in_fork(work: Callable[[], object]) -> Callable[[], str]:
    """Begin to work in a forked child; gives what waits for its end and for what it says."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            said = str(work())
        except BaseException as error:  # noqa: BLE001 - what happened is the answer
            said = str(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)

    def wait() -> str:
        with os.fdopen(reading, encoding="utf-8") as file:
            said = file.read()
        assert os.waitpid(child, 0)[1] == 0
        return said

    return wait


@needs_fork
@may_fork
def test_a_forked_child_works_with_connections_of_its_own(catalog: Catalog) -> None:
    catalog.add_roots([b"/parent"])

    def work() -> object:
        catalog.add_roots([b"/child"])
        gc.collect()
        roots = [root.path for root in catalog.roots()]
        catalog.close()
        return roots

    assert in_fork(work)() == "[b'/child', b'/parent']"
    assert [root.path for root in catalog.roots()] == [b"/child", b"/parent"]
    catalog.add_roots([b"/after"])
    assert len(catalog.roots()) == 3


@needs_fork
@may_fork
def test_what_a_child_writes_stays_when_its_parent_closes_meanwhile(catalog: Catalog) -> None:
    """SQLite removes its log when it finds nobody else with a lock: the child needs one."""
    catalog.add_roots([b"/parent"])
    (ready, is_ready), (closed, is_closed) = os.pipe(), os.pipe()

    def work() -> object:
        catalog.roots()
        os.write(is_ready, b"x")
        os.read(closed, 1)
        catalog.add_roots([b"/child"])
        return "written"

    wait = in_fork(work)
    os.read(ready, 1)
    catalog.close()
    os.write(is_closed, b"x")
    assert wait() == "written"
    for number in (ready, is_ready, closed, is_closed):
        os.close(number)
    again = Catalog.open(catalog.store)
    assert [root.path for root in again.roots()] == [b"/child", b"/parent"]
    again.close()


@needs_fork
@may_fork
def test_a_child_forked_in_a_transaction_is_refused_in_words(catalog: Catalog) -> None:
    words = "was in use when this process was forked, and cannot be used here"
    with catalog.transaction():
        assert words in in_fork(catalog.roots)()
        assert words in in_fork(lambda: Catalog.open(catalog.store))()
        catalog.gallery_changed()
    with catalog.snapshot():
        assert words in in_fork(catalog.roots)()
    assert in_fork(catalog.roots)() == "[]"
    assert catalog.version == 1


@needs_fork
@may_fork
def test_a_child_forked_while_another_thread_reads_is_refused_in_words(
    catalog: Catalog, tmp_path: Path
) -> None:
    other = Catalog.create(tmp_path / "other", FINGERPRINT)
    ready, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        catalog.roots()
        ready.set()
        go_on.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait(60)
    assert "was in use when this process was forked" in in_fork(catalog.roots)()
    assert in_fork(other.roots)() == "[]"
    go_on.set()
    thread.join()
    assert in_fork(catalog.roots)() == "[]"
    other.close()
