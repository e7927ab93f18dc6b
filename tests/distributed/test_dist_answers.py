"""A bucket from listing to undo, against one machine and on a real endpoint."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from repeating import with_copies

from dedup.collection import Collection
from dedup.distributed import settings, sifting
from dedup.distributed.collection import SharedCollection
from dedup.distributed.commits import committed, read
from dedup.distributed.plans import read_shared_plan
from dedup.distributed.storage import Storage
from dedup.errors import PlanError
from dedup.proof.prover import Prover
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from s3_endpoint import S3

    from dedup.distributed.settings import Settings
    from dedup.results import Group


def upload(folder: Path, url: str) -> None:
    storage = Storage.at(url)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            storage.put(os.fspath(path.relative_to(folder)), path.read_bytes())


DETAILS = ModelSpec(views="details")


def indexed(root: str, store: str, spec: ModelSpec = DETAILS) -> SharedCollection:
    shared = SharedCollection.open(store, spec, create=True, engine="inline", shard=16)
    shared.index(root)
    return shared


def renamed(group: Group, old: str, new: str) -> Group:
    """Give a group with other paths."""

    def of(path: str) -> str:
        return new + path.removeprefix(old)

    members = tuple(replace(one, path=of(one.path)) for one in group.duplicates)
    return replace(group, keeper=of(group.keeper), duplicates=members)


@pytest.fixture(scope="module")
def photos(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, SharedCollection]:
    root = f"file://{drawn}"
    store = f"file://{tmp_path_factory.mktemp('photos')}/collection"
    return root, indexed(root, store, ModelSpec())


def test_list_is_that_of_one_machine(
    photos: tuple[str, SharedCollection], drawn: Path, tmp_path: Path
) -> None:
    root, shared = photos
    with Collection.create(tmp_path / "one") as collection:
        collection.index([drawn])
        expected = collection.duplicates(sort="path")
    found = shared.duplicates(sort="path")
    old = os.fspath(drawn)
    # The times of objects are those of the upload: "older" and "newer" decide other ties.
    assert {
        (tuple(sorted([group.keeper, *(one.path for one in group.duplicates)])), group.tier)
        for group in found
    } == {
        (tuple(sorted([group.keeper, *(one.path for one in group.duplicates)])), group.tier)
        for group in (renamed(one, old, root) for one in expected)
    }
    assert len(found) >= 3


def test_a_fetched_collection_proves_nothing_again(
    photos: tuple[str, SharedCollection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, shared = photos
    expected = shared.duplicates()
    proven: list[object] = []
    monkeypatch.setattr(Prover, "_keep", lambda _self, found: proven.extend(found))
    with shared.fetch(tmp_path / "fetched") as collection:
        found = collection.duplicates()
    assert proven == []
    assert found.groups == expected.groups


@pytest.mark.parametrize("asked", [{"group": "component"}, {"tier": ("resaved", "similar")}])
def test_a_list_that_asks_otherwise_proves_nothing_again(
    photos: tuple[str, SharedCollection],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, Any],
) -> None:
    _, shared = photos
    assert shared.duplicates()
    proven: list[object] = []
    monkeypatch.setattr(Prover, "_keep", lambda _self, found: proven.extend(found))
    found = shared.duplicates(**asked)
    with shared.fetch(tmp_path / "fetched") as collection:
        assert found.groups == collection.duplicates(**asked).groups
    assert proven == []
    assert found


def test_what_was_sifted_is_neither_asked_nor_proven_again(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sifting, "CHUNK_PAIRS", 0)
    root, store = f"file://{images}", f"file://{tmp_path}/store"
    shared = indexed(root, store)
    before, join = shared.duplicates(), settings_of(shared).join
    asked = pairs_of(store, f"{join}/sifted")
    assert asked
    with monkeypatch.context() as patched, shared.fetch(tmp_path / "fetched") as collection:
        patched.setattr(Prover, "_keep", lambda _self, found: pytest.fail(f"{found}"))
        assert collection.duplicates().groups == before.groups
    group = next(one for one in before if one.tier == "resaved")
    with Image.open(images / group.keeper.removeprefix(root + "/")) as image:
        image.resize((image.width * 2 // 3, image.height * 2 // 3)).save(images / "new.jpg")
    shared.index()
    found, join = shared.duplicates(), settings_of(shared).join
    assert found.groups == indexed(root, f"file://{tmp_path}/fresh").duplicates().groups
    assert found.groups != before.groups
    new = pairs_of(store, f"{join}/asked")
    assert new
    assert not new & asked
    assert new < pairs_of(store, f"{join}/sifted")


def test_what_another_version_of_the_proof_sifted_is_asked_again(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sifting, "CHUNK_PAIRS", 0)
    store = f"file://{tmp_path}/store"
    shared = indexed(f"file://{images}", store)
    with monkeypatch.context() as patched:
        for module in (settings, sifting):
            patched.setattr(module, "VERIFIER", "of before")
        before = shared.duplicates()
        join = settings_of(shared).join
    asked = pairs_of(store, f"{join}/asked")
    assert asked
    assert shared.duplicates().groups == before.groups
    assert settings_of(shared).join != join
    assert pairs_of(store, f"{settings_of(shared).join}/asked") == asked


def test_copies_of_what_repeats_are_not_sifted_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sifting, "CHUNK_PAIRS", 0)
    pairs = with_copies(tmp_path / "images")
    shared = indexed(f"file://{tmp_path}/images", f"file://{tmp_path}/store", ModelSpec())
    found = shared.duplicates(sort="path").groups
    members = [[group.keeper, *(one.path for one in group.duplicates)] for group in found]
    names = [sorted(os.path.basename(path) for path in some) for some in members]
    assert sorted(names) == sorted([*map(os.path.basename, pair)] for pair in pairs)
    assert {group.tier for group in found} == {"resaved"}


def pairs_of(url: str, stage: str) -> set[tuple[int, int]]:
    storage = Storage.at(url)
    tables = [read(storage, done) for done in committed(storage, stage).values()]
    return {(row["first"], row["second"]) for table in tables for row in table.to_pylist()}


def test_why_and_query_read_what_they_need(
    photos: tuple[str, SharedCollection], drawn: Path
) -> None:
    root, shared = photos
    group = next(one for one in shared.duplicates() if one.tier != "exact")
    told = shared.why(group.keeper, group.duplicates[0].path)
    assert told.tier == group.duplicates[0].tier
    assert told.evidence == group.duplicates[0].evidence
    name = group.keeper.removeprefix(f"{root}/")
    answer = shared.query(drawn / name, 3)
    # Files with the same pixels are equally near.
    assert [one.rank for one in answer] == [1, 2, 3]
    assert group.keeper in {one.path for one in answer if one.similarity == 1.0}


def test_a_new_file_costs_what_it_changes(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, store = f"file://{images}", f"file://{tmp_path}/store"
    shared = indexed(root, store)
    before = shared.duplicates()
    proven: list[object] = []
    keep = Prover._keep  # noqa: SLF001 - what every verdict goes through

    def kept(prover: Prover, found: dict[Any, Any]) -> None:
        proven.extend(found)
        keep(prover, found)

    monkeypatch.setattr(Prover, "_keep", kept)
    chunks = committed(Storage.at(store), settings_of(shared).groups)
    assert sum(done.extra["families"] for done in chunks.values()) > len(chunks)
    copied = next(one.keeper for one in before if one.tier == "resaved")
    name = Path(copied.removeprefix(root + "/"))
    shutil.copy(images / name, images / f"one more{name.suffix}")
    shared.index()
    found = shared.duplicates()
    # One family of a chunk was grouped again, and nothing was proven: it was before.
    assert proven == []
    again = committed(Storage.at(store), settings_of(shared).groups)
    assert chunks.items() <= again.items()
    (new,) = again.keys() - chunks.keys()
    group = next(one for one in found if copied in one.paths)
    told = again[new].extra
    assert told["families"] == 1
    # Candidates that were refuted are in the family as well.
    assert len(group.paths) <= told["files"] < sum(one.extra["files"] for one in chunks.values())
    fresh = indexed(root, f"file://{tmp_path}/fresh").duplicates()
    assert found.groups == fresh.groups
    assert sum(len(one.duplicates) for one in found) == 1 + sum(
        len(one.duplicates) for one in before
    )
    # And back, without a file of a pair: its group is gone, and the others are as before.
    (images / f"one more{name.suffix}").unlink()
    shared.index()
    assert shared.duplicates().groups == before.groups


def settings_of(shared: SharedCollection) -> Settings:
    return shared._settings()  # noqa: SLF001


def keys(url: str) -> list[str]:
    return sorted(entry.key for entry in Storage.at(url).list())


@pytest.mark.parametrize(
    "action",
    [
        "move",
        pytest.param("delete", marks=pytest.mark.slow),
        pytest.param("tag", marks=pytest.mark.slow),
    ],
)
def test_a_plan_is_carried_out_and_taken_back(
    s3: S3, drawn: Path, tmp_path: Path, action: str
) -> None:
    with s3.reachable():
        root = f"{s3.bucket(versioned=True)}/photos"
        upload(drawn, root)
        shared = indexed(root, f"{s3.bucket()}/collection")
        before = keys(root)
        place = f"{s3.bucket()}/spare"
        verb = f"move:{place}" if action == "move" else action
        shared.plan(verb).write(tmp_path / "plan.json")
        plan = read_shared_plan(tmp_path / "plan.json")
        assert len(plan) >= 2
        # One of them changes, and the keeper of another goes.
        changed, lost = plan.entries[0], plan.entries[-1]
        assert changed.keeper != lost.keeper
        storage = Storage.at(root)
        storage.put(changed.url.removeprefix(f"{root}/"), b"another")
        storage.delete([lost.keeper.removeprefix(f"{root}/")])
        now = keys(root)
        dry = shared.apply(plan, dry_run=True)
        assert (dry.run, keys(root)) == ("", now)
        acted = shared.apply(plan)
        reasons = {file.path: file.reason for file in acted if file.outcome == "refused"}
        gone = [one.url for one in plan if one.keeper == lost.keeper]
        assert reasons == {
            changed.url: "it has changed",
            **dict.fromkeys(gone, "its keeper is gone"),
        }
        done = [file.path.removeprefix(f"{root}/") for file in acted if file.outcome == "done"]
        assert len(done) == len(plan) - len(reasons)
        if action != "tag":
            assert keys(root) == [key for key in now if key not in done]
        if action == "move":
            assert keys(place) == sorted(done)
        # Called again, it does nothing twice.
        assert shared.apply(plan).count("done") == len(done)
        undone = shared.undo()
        assert (undone.run, undone.count("undone")) == (acted.run, len(done))
        assert keys(root) == now
        assert all(storage.get(key).data == (drawn / key).read_bytes() for key in done)
        assert keys(place) == []
        assert set(now) <= set(before)
        with pytest.raises(PlanError, match="no run has anything to bring back"):
            shared.undo()


def test_deleting_for_good_has_to_be_asked_for(images: Path, tmp_path: Path) -> None:
    root = f"file://{images}"
    shared = indexed(root, f"file://{tmp_path}/collection")
    plan = shared.plan("delete", ["exact"])
    with pytest.raises(PlanError, match="keeps no versions"):
        shared.apply(plan)
    before = keys(root)
    acted = shared.apply(plan, unversioned=True)
    assert len(keys(root)) == len(before) - acted.count("done") < len(before)
    assert shared.undo().files[0].reason == "its bucket kept no version of it"
