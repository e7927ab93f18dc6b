"""Shards that are read and embedded: the same rows as on one machine, or a reason."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from drawings import scene

from dedup.collection import Collection
from dedup.distributed import commits, embed
from dedup.distributed.collection import SharedCollection
from dedup.distributed.embed import CHANGED, GONE, embed_rows, embed_shard
from dedup.distributed.embedding import look_apart, tasks, transient_ids
from dedup.distributed.engine import EngineError
from dedup.distributed.listing import list_generation, shards
from dedup.distributed.run import Meta, Run, read_meta
from dedup.distributed.schemas import embed_schema, file_id
from dedup.distributed.storage import Storage, StorageError
from dedup.errors import FingerprintError
from dedup.images.decode import DECODER

if TYPE_CHECKING:
    from pathlib import Path


def indexed(tmp_path: Path, folder: Path, shard: int = 8192, engine: str = "inline") -> Run:
    url = f"file://{tmp_path}/store"
    with SharedCollection.open(url, create=True, shard=shard, engine=engine) as shared:
        shared.index(f"file://{folder}")
    meta = read_meta(Storage.at(url))
    assert meta is not None
    return Run(url, meta)


def stored_rows(store: Path) -> list[tuple[str, dict[str, Any]]]:
    """Read what a catalog holds of each file, by the columns of an embed shard."""
    with closing(sqlite3.connect(store / "catalog.sqlite")) as catalog:
        catalog.row_factory = sqlite3.Row
        found = []
        for row in catalog.execute(
            "SELECT files.path AS key, images.*, parts.value AS parts FROM files JOIN images"
            " ON images.id = files.image LEFT JOIN parts ON parts.image = images.id"
        ):
            facts = {name: row[name] for name in row.keys() if name in _FACTS}  # noqa: SIM118
            facts |= {"trivial": bool(facts["trivial"]), "damaged": bool(facts["damaged"])}
            for layer, vector, norm in catalog.execute(
                "SELECT layer, vector, norm FROM embeddings WHERE image = ?", (row["id"],)
            ):
                facts |= {f"vector.{layer}": vector, f"norm.{layer}": norm}
            found.append((os.fsdecode(row["key"]), facts))
        return found


_FACTS = {
    "digest", "format", "width", "height", "frames", "trivial", "input_digest", "damaged",
    "remark", "parts",
}  # fmt: skip


def assert_same(row: dict[str, Any], facts: dict[str, Any]) -> None:
    """Check facts of a row; an embedding's last bits depend on the others in its batch."""
    for key, fact in facts.items():
        if key.startswith("norm."):
            assert row[key] == pytest.approx(fact, rel=1e-4), key
        elif key.startswith("vector.") and key != "vector.details":
            one, other = (np.frombuffer(value, np.float16) for value in (row[key], fact))
            assert one == pytest.approx(other, abs=1e-3), key
        else:
            assert row[key] == fact, key


def rows_of(run: Run) -> list[dict[str, Any]]:
    done = commits.committed(run.storage, "embed")
    return [row for one in done.values() for row in commits.read(run.storage, one).to_pylist()]


def test_rows_are_those_of_one_machine(drawn: Path, tmp_path: Path) -> None:
    run = indexed(tmp_path, drawn, shard=5)
    rows = rows_of(run)
    with Collection.create(tmp_path / "one") as one:
        one.index(drawn)
    expected = stored_rows(tmp_path / "one")
    assert {row["key"]: row["reason"] for row in rows if row["reason"]} == {
        "cut.jpg": "truncated",
        "text.jpg": "not an image, or of a format that is not read",
    }
    found = [row for row in rows if row["reason"] is None]
    assert {row["key"] for row in found} == {name for name, _ in expected}
    assert len(found) == 16
    by_key = {row["key"]: row for row in found}
    for name, facts in expected:
        assert_same(by_key[name], facts)
    assert [row["id"] for row in rows[4:7]] == [file_id(0, 4), file_id(1, 0), file_id(1, 1)]
    assert {*rows[0]} == set(embed_schema(run.meta.pinned.stored).names)


def test_a_shard_counts_what_became_of_its_files(drawn: Path, tmp_path: Path) -> None:
    run = indexed(tmp_path, drawn)
    (done,) = commits.committed(run.storage, "embed").values()
    counts = {name: done.extra[name] for name in ("indexed", "reused", "skipped", "transient")}
    assert counts == {"indexed": 14, "reused": 2, "skipped": 2, "transient": 0}
    assert done.extra["bytes"] == sum(file.stat().st_size for file in drawn.rglob("*.*"))
    assert 0 < done.extra["seconds"] < 60


def test_copies_of_what_a_process_embedded_lately_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        scene(number % 4, (64, 64)).save(tmp_path / f"{number}.png")
    with SharedCollection.open(f"file://{tmp_path}/store", create=True, engine="inline") as shared:
        run = shared.run
    (listed,) = list_generation(run, [f"file://{tmp_path}"]).shards
    rows = commits.read(run.storage, listed).to_pylist()
    before: dict[bytes, Any] = {}
    first, _ = embed_rows(run, rows[:3], 0, before)
    digests = first["digest"].to_pylist()
    assert [*before] == digests
    before[digests[1]] = before[digests[1]]._replace(parts=b"as it was kept")
    monkeypatch.setattr(embed, "_REMEMBERED", 2)
    again, counts = embed_rows(run, rows[3:], 1, before)
    assert (counts["indexed"], counts["reused"]) == (3, 0)  # whoever did the shard before
    assert again["parts"].to_pylist()[1:] == [first["parts"][0].as_py(), b"as it was kept"]
    for name in set(first.column_names) - {"id", "key", "mtime_ns", "etag", "parts"}:
        assert again[name].to_pylist()[1:] == first[name].to_pylist()[:2], name
    assert [*before] == [digests[2], again["digest"][0].as_py()]


def test_what_changed_after_it_was_listed_is_read_next_time(images: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    with SharedCollection.open(url, create=True, engine="inline") as shared:
        run = shared.run
    list_generation(run, [f"file://{images}"])
    scene(77).save(images / "a/3.jpg")
    (images / "a/5.jpg").unlink()
    (listed,) = shards(run.storage).values()
    assert embed_shard(run, listed, False) == "committed"
    assert embed_shard(run, listed, False) == "was there"
    rows = {row["key"]: row for row in rows_of(run)}
    assert (rows["a/3.jpg"]["reason"], rows["a/3.jpg"]["transient"]) == (CHANGED.reason, True)
    assert (rows["a/5.jpg"]["reason"], rows["a/5.jpg"]["digest"]) == (GONE.reason, None)
    assert transient_ids(run.storage) == {rows["a/3.jpg"]["id"], rows["a/5.jpg"]["id"]}
    with SharedCollection.open(url, create=True, engine="inline") as shared:
        summary = shared.index(f"file://{images}")
        assert (summary.indexed, summary.gone, summary.unchanged) == (1, 1, 14)
        status = shared.status()
        assert (status.files, status.indexed, status.skipped, status.gone) == (17, 15, 2, 2)


def test_a_shard_without_answers_is_not_committed(bucket: str, tmp_path: Path) -> None:
    place = Storage.at(bucket)
    for number in range(4):
        scene(number, (64, 64)).save(tmp_path / "one.jpg")
        place.put(f"photos/{number}.jpg", (tmp_path / "one.jpg").read_bytes())
    with SharedCollection.open(f"{bucket}/store", create=True, engine="inline") as shared:
        run = shared.run
    found = list_generation(run, [f"{bucket}/photos"])
    rows = commits.read(run.storage, found.shards[0])
    elsewhere = rows.set_column(0, "root", [[f"{bucket}-missing/photos"] * 4])
    listed = commits.commit(run.storage, "elsewhere", "000000", elsewhere)
    assert listed is not None
    with pytest.raises(StorageError, match=r"cannot be read\. The last: .*bucket"):
        embed_shard(run, listed, False)
    assert commits.committed(run.storage, "embed") == {}


def test_another_decoder_is_refused(drawn: Path, tmp_path: Path) -> None:
    run = indexed(tmp_path, drawn)
    other = replace(run.meta.pinned, decoder="pillow 1")
    wrong = Run(run.store, Meta(other.to_json()))
    (listed,) = shards(run.storage).values()
    with pytest.raises(FingerprintError, match=f"other decoders: pillow 1; here are {DECODER}"):
        embed_shard(wrong, listed, False)


def test_a_shard_is_looked_through_once(drawn: Path, tmp_path: Path) -> None:
    run = indexed(tmp_path, drawn)
    (task,) = tasks(run, [*shards(run.storage).values()], {}, own=True)
    (apart,) = look_apart(task, "SIGSEGV")
    assert apart.arguments == (*task.arguments, True)
    with pytest.raises(EngineError, match="although each image was read in one of its own"):
        look_apart(apart, "SIGKILL")


def test_names_that_are_no_text_are_rows_with_a_reason(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in (b"line\nbreak.jpg", b"\xff.jpg", "ü%20+.jpg".encode()):
        scene(1, (64, 64)).save(folder / "one.jpg")
        os.rename(folder / "one.jpg", os.fsencode(folder) + b"/" + name)
    rows = {row["key"]: row["reason"] for row in rows_of(indexed(tmp_path, folder))}
    assert rows == {
        "\\xff.jpg": "its name is not UTF-8; rename it",
        "line\nbreak.jpg": None,
        "ü%20+.jpg": None,
    }


@pytest.fixture
def odd(shared: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "odd"
    shutil.copytree(shared / "data/odd", folder)
    return folder


def test_odd_files_end_as_on_one_machine(odd: Path, tmp_path: Path) -> None:
    run = indexed(tmp_path, odd, shard=16)
    with Collection.create(tmp_path / "one") as one:
        one.index(odd)
        skips = {os.path.relpath(skip.path, odd): skip.reason for skip in one.skipped()}
    rows = rows_of(run)
    assert {row["key"]: row["reason"] for row in rows if row["reason"]} == skips
    assert len(skips) > 10
    by_key = {row["key"]: row for row in rows}
    for name, facts in stored_rows(tmp_path / "one"):
        assert_same(by_key[name], facts)
