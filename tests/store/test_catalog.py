from __future__ import annotations

import json
import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dedup.errors import CollectionError, DamagedError, FormatError, NoCollectionError
from dedup.fingerprint import DETAILS, Fingerprint
from dedup.records import FileEntry, ImageFacts
from dedup.store.catalog import Catalog
from dedup.store.changes import Batch
from dedup.store.counts import layer_dimensions
from dedup.store.gallery import read_files, read_ids, read_images, read_indexed, read_vectors
from dedup.store.vectors import as_stored, dimension, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

FINGERPRINT = Fingerprint("m", "untrained", "0" * 64, ("pool", "conv"), 8, 8, "rules 1")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog.create(tmp_path / "store", FINGERPRINT)
    yield opened
    opened.close()


def add(
    catalog: Catalog, name: bytes, vector: npt.NDArray[np.float32], content: bytes | None = None
) -> int:
    digest = (content or name).ljust(32, b".")
    facts = ImageFacts(digest, "PNG", 4, 3, 1, trivial=False, input_digest=digest)
    (root,) = catalog.add_roots([b"/images"])
    packed = {"pool": pack("pool", vector[None]), "conv": pack("conv", vector[None, :2])}
    catalog.commit(Batch([facts], packed, [(root, FileEntry(name, 10, 20, 1, 2), digest)]))
    image = catalog.image_with(digest)
    assert image is not None
    return image


def test_vectors_come_back_as_unit_rows_and_as_given(catalog: Catalog) -> None:
    given = np.array([[3, 4, 0], [1e6, -2e6, 5e5], [1e-9, 2e-9, 0]], np.float32)
    for number, vector in enumerate(given):
        add(catalog, b"%d.png" % number, vector)
    units = read_vectors(catalog, "pool", 3)
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, atol=1e-7)
    np.testing.assert_allclose(units[0], [0.6, 0.8, 0], atol=1e-3)
    np.testing.assert_allclose(read_vectors(catalog, "pool", 3, scaled=True), given, rtol=1e-3)
    assert layer_dimensions(catalog) == {"pool": 3, "conv": 2}


def test_names_are_bytes(catalog: Catalog) -> None:
    names = [b"a\nb.png", b"\xff\xfe.png", "ü.png".encode(), b"x" * 251 + b".png"]
    for name in names:
        add(catalog, name, np.ones(3, np.float32))
    files = read_files(catalog, read_ids(catalog))
    assert sorted(files.path) == sorted(b"/images/" + name for name in names)
    assert all(os.fsencode(os.fsdecode(path)) == path for path in files.path)


def test_many_images_at_once_are_those_one_by_one(catalog: Catalog) -> None:
    """More than one statement's worth, with one that is known and one that comes twice."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(900, 4)).astype(np.float32)
    numbers = [*range(900), 5]
    images = [
        ImageFacts(b"%032d" % number, "PNG", number, 2, 1, number % 2 == 0, b"%032d" % -number)
        for number in numbers
    ]
    (root,) = catalog.add_roots([b"/many"])
    catalog.commit(Batch(images[7:8], {"pool": pack("pool", vectors[7:8])}))
    known = catalog.image_with(images[7].digest)
    files = [
        (root, FileEntry(b"%d.png" % row, row, 1, 1, 1), image.digest)
        for row, image in enumerate(images)
    ]
    catalog.commit(Batch(images, {"pool": pack("pool", vectors[numbers])}, files))
    catalog.commit(Batch(files=[(root, files[3][1]._replace(size=77), images[3].digest)]))
    found = [catalog.image_with(image.digest) for image in images]
    ids = [image for image in found if image is not None]
    assert ids[7] == known
    assert ids[-1] == ids[5]
    assert len(set(ids)) == 900
    stored = read_images(catalog)
    assert stored.ids.tolist() == sorted(set(ids))
    order = sorted(range(900), key=ids.__getitem__)
    assert stored.width.tolist() == order
    assert stored.trivial.tolist() == [number % 2 == 0 for number in order]
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(read_vectors(catalog, "pool", 900), units[order], atol=1e-3)
    sizes = read_files(catalog, stored.ids).size
    assert sorted(sizes.tolist()) == sorted([77, *(n for n in range(901) if n != 3)])


def test_one_content_is_one_image_with_two_files(catalog: Catalog) -> None:
    first = add(catalog, b"b.png", np.ones(3, np.float32), content=b"same")
    second = add(catalog, b"a.png", np.ones(3, np.float32), content=b"same")
    assert first == second
    found = read_indexed(catalog, [first])
    paths = {image: [file.path for file in files] for image, files in found.items()}
    assert paths == {first: [b"/images/a.png", b"/images/b.png"]}
    assert len(read_images(catalog)) == 1


def test_gone_files_leave_the_gallery_and_their_embedding_stays(catalog: Catalog) -> None:
    image = add(catalog, b"a.png", np.ones(3, np.float32))
    (root,) = catalog.roots()
    (known,) = catalog.known_files(root)
    assert known.path == b"a.png"
    catalog.commit(Batch(gone=[known.id]))
    assert read_ids(catalog).tolist() == []
    assert catalog.files_by_state() == {"gone": 1}
    assert catalog.image_with(b"a.png".ljust(32, b".")) == image


def test_a_flipped_bit_in_an_embedding_is_found(catalog: Catalog) -> None:
    add(catalog, b"a.png", np.ones(3, np.float32))
    catalog.connection.execute("UPDATE embeddings SET vector = X'003C00000000'")
    with pytest.raises(DamagedError, match="checksum"):
        read_vectors(catalog, "pool", 1)


def test_a_transaction_is_all_or_nothing(catalog: Catalog) -> None:
    before = catalog.version
    with pytest.raises(KeyboardInterrupt), catalog.transaction():
        catalog.gallery_changed()
        raise KeyboardInterrupt
    assert catalog.version == before


def test_a_reader_sees_one_state_while_a_writer_commits(catalog: Catalog) -> None:
    add(catalog, b"a.png", np.ones(3, np.float32))
    reader = Catalog.open(catalog.store)
    with reader.snapshot():
        assert len(read_ids(reader)) == 1
        add(catalog, b"b.png", np.ones(3, np.float32))
        assert len(read_ids(reader)) == 1
    assert len(read_ids(reader)) == 2
    reader.close()


def test_a_second_catalog_in_one_place_is_refused(catalog: Catalog) -> None:
    with pytest.raises(CollectionError, match="there is a collection already"):
        Catalog.create(catalog.store, FINGERPRINT)


def test_no_catalog_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NoCollectionError, match="dedup index FOLDER"):
        Catalog.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_format_asks_for_an_upgrade(catalog: Catalog) -> None:
    catalog.connection.execute("PRAGMA user_version = 99")
    with pytest.raises(FormatError, match=r"format 99.*Upgrade"):
        Catalog.open(catalog.store)


@pytest.mark.parametrize(
    "content", [b"", b"no database at all", b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_damaged_catalog_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(content)
    with pytest.raises(DamagedError, match="index again"):
        Catalog.open(tmp_path)


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    foreign = sqlite3.connect(tmp_path / "catalog.sqlite")
    foreign.execute("CREATE TABLE a (b)")
    foreign.close()
    with pytest.raises(DamagedError, match="not a catalog of dedup"):
        Catalog.open(tmp_path)


def test_a_full_disk_keeps_what_was_committed(catalog: Catalog) -> None:
    add(catalog, b"a.png", np.ones(3, np.float32))
    (pages,) = catalog.connection.execute("PRAGMA page_count").fetchone()
    catalog.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(CollectionError, match=r"disk is full.*run the same\s+command again"):
        for number in range(1000):
            add(catalog, b"%d.png" % number, np.ones(3, np.float32))
    survivors = len(read_ids(catalog))
    assert survivors >= 1
    assert read_vectors(catalog, "pool", survivors).shape == (survivors, 3)


def test_odd_folder_names_open(tmp_path: Path) -> None:
    store = tmp_path / "50% ?#ü \n x"
    Catalog.create(store, FINGERPRINT).close()
    Catalog.open(store).close()
    assert (store / "catalog.sqlite").is_file()


def test_a_fingerprint_comes_back_as_it_was_written() -> None:
    assert Fingerprint.from_json(FINGERPRINT.to_json()) == FINGERPRINT
    both = replace(FINGERPRINT, views=("content", "details"), details_digest="1" * 64)
    assert Fingerprint.from_json(both.to_json()) == both


def test_collections_from_before_there_were_views_have_content_alone() -> None:
    fields = json.loads(FINGERPRINT.to_json())
    for name in ("views", "details_digest", "content_share"):
        del fields[name]
    old = Fingerprint.from_json(json.dumps(fields))
    assert old == FINGERPRINT
    assert (old.stored, old.compared) == (("pool", "conv"), {"pool": 1.0})


def test_details_take_half_a_byte_a_value_and_keep_their_cosines() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 1024)).astype(np.float32)
    rows[1] = 0
    rows[3] = rows[2] + rng.normal(size=1024) * 0.5  # a copy
    norms, packed = pack(DETAILS, rows)
    assert [len(blob) for blob in packed] == [512] * 50
    assert norms == pytest.approx(np.linalg.norm(rows, axis=1).tolist())
    back = unpack(DETAILS, packed)
    assert not back[1].any()
    np.testing.assert_array_equal(as_stored(DETAILS, rows), back)
    assert (back[0].min(), back[0].max()) == (-7, 7)
    # In order, and each within half a step of 3 / 7 deviations, unless it lies beyond the last.
    step = 3 * rows[0].std() / 7
    inside = np.abs(rows[0]) < 7 * step
    assert np.abs(back[0] * step - rows[0])[inside].max() <= 0.501 * step

    def cosines(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
        return np.asarray(unit @ unit.T)

    assert np.abs(cosines(back) - cosines(rows)).max() < 0.02
    assert (dimension(DETAILS, 512), dimension("pool", 512)) == (1024, 256)


def test_who_may_not_write_reads_what_another_user_writes(ordinary_user: Path) -> None:
    store = ordinary_user / "store"
    writer = Catalog.create(store, FINGERPRINT)
    (root,) = writer.add_roots([b"/in the log only"])
    store.chmod(0o500)
    reader = Catalog.open(store)
    assert reader.roots() == [root]
    reader.close()
    store.chmod(0o700)
    copied = Path(shutil.copytree(store, ordinary_user / "copied"))
    (copied / "catalog.sqlite-shm").unlink()
    copied.chmod(0o500)
    with pytest.raises(CollectionError, match=r"cannot be opened\. May this user"):
        Catalog.open(copied)
    copied.chmod(0o700)
    writer.close()
    store.chmod(0o500)
    reader = Catalog.open(store)
    assert reader.roots() == [root]
    reader.close()
    store.chmod(0o700)
