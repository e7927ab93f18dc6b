"""What counts of a stage: one object for each shard, named by a commit that is put only once.

`commit` writes a table under a name of its own and then puts `STAGE/_done/SHARD.json` where there
is none yet. The first attempt wins; whoever comes second, a retry or another driver, deletes what
it wrote. So each shard counts once, however often engines run it.
"""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from dedup.distributed.storage import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from dedup.distributed.storage import Storage

_ROWS_PER_GROUP = 4096


@dataclass(frozen=True, slots=True)
class Done:
    """The commit of a shard.

    Parameters
    ----------
    shard : its name in the stage, such as "000017"
    key : of the object that counts
    rows : of it
    bytes : of it
    sha256 : of it, hexadecimal
    extra : what later stages want to know without reading it: small values of JSON
    """

    shard: str
    key: str
    rows: int
    bytes: int
    sha256: str
    extra: dict[str, Any] = field(default_factory=dict)


def commit(
    storage: Storage,
    stage: str,
    shard: str,
    table: pa.Table,
    extra: dict[str, Any] | None = None,
    rows_per_group: int = _ROWS_PER_GROUP,
) -> Done | None:
    """Write a table and have it count; None where another attempt came first.

    Parameters
    ----------
    stage : such as "embed"
    """
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(
        table, sink, compression="zstd", row_group_size=rows_per_group, write_page_checksum=True
    )
    return commit_bytes(storage, stage, shard, sink.getvalue(), "parquet", table.num_rows, extra)


def commit_bytes(
    storage: Storage,
    stage: str,
    shard: str,
    data: bytes,
    suffix: str,
    rows: int,
    extra: dict[str, Any] | None = None,
) -> Done | None:
    """Write an object of any kind and have it count; as `commit`."""
    key = f"{stage}/{shard}-{uuid.uuid4().hex[:12]}.{suffix}"
    storage.put(key, data)
    done = Done(shard, key, rows, len(data), hashlib.sha256(data).hexdigest(), extra or {})
    if storage.put_new(f"{stage}/_done/{shard}.json", json.dumps(asdict(done)).encode()):
        return done
    storage.delete([key])
    return None


def committed(storage: Storage, stage: str) -> dict[str, Done]:
    """Read the commits of a stage, by shard, rising."""
    prefix = f"{stage}/_done/"
    keys = sorted(entry.key for entry in storage.list(prefix))
    return {done.shard: done for done in (_read_done(storage, key) for key in keys)}


def pending(shards: Iterable[str], done: dict[str, Done]) -> list[str]:
    """List the shards that no commit names, in order."""
    return [shard for shard in shards if shard not in done]


def read_bytes(storage: Storage, done: Done) -> bytes:
    """Read the object that a commit names.

    Raises
    ------
    StorageError : it is not what was committed.
    """
    data = storage.get(done.key).data
    if hashlib.sha256(data).hexdigest() != done.sha256:
        raise StorageError(
            f"{storage.url}/{done.key} is not what was committed; `dedup verify` lists all such"
        )
    return data


def read(storage: Storage, done: Done, columns: list[str] | None = None) -> pa.Table:
    """Read the table that a commit names; as `read_bytes`."""
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(read_bytes(storage, done)), columns=columns)


def _read_done(storage: Storage, key: str) -> Done:
    try:
        return Done(**json.loads(storage.get(key).data))
    except (ValueError, TypeError) as error:
        raise StorageError(f"{storage.url}/{key} is no commit of dedup's ({error})") from error
