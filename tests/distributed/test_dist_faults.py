"""Storage on bad days: the same answers, or an end in words."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from dedup.distributed import bucket as bucket_module
from dedup.distributed.storage import Storage, StorageError

if TYPE_CHECKING:
    from s3_endpoint import S3
    from s3_faults import Proxy

BODY = bytes(range(256)) * 40


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("lost", "reset", "slow_down")]


@pytest.mark.parametrize("kind", ["cut", *SLOW])
def test_what_passes_is_not_seen(proxy: Proxy, bucket: str, kind: str) -> None:
    storage = Storage.at(bucket)
    setattr(proxy.faults, kind, 0.4)
    for number in range(3):
        storage.put(f"{number:02d}", BODY)
        assert storage.put_new(f"new/{number:02d}", b"%d" % number)
    for number in range(3):
        assert storage.get(f"{number:02d}").data == BODY
        assert storage.get_ranges(f"{number:02d}", [5, 300], [10, 20]) == [
            BODY[5:15],
            BODY[300:320],
        ]
        assert not storage.put_new(f"new/{number:02d}", b"mine")
        assert storage.get(f"new/{number:02d}").data == b"%d" % number
    assert [entry.key for entry in storage.list()] == [
        *(f"{number:02d}" for number in range(3)),
        *(f"new/{number:02d}" for number in range(3)),
    ]
    assert proxy.done[kind] > 1


def test_a_put_of_which_the_answer_was_lost_is_known_to_be_ones_own(
    proxy: Proxy, bucket: str
) -> None:
    """Else a shard's object would be deleted as a loser's, although its commit names it."""
    proxy.faults.lost = 0.8
    for number in range(4):
        assert Storage.at(bucket).put_new(f"{number}", b"of this attempt %d" % number)
    assert proxy.done["lost"] > 4


def test_a_listing_goes_on_where_it_broke_off(
    proxy: Proxy, bucket: str, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "_PAGE", 3)
    keys = [f"{number:02d}//" for number in range(21)]
    for key in keys:
        s3.ask("PUT", f"/{bucket[5:]}/{key}")
    proxy.faults.cut = proxy.faults.reset = proxy.faults.slow_down = 0.12
    while len(proxy.done) < 3:
        assert [entry.key for entry in Storage.at(bucket).list()] == keys


@pytest.mark.parametrize("kind", ["cut", *SLOW])
def test_what_does_not_pass_ends_in_words_and_counts_as_transient(
    proxy: Proxy, bucket: str, kind: str
) -> None:
    Storage.at(bucket).put("a", BODY)
    setattr(proxy.faults, kind, 1.0)
    storage = Storage.at(bucket, patience=0.5)
    with pytest.raises(
        StorageError, match=r"/a: (no answer|the transfer broke off).*again"
    ) as told:
        storage.get("a")
    assert told.value.transient
    with pytest.raises(StorageError, match=f"{bucket}: no answer.*again"):
        list(storage.list())


def test_a_server_that_stalls_is_asked_again(proxy: Proxy, bucket: str) -> None:
    Storage.at(bucket).put("a", BODY)
    proxy.faults.stall, proxy.faults.stall_seconds = 0.5, 2.5
    storage = Storage.at(bucket, patience=3.0)  # waits for one second
    while not proxy.done["stall"]:
        assert storage.get("a").data == BODY


def test_an_upload_may_take_longer_than_a_stall(proxy: Proxy, bucket: str) -> None:
    proxy.faults.upload_seconds = 2.0
    data = bytes(24 << 20)  # more than sockets keep
    Storage.at(bucket, patience=3.0).put("a", data)  # waits for one second
    assert proxy.asked["PUT", f"/{bucket[5:]}/a"] == 1
    assert Storage.at(bucket).get("a").data == data


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("AccessDenied", "no permission to {} .AccessDenied.; have s3:{} or its like allowed"),
        ("InvalidAccessKeyId", "credentials are not accepted.*set AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", "credentials are not accepted.*set AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_refusal_is_told_at_once(proxy: Proxy, bucket: str, code: str, words: str) -> None:
    storage = Storage.at(bucket)
    proxy.faults.forbidden = code
    for verb, right, ask in (
        ("read", "GetObject", lambda: storage.get("a")),
        ("read", "GetObject", lambda: storage.get("a//b")),
        ("write", "PutObject", lambda: storage.put("a", b"")),
        ("write", "PutObject", lambda: storage.put_new("a", b"")),
        ("list", "ListBucket", lambda: list(storage.list())),
        ("delete", "DeleteObject", lambda: storage.delete(["a"])),
        ("ask", "GetBucketVersioning", storage.keeps_versions),
    ):
        with pytest.raises(StorageError, match=words.format(verb, right)) as told:
            ask()
        assert not told.value.transient
    assert proxy.done["forbidden"] == 7


def test_a_bucket_that_is_not_there_is_told(s3: S3) -> None:
    assert s3.endpoint
    storage = Storage.at("s3://nowhere-to-be-seen/folder")
    for ask in (
        lambda: storage.get("a"),
        lambda: storage.put_new("a", b""),
        lambda: list(storage.list()),
    ):
        with pytest.raises(
            StorageError, match=r"^s3://nowhere-to-be-seen: there is no such bucket"
        ):
            ask()


def test_a_server_that_is_not_there_is_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    storage = Storage.at(bucket, patience=0.5)
    for ask in (lambda: storage.get("a"), lambda: list(storage.list())):
        with pytest.raises(StorageError, match=f"no answer of {endpoint} .*look at the network"):
            ask()
