"""Running the shards of a stage that are not done yet, and telling how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dedup.distributed.commits import committed
from dedup.distributed.engine import Task, run_tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from dedup.distributed.commits import Done
    from dedup.distributed.engine import Ended, Engine
    from dedup.distributed.run import Run

    Report = Callable[[str, int, int], None]


def run_shards(
    engine: Engine,
    run: Run,
    stage: str,
    words: str,
    function: Callable[..., Done | None],
    arguments: dict[str, tuple[Any, ...]],
    report: Report,
) -> None:
    """Run the shards of a stage that no commit names.

    Parameters
    ----------
    words : for progress
    function : takes the run and the arguments of a shard
    report : called with `words`, how many shards are done, and of how many
    """
    there = committed(run.storage, stage).keys() & arguments.keys()
    total, done = len(arguments), len(there)
    report(words, done, total)

    def one_more(_: Ended) -> None:
        nonlocal done
        done += 1
        report(words, done, total)

    tasks = (
        Task(function, (run, *given), f"{stage} {shard}")
        for shard, given in arguments.items()
        if shard not in there
    )
    run_tasks(engine, tasks, one_more)
