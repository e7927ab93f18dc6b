from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from outcome import SMALL_MODEL

from dedup.collection import Collection
from dedup.errors import CollectionError, DamagedError, DedupError
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog
from dedup.store.checksums import COVERED, checksum_of
from dedup.store.pairs import Decision, read_decisions, write_decisions
from dedup.store.repair import repair_catalog
from dedup.store.schema import translated

if TYPE_CHECKING:
    from pathlib import Path

SEED = 16


def changed(store: Path, *statements: str) -> None:
    """Change rows as a failing disk does: below the functions that write checksums."""
    with closing(sqlite3.connect(store / "catalog.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement)


def seen(store: Path) -> list[Any]:
    """What a program that deletes would act upon."""
    with Collection.open(store) as collection:
        answer = collection.duplicates(join="exact")
        groups = [
            (group.keeper, group.tier, [(one.path, one.tier) for one in group.duplicates])
            for group in answer
        ]
        nearest = collection.query(groups[0][0], 3) if groups else ()
        rows = [
            [(one.path, one.reason) for one in collection.skipped()],
            [(one.path, round(one.similarity, 4)) for one in nearest],
        ]
        return [groups, rows, answer.notes]


@pytest.fixture
def small(drawn: Path, tmp_path: Path) -> Path:
    """A collection of three images, with an index and proofs."""
    folder = tmp_path / "three"
    folder.mkdir()
    for name in ("a/0.jpg", "b/0 copy.jpg", "b/2 small.jpg", "a/2.jpg"):
        shutil.copyfile(drawn / name, folder / name.replace("/", " "))
    store = tmp_path / "small"
    with Collection.create(store, ModelSpec(SMALL_MODEL, untrained=True)) as collection:
        collection.index(folder)
    assert seen(store)[0]
    assert (store / "index.faiss").is_file()
    return store


def flipped(data: bytes, place: int, bit: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def test_every_row_has_a_checksum(store: Path) -> None:
    seen(store)  # writes verdicts and digests of pixels
    with closing(sqlite3.connect(store / "catalog.sqlite")) as connection:
        for table, columns in COVERED.items():
            rows = connection.execute(f"SELECT {', '.join(columns)}, checksum FROM {table}")  # noqa: S608 - constants
            for *values, checksum in rows:
                assert checksum == checksum_of(table, values), (table, values)
        assert connection.execute("SELECT min(checksum) > 4294967295 FROM embeddings").fetchone()[0]


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE images SET width = width + 1 WHERE id = 1", "1 image"),
        pytest.param(
            "UPDATE images SET input_digest = zeroblob(16) WHERE id = 1",
            "1 image",
            marks=pytest.mark.slow,
        ),
        ("UPDATE files SET state = 'gone' WHERE id = 1", "1 file"),
        pytest.param(
            "UPDATE files SET state = 'indexee' WHERE id = 1", "1 file", marks=pytest.mark.slow
        ),
        ("UPDATE files SET image = 999 WHERE id = 1", "1 file"),
        pytest.param(
            "UPDATE files SET path = CAST('x' AS BLOB) WHERE id = 1",
            "1 file",
            marks=pytest.mark.slow,
        ),
        ("UPDATE embeddings SET norm = norm * 2 WHERE id = 1", "1 embedding"),
        pytest.param(
            "UPDATE embeddings SET layer = 'detailt' WHERE id = 2",
            "1 embedding",
            marks=pytest.mark.slow,
        ),
        ("UPDATE embeddings SET vector = zeroblob(length(vector)) WHERE id = 1", "1 embedding"),
        ("DELETE FROM files WHERE id = 1", "1 file"),
    ],
)
def test_a_damaged_row_is_left_out_counted_and_mended_by_indexing(
    statement: str, what: str, store: Path
) -> None:
    before = seen(store)
    changed(store, statement)
    groups, _, notes = seen(store)
    assert [note for note in notes if f"left out: {what}" in note and "dedup repair" in note]
    with Collection.open(store) as collection:
        known = {
            path: members
            for keeper, _, duplicates in before[0]
            for members in [{keeper, *(path for path, _ in duplicates)}]
            for path in members
        }
        for keeper, _, duplicates in groups:
            for path, _ in duplicates:
                assert path in known[keeper]
        damaged = (store / "catalog.sqlite").read_bytes()
        assert not (store / "catalog.repair.bak").exists()
        summary = collection.index()
        if "DELETE" not in statement:
            (note,) = (each for each in summary.notes if "dropped" in each)
            assert "damaged row" in note
            assert "kept as catalog.repair.bak" in note
            assert (store / "catalog.repair.bak").stat().st_size == len(damaged)
        assert len(collection.verify()) == 0
    assert seen(store) == before


@pytest.mark.parametrize(
    "change",
    [
        "state = 'gone'",
        "image = 2",
        *(
            pytest.param(change, marks=pytest.mark.slow)
            for change in ("size = size + 1", "inode = inode + 1", "tried_with = 'x'")
        ),
    ],
)
def test_a_file_whose_row_is_damaged_does_not_count_as_unchanged(
    change: str, images: Path, tmp_path: Path
) -> None:
    store = tmp_path / "own"
    with Collection.create(store, ModelSpec(views="details")) as collection:
        collection.index(images)
        before = collection.index()
        (images / "new.jpg").write_bytes((images / "a/0.jpg").read_bytes())  # else nothing is read
        changed(store, f"UPDATE files SET {change} WHERE path = CAST('a/3.jpg' AS BLOB)")  # noqa: S608 - constants
        after = collection.index()
        assert (after.unchanged, after.reused, after.indexed) == (before.unchanged - 1, 2, 0)
        assert after.notes[0].startswith("1 damaged row of the catalog dropped")
        assert len(collection.verify()) == 0


def test_a_lost_folder_is_named_by_indexing(images: Path, tmp_path: Path) -> None:
    store = tmp_path / "own"
    with Collection.create(store, ModelSpec(views="details")) as collection:
        found = collection.index(images).found
        changed(store, "UPDATE roots SET exclude = 'x'")
        with pytest.raises(CollectionError, match=r"Lost: a folder's name .*images.; index that"):
            collection.index()
        again = collection.index(images)
        assert (again.found, again.indexed, again.notes) == (found, 0, ())


@pytest.mark.parametrize(
    ("statement", "note", "figures"),
    [
        ("UPDATE files SET size = size + 1 WHERE id = 1", "1 file", (-1, None, 0)),
        ("UPDATE images SET width = 0 WHERE id IN (1, 2)", "2 images", (0, -2, 0)),
        ("DELETE FROM files WHERE id = 1", "1 file", (-1, None, 0)),
        ("UPDATE roots SET exclude = 'x'", "1 folder", (0, 0, -1)),
    ],
)
def test_status_counts_no_damaged_row_and_says_so(
    statement: str, note: str, figures: tuple[int, int | None, int], store: Path
) -> None:
    with Collection.open(store) as collection:
        before = collection.status()
        assert before.notes == ()
        changed(store, statement)
        after = collection.status()
        assert f"left out: {note}. " in after.notes[0]
        assert "`dedup repair`" in after.notes[0]
        assert after.files == before.files + figures[0]
        if figures[1] is not None:
            assert after.images == before.images + figures[1]
        assert len(after.roots) == len(before.roots) + figures[2]


def test_a_damaged_verdict_is_proven_again(store: Path) -> None:
    before = seen(store)
    changed(store, "UPDATE verdicts SET tier = iif(tier IS NULL, 'near', NULL)")
    assert seen(store) == before


def test_a_damaged_decision_is_reported_and_not_applied(store: Path) -> None:
    catalog = Catalog.open(store)
    pairs = [(bytes([number]) * 32, b"\xff" * 32) for number in range(2)]
    decisions = [Decision(pair, duplicate=False, decided="2026-01-02") for pair in pairs]
    write_decisions(catalog, decisions)
    changed(store, "UPDATE decisions SET duplicate = 1 WHERE first = zeroblob(32)")
    assert list(read_decisions(catalog)) == [pairs[1]]
    assert "1 decision" in catalog.damage[0]
    catalog.close()
    with Collection.open(store) as collection:
        answer = collection.repair()
        assert [one.kind for one in answer] == ["decision"]
        assert any("decide again" in note for note in answer.notes)
        assert [one.first for one in collection.decisions()] == ["01" * 32]


def test_a_damaged_calibration_counts_as_none(store: Path) -> None:
    before = seen(store)
    changed(store, "INSERT INTO calibration VALUES (1, '{\"calibration\": 1}', NULL, 12345)")
    groups, _, notes = seen(store)
    assert groups == before[0]
    assert "1 calibration" in notes[-1]


@pytest.mark.parametrize("key", ["fingerprint", "version"])
def test_damaged_facts_of_the_collection_are_one_clear_error(key: str, store: Path) -> None:
    changed(store, f"UPDATE meta SET value = value || ' ' WHERE key = '{key}'")  # noqa: S608 - constant
    with pytest.raises(DamagedError, match=f"its {key} is not what was written.*dedup repair"):
        _ = Catalog.open(store).version


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW v AS SELECT * FROM files",
        "CREATE TRIGGER t AFTER INSERT ON files BEGIN DELETE FROM images; END",
        "CREATE VIRTUAL TABLE f USING fts5(a)",
        "CREATE TABLE more (a)",
        "ALTER TABLE files ADD COLUMN more INTEGER",
        "DROP TABLE verdicts",
        "DROP INDEX files_by_image",
        "CREATE INDEX more ON files (abs(size))",
        "UPDATE roots SET path = CAST('relative' AS BLOB), checksum = NULL",
        "UPDATE files SET path = CAST('../../etc/passwd' AS BLOB), checksum = NULL WHERE id = 1",
        "UPDATE files SET path = CAST('/etc/passwd' AS BLOB), checksum = NULL WHERE id = 1",
        "UPDATE files SET path = X'610062', checksum = NULL WHERE id = 1",
    ],
)
def test_what_is_no_catalog_of_ours_is_refused(statement: str, store: Path) -> None:
    changed(store, statement)
    with pytest.raises(DamagedError, match="damaged or foreign catalog"):
        seen(store)


def test_a_question_that_does_not_end_is_interrupted(store: Path) -> None:
    catalog = Catalog.open(store)
    connection = catalog.connection
    connection.set_progress_handler(lambda: True, 1000)
    endless = (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    )
    with (
        pytest.raises(DamagedError, match="does not end"),
        translated(store),
    ):
        connection.execute(endless).fetchone()
    catalog.close()


def test_a_damaged_index_of_the_database_is_written_anew(store: Path) -> None:
    before = seen(store)
    path = store / "catalog.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        page = "SELECT rootpage FROM sqlite_master WHERE name = 'files_by_image'"
        (number,) = connection.execute(page).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    data[(number - 1) * size + size - 3] ^= 2
    path.write_bytes(data)
    with Collection.open(store) as collection:
        assert {one.kind for one in collection.verify()} == {"catalog"}
        answer = collection.repair()
        assert {one.kind for one in answer} == {"catalog"}
        assert len(collection.verify()) == 0
    assert seen(store) == before
    assert (store / "catalog.repair.bak").is_file()
    assert not (store / "repair.partial").exists()


def outcome_of(store: Path, good: list[Any]) -> str:
    """Say how a damaged collection answers, which has to be rightly or with a word about it."""
    try:
        groups, rows, notes = seen(store)
    except DedupError:
        return "error"
    if any("amaged" in note for note in notes):
        return "note"
    assert [groups, rows] == good[:2], "a different answer without a word"
    return "same"


@pytest.mark.parametrize("flips", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_one_byte_flips_anywhere_give_the_same_answer_or_a_word(
    flips: int, small: Path, tmp_path: Path
) -> None:
    store, good = small, seen(small)
    rng = random.Random(SEED + flips)  # noqa: S311 - not for secrets
    files = sorted(path for path in store.iterdir() if path.stat().st_size)
    counts = {"same": 0, "note": 0, "error": 0}
    for number in range(flips):
        victim = rng.choice(files)
        data = victim.read_bytes()
        copy = tmp_path / "flipped"
        shutil.copytree(store, copy)
        place = rng.randrange(len(data))
        (copy / victim.name).write_bytes(flipped(data, place, rng.randrange(8)))
        try:
            counts[outcome_of(copy, good)] += 1
        except AssertionError as error:
            raise AssertionError(f"flip {number}: byte {place} of {victim.name}") from error
        shutil.rmtree(copy)
    assert sum(counts.values()) == flips
    assert counts["same"]


@pytest.mark.slow
def test_every_byte_of_chosen_rows(small: Path, tmp_path: Path) -> None:
    store, good = small, seen(small)
    texts = {"state": "files", "path": "files", "digest": "images", "format": "images"}
    for column, table in texts.items():
        with closing(sqlite3.connect(store / "catalog.sqlite")) as connection:
            (value,) = connection.execute(
                f"SELECT CAST({column} AS BLOB) FROM {table} WHERE id = 1"  # noqa: S608 - constants
            ).fetchone()
        kind = "BLOB" if column in {"path", "digest"} else "TEXT"
        for place in range(len(value)):
            copy = tmp_path / "changed"
            shutil.copytree(store, copy)
            new = flipped(value, place, 7).hex()
            statement = f"UPDATE {table} SET {column} = CAST(X'{new}' AS {kind}) WHERE id = 1"  # noqa: S608 - constants
            changed(copy, statement)
            assert outcome_of(copy, good) == "note", (column, place)
            shutil.rmtree(copy)


def test_a_repair_that_ended_before_reading_again_is_finished_by_the_next(store: Path) -> None:
    before = seen(store)
    changed(store, "UPDATE embeddings SET vector = zeroblob(length(vector)) WHERE id = 1")
    assert repair_catalog(store)  # and here the process was killed
    with Collection.open(store) as collection:
        answer = collection.repair()
        assert len(answer) == 0
        assert any("Read again" in note for note in answer.notes)
        assert not any("Read again" in note for note in collection.repair().notes)
    assert seen(store) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_damaged_collection_that_cannot_be_written_is_read(store: Path) -> None:
    changed(store, "UPDATE images SET width = width + 1 WHERE id = 1")
    store.chmod(0o500)
    (store / "catalog.sqlite").chmod(0o400)
    try:
        assert "1 image" in seen(store)[2][-1]
    finally:
        store.chmod(0o700)


def test_misuse_is_never_called_damage(store: Path) -> None:
    catalog = Catalog.open(store)
    catalog.close()
    with pytest.raises(CollectionError, match="closed") as caught:
        _ = catalog.version
    assert not isinstance(caught.value, DamagedError)
