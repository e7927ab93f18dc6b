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
    assert "2 findings. `dedup repair` fixes what it can." in done.err
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
    (store / "catalog.sqlite").write_bytes(b"no database")
    for command in ("verify", "repair"):
        refused = dedup(command, "--store", store)
        assert refused.code == 1
        assert "damaged or foreign catalog" in refused.err


def test_a_lost_model_is_named_again_and_no_decision_is_lost(
    dedup: Dedup, images: Path, tmp_path: Path
) -> None:
    store, pair = tmp_path / "own", (images / "a/2.jpg", images / "b/2 small.jpg")
    model = ("--model", "mobilenetv3_small_050", "--untrained", "--store", store)
    dedup("index", images, *model)
    dedup("ignore", *pair, "--store", store)
    listed = dedup("list", "--store", store)
    assert "2 small" not in listed.text
    dedup("ignore", "--export", tmp_path / "before", "--store", store)
    damage(store, "UPDATE meta SET value = replace(value, '224', '225') WHERE key = 'fingerprint'")
    assert dedup("verify", "--store", store).code == 3
    for _ in range(2):  # the second time nothing is left to drop
        done = dedup("repair", "--store", store)
        assert done.code == 0
        assert [(row["kind"], row["path"]) for row in rows(done)] == [("meta", "fingerprint")]
        assert "dedup index --model NAME" in done.err
        assert "(it may have been mobilenetv3_small_050)" in done.err
    for command in (("list",), ("query", pair[0]), ("index",), ("status",)):
        refused = dedup(*command, "--store", store)
        assert refused.code == 1
        assert "Name a model again: dedup index --model NAME" in refused.err
    again = dedup("index", *model)  # the folders are known
    assert again.code == 0, again.err
    assert dedup("verify", "--store", store).code == 0
    assert dedup("list", "--store", store).out == listed.out
    dedup("ignore", "--export", tmp_path / "after", "--store", store)
    assert (tmp_path / "after").read_bytes() == (tmp_path / "before").read_bytes() != b""
    other = dedup("index", "--model", "resnet18", "--untrained", "--store", store)
    assert (other.code, "was made with model: mobilenetv3" in other.err) == (1, True)


def test_a_damaged_decision_is_named_by_its_images(dedup: Dedup, store: Path, drawn: Path) -> None:
    names = drawn / "a/3.jpg", drawn / "a/4.jpg"
    dedup("ignore", *names, "--store", store)
    damage(store, "UPDATE decisions SET duplicate = 1")
    (row,) = rows(dedup("repair", "--store", store))
    assert row["kind"] == "decision"
    assert row["detail"].startswith("fails its checksum; it was about ")
    assert all(os.fspath(name) in row["detail"] for name in names)


def test_no_collection(dedup: Dedup, tmp_path: Path) -> None:
    for command in ("verify", "repair"):
        done = dedup(command, "--store", tmp_path / "none")
        assert done.code == 1
        assert "there is no collection here" in done.err
