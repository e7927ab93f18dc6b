"""Running the shards of a stage that are not done yet, and telling how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dedup.distributed.commits import names
from dedup.distributed.engine import Task, run_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from dedup.distributed.commits import Done
    from dedup.distributed.engine import Ended, Engine
    from dedup.distributed.run import Run

    Report = Callable[[str, int, int], None]


class Given(Mapping[str, "tuple[Any, ...]"]):
    """The arguments of shards, each made when its task begins: all at once may be very many.

    Parameters
    ----------
    shards : their names
    make : gives the arguments of one
    """

    def __init__(self, shards: Collection[str], make: Callable[[str], tuple[Any, ...]]) -> None:
        self._shards, self._make = shards, make

    def __iter__(self) -> Iterator[str]:
        return iter(self._shards)

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, shard: str) -> tuple[Any, ...]:
        return self._make(shard)


def run_shards(
    engine: Engine,
    run: Run,
    stage: str,
    words: str,
    function: Callable[..., Done | None],
    arguments: Mapping[str, tuple[Any, ...]],
    report: Report,
) -> None:
    """Run the shards of a stage that no commit names.

    Parameters
    ----------
    words : for progress
    function : takes the run and the arguments of a shard
    report : called with `words`, how many shards are done, and of how many
    """
    there = names(run.storage, stage).intersection(arguments)
    total, done = len(arguments), len(there)
    report(words, done, total)

    def one_more(_: Ended) -> None:
        nonlocal done
        done += 1
        report(words, done, total)

    tasks = (
        Task(function, (run, *arguments[shard]), f"{stage} {shard}")
        for shard in arguments
        if shard not in there
    )
    run_tasks(engine, tasks, one_more)
