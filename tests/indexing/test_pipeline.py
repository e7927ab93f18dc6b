from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from blocks import SIDE, BlockMeans, fill, index
from drawings import scene
from PIL import Image

from dedup.descriptors.vlad import DIGEST
from dedup.errors import CollectionError
from dedup.fingerprint import CONTENT, DETAILS, Fingerprint
from dedup.images.decode import DECODER
from dedup.indexing.diff import find_changes
from dedup.indexing.pipeline import BATCH, run
from dedup.indexing.readahead import ReadPolicy
from dedup.parallel.limits import ItemLimits
from dedup.preparation import Preparation
from dedup.store.catalog import Catalog
from dedup.store.gallery import read_files, read_ids, read_images, read_vectors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt


def names(catalog: Catalog, folder: Path) -> list[str]:
    files = read_files(catalog, read_ids(catalog))
    return sorted(os.path.relpath(os.fsdecode(path), folder) for path in files.path)


@pytest.mark.parametrize("count", [1, 2, BATCH - 1, BATCH, BATCH + 1])
def test_every_image_is_embedded_once_in_full_batches(
    catalog: Catalog, embedder: BlockMeans, tmp_path: Path, count: int
) -> None:
    folder = fill(tmp_path / "in", count)
    summary = index(catalog, embedder, folder)
    assert summary.indexed == count
    # Two are under way at a time: which of them is noted first is chance.
    rest = [count % BATCH] * (count % BATCH > 0)
    assert sorted(embedder.batches, reverse=True) == [BATCH] * (count // BATCH) + rest
    assert read_vectors(catalog, "blocks", count).shape == (count, 192)


def test_a_second_run_reads_nothing(catalog: Catalog, embedder: BlockMeans, images: Path) -> None:
    index(catalog, embedder, images)
    before = catalog.version
    embedder.batches.clear()
    summary = index(catalog, embedder, images)
    assert (summary.unchanged, summary.still_skipped, summary.indexed) == (16, 2, 0)
    assert embedder.batches == []
    assert catalog.version == before


def test_renamed_and_copied_files_reuse_their_embedding(
    catalog: Catalog, embedder: BlockMeans, images: Path
) -> None:
    index(catalog, embedder, images)
    embedder.batches.clear()
    (images / "a").rename(images / "z")
    shutil.copy(images / "z/4.jpg", images / "copy.jpg")
    summary = index(catalog, embedder, images)
    assert (summary.reused, summary.gone, summary.indexed) == (10, 0, 0)  # nine renamed
    assert embedder.batches == []
    assert "z/4.jpg" in names(catalog, images)
    assert "a/4.jpg" not in names(catalog, images)


def test_a_changed_file_gets_a_new_embedding(
    catalog: Catalog, embedder: BlockMeans, images: Path
) -> None:
    index(catalog, embedder, images)
    scene(77).save(images / "a/5.jpg")
    summary = index(catalog, embedder, images)
    assert (summary.indexed, summary.unchanged) == (1, 15)


def test_gone_files_leave_and_come_back_for_free(
    catalog: Catalog, embedder: BlockMeans, images: Path, tmp_path: Path
) -> None:
    index(catalog, embedder, images)
    (images / "a/5.jpg").rename(tmp_path / "aside.jpg")
    assert index(catalog, embedder, images).gone == 1
    assert "a/5.jpg" not in names(catalog, images)
    (tmp_path / "aside.jpg").rename(images / "a/5.jpg")
    summary = index(catalog, embedder, images)
    assert (summary.reused, summary.indexed) == (1, 0)


def test_a_skipped_file_is_tried_again_when_it_changes(
    catalog: Catalog, embedder: BlockMeans, images: Path
) -> None:
    index(catalog, embedder, images)
    assert index(catalog, embedder, images).still_skipped == 2
    shutil.copy(images / "a/3.jpg", images / "cut.jpg")
    summary = index(catalog, embedder, images)
    assert (summary.reused, summary.still_skipped) == (1, 1)
    assert [path for path, _ in catalog.skips()] == [os.fsencode(images / "text.jpg")]


def test_a_batch_of_nothing_but_bad_files(
    catalog: Catalog, embedder: BlockMeans, tmp_path: Path
) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02}.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    summary = index(catalog, embedder, folder)
    assert (summary.skipped, summary.indexed) == (40, 0)
    assert embedder.batches == []
    assert len(summary.new_skips) == 40


def test_an_unplugged_root_is_kept(
    catalog: Catalog, embedder: BlockMeans, images: Path, tmp_path: Path
) -> None:
    index(catalog, embedder, images)
    images.rename(tmp_path / "unplugged")
    summary = index(catalog, embedder, images)
    assert summary.gone == 0
    assert any("unplugged" in note for note in summary.notes)
    assert len(names(catalog, images)) == 16
    images.mkdir()  # the mount point is there, the drive is not
    assert index(catalog, embedder, images).gone == 0
    assert len(names(catalog, images)) == 16
    images.rmdir()
    (tmp_path / "unplugged").rename(images)
    assert index(catalog, embedder, images).unchanged == 16


def test_a_folder_that_cannot_be_listed_loses_nothing(
    ordinary_user: Path, embedder: BlockMeans
) -> None:
    folder = fill(ordinary_user / "in", 2)
    fill(folder / "closed", 3, first=10)
    fingerprint = Fingerprint("blocks", "none", "0" * 64, ("blocks",), SIDE, SIDE, DECODER)
    catalog = Catalog.create(ordinary_user / "store", fingerprint)
    assert index(catalog, embedder, folder).indexed == 5
    (folder / "closed").chmod(0)
    summary = index(catalog, embedder, folder)
    (folder / "closed").chmod(0o700)
    assert (summary.gone, summary.unchanged) == (0, 2)
    assert [skip.path for skip in summary.new_skips] == [os.fspath(folder / "closed")]
    assert len(names(catalog, folder)) == 5
    folder.chmod(0)
    with pytest.raises(CollectionError, match="cannot be listed"):
        index(catalog, embedder, folder)
    folder.chmod(0o700)
    (folder / "000.png").chmod(0)
    os.utime(folder / "000.png", ns=(1, 1))
    denied = index(catalog, embedder, folder)
    assert "permission" in denied.new_skips[0].reason
    (folder / "000.png").chmod(0o600)  # leaves the time as it was: only another try can tell
    assert index(catalog, embedder, folder).reused == 1
    catalog.close()


@pytest.mark.parametrize("order", ["inner first", "outer first", "together"])
def test_overlapping_roots_count_each_file_once(
    catalog: Catalog, embedder: BlockMeans, images: Path, order: str
) -> None:
    inner = images / "a"
    if order == "inner first":
        index(catalog, embedder, inner)
        index(catalog, embedder, images)
    elif order == "outer first":
        index(catalog, embedder, images)
        index(catalog, embedder, inner)
    else:
        index(catalog, embedder, inner, images)
    found = names(catalog, images)
    assert len(found) == len(set(found)) == 16
    assert index(catalog, embedder, images).unchanged == 16


def test_a_part_of_a_root_can_be_updated_alone(
    catalog: Catalog, embedder: BlockMeans, images: Path
) -> None:
    index(catalog, embedder, images)
    (images / "a/0.jpg").unlink()
    (images / "b/1.png").unlink()
    summary = index(catalog, embedder, images / "a")
    assert (summary.gone, summary.unchanged) == (1, 8)
    assert "b/1.png" in names(catalog, images)


def test_hard_links_are_one_file(
    catalog: Catalog, embedder: BlockMeans, images: Path, tmp_path: Path
) -> None:
    os.link(images / "a/0.jpg", images / "link.jpg")
    other = fill(tmp_path / "other", 1, first=50)
    os.link(images / "a/1.jpg", other / "link.jpg")
    summary = index(catalog, embedder, images, other)
    assert summary.hard_links == 2
    assert len(names(catalog, images)) == 17
    again = index(catalog, embedder, images, other)
    assert (again.unchanged, again.hard_links, again.gone) == (17, 2, 0)


def test_the_collection_itself_is_not_indexed(
    catalog: Catalog, embedder: BlockMeans, tmp_path: Path
) -> None:
    fill(tmp_path / "in", 2)
    shutil.copy(tmp_path / "in/000.png", tmp_path / "store/000.png")
    summary = index(catalog, embedder, tmp_path)
    assert summary.indexed == 2
    assert not [name for name in names(catalog, tmp_path) if name.startswith("store")]


def test_a_file_that_changes_while_it_is_read_is_tried_again(
    catalog: Catalog, embedder: BlockMeans, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "in", 3)
    changes = find_changes(catalog, [folder])
    scene(9).save(folder / "001.png")
    (folder / "002.png").unlink()
    summary = run(catalog, changes, lambda: embedder)
    assert (summary.indexed, summary.skipped, summary.gone) == (1, 1, 1)
    assert "changed while it was being read" in summary.new_skips[0].reason
    again = index(catalog, embedder, folder)
    assert (again.indexed, again.unchanged, again.still_skipped) == (1, 1, 0)


def test_an_interrupted_run_keeps_its_batches_and_goes_on(catalog: Catalog, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 3 * BATCH)

    class Interrupted(BlockMeans):
        def embed(self, batch: npt.NDArray[np.uint8]) -> Mapping[str, npt.NDArray[np.float32]]:
            if len(self.batches) == 2:
                raise KeyboardInterrupt
            return super().embed(batch)

    with pytest.raises(KeyboardInterrupt):
        index(catalog, Interrupted(), folder)
    assert len(read_ids(catalog)) == 2 * BATCH
    summary = index(catalog, BlockMeans(), folder)
    assert (summary.unchanged, summary.indexed) == (2 * BATCH, BATCH)


_KILLED = """
import os, sys
from pathlib import Path
from blocks import BlockMeans
from dedup.indexing.diff import find_changes
from dedup.indexing.pipeline import run
from dedup.store.catalog import Catalog
from dedup.store.gallery import read_images

def progress(done, total):
    if len(read_images(catalog).digest):
        os.kill(os.getpid(), 9)

catalog = Catalog.open(Path(sys.argv[1]))
run(catalog, find_changes(catalog, [Path(sys.argv[2])]), BlockMeans, progress)
"""


def test_a_killed_run_keeps_its_batches_and_goes_on(catalog: Catalog, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 10 * BATCH)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, catalog.store, folder],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == -9
    kept = read_images(catalog).digest
    assert len(kept) in range(BATCH, 10 * BATCH, BATCH)  # whole batches; more are under way
    summary = index(catalog, BlockMeans(), folder)
    assert (summary.unchanged, summary.indexed) == (len(kept), 10 * BATCH - len(kept))
    assert set(kept) < set(read_images(catalog).digest)


BY_THREADS = ReadPolicy(worth_describing=10**6, slots=0)


@pytest.mark.parametrize(
    "policy",
    [
        ReadPolicy(worth_describing=1, slots=7),
        pytest.param(
            ReadPolicy(worth_describing=10**6, slots=0, limits=ItemLimits(thread_seconds=0)),
            marks=pytest.mark.slow,
        ),
        pytest.param(ReadPolicy(worth_describing=1, slots=2048), marks=pytest.mark.slow),
        pytest.param(ReadPolicy(worth_describing=1, slots=0), marks=pytest.mark.slow),
    ],
    ids=["by a buffer that is soon full", "by threads that leave all", "by a buffer", "by none"],
)
def test_processes_read_what_threads_read(policy: ReadPolicy, tmp_path: Path, images: Path) -> None:
    folder = fill(tmp_path / "in", BATCH + 5)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    shutil.copy(folder / "003.png", folder / "copy.png")
    fingerprint = Fingerprint(
        "blocks",
        "none",
        "0" * 64,
        ("blocks",),
        SIDE,
        SIDE,
        DECODER,
        views=(CONTENT, DETAILS),
        details_digest=DIGEST,
    )
    seen: list[Any] = []
    for each in (BY_THREADS, policy):
        catalog = Catalog.create(tmp_path / f"store{len(seen)}", fingerprint)
        first = index(catalog, BlockMeans(), folder, policy=each)
        # Most contents are known by then.
        later = index(catalog, BlockMeans(), folder, images, policy=each)
        count = len(read_ids(catalog))
        seen.append(
            (
                [replace(summary, seconds=0, stages=None) for summary in (first, later)],
                read_images(catalog).digest,
                read_vectors(catalog, "blocks", count).tobytes(),
                read_vectors(catalog, DETAILS, count).tobytes(),
            )
        )
        catalog.close()
    assert seen[1] == seen[0]
    assert seen[0][0][0].indexed == BATCH + 5
    assert len(seen[0][0][0].new_skips) == 1


@pytest.mark.parametrize(
    ("details", "images", "cores", "processes"),
    [
        (True, 199, 16, False),
        (True, 200, 2, True),
        (False, 999, 16, False),
        (False, 1000, 3, False),
        (False, 1000, 4, True),
    ],
)
def test_processes_are_started_where_threads_would_wait_for_each_other(
    *, details: bool, images: int, cores: int, processes: bool
) -> None:
    policy = ReadPolicy(cores=cores)
    assert policy.uses_processes(Preparation(8, 8, details), images) is processes


@pytest.mark.parametrize(
    ("details", "images", "cores", "chunk"),
    [
        (False, 10**6, 2, 8),  # threads
        (False, 10**6, 16, 32),
        (True, 10**6, 16, 8),
        (False, 10**6, 128, 5),  # or more than MAX_PENDING would wait
        (False, 1000, 16, 3),  # or some cores would end long before others
        (False, 1, 16, 1),
        (False, 10**6, 4096, 1),
    ],
)
def test_files_come_together_so_that_every_core_has_its_share(
    *, details: bool, images: int, cores: int, chunk: int
) -> None:
    assert ReadPolicy(cores=cores).chunk(Preparation(8, 8, details), images) == chunk


def test_several_batches_under_way_change_nothing(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 5 * BATCH + 3)
    for number in range(20):  # contents that come again while they are under way
        shutil.copy(folder / f"{number * 7:03}.png", folder / f"{number * 7 + 1:03}-again.png")
    fingerprint = Fingerprint("blocks", "none", "0" * 64, ("blocks",), SIDE, SIDE, DECODER)
    seen = []
    for name, embedder in (("one", BlockMeans()), ("two", BlockMeans(batch_size=7))):
        catalog = Catalog.create(tmp_path / name, fingerprint)
        summary = index(catalog, embedder, folder)
        assert (summary.indexed, summary.reused) == (5 * BATCH + 3, 20)
        vectors = read_vectors(catalog, "blocks", 5 * BATCH + 3)
        seen.append((read_images(catalog).digest, vectors.tobytes()))
        catalog.close()
    assert seen[0] == seen[1]


def test_numbers_do_not_depend_on_threads_or_repetition(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 2 * BATCH + 3)
    fingerprint = Fingerprint("blocks", "none", "0" * 64, ("blocks",), SIDE, SIDE, DECODER)
    seen = []
    for name in ("one", "two"):
        catalog = Catalog.create(tmp_path / name, fingerprint)
        index(catalog, BlockMeans(), folder)
        vectors = read_vectors(catalog, "blocks", 2 * BATCH + 3)
        seen.append((read_images(catalog).digest, vectors.tobytes()))
        catalog.close()
    assert seen[0] == seen[1]


def test_a_model_that_gives_no_finite_embedding_skips_the_image(
    catalog: Catalog, tmp_path: Path
) -> None:
    class Broken(BlockMeans):
        def embed(self, batch: npt.NDArray[np.uint8]) -> Mapping[str, npt.NDArray[np.float32]]:
            rows = super().embed(batch)["blocks"]
            rows[0, 3] = np.nan
            return {"blocks": rows}

    summary = index(catalog, Broken(), fill(tmp_path / "in", 3))
    assert (summary.indexed, summary.skipped) == (2, 1)
    assert summary.new_skips[0].reason == "the model gave no finite embedding"


def test_missing_folders_and_files_are_named(
    catalog: Catalog, embedder: BlockMeans, images: Path
) -> None:
    with pytest.raises(CollectionError, match="there is no such folder"):
        index(catalog, embedder, images / "nowhere")
    pipe = images / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(CollectionError, match="is neither a folder nor a file"):
        index(catalog, embedder, pipe)
    assert catalog.roots() == []


def test_progress_ends_at_the_total(catalog: Catalog, embedder: BlockMeans, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", BATCH + 5)
    told: list[tuple[int, int]] = []
    run(
        catalog,
        find_changes(catalog, [folder]),
        lambda: embedder,
        lambda done, total: told.append((done, total)),
    )
    assert told == [(0, BATCH + 5), (BATCH, BATCH + 5), (BATCH + 5, BATCH + 5)]


def test_a_disk_that_fills_up_keeps_what_was_committed(
    catalog: Catalog, embedder: BlockMeans, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "in", 3 * BATCH)
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from blocks import BlockMeans, index; from dedup.store.catalog import Catalog\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)\n"
        "index(Catalog.open(Path(sys.argv[2])), BlockMeans(), Path(sys.argv[3]))"
    )
    wal = catalog.store / "catalog.sqlite-wal"
    limit = str(wal.stat().st_size + 165_000)  # one batch and a part of the next
    done = subprocess.run(
        [sys.executable, "-c", code, limit, catalog.store, folder],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert re.search(r"CollectionError: .*disk (failed or )?is full", done.stderr), done.stderr
    kept = len(read_ids(catalog))
    assert kept in (BATCH, 2 * BATCH)
    assert index(catalog, embedder, folder).indexed == 3 * BATCH - kept


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: threads are used")
def test_a_file_beyond_its_seconds_is_skipped_and_the_others_are_indexed(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 3)
    noise = np.random.default_rng(0).integers(0, 256, (6000, 6000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "long.png", compress_level=0)  # takes about a second
    fingerprint = Fingerprint("blocks", "none", "0" * 64, ("blocks",), SIDE, SIDE, DECODER)
    catalog = Catalog.create(tmp_path / "store", fingerprint)
    limits = ItemLimits(last_seconds=0.1, thread_seconds=0.5)
    summary = index(catalog, BlockMeans(), folder, policy=ReadPolicy(limits=limits))
    catalog.close()
    assert summary.indexed == 3
    assert [(skip.path, skip.reason) for skip in summary.new_skips] == [
        (str(folder / "long.png"), "not read: it took more than 0.1 seconds")
    ]
