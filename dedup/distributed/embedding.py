"""The shards of stage "embed", as whoever runs it sees them: their tasks, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dedup.distributed import commits
from dedup.distributed.engine import EngineError, Named, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dedup.distributed.commits import Done
    from dedup.distributed.run import Run
    from dedup.distributed.storage import Storage

STAGE: Final = "embed"

_EMBED: Final = Named("embed", "embed_shard")


def tasks(run: Run, listed: Sequence[Done], gone: dict[str, list[int]], *, own: bool) -> list[Task]:
    """Make the tasks of shards; `gone` by shard, as in `embed_shard`."""
    return [Task(_EMBED, (run, one, own, gone.get(one.shard, ())), one.shard) for one in listed]


def look_apart(task: Task, words: str) -> list[Task]:
    """Give what is run instead of a task that ended its process twice."""
    run, listed, own, gone, *apart = task.arguments
    if any(apart):
        raise EngineError(
            f"shard {task.name}: its process ended although each image was read in one of its own "
            f"({words}); is there enough memory?"
        )
    return [Task(_EMBED, (run, listed, own, gone, True), task.name, task.need)]


def transient_ids(storage: Storage) -> set[int]:
    """List the ids of files that deserve another try although they have not changed."""
    found: set[int] = set()
    for done in commits.committed(storage, STAGE).values():
        if done.extra.get("transient"):
            table = commits.read(storage, done, ["id", "transient"])
            found.update(table.filter(table["transient"])["id"].to_pylist())
    return found
