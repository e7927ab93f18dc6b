"""What counts of a stage, whatever is tried twice, killed, or damaged afterwards."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from dedup.distributed import commits
from dedup.distributed.commits import (
    Damaged,
    Swept,
    commit,
    commit_bytes,
    committed,
    pending,
    read,
    read_bytes,
    sweep,
    verify,
)
from dedup.distributed.storage import Storage, StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from s3_faults import Proxy

TABLE = pa.table({"id": pa.array([3, 1, 2], pa.int64()), "name": ["c", "a", "b"]})


@pytest.fixture
def local(tmp_path: Path) -> Storage:
    return Storage.at(f"file://{tmp_path}/store")


def _keys(storage: Storage) -> list[str]:
    return [entry.key for entry in storage.list()]


def test_the_first_attempt_counts_and_the_second_leaves_nothing(place: Storage) -> None:
    done = commit(place, "j/stage", "000007", TABLE, {"median": 0.5})
    assert done is not None
    assert (done.shard, done.rows, done.extra) == ("000007", 3, {"median": 0.5})
    assert commit(place, "j/stage", "000007", TABLE.slice(1)) is None
    assert commit_bytes(place, "j/stage", "a-b", b"x", "npy", 0) is not None
    found = committed(place, "j/stage")
    assert list(found) == ["000007", "a-b"]
    assert found["000007"] == done
    assert _keys(place) == sorted(
        [done.key, found["a-b"].key, "j/stage/_done/000007.json", "j/stage/_done/a-b.json"]
    )
    assert read(place, done).equals(TABLE)
    assert read(place, done, ["name"]).column_names == ["name"]
    assert read_bytes(place, found["a-b"]) == b"x"
    assert pending(["000006", "000007", "000008"], found) == ["000006", "000008"]
    assert committed(place, "j") == {}


def test_of_many_attempts_at_once_one_counts(place: Storage) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(
            pool.map(lambda number: commit_bytes(place, "s", "0", b"%d" % number, "x", 0), range(8))
        )
    (won,) = [one for one in done if one is not None]
    assert committed(place, "s") == {"0": won}
    assert _keys(place) == sorted([won.key, "s/_done/0.json"])


def test_a_commit_of_which_the_answer_was_lost_still_counts(proxy: Proxy, bucket: str) -> None:
    proxy.faults.lost = 0.5
    storage = Storage.at(bucket)
    done = [commit_bytes(storage, "s", f"{number}", b"x", "x", 0) for number in range(6)]
    assert None not in done
    proxy.faults.lost = 0.0
    assert [*committed(storage, "s").values()] == done
    assert list(verify(storage, "s")) == []
    assert proxy.done["lost"] > 4


def test_a_commit_is_read_once_in_a_process(proxy: Proxy, bucket: str) -> None:
    storage = Storage.at(bucket)
    made = {f"{n}": commit_bytes(storage, "s", f"{n}", b"%d" % n, "x", n) for n in range(3)}

    def asked() -> int:
        proxy.asked.clear()
        assert committed(storage, "s") == made
        return sum(
            count for (method, path), count in proxy.asked.items()
            if method == "GET" and "/s/" in path
        )  # fmt: skip

    assert [asked(), asked()] == [3, 0]
    # Somebody takes a commit back, and does the shard again.
    storage.delete(["s/_done/1.json", made["1"].key])  # type: ignore[union-attr]
    made["1"] = commit_bytes(storage, "s", "1", b"again", "x", 0)
    assert asked() == 1


def test_many_commits_are_kept_in_one_object(
    proxy: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "_WORTH", 4)
    storage = Storage.at(bucket)
    made = {
        f"{n}": commit_bytes(storage, "s", f"{n}", b"%d" % n, "x", n, {"n": n}) for n in range(9)
    }

    def asked() -> int:
        proxy.asked.clear()
        assert committed(storage, "s") == made
        assert list(committed(storage, "s")) == sorted(made)
        return sum(
            count for (method, path), count in proxy.asked.items()
            if method == "GET" and "/s/" in path
        )  # fmt: skip

    assert asked() == 1 + 9 + 1  # none is kept; then all are
    assert asked() == 2
    made["9"] = commit_bytes(storage, "s", "9", b"9", "x", 0)
    assert asked() == 4
    # Somebody takes a commit back, and does the shard again.
    storage.delete(["s/_done/3.json", made["3"].key])  # type: ignore[union-attr]
    made["3"] = commit_bytes(storage, "s", "3", b"again", "x", 0)
    assert asked() == 6
    storage.put("s/_known.parquet", b"damaged")
    assert asked() == 1 + 10 + 1


def test_a_commit_that_is_none_is_told(local: Storage) -> None:
    commit_bytes(local, "s", "0", b"x", "x", 0)
    for data in (b"{", b"[]", b"{}", b'"x"', b"null"):
        local.put("s/_done/1.json", data)
        with pytest.raises(StorageError, match=r"s/_done/1.json is no commit of dedup's"):
            committed(local, "s")
    local.put("s/_done/1.json", local.get("s/_done/0.json").data)
    with pytest.raises(StorageError, match=r"1\.json is the commit of another shard, 0"):
        committed(local, "s")


def test_what_is_missing_or_damaged_is_found(place: Storage) -> None:
    done = [commit(place, "s", f"{number}", TABLE) for number in range(6)]
    keys = [one.key for one in done if one is not None]
    data = place.get(keys[1]).data
    place.delete([keys[0]])
    place.put(keys[1], data[:-1])
    place.put(keys[2], data[:50] + bytes([data[50] ^ 1]) + data[51:])
    place.put("s/_done/3.json", b"{")
    place.put("s/_done/4.json", json.dumps({"shard": "4"}).encode())
    assert list(verify(place, "s"))[:3] == [
        Damaged("0", keys[0], "it is missing"),
        Damaged("1", keys[1], f"it has {len(data) - 1:,} bytes instead of {len(data):,}"),
        Damaged("2", keys[2], "its content is not what was committed"),
    ]
    assert [(one.shard, one.key) for one in verify(place, "s")][3:] == [
        ("3", "s/_done/3.json"),
        ("4", "s/_done/4.json"),
    ]
    assert [one.shard for one in verify(place, "s", contents=False)] == ["0", "1", "3", "4"]
    assert done[2] is not None
    with pytest.raises(StorageError, match="is not what was committed; `dedup verify` lists"):
        read(place, done[2])


def test_large_objects_are_verified_in_pieces(
    local: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "_PIECE", 7)
    for size in (6, 7, 8, 21):
        commit_bytes(local, "s", f"{size:02d}", bytes(range(size)), "x", 0)
    assert list(verify(local, "s")) == []
    key = committed(local, "s")["21"].key
    local.put(key, bytes(range(20)) + b"\0")
    assert [one.shard for one in verify(local, "s")] == ["21"]


def test_only_what_no_commit_will_name_is_swept(place: Storage) -> None:
    done = commit(place, "s", "0", TABLE)
    assert done is not None
    kept = [done.key, "s/_done/0.json", "s/notes.json", "s/t/0-0123456789ab.parquet", "t/0"]
    for key in kept[2:]:
        place.put(key, b"x")
    place.put("s/0-0123456789ab.parquet", b"lost")  # the shard is committed
    place.put("s/1-0123456789ab.parquet", b"under way")
    place.put("s/.dedup-0123456789abcdef0123456789abcdef.tmp", b"under way")
    place.put("s/_done/.dedup-0123456789abcdef0123456789abcdef.tmp", b"under way")
    assert sweep(place, "s") == Swept(1, 4)
    assert sweep(place, "s") == Swept(0, 0)
    assert len(_keys(place)) == len(kept) + 3
    assert sweep(place, "s", age=-5) == Swept(3, 27)
    assert _keys(place) == sorted(kept)
    assert list(verify(place, "s")) == []
