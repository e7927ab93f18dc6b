"""Collections in object storage: brought up to date, counted, checked, estimated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from drawings import scene
from outcome import SMALL_MODEL

from dedup.collection import Collection
from dedup.distributed import commits
from dedup.distributed.collection import SharedCollection
from dedup.distributed.embed import embed_rows
from dedup.distributed.listing import list_generation
from dedup.distributed.run import META, read_meta, write_meta
from dedup.distributed.storage import Storage, StorageError
from dedup.errors import CollectionError, FingerprintError, NoCollectionError, SourceError
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome
    from s3_faults import Proxy

    Dedup = Callable[..., Outcome]

DETAILS = ModelSpec(views="details")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/store"


def opened(url: str, shard: int = 8192) -> SharedCollection:
    return SharedCollection.open(url, DETAILS, create=True, engine="inline", shard=shard)


def draw(folder: Path, *seeds: int) -> None:
    folder.mkdir(exist_ok=True)
    for seed in seeds:
        scene(seed).save(folder / f"{seed:03d}.jpg")


def embedded(url: str) -> dict[str, commits.Done]:
    return commits.committed(Storage.at(url), "embed")


def test_what_a_run_did_and_what_there_is(url: str, images: Path) -> None:
    with opened(url, shard=7) as shared:
        first = shared.index(f"file://{images}")
        assert (first.found, first.indexed, first.reused, first.skipped) == (18, 15, 1, 2)
        assert [(skip.path, skip.reason) for skip in first] == [
            (f"file://{images}/cut.jpg", "truncated"),
            (f"file://{images}/text.jpg", "not an image, or of a format that is not read"),
        ]
        (images / "a/1.jpg").unlink()
        scene(50).save(images / "a/new.jpg")
        again = shared.index()
        assert (again.indexed, again.unchanged, again.still_skipped, again.gone) == (1, 15, 2, 1)
        status = shared.status()
        skipped = [*shared.skipped()]
    assert skipped == [*first]
    assert (status.files, status.indexed, status.skipped, status.gone) == (18, 16, 2, 1)
    assert (status.pending, status.litter, status.generations) == (0, 0, 2)
    assert status.roots == (f"file://{images}",)
    assert status.skips == {"truncated": 1, "not an image, or of a format that is not read": 1}
    assert status.bytes_listed == sum(file.stat().st_size for file in images.rglob("*.*"))
    size = sum(file.stat().st_size for file in (images.parent / "store").rglob("*.*"))
    assert status.bytes_stored == size
    assert [(one.stage, one.done, one.total) for one in status] == [("embed", 4, 4), ("list", 2, 2)]


def test_only_what_is_new_is_embedded(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    draw(folder, *range(30))
    with opened(url, shard=10) as shared:
        shared.index(f"file://{folder}")
        before = embedded(url)
        draw(folder, 100)
        summary = shared.index()
    after = embedded(url)
    assert (summary.indexed, summary.unchanged) == (1, 30)
    assert [one.rows for one in after.values()] == [10, 10, 10, 1]
    assert {name: after[name] for name in before} == before


_KILLED = """
import os, sys
from dedup.distributed.collection import SharedCollection
from dedup.spec import ModelSpec

def progress(stage, done, total):
    if stage == "Indexing" and done >= 8:
        os._exit(9)

url, folder = sys.argv[1:]
spec = ModelSpec(views="details")
with SharedCollection.open(url, spec, create=True, engine="inline", shard=4) as shared:
    shared.index(folder, progress)
"""


def test_a_killed_run_goes_on_where_it_was(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    draw(folder, *range(18))
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, url, f"file://{folder}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 9
    before = embedded(url)
    assert [*before] == ["000000", "000001"]
    with opened(url) as shared:
        assert shared.status().pending == 10
        summary = shared.index()
        assert (summary.indexed, summary.unchanged) == (10, 8)
        assert shared.status().generations == 1
    after = embedded(url)
    assert {name: after[name] for name in before} == before
    ids = [
        identity
        for one in after.values()
        for identity in commits.read(Storage.at(url), one)["id"].to_pylist()
    ]
    assert len(ids) == len({*ids}) == 18


def test_a_listing_that_was_broken_off_is_swept(url: str, tmp_path: Path) -> None:
    draw(tmp_path / "images", 1)
    storage = Storage.at(url)
    storage.put("list/000000-0123456789ab/000000.parquet", b"of a run that was killed")
    with opened(url) as shared:
        assert shared.status().litter == 1
        shared.index(f"file://{tmp_path}/images")
        status = shared.status()
    assert (status.litter, status.indexed) == (0, 1)


def test_every_committed_object_is_checked(url: str, images: Path) -> None:
    with opened(url, shard=7) as shared:
        shared.index(f"file://{images}")
        sound = shared.verify(deep=True)
        assert (len(sound), sound.files_read) == (0, 8)
        shards = embedded(url)
        storage = Storage.at(url)
        data = storage.get(shards["000001"].key).data
        storage.put(shards["000001"].key, data[:-9] + bytes(9))
        storage.delete([shards["000002"].key])
        assert [(one.kind, one.path) for one in shared.verify()] == [
            ("object", f"{url}/{shards['000002'].key}")
        ]
        found = {one.path: one.detail for one in shared.verify(deep=True)}
    assert found == {
        f"{url}/{shards['000001'].key}": "its content is not what was committed",
        f"{url}/{shards['000002'].key}": "it is missing",
    }


def test_an_estimate_writes_nothing_and_is_near_the_truth(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    draw(folder, *range(72))
    with opened(url, shard=40) as shared:
        estimates = [shared.estimate(f"file://{folder}") for _ in range(3)]
        assert not [*Storage.at(url).list()]
        shared.index(f"file://{folder}")
        repeated = shared.estimate()
    size = sum(file.stat().st_size for file in folder.iterdir())
    # The middle one: what the same work takes differs by a tenth where others are at work.
    estimate = sorted(estimates, key=lambda one: one.seconds_each)[1]
    assert (estimate.files, estimate.new, estimate.sampled) == (72, 72, 64)
    assert estimate.bytes_listed == size
    stages = {stage.stage: stage for stage in estimate}
    assert [*stages] == ["list", "embed", "assign", "pair", "prove"]
    assert (stages["embed"].items, stages["embed"].bytes_read) == (72, size)
    spent = sum(one.extra["seconds"] for one in embedded(url).values())
    assert stages["embed"].core_hours * 3600 == pytest.approx(spent, rel=0.25)
    written = sum(one.bytes for one in embedded(url).values())
    assert stages["embed"].bytes_written == pytest.approx(written, rel=0.25)
    total = estimate.total
    assert total.dollars == pytest.approx(sum(stage.dollars for stage in estimate))
    assert (repeated.files, repeated.new, repeated.sampled) == (72, 0, 0)
    assert {stage.stage: stage for stage in repeated}["embed"].core_hours == 0


def test_images_and_collection_are_kept_apart(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    draw(folder, 1, 2)
    with opened(url) as shared:
        for root in (url, f"{url}/deeper"):
            with pytest.raises(SourceError, match="lies in the collection"):
                shared.index(root)
    inside = f"{folder}/found"
    with opened(f"file://{inside}") as shared:
        assert shared.index(f"file://{folder}").indexed == 2
        draw(folder / "found", 3)
        assert shared.index().found == 2


def test_a_collection_without_images_is_not_made(url: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with opened(url) as shared, pytest.raises(SourceError, match="has the name of an image"):
        shared.index(f"file://{tmp_path}/empty")
    with opened(url) as shared, pytest.raises(SourceError, match="nothing was listed yet"):
        shared.index()
    assert read_meta(Storage.at(url)) is None
    with pytest.raises(NoCollectionError, match="there is no collection"):
        SharedCollection.open(url)
    with pytest.raises(CollectionError, match="export the module to an ONNX file"):
        SharedCollection.open(url, ModelSpec(vectors=3), create=True)


def test_another_model_is_refused(url: str, tmp_path: Path) -> None:
    draw(tmp_path / "images", 1)
    with opened(url) as shared:
        shared.index(f"file://{tmp_path}/images")
    with pytest.raises(FingerprintError, match="views: details, not content"):
        SharedCollection.open(url, ModelSpec(views="content"))


def test_a_bucket_and_the_command_line(dedup: Dedup, bucket: str, tmp_path: Path) -> None:
    draw(tmp_path / "images", *range(3))
    place = Storage.at(bucket)
    for file in (tmp_path / "images").iterdir():
        place.put(f"photos/{file.name}", file.read_bytes())
    place.put("photos/text.jpg", b"text")
    store = f"{bucket}/found"
    command = ("index", f"{bucket}/photos", "--store", store, "--views", "details")
    dry = dedup(*command, "--dry-run")
    assert (dry.code, "embed" in dry.text, "Measured on 4 images" in dry.err) == (0, True, True)
    assert [entry.key for entry in place.list("found")] == []
    made = dedup(*command, "--engine", "inline", "--shard", "2", "--strict")
    assert made.code == 1  # one was skipped
    assert f"Created the collection {store}" in made.err
    assert "4 images: 3 indexed, 1 skipped" in made.err
    assert f"skipped {bucket}/photos/text.jpg: not an image" in made.err
    assert {entry.key for entry in place.list("photos")} == {
        "photos/000.jpg", "photos/001.jpg", "photos/002.jpg", "photos/text.jpg",
    }  # fmt: skip
    (row,) = dedup("status", "--store", store).rows
    assert (row["indexed"], row["skipped"], row["roots"]) == (3, 1, [f"{bucket}/photos"])
    assert row["stages"][0] == {
        "stage": "embed", "done": 2, "total": 2, "bytes": row["stages"][0]["bytes"],
    }  # fmt: skip
    assert dedup("status", "--store", store, "--format", "table").text.count("2 of 2 shards") == 1
    (skip,) = dedup("status", "--store", store, "--skipped").rows
    assert skip["path"] == f"{bucket}/photos/text.jpg"
    checked = dedup("verify", "--store", store, "--deep")
    assert (checked.code, "Everything is as it was written" in checked.err) == (0, True)
    place.delete([f"found/{embedded(store)['000000'].key}"])
    damaged = dedup("verify", "--store", store)
    assert (damaged.code, len(damaged.rows)) == (3, 1)


def test_wrong_combinations_are_refused_in_words(dedup: Dedup, tmp_path: Path, url: str) -> None:
    draw(tmp_path / "images", 1)
    here = f"file://{tmp_path}/images"
    for arguments, code, words in (
        (("index", here, "--engine", "ray"), 2, "--engine works only with a collection in"),
        (
            ("index", here, "--dry-run"),
            2,
            "--dry-run works only with a collection in object storage",
        ),
        (("index", tmp_path, "--store", url), 2, "is on this computer, but the collection is in"),
        (("index", here, "--store", url, "--device", "cpu"), 2, "--device works only with a"),
        (("index", here, "--store", url, "--address", "auto"), 1, "engine processes has no addr"),
        (("index", "--store", url), 1, "there is no collection"),
        (("index", here, "--store", "ftp://host/x"), 1, "this is no place in object storage"),
        (("status", "--store", url), 1, "there is no collection. Make one with: dedup index"),
        (("map", "--store", url, "-o", "x.html"), 2, "is in object storage, where this command"),
    ):
        outcome = dedup(*arguments)
        assert (outcome.code, words in outcome.err) == (code, True), outcome.err
    assert not (tmp_path / "store").exists()


def test_the_folder_of_a_collection_and_the_rest_of_this_computer_stay_as_they_are(
    dedup: Dedup, url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    draw(folder, 1, 2, 3)
    before = {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in folder.iterdir()}
    done = dedup("index", f"file://{folder}", "--store", url, "--views", "details")
    assert (done.code, "3 images: 3 indexed" in done.err) == (0, True)
    after = {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in folder.iterdir()}
    assert after == before
    assert META in {entry.key for entry in Storage.at(url).list()}


@pytest.mark.slow  # as of any stage in test_dist_failures
def test_faults_of_the_network_change_no_answer(proxy: Proxy, bucket: str, tmp_path: Path) -> None:
    draw(tmp_path / "images", *range(12))
    place = Storage.at(bucket)
    for file in (tmp_path / "images").iterdir():
        place.put(f"photos/{file.name}", file.read_bytes())
    with opened(f"{bucket}/quiet", shard=4) as quiet:
        quiet.index(f"{bucket}/photos")
    for fault in ("slow_down", "lost", "reset", "cut"):
        setattr(proxy.faults, fault, 0.1)
    with opened(f"{bucket}/found", shard=4) as shared:
        summary = shared.index(f"{bucket}/photos")
    assert (summary.indexed, summary.skipped) == (12, 0)
    assert sum(proxy.done.values()) > 20
    assert rows_of(f"{bucket}/found") == rows_of(f"{bucket}/quiet")


def rows_of(url: str) -> list[dict[str, Any]]:
    return [
        row
        for one in embedded(url).values()
        for row in commits.read(Storage.at(url), one).to_pylist()
    ]


def test_what_gave_no_answer_is_read_once_it_does(bucket: str, tmp_path: Path) -> None:
    draw(tmp_path / "images", 1)
    data = (tmp_path / "images/001.jpg").read_bytes()
    Storage.at(bucket).put("photos/a.jpg", data)
    with opened(f"{bucket}/found") as shared:
        run = shared.run
    (listed,) = list_generation(run, [f"{bucket}/photos"]).shards
    elsewhere = commits.read(run.storage, listed).to_pylist()
    elsewhere[0]["root"] = f"{bucket}-forbidden/photos"
    table, counts = embed_rows(run, elsewhere)
    assert (counts["transient"], counts["indexed"]) == (1, 0)
    commits.commit(run.storage, "embed", listed.shard, table, {**counts, "bytes": 0, "seconds": 0})
    write_meta(run.storage, run.meta)
    with opened(f"{bucket}/found") as shared:
        summary = shared.index()
        assert (summary.indexed, summary.unchanged, summary.still_skipped) == (1, 0, 0)
        assert (shared.status().indexed, shared.status().generations) == (1, 2)


_DRIVER = """
import sys
from dedup.distributed.collection import SharedCollection
from dedup.spec import ModelSpec

url, folder = sys.argv[1:]
spec = ModelSpec(views="details")
with SharedCollection.open(url, spec, create=True, engine="inline", shard=3) as shared:
    shared.index(folder)
    shared.index()
"""


@pytest.mark.slow
def test_two_drivers_at_once_end_as_one(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    draw(folder, *range(24))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _DRIVER, url, f"file://{folder}"]
    drivers = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [driver.wait() for driver in drivers] == [0, 0, 0]
    rows = rows_of(url)
    assert [row["key"] for row in rows] == [f"{seed:03d}.jpg" for seed in range(24)]
    assert len({row["id"] for row in rows}) == 24
    with opened(url) as shared:
        status = shared.status()
        assert len(shared.verify(deep=True)) == 0
    assert (status.generations, status.indexed, status.litter) == (1, 24, 0)


@pytest.mark.slow
def test_weights_of_ones_own_travel_with_the_collection(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm
    from safetensors.torch import save_file

    weights = tmp_path / f"{SMALL_MODEL}.safetensors"
    save_file(timm.create_model(SMALL_MODEL, num_classes=7).state_dict(), weights)
    draw(tmp_path / "images", 1, 2)
    spec = ModelSpec(weights=weights, layers="global_pool")
    with SharedCollection.open(url, spec, create=True, engine="inline") as shared:
        shared.index(f"file://{tmp_path}/images")
    with Collection.create(tmp_path / "one", spec) as one:
        one.index(tmp_path / "images")
    weights.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}/another node")
    draw(tmp_path / "images", 3)
    code = (
        "import sys; from dedup.distributed.collection import SharedCollection as S; "
        "from dedup.distributed.embed import load; load(S.open(sys.argv[1]).run); "
        "print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code, url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert "torch" not in loaded.stdout.split()  # the graph came along
    with SharedCollection.open(url, engine="processes") as shared:
        assert shared.index().indexed == 1
    (kept,) = (tmp_path / "another node/dedup/weights").rglob("*.safetensors")
    assert kept.read_bytes() == (tmp_path / "elsewhere").read_bytes()


def test_parts_of_another_version_are_refused(tmp_path: Path) -> None:
    draw(tmp_path / "images", 1, 2)
    url = f"file://{tmp_path}/store"
    with opened(url) as shared:
        shared.index(f"file://{tmp_path}/images")
    meta = tmp_path / "store" / META
    fields = json.loads(meta.read_text("utf-8"))
    assert fields.pop("parts")
    meta.write_text(json.dumps(fields), "utf-8")
    with pytest.raises(StorageError, match="described by another version of dedup"):
        SharedCollection.open(url)
