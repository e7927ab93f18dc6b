"""Generations of a listing: what is new, changed and gone, on real folders and a real endpoint."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from dedup.binding import prepare
from dedup.distributed import commits
from dedup.distributed.listing import (
    Generation,
    generations,
    gone_ids,
    known_rows,
    latest,
    list_generation,
    shards,
)
from dedup.distributed.run import Meta, Run
from dedup.distributed.schemas import LISTED, file_id
from dedup.distributed.storage import Storage, StorageError
from dedup.errors import SourceError
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    pinned = prepare(ModelSpec(views="details")).fingerprint
    return Run(f"file://{tmp_path}/store", Meta(pinned.to_json(), shard=4))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("b/1.jpg", "b-2.jpg", "a/0.JPG", "c/3.png", "c/4.webp", "z.jpg"):
        put(folder / name, name.encode())
    for name in ("notes.txt", ".hidden/5.jpg", "c/.6.jpg", "@eaDir/7.jpg", "jpg"):
        put(folder / name, b"left out")
    return folder


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def counts(found: Generation) -> tuple[int, int, int, int]:
    return found.new, found.changed, found.lost, found.unchanged


def keys(run: Run) -> list[str]:
    found = latest(run.storage)
    assert found is not None
    return [row.key for row in known_rows(run.storage, found)]


def test_a_first_generation_lists_images_by_key_in_shards(run: Run, photos: Path) -> None:
    found = list_generation(run, [f"file://{photos}/"])
    assert counts(found) == (6, 0, 0, 0)
    assert (found.number, found.files, found.size) == (0, 6, sum(map(len, _NAMES)))
    assert keys(run) == _NAMES
    assert [(one.shard, one.rows) for one in found.shards] == [("000000", 4), ("000001", 2)]
    rows = commits.read(run.storage, found.shards[1]).to_pylist()
    assert [row["key"] for row in rows] == ["c/4.webp", "z.jpg"]
    assert set(rows[0]) == {*LISTED.names, "reason"}
    assert rows[0]["root"] == f"file://{photos}"
    assert rows[0]["mtime_ns"] // 1000 == (photos / "c/4.webp").stat().st_mtime_ns // 1000
    assert latest(run.storage) == found


_NAMES = ["a/0.JPG", "b-2.jpg", "b/1.jpg", "c/3.png", "c/4.webp", "z.jpg"]


def test_a_second_generation_holds_what_changed(run: Run, photos: Path) -> None:
    first = list_generation(run, [f"file://{photos}"])
    ids = {row.key: row.id for row in known_rows(run.storage, first)}
    assert ids == {
        name: file_id(0, n) if n < 4 else file_id(1, n - 4) for n, name in enumerate(_NAMES)
    }
    put(photos / "b/1.jpg", b"other content")
    put(photos / "b/9.jpg", b"new")
    put(photos / "zz.jpg", b"new")
    (photos / "c/3.png").unlink()
    second = list_generation(run)
    assert counts(second) == (2, 1, 1, 4)
    assert [(one.shard, one.rows) for one in second.shards] == [("000002", 3)]
    assert [*gone_ids(run.storage)] == [ids["b/1.jpg"], ids["c/3.png"]]
    now = {row.key: row.id for row in known_rows(run.storage, second)}
    assert [*now] == ["a/0.JPG", "b-2.jpg", "b/1.jpg", "b/9.jpg", "c/4.webp", "z.jpg", "zz.jpg"]
    assert [now[key] for key in ("b/1.jpg", "b/9.jpg", "zz.jpg")] == [
        file_id(2, row) for row in range(3)
    ]
    assert now["z.jpg"] == ids["z.jpg"]
    assert [*shards(run.storage)] == ["000000", "000001", "000002"]
    assert len(generations(run.storage)) == 2


def test_nothing_new_is_no_generation_and_writes_nothing(run: Run, photos: Path) -> None:
    list_generation(run, [f"file://{photos}"])
    before = [*run.storage.list()]
    found = list_generation(run, [f"file://{photos}"])
    assert (found.number, counts(found)) == (0, (0, 0, 0, 6))
    assert [*run.storage.list()] == before


def test_what_is_to_be_read_again_gets_another_id(run: Run, photos: Path) -> None:
    list_generation(run, [f"file://{photos}"])
    found = list_generation(run, again={file_id(0, 1)})
    assert counts(found) == (0, 1, 0, 5)
    assert [*gone_ids(run.storage)] == [file_id(0, 1)]


def test_chunks_in_which_nothing_changed_are_taken_over(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dedup.distributed.chunks._CHUNK", 2)
    first = list_generation(run, [f"file://{photos}"])
    assert [one.rows for one in first.known] == [2, 2, 2]
    put(photos / "b/2.jpg", b"new")  # between b/1.jpg and c/3.png: in the second chunk
    second = list_generation(run)
    assert [one.rows for one in second.known] == [2, 2, 1, 2]
    assert (second.known[0], second.known[-1]) == (first.known[0], first.known[-1])
    assert keys(run) == sorted([*_NAMES, "b/2.jpg"])


def test_several_roots_and_one_that_lists_nothing(run: Run, photos: Path, tmp_path: Path) -> None:
    put(tmp_path / "more/x.jpg", b"x")
    urls = [f"file://{tmp_path}/more", f"file://{photos}"]
    assert list_generation(run, urls).files == 7
    put(tmp_path / "more/y.jpg", b"y")
    found = list_generation(run, urls[1:])  # the other one stays as it was
    assert (found.number, found.files) == (0, 7)
    shutil.rmtree(photos)
    photos.mkdir()
    found = list_generation(run, urls)
    assert counts(found) == (1, 0, 0, 7)
    assert found.notes == (f"file://{photos} lists nothing: its images are kept",)
    assert found.roots == (f"file://{tmp_path}/more", f"file://{photos}")
    put(photos / "a/0.JPG", b"back, with other bytes")
    assert counts(list_generation(run)) == (0, 1, 5, 2)


def test_patterns_are_kept_and_the_store_itself_is_left_out(photos: Path) -> None:
    pinned = prepare(ModelSpec(views="details")).fingerprint
    run = Run(f"file://{photos}/c", Meta(pinned.to_json(), shard=4))
    found = list_generation(run, [f"file://{photos}"], exclude=("b/",))
    assert keys(run) == ["a/0.JPG", "b-2.jpg", "z.jpg"]
    put(photos / "b/2.jpg", b"new")
    assert list_generation(run) == Generation(
        0, found.roots, ("b/",), (), None, found.known, 1, 3, found.size
    )
    assert counts(list_generation(run, exclude=())) == (2, 0, 0, 3)


def test_roots_that_cannot_be_listed_are_refused(run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    put(tmp_path / "texts/a.txt", b"a")
    for folder, words in (
        ("empty", "no file below it"),
        ("texts", "no file below it has the name of an image"),
        ("missing", "no file below it"),
    ):
        with pytest.raises(SourceError, match=words):
            list_generation(run, [f"file://{tmp_path}/{folder}"])
    with pytest.raises(StorageError, match="no place in object storage"):
        list_generation(run, [os.fspath(photos)])
    with pytest.raises(SourceError, match="nothing was listed yet"):
        list_generation(run)
    assert not [*run.storage.list()]
    assert not (tmp_path / "missing").exists()
    list_generation(run, [f"file://{photos}/c"])
    with pytest.raises(SourceError, match=f"{photos} holds file://{photos}/c"):
        list_generation(run, [f"file://{photos}"])


def test_the_driver_that_loses_takes_the_generation_of_the_other(run: Run, photos: Path) -> None:
    found: list[Generation] = []

    def meanwhile(*_: object) -> None:
        if not found:
            found.append(list_generation(run, [f"file://{photos}"]))

    for number in range(1000):  # so many that the first tells of its progress
        put(photos / f"many/{number:04d}.jpg", b"")
    lost = list_generation(run, [f"file://{photos}"], progress=meanwhile)
    assert lost == found[0] == latest(run.storage)
    named = {one.key for one in (*lost.shards, *lost.known)}
    assert {one.key for one in run.storage.list("list/")} == named | {
        "list/_done/000000.json",
        commits.committed(run.storage, "list")["000000"].key,
    }


def test_buckets_are_listed_alike(bucket: str) -> None:
    place = Storage.at(bucket)
    for name in ("a-b/1.jpg", "a/1.jpg", "a/ü.png", "a/b c+d.jpg", "b.txt"):
        place.put(f"photos/{name}", name.encode())
    pinned = prepare(ModelSpec(views="details")).fingerprint
    run = Run(f"{bucket}/store", Meta(pinned.to_json()))
    found = list_generation(run, [f"{bucket}/photos"])
    assert keys(run) == ["a-b/1.jpg", "a/1.jpg", "a/b c+d.jpg", "a/ü.png"]
    place.put("photos/a/1.jpg", b"A/1.jpg")
    place.put("photos/a/ü.png", "a/ü.png".encode())  # put again, with the same bytes
    assert counts(list_generation(run)) == (0, 1, 0, 3)
    with pytest.raises((SourceError, StorageError)):
        list_generation(run, [f"{bucket}-missing/photos"])
    assert found.number == 0
