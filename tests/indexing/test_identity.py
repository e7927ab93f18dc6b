"""Which files count as unchanged, and which folders as the ones from before."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from blocks import BlockMeans, fill, index
from drawn import dng, textured
from PIL import Image

from dedup.images import formats, passed_over, scan
from dedup.indexing.diff import find_changes
from dedup.records import FileEntry, KnownFile
from dedup.store.changes import Differences
from dedup.store.gallery import read_files, read_ids, read_images
from dedup.store.roots import forget_root, move_root

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.store.catalog import Catalog


def contents(catalog: Catalog) -> dict[str, bytes]:
    """Map names of files to the digests that the catalog has of them."""
    files = read_files(catalog, read_ids(catalog))
    digest = read_images(catalog).digest
    return {
        os.path.basename(os.fsdecode(path)): digest[row]
        for row, path in zip(files.row.tolist(), files.path, strict=True)
    }


def keep_times(path: Path, before: os.stat_result) -> None:
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def folder(tmp_path: Path, catalog: Catalog, embedder: BlockMeans) -> Path:
    """Four indexed images in uncompressed files of equal size and time."""
    made = tmp_path / "in"
    made.mkdir()
    for number in range(4):
        Image.new("RGB", (64, 48), (60 * number, 10, 200)).save(made / f"{number}.bmp")
        os.utime(made / f"{number}.bmp", (1.7e9, 1.7e9))
    index(catalog, embedder, made)
    embedder.batches.clear()
    time.sleep(0.02)  # file systems count time in steps of a few milliseconds
    return made


def test_swapped_names_are_found_and_nothing_is_embedded(
    folder: Path, catalog: Catalog, embedder: BlockMeans
) -> None:
    before = contents(catalog)
    (folder / "0.bmp").rename(folder / "swap")
    (folder / "1.bmp").rename(folder / "0.bmp")
    (folder / "swap").rename(folder / "1.bmp")
    summary = index(catalog, embedder, folder)
    assert (summary.reused, summary.unchanged, embedder.batches) == (2, 2, [])
    assert contents(catalog) == before | {"0.bmp": before["1.bmp"], "1.bmp": before["0.bmp"]}


def test_an_edit_in_place_with_restored_times_is_found(
    folder: Path, catalog: Catalog, embedder: BlockMeans
) -> None:
    before, stat = contents(catalog), (folder / "2.bmp").stat()
    data = bytearray((folder / "2.bmp").read_bytes())
    data[-1000:] = bytes(1000)
    with (folder / "2.bmp").open("r+b") as file:
        file.write(data)
    keep_times(folder / "2.bmp", stat)
    summary = index(catalog, embedder, folder)
    assert (summary.indexed, summary.unchanged, embedder.batches) == (1, 3, [1])
    after = contents(catalog)
    assert after.pop("2.bmp") != before.pop("2.bmp")
    assert after == before


def test_a_copy_put_in_a_files_place_is_hashed_and_not_embedded(
    folder: Path, catalog: Catalog, embedder: BlockMeans
) -> None:
    before = contents(catalog)
    shutil.copy2(folder / "3.bmp", folder.parent / "restored")
    (folder.parent / "restored").replace(folder / "3.bmp")
    summary = index(catalog, embedder, folder)
    assert (summary.reused, summary.unchanged, embedder.batches) == (1, 3, [])
    assert contents(catalog) == before
    assert index(catalog, embedder, folder).unchanged == 4


def test_what_only_changed_its_mode_is_hashed_and_not_embedded(
    folder: Path, catalog: Catalog, embedder: BlockMeans
) -> None:
    (folder / "0.bmp").chmod(0o600)
    summary = index(catalog, embedder, folder)
    assert (summary.reused, summary.unchanged, embedder.batches) == (1, 3, [])


def test_a_time_of_change_that_was_not_known_is_recorded_without_reading(
    folder: Path, catalog: Catalog, embedder: BlockMeans
) -> None:
    with catalog.transaction():  # as a catalog of an older format is
        catalog.connection.execute("UPDATE files SET ctime_ns = NULL, checksum = NULL")
        catalog.connection.execute("DELETE FROM meta WHERE key LIKE 'settled %'")
    for path in folder.iterdir():
        path.chmod(0)
    version = catalog.version
    assert index(catalog, embedder, folder).unchanged == 4
    known = read_files(catalog, read_ids(catalog))
    assert known.ctime_ns == [os.lstat(path).st_ctime_ns for path in known.path]
    assert catalog.version == version


def entry(inode: int = 7, ctime_ns: int | None = 5) -> FileEntry:
    return FileEntry(b"a.png", 10, 20, 1, inode, ctime_ns=ctime_ns)


@pytest.mark.parametrize(
    ("now", "keeps_inodes", "unchanged"),
    [
        (entry(), True, 1),
        (entry(inode=8), True, 0),
        (entry(inode=8), False, 1),
        (entry(ctime_ns=6), True, 0),
        (entry(ctime_ns=6), False, 0),
        (entry()._replace(mtime_ns=21), False, 0),
        (entry()._replace(size=11), False, 0),
        (entry()._replace(device=9), True, 1),  # numbered anew at every mount
    ],
)
def test_what_makes_a_file_another_one(
    now: FileEntry,
    keeps_inodes: bool,  # noqa: FBT001 - a parameter of the test
    unchanged: int,
) -> None:
    known = KnownFile(b"a.png", 1, 10, 20, "indexed", None, 7, 5)
    differences = Differences([known], [now], "", keeps_inodes=keeps_inodes)
    assert list(differences) == ([] if unchanged else [(now, known)])
    assert (differences.unchanged, differences.undated) == (unchanged, [])


def test_a_root_that_was_renamed_moves_along(
    tmp_path: Path, catalog: Catalog, embedder: BlockMeans
) -> None:
    index(catalog, embedder, fill(tmp_path / "lib", 40))
    embedder.batches.clear()
    (tmp_path / "lib").rename(tmp_path / "photos")
    summary = index(catalog, embedder, tmp_path / "photos")
    assert (summary.unchanged, summary.reused, summary.gone, embedder.batches) == (40, 0, 0, [])
    assert summary.notes == (
        f"{tmp_path / 'lib'} is now {tmp_path / 'photos'}: its images moved along",
    )
    assert [root.path for root in catalog.roots()] == [os.fsencode(tmp_path / "photos")]
    assert index(catalog, embedder, tmp_path / "photos").notes == ()


def test_a_root_that_was_copied_elsewhere_and_thinned_moves_along(
    tmp_path: Path, catalog: Catalog, embedder: BlockMeans
) -> None:
    index(catalog, embedder, fill(tmp_path / "lib", 6))
    embedder.batches.clear()
    shutil.copytree(tmp_path / "lib", tmp_path / "disk")
    shutil.rmtree(tmp_path / "lib")
    for number in range(3):
        (tmp_path / f"disk/00{number}.png").unlink()
    summary = index(catalog, embedder, tmp_path / "disk")
    # Copies have other inodes: they are hashed again.
    assert (summary.reused, summary.gone, embedder.batches) == (3, 3, [])
    assert len(catalog.roots()) == 1


def rewrite(folder: Path) -> None:
    """Give a file other content, its size and time restored."""
    file = folder / "003.png"
    stat = file.stat()
    file.write_bytes(file.read_bytes()[::-1])
    keep_times(file, stat)


@pytest.mark.parametrize("why", ["the old one is there", "too few", "another content", "two"])
def test_a_root_does_not_move_where_that_is_not_certain(
    tmp_path: Path, catalog: Catalog, embedder: BlockMeans, why: str
) -> None:
    lib, photos = fill(tmp_path / "lib", 4), tmp_path / "photos"
    index(catalog, embedder, lib)
    shutil.copytree(lib, photos)
    if why == "two":
        shutil.copytree(lib, tmp_path / "twin")
        index(catalog, embedder, tmp_path / "twin")
        shutil.rmtree(tmp_path / "twin")
    if why != "the old one is there":
        shutil.rmtree(lib)
    if why == "too few":
        for number in range(3):
            (photos / f"00{number}.png").unlink()
    if why == "another content":
        rewrite(photos)
    index(catalog, embedder, photos)
    paths = {root.path for root in catalog.roots()}
    assert paths >= {os.fsencode(lib), os.fsencode(photos)}


def test_a_forgotten_root_leaves_nothing_but_what_was_computed(
    tmp_path: Path, catalog: Catalog, embedder: BlockMeans
) -> None:
    first, second = fill(tmp_path / "a", 2), fill(tmp_path / "b", 3, first=10)
    index(catalog, embedder, first, second)
    root = next(root for root in catalog.roots() if root.path == os.fsencode(second))
    version = catalog.version
    assert forget_root(catalog, root) == 3
    assert [each.path for each in catalog.roots()] == [os.fsencode(first)]
    assert catalog.version > version
    assert len(read_ids(catalog)) == 2
    embedder.batches.clear()
    # The new root may get the old one's number, but not what was known of it.
    summary = index(catalog, embedder, second)
    assert (summary.reused, summary.unchanged, embedder.batches) == (3, 0, [])


def test_a_moved_root_keeps_its_files(
    tmp_path: Path, catalog: Catalog, embedder: BlockMeans
) -> None:
    index(catalog, embedder, fill(tmp_path / "a", 2))
    (root,) = catalog.roots()
    move_root(catalog, root, b"/elsewhere")
    assert read_files(catalog, read_ids(catalog)).path == [
        b"/elsewhere/000.png",
        b"/elsewhere/001.png",
    ]


def test_patterns_stay_with_a_root_until_others_are_given(
    tmp_path: Path, catalog: Catalog, embedder: BlockMeans
) -> None:
    folder = fill(tmp_path / "in", 4)
    fill(folder / "drafts", 2, first=10)
    index(catalog, embedder, folder)

    def found(patterns: tuple[str, ...] | None) -> tuple[int, int, int, dict[str, int]]:
        from dedup.indexing.pipeline import run

        done = run(catalog, find_changes(catalog, [folder], patterns), lambda: embedder)
        return done.found, done.reused, done.gone, done.passed_over

    left_out = "files and folders excluded by a pattern"
    assert found(("drafts/", "003.*")) == (3, 0, 3, {left_out: 2})
    assert found(None) == (3, 0, 0, {left_out: 2})
    (root,) = catalog.roots()
    assert root.exclude == ("drafts/", "003.*")
    assert found(("003.png",)) == (5, 2, 0, {left_out: 1})
    assert found(()) == (6, 1, 0, {})
    assert found(None) == (6, 0, 0, {})


@pytest.mark.usefixtures("without_videos")
def test_what_was_passed_over_is_counted_in_every_run(
    tmp_path: Path, catalog: Catalog, embedder: BlockMeans
) -> None:
    folder = fill(tmp_path / "in", 1)
    for name in ("a.mov", "b.mp4", "c.psd"):
        (folder / name).touch()
    fill(folder / "@eaDir", 1, first=5)
    expected = {passed_over.VIDEOS: 2, ".psd files": 1, "folders @eaDir (thumbnails of a NAS)": 1}
    assert index(catalog, embedder, folder).passed_over == expected
    assert index(catalog, embedder, folder).passed_over == expected  # when nothing changed


def test_a_damaged_image_is_recorded_with_its_remark(
    tmp_path: Path, catalog: Catalog, embedder: BlockMeans
) -> None:
    folder = fill(tmp_path / "in", 1)
    with Image.open(folder / "000.png") as image:
        image.resize((640, 480)).save(folder / "a.jpg", quality=92)
        image.save(folder / "two.gif", save_all=True, append_images=[image.rotate(90)])
    data = bytearray((folder / "a.jpg").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    (folder / "b.jpg").write_bytes(data)
    index(catalog, embedder, folder)
    images, files = read_images(catalog), read_files(catalog, read_ids(catalog))
    facts = {
        os.path.basename(path): catalog.image_facts(int(images.ids[row]))
        for row, path in zip(files.row.tolist(), files.path, strict=True)
    }
    assert {name: (one.damaged, one.remark) for name, one in facts.items()} == {
        b"000.png": (False, None),
        b"a.jpg": (False, None),
        b"b.jpg": (True, "damaged: parts of it are lost"),
        b"two.gif": (False, "animated: first frame only"),
    }
    assert images.damaged.tolist().count(True) == 1


def test_files_whose_extra_was_removed_stay_and_are_counted(
    folder: Path, catalog: Catalog, embedder: BlockMeans, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rawpy")
    for number in range(2):
        (folder / f"{number}.DNG").write_bytes(dng(textured(60 + 2 * number, 80)))
    assert index(catalog, embedder, folder).indexed == 2
    (folder / "1.DNG").unlink()
    kept = contents(catalog)
    del kept["1.DNG"]
    note = "1 indexed file is not readable now: pip install 'dedup-vision[raw]'"
    with monkeypatch.context() as patch:
        patch.setitem(formats.EXTRAS, "RAW", "a-distribution-that-is-not-installed")
        forget_extras()
        for gone in (1, 0):  # not said once alone
            done = index(catalog, embedder, folder)
            assert (done.unchanged, done.gone, done.notes) == (4, gone, (note,))
            assert contents(catalog) == kept
    forget_extras()
    done = index(catalog, embedder, folder)
    assert (done.unchanged, done.indexed, done.gone, done.notes) == (5, 0, 0, ())


def forget_extras() -> None:
    for remembered in (formats.listed_extensions, scan._suffixes, passed_over._kinds):  # noqa: SLF001
        remembered.cache_clear()
