"""What people do to collections in object storage that nobody meant, and what they are told."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from dedup.cli import cli
from dedup.distributed.collection import SharedCollection
from dedup.distributed.commits import committed
from dedup.distributed.pieces import Pieces, read_pieces
from dedup.distributed.schemas import KEYS
from dedup.distributed.storage import Storage, StorageError
from dedup.errors import CollectionError, PlanError
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from pathlib import Path

    from s3_endpoint import S3

DETAILS = ModelSpec(views="details")


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> tuple[Path, SharedCollection]:
    """Six files of one image and another one, listed once."""
    folder = tmp_path_factory.mktemp("breaking")
    first, second = sorted(path for path in drawn.rglob("*") if path.is_file())[:2]
    (folder / "photos").mkdir()
    for number in range(6):
        shutil.copy(first, folder / "photos" / f"copy {number}%{first.suffix}")
    shutil.copy(second, folder / "photos" / f"other{second.suffix}")
    shared = SharedCollection.open(
        f"file://{folder}/found", DETAILS, create=True, engine="inline", shard=3
    )
    shared.index(f"file://{folder}/photos")
    shared.duplicates()
    return folder, shared


def test_a_query_names_copies_once_each_by_url(copies: tuple[Path, SharedCollection]) -> None:
    folder, shared = copies
    files = sorted(path.name for path in (folder / "photos").glob("copy*"))
    for asked in files:
        answer = shared.query(folder / "photos" / asked, 4)
        assert [one.path.rpartition("/")[2] for one in answer] == files[:4]
        assert {one.similarity for one in answer} == {1.0}


def test_a_query_leaves_out_what_is_gone(
    copies: tuple[Path, SharedCollection], tmp_path: Path
) -> None:
    folder, _ = copies
    shutil.copytree(folder / "photos", tmp_path / "photos")
    shared = SharedCollection.open(
        f"file://{tmp_path}/found", DETAILS, create=True, engine="inline"
    )
    shared.index(f"file://{tmp_path}/photos")
    first, second, *_ = sorted((tmp_path / "photos").glob("copy*"))
    first.unlink()
    shared.index()
    answer = shared.query(second, 7)
    assert len(answer) == 6
    assert first.name not in {one.path.rpartition("/")[2] for one in answer}


def test_only_folders_that_were_indexed_are_listed(copies: tuple[Path, SharedCollection]) -> None:
    folder, shared = copies
    assert len(shared.duplicates(under=[f"file://{folder}"])) == 1
    assert len(shared.duplicates(under=[f"file://{folder}/photos/"])) == 1
    with pytest.raises(CollectionError, match=r"photos: is not indexed in .*name a folder"):
        shared.duplicates(under=["photos"])


def test_nothing_is_moved_to_where_it_would_be_found_again(
    copies: tuple[Path, SharedCollection], tmp_path: Path
) -> None:
    folder, shared = copies
    with pytest.raises(PlanError, match="is inside the indexed folder"):
        shared.plan(f"move:file://{folder}/photos/spare")
    with pytest.raises(PlanError, match="is inside the collection"):
        shared.plan(f"move:file://{folder}/found/spare")
    shared.plan(f"move:file://{folder}/spare").write(tmp_path / "plan.json")
    plan = json.loads((tmp_path / "plan.json").read_text())
    plan["action"] = f"move:file://{folder}/photos"
    (tmp_path / "edited.json").write_text(json.dumps(plan))
    store = f"file://{folder}/found"
    told = CliRunner().invoke(cli, ["apply", f"{tmp_path}/edited.json", "--store", store, "--yes"])
    assert isinstance(told.exception, PlanError)
    assert len(list((folder / "photos").iterdir())) == 7
    told = CliRunner().invoke(cli, ["apply", f"{tmp_path}/plan.json", "--yes"])
    assert told.exit_code == 2
    assert f"is a plan for object storage: add --store {store}" in told.stderr
    told = CliRunner().invoke(cli, ["plan", "--tier", "similar", "--action", "tag", "-s", store])
    assert told.exit_code == 2
    assert "only exact, pixels, resaved and near are proven" in told.stderr


def test_what_was_brought_back_is_not_called_done(s3: S3, drawn: Path) -> None:
    """An odd key is refused by itself; the acts are no litter."""
    with s3.reachable():
        bucket = s3.bucket()
        data = min(path for path in drawn.rglob("*") if path.is_file()).read_bytes()
        storage = Storage.at(bucket)
        for name in ("a", "b"):
            storage.put(f"photos/{name}.jpg", data)
        assert s3.ask("PUT", f"/{bucket.removeprefix('s3://')}/photos/odd//c.jpg", data)[0] == 200
        store = f"{bucket}/found"
        shared = SharedCollection.open(store, DETAILS, create=True, engine="inline")
        shared.index(f"{bucket}/photos")
        made = shared.plan(f"move:{bucket}/spare", keep="shortest")
        assert [one.url.rpartition("/")[2] for one in made] == ["b.jpg", "c.jpg"]
        acted = shared.apply(made)
        assert [one.outcome for one in acted] == ["done", "refused"]
        assert "copy such objects to other keys" in acted.files[1].reason
        assert shared.status().litter == 0
        shared.undo()
        again = shared.apply(made)
        assert {one.outcome for one in again} == {"refused"}
        assert again.files[0].reason == "it was brought back since; make a new plan"
        with pytest.raises(StorageError, match="there is no such bucket"):
            shared.apply(replace(made, action="move:s3://no-such-bucket-of-ours/spare"))


@pytest.mark.parametrize("verb", ["delete", "move"])
def test_what_was_not_written_down_can_be_taken_back(s3: S3, drawn: Path, verb: str) -> None:
    """As where a run was killed between an act and the record of it."""
    with s3.reachable():
        bucket = s3.bucket(versioned=True)
        data = min(path for path in drawn.rglob("*") if path.is_file()).read_bytes()
        photos = Storage.at(f"{bucket}/photos")
        for name in ("a.jpg", "b.jpg"):
            photos.put(name, data)
        store = Storage.at(f"{bucket}/found")
        shared = SharedCollection.open(store.url, DETAILS, create=True, engine="inline")
        shared.index(photos.url)
        action = f"move:{bucket}/spare" if verb == "move" else verb
        made = shared.plan(action, "exact", keep="shortest", parts=False)
        run = shared.apply(made).run
        for record in ("done", "back"):
            (key,) = (entry.key for entry in store.list(f"acts/{run}/{record}"))
            store.delete([key])
            acted = shared.apply(made) if record == "done" else shared.undo()
            assert [one.outcome for one in acted] == ["done" if record == "done" else "undone"]
            if record == "done":
                assert [entry.key for entry in photos.list()] == ["a.jpg"]
                assert [one.outcome for one in shared.undo()] == ["undone"]
            assert photos.get("b.jpg").data == data
        with pytest.raises(PlanError, match="no run has anything to bring back"):
            shared.undo()


def test_proofs_are_fetched_without_what_is_half_there(
    copies: tuple[Path, SharedCollection], tmp_path: Path
) -> None:
    """As a run leaves it that was killed in between, or who follows what `verify` advises."""
    folder, _ = copies
    shutil.copytree(folder / "found", tmp_path / "found")
    shared = SharedCollection.open(f"file://{tmp_path}/found", engine="inline")
    storage = Storage.at(shared.path)
    storage.delete([f"measured/_done/{name}.json" for name in committed(storage, "measured")])
    with shared.fetch(tmp_path / "fetched") as collection:
        assert [len(group.duplicates) for group in collection.duplicates()] == [5]


def test_verify_looks_at_every_stage(copies: tuple[Path, SharedCollection], tmp_path: Path) -> None:
    folder, _ = copies
    shutil.copytree(folder / "found", tmp_path / "found")
    shared = SharedCollection.open(f"file://{tmp_path}/found", engine="inline")
    stages = [stage.stage for stage in shared.status()]
    kinds = {"list", "embed", "keys", "division", "join", "verdicts", "measured", "groups"}
    assert {stage.partition("/")[0] for stage in stages} == kinds
    storage, lost = Storage.at(shared.path), set()
    for stage in stages:
        done = next(iter(committed(storage, stage).values()))
        storage.delete([done.key])
        lost.add(f"{shared.path}/{done.key}")
    assert {one.path for one in shared.verify()} == lost
    with pytest.raises(StorageError, match=r"is missing; `dedup verify` lists all such"):
        shared.status()


def test_status_sums_up_stages(copies: tuple[Path, SharedCollection]) -> None:
    folder, _ = copies
    told = CliRunner().invoke(cli, ["status", "-s", f"file://{folder}/found", "--format", "table"])
    assert told.exit_code == 0, told.exception
    lines = [line.strip() for line in told.output.splitlines()]
    assert any(line.startswith("embed: 3 of 3 shards, ") for line in lines)
    assert any(line.startswith("groups: ") for line in lines)
    assert not any("join/" in line for line in lines)
    assert os.fspath(folder) in told.output


def test_a_piece_that_is_damaged_or_missing_is_named(
    copies: tuple[Path, SharedCollection], tmp_path: Path
) -> None:
    folder, _ = copies
    shutil.copytree(folder / "found", tmp_path / "found")
    storage = Storage.at(f"file://{tmp_path}/found")
    done = next(iter(committed(storage, "keys").values()))
    storage.put(done.key, b"x" * done.bytes)
    found = Pieces(storage, [done])
    wanted = found.at(range(len(found.rows)))
    with pytest.raises(StorageError, match=rf"{done.key} is not what was committed; `dedup verify"):
        read_pieces(storage, wanted, KEYS)
    storage.delete([done.key])
    with pytest.raises(StorageError, match=rf"{done.key} is missing; `dedup verify"):
        read_pieces(storage, wanted, KEYS)
