"""`dedup verify` and `dedup repair`, on collections that were damaged as disks do it."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Dedup = Callable[..., Outcome]


def rows(done: Outcome) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.out.splitlines()]


def damage(store: Path, *statements: str) -> None:
    with closing(sqlite3.connect(store / "catalog.sqlite", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_sound_collection_says_so(dedup: Dedup, store: Path) -> None:
    done = dedup("verify", "--store", store)
    assert (done.code, done.out) == (0, b"")
    assert "Everything is as it was written." in done.err
    mended = dedup("repair", "--store", store)
    assert (mended.code, mended.out) == (0, b"")
    assert "Nothing to repair." in mended.err
    assert not (store / "catalog.repair.bak").exists()


def test_what_is_damaged_is_listed_and_repaired(dedup: Dedup, store: Path, drawn: Path) -> None:
    before = dedup("list", "--store", store)
    path = "(SELECT id FROM files WHERE path = CAST('a/0.jpg' AS BLOB))"
    damage(
        store,
        f"UPDATE files SET size = size + 1 WHERE id = {path}",  # noqa: S608 - constant
        "UPDATE embeddings SET norm = -1 WHERE layer != 'details' AND image ="  # noqa: S608 - constant
        f" (SELECT image FROM files WHERE id = {path})",
    )
    done = dedup("verify", "--store", store)
    name = os.fspath(drawn / "a/0.jpg")
    assert done.code == 3
    assert [list(row) for row in rows(done)] == [["kind", "path", "detail"]] * 2
    assert {row["kind"] for row in rows(done)} == {"embedding", "file"}
    assert name in {row["path"] for row in rows(done)}
    assert "2 findings. `dedup repair` makes good what can be." in done.err
    mended = dedup("repair", "--store", store)
    assert mended.code == 0
    assert len(rows(mended)) == 2
    assert "catalog.repair.bak" in mended.err
    assert dedup("verify", "--store", store).code == 0
    assert dedup("list", "--store", store).out == before.out


def test_deep_finds_content_that_changed_in_silence(
    dedup: Dedup, images: Path, tmp_path: Path
) -> None:
    store = tmp_path / "own"
    indexed = dedup(
        "index", images, "--store", store, "--model", "mobilenetv3_small_050", "--untrained"
    )
    assert indexed.code == 0
    victim = images / "a" / "1.jpg"
    facts = victim.stat()
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 4
    victim.write_bytes(data)
    os.utime(victim, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert dedup("verify", "--store", store).code == 0
    done = dedup("verify", "--deep", "--store", store)
    assert done.code == 3
    assert [(row["kind"], row["path"]) for row in rows(done)] == [("content", os.fspath(victim))]
    assert "Compared 16 files with what was indexed." in done.err


def test_a_damaged_index_is_found_and_removed(dedup: Dedup, store: Path, drawn: Path) -> None:
    before = dedup("query", drawn / "a/0.jpg", "--store", store)
    index = store / "index.faiss"
    data = bytearray(index.read_bytes())
    data[40] ^= 1
    index.write_bytes(data)
    done = dedup("verify", "--store", store)
    assert done.code == 3
    assert [row["kind"] for row in rows(done)] == ["index"]
    assert dedup("repair", "--store", store).code == 0
    assert dedup("verify", "--store", store).code == 0
    assert dedup("query", drawn / "a/0.jpg", "--store", store).out == before.out


def test_what_cannot_be_repaired_says_what_to_do(dedup: Dedup, store: Path) -> None:
    damage(store, "UPDATE meta SET value = 'x' WHERE key = 'fingerprint'")
    assert dedup("verify", "--store", store).code == 3
    done = dedup("repair", "--store", store)
    assert done.code == 1
    assert "the model that it was made with is lost" in done.err
    (store / "catalog.sqlite").write_bytes(b"no database")
    for command in ("verify", "repair"):
        refused = dedup(command, "--store", store)
        assert refused.code == 1
        assert "damaged or foreign catalog" in refused.err


def test_no_collection(dedup: Dedup, tmp_path: Path) -> None:
    for command in ("verify", "repair"):
        done = dedup(command, "--store", tmp_path / "none")
        assert done.code == 1
        assert "there is no collection here" in done.err
