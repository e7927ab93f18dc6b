from __future__ import annotations

from dedup.distributed.storage import Storage


def test_an_object_is_put_only_once_where_there_is_none(bucket: str) -> None:
    storage = Storage.at(f"{bucket}/folder")
    assert storage.put_new("a", b"1")
    assert not storage.put_new("a", b"2")
    assert storage.get("a").data == b"1"
    assert [entry.key for entry in storage.list()] == ["a"]
