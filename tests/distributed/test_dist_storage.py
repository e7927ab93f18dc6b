from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from s3_faults import Faults, proxied

from dedup.distributed import bucket as bucket_module
from dedup.distributed.storage import (
    ChangedObjectError,
    MissingObjectError,
    Storage,
    StorageError,
    refuse_without_conditional_puts,
)

if TYPE_CHECKING:
    from pathlib import Path

    from s3_endpoint import S3

PLAIN = (
    "a b.jpg",
    "a%20b.jpg",
    "a+b.jpg",
    "ü/日本😀.jpg",
    "e\u0301.jpg",
    "q?x=1&y#z.jpg",
    "a\\b~*'(){}[]|^`<>\".jpg",
)
ODD = (
    "/lead.jpg",
    "a//b.jpg",
    "a///b c+d%.jpg",
    "control\x01.jpg",
    "delete\x7f.jpg",
    "ends/",
    "tab\tü//x.jpg",
)
DOTTED = ("../b.jpg", "a/../b.jpg", "a/./b.jpg")


def test_objects_are_written_read_looked_at_and_deleted(place: Storage) -> None:
    storage = pickle.loads(pickle.dumps(place))  # noqa: S301 - of this test
    storage.put("x/one", b"0123456789")
    storage.put("x/none", b"")
    found = storage.get("x/one")
    assert found.data == b"0123456789"
    assert storage.get("x/none").data == b""
    assert storage.get_ranges("x/one", [1, 8], [3, 2]) == [b"123", b"89"]
    looked = storage.head("x/one")
    assert (looked.key, looked.size, looked.etag) == ("x/one", 10, found.etag)
    storage.put("x/one", b"changed")
    assert storage.get("x/one").data == b"changed"
    storage.delete(["x/one", "x/never"])
    storage.delete([])
    for ask in (storage.get, storage.head):
        with pytest.raises(MissingObjectError, match=r"a( |%20)folder/x/one: there is no such"):
            ask("x/one")
    assert [entry.key for entry in storage.list()] == ["x/none"]


def test_an_object_is_put_only_once_where_there_is_none(place: Storage) -> None:
    assert place.put_new("a", b"1")
    assert not place.put_new("a", b"2")
    assert place.get("a").data == b"1"
    assert [entry.key for entry in place.list()] == ["a"]


def test_an_object_is_read_only_as_long_as_it_is_the_one_that_was_listed(place: Storage) -> None:
    place.put("a", b"1")
    (listed,) = place.list()
    assert place.get("a", listed.etag).data == b"1"
    place.put("a", b"another")
    with pytest.raises(ChangedObjectError, match="a: it was changed"):
        place.get("a", listed.etag)


def test_a_listing_goes_by_rising_key_below_the_folder_from_where_it_is_told(
    place: Storage,
) -> None:
    keys = sorted(["a.jpg", "a/x", "a/y/z", "a0", "b", "ab/c", *(f"n/{i:03d}" for i in range(40))])
    for key in reversed(keys):
        place.put(key, key.encode())
    Storage.at(place.url + "2").put("other", b"")
    assert [entry.key for entry in place.list()] == keys
    assert [entry.key for entry in place.list("a")] == ["a/x", "a/y/z"]
    assert [entry.key for entry in place.list("a/")] == ["a/x", "a/y/z"]
    assert [entry.key for entry in place.list("n", "n/037")] == ["n/038", "n/039"]
    assert [entry.size for entry in place.list("", "n/039")] == []
    assert list(place.list("nothing")) == []


@pytest.mark.parametrize("count", [0, 9, 10, 11, 40])
def test_pages_of_a_listing_are_joined(
    s3: S3, bucket: str, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(bucket_module, "_PAGE", 10)
    for number in range(count):
        s3.ask("PUT", f"/{bucket[5:]}/{number:04d}")
    with proxied(s3.endpoint, Faults()) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        found = list(Storage.at(bucket).list())
        assert proxy.asked["GET", f"/{bucket[5:]}"] == max(1, -(-count // 10))
    assert [entry.key for entry in found] == [f"{number:04d}" for number in range(count)]


def test_odd_keys_are_listed_and_read_or_told(s3: S3, bucket: str) -> None:
    """obstore's own listing ends at the first key with an empty part or a control character."""
    long = "k" * 1024
    for key in (*PLAIN, *ODD, *DOTTED, long):
        assert s3.ask("PUT", f"/{bucket[5:]}/{quote(key)}", key.encode())[0] == 200
    storage = Storage.at(bucket)
    entries = {entry.key: entry for entry in storage.list()}
    assert list(entries) == sorted([*PLAIN, *ODD, *DOTTED, long])
    for key in (*PLAIN, *ODD, long):
        assert not entries[key].reason
        assert storage.get(key, entries[key].etag).data == key.encode()
    for key in DOTTED:
        assert "no request can name" in entries[key].reason
        with pytest.raises(StorageError, match="cannot be read; copy the object"):
            storage.get(key)
    inside = Storage.at(f"{bucket}/a/")
    assert [entry.key for entry in inside.list() if not entry.reason] == ["//b c+d%.jpg", "/b.jpg"]
    assert inside.get("/b.jpg").data == b"a//b.jpg"
    with pytest.raises(ChangedObjectError):
        inside.get("/b.jpg", '"another"')
    with pytest.raises(MissingObjectError):
        inside.get("/c.jpg")


def test_odd_names_of_files_are_listed_and_read_or_told(tmp_path: Path) -> None:
    names = [*PLAIN[:3], "control\x01\n.jpg", "x#1", ".hidden", "\\xff.jpg2"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    with open(os.fsencode(tmp_path) + b"/\xff.jpg", "wb") as file:
        file.write(b"no UTF-8")
    os.mkdir(os.fsencode(tmp_path) + b"/d\xe9")
    with open(os.fsencode(tmp_path) + b"/d\xe9/x", "wb") as file:
        file.write(b"below one")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "around").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    storage = Storage.at(f"file://{tmp_path}")
    found = list(storage.list())
    assert [entry.key for entry in found] == sorted([*names, "\\xff.jpg", "d\\xe9/x"])
    unreadable = {entry.key: entry.reason for entry in found if entry.reason}
    assert unreadable == dict.fromkeys(
        ("\\xff.jpg", "d\\xe9/x"), "its name is not UTF-8; rename it"
    )
    assert [storage.get(name).data for name in names] == [name.encode() for name in names]
    with pytest.raises(StorageError, match="must not lead out"):
        storage.get("../x")


def test_times_of_objects_are_those_of_the_storage(place: Storage) -> None:
    place.put("a", b"1")
    (listed,) = place.list()
    looked = place.head("a")
    # S3 tells whole seconds, or thousandths, according to who is asked.
    assert abs(listed.mtime_ns - looked.mtime_ns) < 1_000_000_000
    assert listed.mtime_ns > 1_500_000_000 * 10**9
    assert listed.etag == looked.etag


def test_only_a_bucket_that_keeps_versions_gives_them(s3: S3, bucket: str, tmp_path: Path) -> None:
    kept = Storage.at(s3.bucket(versioned=True))
    assert kept.keeps_versions()
    kept.put("a", b"1")
    first = kept.head("a").version
    kept.put("a", b"2")
    assert first
    assert kept.head("a").version not in {"", first}
    assert not Storage.at(bucket).keeps_versions()
    assert not Storage.at(f"file://{tmp_path}").keeps_versions()


@pytest.mark.parametrize("url", ["s3:/bucket", "/folder", "s3://", "http://host/x", "file:///"])
def test_what_is_no_url_of_object_storage_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match="these begin s3://, gs://, az://, file://"):
        Storage.at(url)


def test_a_folder_that_may_not_be_read_is_told(ordinary_user: Path) -> None:
    storage = Storage.at(f"file://{ordinary_user}")
    storage.put("x/a", b"1")
    (ordinary_user / "x").chmod(0)
    try:
        for ask in (
            lambda: storage.get("x/a"),
            lambda: storage.put("x/b", b""),
            lambda: list(storage.list()),
        ):
            with pytest.raises(StorageError, match="permission denied; ask its owner"):
                ask()
    finally:
        (ordinary_user / "x").chmod(0o700)


def test_the_probe_passes_and_leaves_nothing(place: Storage) -> None:
    refuse_without_conditional_puts(place)
    assert list(place.list()) == []


def test_a_store_that_overwrites_is_refused_and_nothing_stays(s3: S3, bucket: str) -> None:
    with (
        proxied(s3.endpoint, Faults(ignore_conditions=True)) as proxy,
        s3.reachable(proxy.endpoint),
    ):
        with pytest.raises(StorageError, match=r"If-None-Match.*Use another"):
            refuse_without_conditional_puts(Storage.at(bucket))
        assert proxy.asked.total() == 3
    assert list(Storage.at(bucket).list()) == []
