"""What earlier lists left is deleted, and what is damaged is made again; answers stay."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING

import pytest
from distributed.shards import of_vectors
from distributed.test_dist_join import by_tasks, classes, clustered, stored
from drawings import scene

from dedup.distributed import serving
from dedup.distributed.collection import NO_REMAKING, SharedCollection
from dedup.distributed.commits import committed
from dedup.distributed.searching import nearest
from dedup.distributed.settings import Settings, join_names
from dedup.distributed.storage import Storage
from dedup.distributed.sweeping import sweep
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    from dedup.results import Group

    Dedup = Callable[..., Outcome]


def opened(folder: Path) -> SharedCollection:
    spec = ModelSpec(views="details")
    url = f"file://{folder}/store"
    return SharedCollection.open(url, spec, create=True, engine="inline", shard=8)


def keys(folder: Path, below: str = "") -> set[str]:
    return {entry.key for entry in Storage.at(f"file://{folder}/store").list(below)}


def grouped(folder: Path) -> tuple[Group, ...]:
    with opened(folder) as shared:
        shared.index(f"file://{folder}/images")
        return shared.duplicates().groups


@pytest.fixture(scope="module")
def made(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection that was indexed and listed thrice, with another image and a copy each."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(drawn, folder / "images")
    grouped(folder)
    for number in range(2):
        scene(60 + number).save(folder / f"images/{number} new.jpg")
        scene(60 + number).save(folder / f"images/{number} new.png")
        grouped(folder)
    return folder


@pytest.fixture
def mine(made: Path, tmp_path: Path) -> Path:
    """A copy of `made` at a place of its own; the images stay where they are."""
    shutil.copytree(made / "store", tmp_path / "store")
    (tmp_path / "images").symlink_to(made / "images")
    return tmp_path


def listed(folder: Path) -> tuple[Group, ...]:
    with opened(folder) as shared:
        shared.index()
        return shared.duplicates().groups


def test_a_day_has_to_pass(mine: Path) -> None:
    before = keys(mine)
    with opened(mine) as shared:
        assert sweep(shared.run) == (0, 0)
    assert keys(mine) == before


def test_what_no_list_needs_is_deleted_and_answers_stay(mine: Path, made: Path) -> None:
    images = {path: path.read_bytes() for path in made.rglob("images/*") if path.is_file()}
    before, expected = keys(mine), listed(mine)
    storage = Storage.at(f"file://{mine}/store")
    storage.put("keys/000000-0123456789ab.arrows", b"of a task that was killed")
    with opened(mine) as shared:
        swept = sweep(shared.run, age=0)
        after = keys(mine)
        assert swept.objects == len(before | {"keys/000000-0123456789ab.arrows"}) - len(after)
        assert {key.split("-")[0] for key in keys(mine, "join")} == {"join/000001", "join/000002"}
        needed = {
            row
            for join in {key.split("/")[1] for key in after if key.startswith("join/")}
            for row in _chunks(storage, f"join/{join}")
        }
        for stage in {key.split("/_done/")[0] for key in after if key.startswith("groups/")}:
            assert committed(storage, stage).keys() <= needed
        assert not {key for key in after if "/gather-" in key or "/sample/" in key}
        assert after < before
        assert len(shared.verify(deep=True)) == 0
        assert shared.status().litter == 0
        assert sweep(shared.run, age=0).objects == 0
        assert shared.duplicates().groups == expected
        shared.fetch(mine / "fetched").close()
    assert keys(mine) == after
    assert {path: path.read_bytes() for path in images} == images


@pytest.mark.slow
def test_lists_after_a_sweep_are_those_of_a_new_collection(mine: Path, made: Path) -> None:
    (mine / "images").unlink()
    shutil.copytree(made / "images", mine / "images")
    shutil.rmtree(mine / "store")
    grouped(mine)
    for number in range(70, 73):
        scene(number).save(mine / f"images/{number}.jpg")
        scene(number).save(mine / f"images/{number}.png")
        found = grouped(mine)
        with opened(mine) as shared:
            sweep(shared.run, age=0)
    shutil.rmtree(mine / "store")
    assert grouped(mine) == found


def _chunks(storage: Storage, join: str) -> list[str]:
    from dedup.distributed.cutting import chunk_names

    return chunk_names(storage, join)


@pytest.mark.slow
@pytest.mark.usefixtures("small_cells")
def test_a_division_keeps_what_joins_and_queries_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_MOST_PARTS", 2)
    rows, stores = clustered(900, 9), [Storage.at(f"file://{tmp_path}/{name}") for name in "ab"]
    asked = stored(rows[:5])
    ends = [300, 400, 900]  # the last of them is too many for the first division
    for generation, (start, end) in enumerate(itertools.pairwise([0, *ends]), 1):
        found = []
        for storage in stores:
            run = of_vectors(storage, rows[start:end], 100, start // 100)
            pairs, _ = by_tasks(run, Settings(generation, 0.9))
            near = nearest(run, asked, 3).near
            found.append((pairs, [(one.ids.tolist(), one.similarity.tolist()) for one in near]))
            if storage == stores[0]:
                sweep(run, age=0)
        assert found[0] == found[1]
    kept, every = ({entry.key for entry in storage.list("division")} for storage in stores)
    assert {key.split("/")[1] for key in every} == {"000", "001"}
    stages = {key.split("/")[2] for key in kept if key.startswith("division/000")}
    assert stages == {"coder", "centres", "divided"}
    assert not [key for key in kept if "/sample/" in key or "/exact/" in key]


@pytest.mark.usefixtures("small_cells")
def test_what_queries_do_not_read_any_more_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_MOST_PARTS", 2)
    rows, storage = clustered(600, 9), Storage.at(f"file://{tmp_path}/store")
    for generation, (start, end) in enumerate(itertools.pairwise([0, 400, 500, 600]), 1):
        run = of_vectors(storage, rows[start:end], 100, start // 100)
        by_tasks(run, Settings(generation, 0.9))
    places = committed(storage, "division/000/places")
    assert [*places] == ["000001", "000002", "000003"]
    assert places["000003"].extra["labels"] == ["000003"]  # all of it was written anew
    sweep(run, age=0)
    assert [*committed(storage, "division/000/places")] == ["000003"]
    served = committed(storage, "division/000/served")
    assert {name.partition("-")[0] for name in served} == {"000003"}
    assert sum(done.rows for done in served.values()) == len(classes(stored(rows)))


@pytest.mark.parametrize(
    "stage",
    ["embed", "groups", *(
        pytest.param(stage, marks=pytest.mark.slow) for stage in (
            "edges", "keys", "fold", "best", "chunks", "placed", "families", "assign", "pair",
            "pair-compared", "centres", "verdicts", "measured",
        )
    )],
)  # fmt: skip
def test_what_is_damaged_is_made_again(mine: Path, stage: str) -> None:
    expected = listed(mine)
    storage = Storage.at(f"file://{mine}/store")
    found = [
        done
        for name in {key.split("/_done/")[0] for key in keys(mine) if "/_done/" in key}
        if stage in name.split("/")[:1] + name.split("/")[2:]
        for done in committed(storage, name).values()
    ]
    assert found
    for number, done in enumerate(found):
        if number % 2:
            storage.put(done.key, b"-" + storage.get(done.key).data[1:])
        else:
            storage.delete([done.key])
    with opened(mine) as shared:
        assert len(shared.verify(deep=True)) == len(found)
        assert len(shared.repair()) == len(found)
        assert len(shared.verify(deep=True)) == 0
        assert len(shared.repair()) == 0
    assert listed(mine) == expected


@pytest.mark.slow
def test_a_join_that_was_begun_goes_with_the_one_that_it_reads(mine: Path) -> None:
    expected = listed(mine)
    storage = Storage.at(f"file://{mine}/store")
    before, begun = join_names(storage)[-2:]
    storage.delete([f"{begun}/families/_done/0.json"])
    storage.delete([done.key for done in committed(storage, f"{before}/placed").values()])
    with opened(mine) as shared:
        assert len(shared.repair()) > 0
    assert not {before, begun} & {*join_names(storage)}
    assert listed(mine) == expected


def test_what_was_listed_is_not_dropped(mine: Path, dedup: Dedup) -> None:
    storage = Storage.at(f"file://{mine}/store")
    (done,) = [one for name, one in committed(storage, "list").items() if name == "000001"]
    storage.delete([done.key])
    before = keys(mine)
    told = dedup("verify", "--store", storage.url)
    assert told.code == 3
    assert done.key in told.out.decode()
    assert "`dedup repair` fixes what it can" in told.err
    told = dedup("repair", "--store", storage.url)
    assert NO_REMAKING in told.err
    assert keys(mine) == before
