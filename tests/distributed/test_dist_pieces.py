"""Where the pieces of objects are, against a list of all of them."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from dedup.distributed import pieces
from dedup.distributed.commits import Done, committed
from dedup.distributed.pieces import Pieces, commit_pieces, read_pieces
from dedup.distributed.storage import Storage, StorageError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = pa.schema([("value", pa.int64())])
Numbered = list[tuple[int, list[int]]]


def objects(rng: np.random.Generator, count: int) -> list[Numbered]:
    """Draw what is in objects: by number some values; a number may be there twice, in any order."""
    every = []
    for _ in range(count):
        numbers = rng.integers(0, 40, size=rng.integers(0, 30)).tolist()
        every.append([(one, rng.integers(99, size=rng.integers(1, 9)).tolist()) for one in numbers])
    return every


def put(storage: Storage, every: list[Numbered]) -> None:
    for number, tables in enumerate(every):
        parts = ((one, pa.table([pa.array(some)], schema=SCHEMA)) for one, some in tables)
        commit_pieces(storage, "stage", f"{number:03d}", parts, {"told": number})


@pytest.mark.parametrize("told", [0, 12, 64])
def test_pieces_are_read_by_number_in_the_order_of_their_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: int
) -> None:
    monkeypatch.setattr(pieces, "_TOLD", told)
    monkeypatch.setattr(pieces, "_AT_ONCE", 3)
    storage, every = Storage.at(f"file://{tmp_path}"), objects(np.random.default_rng(told), 20)
    put(storage, every)
    done = committed(storage, "stage").values()
    assert [one.extra["told"] for one in done] == list(range(20))
    held = {len(some) for some in every if len(some) > told}
    assert {one.extra["contents"] for one in done if "contents" in one.extra} == held
    found = Pieces(storage, done)
    assert found.numbers == sorted({number for some in every for number, _ in some})
    for number in range(45):
        wanted = [values for some in every for one, values in some if one == number]
        places = found.of(number)
        assert [piece.rows for piece in places] == list(map(len, wanted))
        read = read_pieces(storage, places, SCHEMA)["value"].to_pylist()
        assert read == [value for values in wanted for value in values]


def test_of_nothing_there_is_nothing(tmp_path: Path) -> None:
    storage = Storage.at(f"file://{tmp_path}")
    assert (Pieces(storage, []).numbers, Pieces(storage, []).of(3)) == ([], ())


def test_a_shard_and_a_cell_take_sixteen_bytes() -> None:
    cells = [[number, number * 900, 900, 1 + number % 7] for number in range(500)]
    tracemalloc.start()
    try:
        told = {"pieces": cells}
        found = Pieces(Storage.at("file:///nowhere"), (Done("", "", 0, 0, "", told),) * 800)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.rows) == 400_000
    assert held < 17 * 400_000
    assert peak < 36 * 400_000
    last = found.of(499)
    assert len(last) == 800
    assert last[-1][1:] == (499 * 900, 900, 1 + 499 % 7)


def test_contents_that_are_missing_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "_TOLD", 0)
    storage = Storage.at(f"file://{tmp_path}")
    put(storage, [[(3, [1, 2])]])
    (done,) = committed(storage, "stage").values()
    storage.delete([done.key])
    with pytest.raises(StorageError, match="is missing; `dedup verify`"):
        Pieces(storage, [done])
