"""A stage of small tables, and tasks that are slow, end their processes, hang or fail."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dedup.distributed.commits import commit, committed, pending
from dedup.distributed.engine import Task, counted, run_tasks
from dedup.distributed.engines import engine_named
from dedup.distributed.storage import Storage, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dedup.distributed.engine import Engine, Need

STAGE = "toy"
ROWS = 20


def shards(count: int) -> list[str]:
    return [f"{number:06d}" for number in range(count)]


def expected(count: int) -> list[tuple[int, int]]:
    """What the stage finds, worked out plainly."""
    return [
        (n * ROWS + row, (n * ROWS + row) ** 2 % 997) for n in range(count) for row in range(ROWS)
    ]


def square(url: str, shard: str, diary: str = "", seconds: float = 0.0) -> None:
    """Read the input of a shard, write its squares; say in a diary that it was computed."""
    storage = Storage.at(url)
    ids = [int(line) for line in storage.get(f"input/{shard}").data.split()]
    if diary:
        with open(diary, "a", encoding="utf-8") as file:
            file.write(f"{shard} {os.getpid()}\n")
    time.sleep(seconds)
    table = pa.table({"id": pa.array(ids, pa.int64()), "square": [one * one % 997 for one in ids]})
    commit(storage, STAGE, shard, table)


def put_input(url: str, count: int) -> None:
    storage = Storage.at(url)
    for number, shard in enumerate(shards(count)):
        ids = range(number * ROWS, (number + 1) * ROWS)
        storage.put(f"input/{shard}", "\n".join(map(str, ids)).encode())


def found(url: str) -> list[tuple[int, int]]:
    """Read what the stage found, as it is committed."""
    from dedup.distributed.commits import read

    storage = Storage.at(url)
    return [
        (row["id"], row["square"])
        for done in committed(storage, STAGE).values()
        for row in read(storage, done).to_pylist()
    ]


def run_stage(
    engine: Engine,
    url: str,
    count: int,
    diary: str = "",
    seconds: float = 0.0,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Run what is left of the stage."""
    names = shards(count)
    left = pending(names, committed(Storage.at(url), STAGE))
    tasks = [Task(square, (url, shard, diary, seconds), shard) for shard in left]
    told = counted(progress, STAGE, count - len(left), count)
    run_tasks(engine, tasks, told, lambda one, _: [replace(one, name=f"{one.name}, once more")])


def end_by(number: int) -> None:
    os.kill(os.getpid(), number)


def crash_first(folder: str, name: str, times: int) -> str:
    """End this process the first times; then give a word."""
    for attempt in range(times):
        mark = Path(folder) / f"{name}-{attempt}"
        if not mark.exists():
            mark.touch()
            end_by(signal.SIGKILL)
    return name


def process_id(seconds: float = 0.0) -> int:
    time.sleep(seconds)
    return os.getpid()


def hang(mark: str = "") -> None:
    if mark:
        Path(mark).write_text(f"{os.getpid()}", "ascii")
    while True:
        time.sleep(60)


def fail(words: str) -> None:
    raise StorageError(words, transient=words.startswith("busy"))


def full_disk() -> None:
    raise OSError(28, "No space left on device")


class _Unsendable(Exception):  # noqa: N818 - its name is not what it is about
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def raise_unsendable() -> None:
    raise _Unsendable(1, 2)


def environment(names: Sequence[str]) -> dict[str, Any]:
    return {name: os.environ.get(name) for name in names}


def use_arrow() -> tuple[list[int], bool, list[int]]:
    """Make a table; give it, whether pandas came with it, and what pandas makes of it."""
    table = pa.table({"id": [1, 2]})
    with_pandas = "pandas" in sys.modules
    return table["id"].to_pylist(), with_pandas, table.to_pandas()["id"].tolist()


def write_to_stdout() -> None:
    os.write(1, b"written by a task")


def task(
    function: Callable[..., Any], *arguments: Any, name: str = "it", need: Need | None = None
) -> Task:
    return Task(function, arguments, name, need) if need else Task(function, arguments, name)


def drive(kind: str, url: str, count: str, diary: str, seconds: str) -> None:
    """Be a driver."""
    with engine_named(kind) as engine:
        run_stage(engine, url, int(count), diary, float(seconds))
