from __future__ import annotations

import base64
import gzip
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dedup.errors import CollectionError, DamagedError, FormatError
from dedup.fingerprint import DETAILS, Fingerprint
from dedup.records import Kind
from dedup.search.similarity import unit_rows
from dedup.space.whitening import Transform
from dedup.store.catalog import Catalog
from dedup.store.gallery import read_images, read_vectors
from dedup.store.migrations import FORMAT, migrate, upgraded_in_memory
from dedup.store.pairs import read_calibration, read_decisions, read_verdicts
from dedup.store.vectors import as_stored

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

FIXTURES = Path(__file__).parent / "fixtures"
COMMITS = sorted(path.stem.partition("-")[2] for path in FIXTURES.glob("format1-*.json"))
DETAILS_OF_BYTES = "3237a22"
OF_FORMAT = {2: "148fb89", 3: "7ae6903", 4: "2d10181"}
WITHOUT_TABLES = "66cda5b"
COPY = "catalog.format-1.bak"
NOTE = (
    f"Upgraded the collection from format 1 to format {FORMAT}; the old catalog is kept as "
    "catalog.format-1.bak"
)
WAIT_SECONDS = 60


def old_store(folder: Path, commit: str) -> Path:
    """Put a collection as the commit wrote it into a folder."""
    store = folder / "store"
    store.mkdir()
    (fixture,) = FIXTURES.glob(f"format*-{commit}.sqlite.gz")
    packed = fixture.read_bytes()
    (store / "catalog.sqlite").write_bytes(gzip.decompress(packed))
    return store


def expected_of(commit: str) -> dict[str, Any]:
    (fixture,) = FIXTURES.glob(f"format*-{commit}.json")
    return dict(json.loads(fixture.read_text(encoding="utf-8")))


def unpacked(values: dict[str, Any]) -> npt.NDArray[np.float32]:
    data = base64.b64decode(values["float32"])
    return np.frombuffer(data, "<f4").reshape(values["shape"]).astype(np.float32)


def format_of(catalog: Path) -> int:
    with closing(sqlite3.connect(catalog)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def contents(catalog: Path) -> list[str]:
    with closing(sqlite3.connect(catalog)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return list(connection.iterdump())


def columns(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """List what each table and index consists of, without comments."""
    names = connection.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall()
    return {
        name: connection.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)).fetchall()
        for (name,) in names
    }


def run_child(
    store: Path, reached: str, *, before: str = "", **options: Any
) -> subprocess.Popen[str]:
    """Upgrade in a process of its own, which says "ready" where it is, then does `reached`."""
    code = f"""
    import signal, sqlite3, sys, time
    from pathlib import Path
    from dedup.store.migrations import migrate

    def reached(step):
        {reached}

    {before}
    path = Path({str(store)!r}) / "catalog.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    print(migrate(path, connection, reached), flush=True)
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# -- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize("commit", COMMITS)
def test_a_collection_of_every_earlier_state_opens_with_all_that_it_held(
    commit: str, tmp_path: Path
) -> None:
    store, expected = old_store(tmp_path, commit), expected_of(commit)
    catalog = Catalog.open(store)
    assert catalog.notes == (NOTE,)
    check_contents(catalog, expected, halved=commit == DETAILS_OF_BYTES)
    catalog.close()
    assert format_of(store / "catalog.sqlite") == FORMAT
    assert sorted(path.name for path in store.iterdir()) == [COPY, "catalog.sqlite"]
    again = Catalog.open(store)
    assert again.notes == ()
    again.close()


@pytest.mark.parametrize("number", OF_FORMAT)
def test_a_collection_of_a_later_format_opens_with_all_that_it_held(
    tmp_path: Path, number: int
) -> None:
    store, expected = old_store(tmp_path, OF_FORMAT[number]), expected_of(OF_FORMAT[number])
    assert format_of(store / "catalog.sqlite") == expected["format"] == number
    new = Catalog.create(tmp_path / "new", Fingerprint("m", "u", "0", ("pool",), 8, 8, "rules 1"))
    catalog = Catalog.open(store)
    check_contents(catalog, expected, halved=False)
    assert columns(catalog.connection) == columns(new.connection)
    assert catalog.damage == ()
    catalog.close()
    new.close()
    assert sorted(path.name for path in store.iterdir()) == [
        f"catalog.format-{number}.bak",
        "catalog.sqlite",
    ]


def check_contents(catalog: Catalog, expected: dict[str, Any], *, halved: bool) -> None:
    fingerprint = json.loads(catalog.fingerprint.to_json())
    assert {name: fingerprint[name] for name in expected["fingerprint"]} == expected["fingerprint"]
    images = read_images(catalog)
    assert [digest.hex() for digest in images.digest] == expected["digests"]
    assert catalog.files_by_state() == expected["states"] == {"indexed": 6, "skipped": 1}
    assert sorted(catalog.fingerprint.stored) == sorted(expected["vectors"])
    for name, values in expected["vectors"].items():
        rows, before = read_vectors(catalog, name, len(images)), unpacked(values)
        if halved and name == DETAILS:
            assert np.einsum("nd,nd->n", rows, before).min() > 0.99
            # A step of these unit rows is 0.02: they agree in every one.
            np.testing.assert_allclose(rows, unit_rows(as_stored(DETAILS, before)), atol=1e-7)
        else:
            np.testing.assert_array_equal(rows, before)
    verdicts = expected["verdicts"] if expected["format"] > 3 else []  # of an older check
    assert [
        [*(part.hex() for part in pair), *one]
        for pair, one in read_verdicts(catalog, expected["verifier"]).items()
    ] == verdicts
    assert [(root.path, root.kind) for root in catalog.roots()] == [(b"/images", Kind.FOLDER)]
    assert [
        [*(part.hex() for part in pair), one.duplicate, one.decided]
        for pair, one in read_decisions(catalog).items()
    ] == expected["decisions"]
    check_calibration(catalog, expected["calibration"])


def check_calibration(catalog: Catalog, expected: dict[str, Any] | None) -> None:
    stored = read_calibration(catalog)
    if expected is None:
        assert stored is None
        return
    assert stored is not None
    curve, data = stored
    assert curve == expected["curve"]
    assert data is not None
    check_transform(data, expected)


def check_transform(data: bytes, expected: dict[str, Any]) -> None:
    transform = Transform.from_bytes(data)
    for name in ("mean", "directions", "gains"):
        np.testing.assert_array_equal(getattr(transform, name), unpacked(expected[name]))
    np.testing.assert_array_equal(
        transform.apply(unpacked(expected["given"])), unpacked(expected["transformed"])
    )


@pytest.mark.parametrize("commit", COMMITS)
def test_an_upgraded_catalog_has_the_tables_of_a_new_one(commit: str, tmp_path: Path) -> None:
    new = Catalog.create(tmp_path / "new", Fingerprint("m", "u", "0", ("pool",), 8, 8, "rules 1"))
    old = Catalog.open(old_store(tmp_path, commit))
    assert columns(old.connection) == columns(new.connection)
    new.close()
    old.close()


@pytest.mark.parametrize("commit", COMMITS)
def test_the_copy_is_the_old_catalog(commit: str, tmp_path: Path) -> None:
    store = old_store(tmp_path, commit)
    before = contents(store / "catalog.sqlite")
    (store / "catalog.format-0.bak").write_bytes(b"of an upgrade before")
    Catalog.open(store).close()
    assert contents(store / COPY) == before
    assert format_of(store / COPY) == 1
    assert not (store / "catalog.format-0.bak").exists()


def test_indexes_of_vectors_that_were_halved_are_stale(tmp_path: Path) -> None:
    store = old_store(tmp_path, DETAILS_OF_BYTES)
    with closing(sqlite3.connect(store / "catalog.sqlite")) as connection:
        query = "SELECT value FROM meta WHERE key = 'version'"
        (before,) = connection.execute(query).fetchone()
    catalog = Catalog.open(store)
    assert catalog.version == int(before) + 1
    catalog.close()


def test_a_damaged_vector_is_still_found_after_it_was_halved(tmp_path: Path) -> None:
    store = old_store(tmp_path, DETAILS_OF_BYTES)
    with closing(sqlite3.connect(store / "catalog.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE embeddings SET vector = zeroblob(512) WHERE id ="
            " (SELECT min(id) FROM embeddings WHERE layer = 'details')"
        )
    catalog = Catalog.open(store)
    with pytest.raises(DamagedError, match="checksum"):
        read_vectors(catalog, DETAILS, 6)
    catalog.close()


def test_a_damaged_transform_is_kept_for_its_reader_to_report(tmp_path: Path) -> None:
    store = old_store(tmp_path, "b22d531")
    with closing(sqlite3.connect(store / "catalog.sqlite")) as connection, connection:
        (data,) = connection.execute("SELECT transform FROM calibration").fetchone()
        damaged = data[:40] + bytes([data[40] ^ 1]) + data[41:]
        connection.execute("UPDATE calibration SET transform = ?", (damaged,))
    catalog = Catalog.open(store)
    stored = read_calibration(catalog)
    assert stored is not None
    assert stored[1] == damaged
    catalog.close()


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, FORMAT + 1])
def test_another_format_is_refused_and_nothing_is_written(number: int, tmp_path: Path) -> None:
    store = old_store(tmp_path, WITHOUT_TABLES)
    with closing(sqlite3.connect(store / "catalog.sqlite")) as connection:
        connection.execute(f"PRAGMA user_version = {number}")
    before = contents(store / "catalog.sqlite")
    with pytest.raises(FormatError, match="newer dedup" if number else "format 0"):
        Catalog.open(store)
    assert contents(store / "catalog.sqlite") == before
    assert not (store / COPY).exists()


def test_a_disk_too_full_for_the_copy_leaves_the_old_catalog_whole(tmp_path: Path) -> None:
    store = old_store(tmp_path, DETAILS_OF_BYTES)
    catalog = store / "catalog.sqlite"
    before = contents(catalog)
    check_full_disk(store, catalog.stat().st_size // 2)
    assert sorted(path.name for path in store.iterdir()) == ["catalog.sqlite"]
    assert contents(catalog) == before


def test_a_disk_too_full_for_the_new_catalog_leaves_the_old_one_whole(tmp_path: Path) -> None:
    store = old_store(tmp_path, DETAILS_OF_BYTES)
    catalog = store / "catalog.sqlite"
    # A log longer than the catalog, so that there is space for a copy but not for another change.
    with closing(sqlite3.connect(catalog, isolation_level=None)) as holder:
        holder.execute("PRAGMA wal_autocheckpoint = 0")
        for _ in range(10):
            holder.execute("INSERT OR REPLACE INTO meta VALUES ('filler', hex(zeroblob(100000)))")
        before = contents(catalog)
        check_full_disk(store, (store / "catalog.sqlite-wal").stat().st_size)
        assert contents(catalog) == contents(store / COPY) == before
        assert format_of(catalog) == 1
    opened = Catalog.open(store)
    assert opened.notes == (NOTE,)
    opened.close()


def check_full_disk(store: Path, limit: int) -> None:
    """Upgrade where a file of more than `limit` bytes cannot be written, as on a full disk."""
    child = run_child(
        store,
        "pass",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    _, errors = child.communicate(timeout=WAIT_SECONDS)
    assert child.returncode == 1
    assert "CollectionError" in errors
    assert "the disk is full or failed" in errors
    assert "It is unchanged, in format 1: free 1 MB and run the same command again." in errors


# -- other processes -------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["copied", "changed"])
def test_a_kill_midway_leaves_the_old_catalog_whole(step: str, tmp_path: Path) -> None:
    store = old_store(tmp_path, DETAILS_OF_BYTES)
    before = contents(store / "catalog.sqlite")
    child = run_child(store, f"if step == {step!r}: print('ready', flush=True); signal.pause()")
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=WAIT_SECONDS)
    assert contents(store / "catalog.sqlite") == before
    assert format_of(store / "catalog.sqlite") == 1
    assert contents(store / COPY) == before
    catalog = Catalog.open(store)
    assert catalog.notes == (NOTE,)
    check_contents(catalog, expected_of(DETAILS_OF_BYTES), halved=True)
    catalog.close()


def test_a_copy_that_was_not_finished_is_replaced(tmp_path: Path) -> None:
    store = old_store(tmp_path, WITHOUT_TABLES)
    before = contents(store / "catalog.sqlite")
    for name in (f"{COPY}.partial", f"{COPY}.partial-journal", f"{COPY}.partial-wal"):
        (store / name).write_bytes(b"of a process that was killed")
    Catalog.open(store).close()
    assert contents(store / COPY) == before
    assert sorted(path.name for path in store.iterdir()) == [COPY, "catalog.sqlite"]


def test_a_second_process_waits_and_finds_the_work_done(tmp_path: Path) -> None:
    store = old_store(tmp_path, DETAILS_OF_BYTES)
    before = contents(store / "catalog.sqlite")
    first = run_child(
        store, "if step == 'changed': print('ready', flush=True); sys.stdin.readline()",
        stdin=subprocess.PIPE,
    )  # fmt: skip
    assert first.stdout is not None
    assert first.stdout.readline() == "ready\n"
    second = run_child(store, "sys.exit('upgraded twice')", before="print('ready', flush=True)")
    assert second.stdout is not None
    assert second.stdout.readline() == "ready\n"
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1)
    out, err = first.communicate("go on\n" * FORMAT, timeout=WAIT_SECONDS)
    assert (out.removeprefix("ready\n" * (FORMAT - 2)), err) == (f"{NOTE}\n", "")
    assert second.communicate(timeout=WAIT_SECONDS) == ("None\n", "")
    assert contents(store / COPY) == before
    assert format_of(store / "catalog.sqlite") == FORMAT


def test_a_reader_of_the_old_catalog_goes_on(tmp_path: Path) -> None:
    store = old_store(tmp_path, WITHOUT_TABLES)
    with closing(sqlite3.connect(store / "catalog.sqlite", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM images").fetchone() == (6,)
        catalog = Catalog.open(store)
        assert catalog.notes == (NOTE,)
        assert reader.execute("PRAGMA user_version").fetchone() == (1,)
        catalog.close()


def test_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/50% ?#[\xff"))
    folder.mkdir()
    catalog = Catalog.open(old_store(folder, WITHOUT_TABLES))
    assert catalog.notes == (NOTE,)
    catalog.close()


# -- read-only media -------------------------------------------------------------------------------


def read_only(store: Path) -> sqlite3.Connection:
    """Open it as `schema` opens what may not be written; permissions do not stop root."""
    return sqlite3.connect(f"file:{store}/catalog.sqlite?mode=ro&immutable=1", uri=True)


@pytest.mark.parametrize("commit", COMMITS)
def test_what_cannot_be_written_is_upgraded_in_memory(commit: str, tmp_path: Path) -> None:
    store = old_store(tmp_path, commit)
    before = (store / "catalog.sqlite").read_bytes()
    with closing(read_only(store)) as source:
        memory = upgraded_in_memory(store / "catalog.sqlite", source)
    twin = old_store_upgraded(tmp_path, commit)
    assert without_transform(memory.iterdump()) == without_transform(twin)
    if (expected := expected_of(commit)["calibration"]) is not None:
        (data,) = memory.execute("SELECT transform FROM calibration").fetchone()
        check_transform(data, expected)
    assert memory.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        memory.execute("DELETE FROM files")
    memory.close()
    assert (store / "catalog.sqlite").read_bytes() == before
    assert sorted(path.name for path in store.iterdir()) == ["catalog.sqlite"]


def without_transform(dump: Iterable[str]) -> list[str]:
    """Leave out a transform: the order of its metadata is by chance."""
    calibration = 'INSERT INTO "calibration"'
    return [line.partition(",X'")[0] if line.startswith(calibration) else line for line in dump]


def old_store_upgraded(folder: Path, commit: str) -> list[str]:
    (folder / "twin").mkdir()
    store = old_store(folder / "twin", commit)
    with closing(sqlite3.connect(store / "catalog.sqlite", isolation_level=None)) as connection:
        assert migrate(store / "catalog.sqlite", connection) == NOTE
    return contents(store / "catalog.sqlite")


def test_what_is_too_large_for_memory_is_refused(tmp_path: Path) -> None:
    store = old_store(tmp_path, WITHOUT_TABLES)
    size = (store / "catalog.sqlite").stat().st_size
    with (
        closing(read_only(store)) as source,
        pytest.raises(CollectionError, match=r"read-only; at 1 MB it is too large .* Copy the"),
    ):
        upgraded_in_memory(store / "catalog.sqlite", source, max_bytes=size - 1)


def test_a_folder_that_may_not_be_written_opens_upgraded(ordinary_user: Path) -> None:
    store = old_store(ordinary_user, DETAILS_OF_BYTES)
    before = (store / "catalog.sqlite").read_bytes()
    store.chmod(0o500)
    try:
        catalog = Catalog.open(store)
        (note,) = catalog.notes
        assert note == (
            "The collection has format 1 and cannot be written: a copy in memory, upgraded to "
            f"format {FORMAT}, is used"
        )
        check_contents(catalog, expected_of(DETAILS_OF_BYTES), halved=True)
        with pytest.raises(CollectionError, match="is read-only"):
            catalog.add_roots([b"/new"])
        catalog.close()
    finally:
        store.chmod(0o700)
    assert (store / "catalog.sqlite").read_bytes() == before
    assert [path.name for path in store.iterdir()] == ["catalog.sqlite"]
