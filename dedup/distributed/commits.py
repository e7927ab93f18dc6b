"""What counts of a stage: one object for each shard, named by a commit that is put only once.

`commit` writes a table under a name of its own and then puts `STAGE/_done/SHARD.json` where there
is none yet. The first attempt wins; whoever comes second, a retry or another driver, deletes what
it wrote. So each shard counts once, however often engines run it. What was killed between the two
leaves an object that no commit names, until it is swept.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from dedup.distributed.storage import MissingObjectError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from dedup.distributed.storage import Entry, Storage

Item = TypeVar("Item")
Result = TypeVar("Result")

_ROWS_PER_GROUP: Final = 4096
_READ_AT_ONCE: Final = 32  # commits, which are small
_CHECKED_AT_ONCE: Final = 4  # objects, of which a piece each is in memory
_PIECE: Final = 8 << 20
_WORTH: Final = 256
"""Commits that are read one by one, once in a process; of more, those that were read are kept in
one object."""

DAY: Final = 86400.0
"""Seconds after which nobody is at work on an object any more."""

TELLS: Final = "`dedup verify` lists all such, and says what to do"
"""The next step, where an object is not what it was."""

_MOST_RECENT: Final = 4096
_recent: dict[tuple[str, str, str], Done] = {}  # by URL, key and tag

_KNOWN: Final = "_known.parquet"
_ATTEMPT: Final = re.compile(
    r"(?P<shard>[^/]+)-[0-9a-f]{12}\.\w+"  # as `commit_bytes` names what it writes
    r"|(?:_done/)?\.dedup-[0-9a-f]{32}\.tmp|_now-[0-9a-f]{32}"
)


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
    data = parquet_bytes(table, rows_per_group)
    return commit_bytes(storage, stage, shard, data, "parquet", table.num_rows, extra)


def parquet_bytes(table: pa.Table, rows_per_group: int = _ROWS_PER_GROUP) -> memoryview:
    """Write a table as the bytes of a Parquet file, with a checksum for every page."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(
        table, sink, compression="zstd", row_group_size=rows_per_group, write_page_checksum=True
    )
    return memoryview(sink.getvalue()).cast("B")


def commit_bytes(
    storage: Storage,
    stage: str,
    shard: str,
    data: bytes | memoryview,
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
    """Read the commits of a stage, by shard, rising.

    A request for every thousand, to list them, and for each that is not known, 32 at a time.

    Raises
    ------
    StorageError : one is no commit.
    """
    entries = list(_commits(storage, stage))
    few = len(entries) <= _WORTH
    known = {} if few else _known(storage, stage)
    found = {
        entry.key: done
        for entry in entries
        if (done := known.get((entry.key, entry.etag)) or _recent.get(_named(storage, entry)))
    }
    missing = [entry.key for entry in entries if entry.key not in found]
    found.update(zip(missing, many(lambda key: _read_done(storage, key), missing), strict=True))
    if few:
        _remember(storage, [(entry, found[entry.key]) for entry in entries])
    elif len(missing) > _WORTH:
        with suppress(StorageError):  # who may only read does without
            _keep_known(storage, stage, [(entry, found[entry.key]) for entry in entries])
    return {found[entry.key].shard: found[entry.key] for entry in entries}


def _remember(storage: Storage, found: list[tuple[Entry, Done]]) -> None:
    """Keep commits for when they are asked for again; they never change."""
    if len(_recent) > _MOST_RECENT:
        _recent.clear()
    _recent.update((_named(storage, entry), done) for entry, done in found if entry.etag)


def _named(storage: Storage, entry: Entry) -> tuple[str, str, str]:
    return storage.url, entry.key, entry.etag


def names(storage: Storage, stage: str) -> set[str]:
    """Name the shards of a stage that are committed, without reading their commits."""
    return {_shard_of_commit(entry.key) for entry in _commits(storage, stage)}


def done_of(storage: Storage, stage: str, shard: str) -> Done:
    """Read one commit.

    Raises
    ------
    MissingObjectError : there is none.
    """
    return _read_done(storage, f"{stage}/_done/{shard}.json")


def pending(shards: Iterable[str], done: dict[str, Done]) -> list[str]:
    """List the shards that no commit names, in order."""
    return [shard for shard in shards if shard not in done]


def read_bytes(storage: Storage, done: Done) -> bytes:
    """Read the object that a commit names.

    Raises
    ------
    StorageError : it is not what was committed.
    """
    try:
        data = storage.get(done.key).data
    except MissingObjectError as error:
        raise StorageError(f"{storage.url}/{done.key} is missing; {TELLS}") from error
    if hashlib.sha256(data).hexdigest() != done.sha256:
        raise StorageError(f"{storage.url}/{done.key} is not what was committed; {TELLS}")
    return data


def read(storage: Storage, done: Done, columns: list[str] | None = None) -> pa.Table:
    """Read the table that a commit names; as `read_bytes`."""
    return table_of(read_bytes(storage, done), columns)


def table_of(data: bytes, columns: list[str] | None = None) -> pa.Table:
    """Read the bytes of a Parquet file.

    In this thread alone, unlike `read_table`: a thread of Arrow's that lets go of Python's
    bytes while the process ends aborts it (https://github.com/apache/arrow/issues/34314).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) as file:
        return file.read(columns, use_threads=False)


class Damaged(NamedTuple):
    """Something of a stage that is not as it was committed.

    Parameters
    ----------
    key : of the object, or of a commit that cannot be read
    reason : in words
    """

    shard: str
    key: str
    reason: str


def verify(storage: Storage, stage: str, *, contents: bool = True) -> Iterator[Damaged]:
    """Look for objects of a stage that are missing or damaged.

    Parameters
    ----------
    contents : read every byte, else only sizes are compared

    Raises
    ------
    StorageError : there was no answer.
    """
    keys = [entry.key for entry in _commits(storage, stage)]

    def check(key: str) -> Damaged | None:
        shard = _shard_of_commit(key)
        try:
            done = _read_done(storage, key)
        except StorageError as error:
            if error.transient:
                raise
            return Damaged(shard, key, str(error))
        reason = damage(storage, done, contents=contents)
        return Damaged(shard, done.key, reason) if reason else None

    for damaged in many(check, keys, _CHECKED_AT_ONCE):
        if damaged is not None:
            yield damaged


class Swept(NamedTuple):
    """What was deleted."""

    objects: int
    bytes: int


def sweep(storage: Storage, stage: str, age: float = DAY) -> Swept:
    """Delete the objects of a stage that no commit names; safe while others work at it.

    Parameters
    ----------
    age : seconds after which an object of a shard that is not committed is nobody's any more;
        what another attempt came before is deleted at any age
    """
    done = committed(storage, stage)
    oldest = now(storage, stage) - int(age * 1e9)
    objects = size = 0
    litter = (entry for entry in storage.list(stage) if _litter(stage, entry, done, oldest))
    while some := list(islice(litter, 1000)):
        storage.delete(entry.key for entry in some)
        objects += len(some)
        size += sum(entry.size for entry in some)
    return Swept(objects, size)


def _commits(storage: Storage, stage: str) -> Iterator[Entry]:
    """List the commits of a stage, by rising shard."""
    found = (entry for entry in storage.list(f"{stage}/_done") if entry.key.endswith(".json"))
    return iter(sorted(found))


def _read_done(storage: Storage, key: str) -> Done:
    try:
        done = Done(**json.loads(storage.get(key).data))
    except (ValueError, TypeError) as error:
        raise StorageError(f"{storage.url}/{key} is no commit of dedup's ({error})") from error
    if done.shard != _shard_of_commit(key):
        raise StorageError(f"{storage.url}/{key} is the commit of another shard, {done.shard}")
    return done


def _shard_of_commit(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _litter(stage: str, entry: Entry, done: dict[str, Done], oldest: int) -> bool:
    """Say whether an object is one that an attempt or a put left, and nobody will name."""
    found = _ATTEMPT.fullmatch(entry.key.removeprefix(f"{stage}/"))
    if found is None:
        return False
    committed_as = done.get(found["shard"] or "")
    if committed_as is None:
        return entry.mtime_ns < oldest
    return committed_as.key != entry.key


def damage(storage: Storage, done: Done, *, contents: bool = True) -> str:
    """Say what is wrong with the object that a commit names; "" where nothing is; as `verify`."""
    try:
        size = storage.head(done.key).size
        if size != done.bytes:
            return f"it has {size:,} bytes instead of {done.bytes:,}"
        if not contents:
            return ""
        digest = hashlib.sha256()
        for start in range(0, size, _PIECE):
            (piece,) = storage.get_ranges(done.key, [start], [min(_PIECE, size - start)])
            digest.update(piece)
    except MissingObjectError:
        return "it is missing"
    return "" if digest.hexdigest() == done.sha256 else "its content is not what was committed"


def _known(storage: Storage, stage: str) -> dict[tuple[str, str], Done]:
    """Read the commits that somebody read before, by key and tag; they never change."""
    import pyarrow as pa

    try:
        table = table_of(storage.get(f"{stage}/{_KNOWN}").data)
        return {
            (f"{stage}/_done/{row['shard']}.json", row.pop("etag")): Done(
                **{**row, "extra": json.loads(row["extra"])}
            )
            for batch in table.to_batches(_ROWS_PER_GROUP)
            for row in batch.to_pylist()
        }
    except MissingObjectError:
        return {}
    except (ValueError, TypeError, KeyError, pa.ArrowException):  # of another version, or damaged
        return {}


def _keep_known(storage: Storage, stage: str, found: list[tuple[Entry, Done]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "etag": [entry.etag for entry, _ in found],
            "shard": [done.shard for _, done in found],
            "key": [done.key for _, done in found],
            "rows": [done.rows for _, done in found],
            "bytes": [done.bytes for _, done in found],
            "sha256": [done.sha256 for _, done in found],
            "extra": [json.dumps(done.extra) for _, done in found],
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    storage.put(f"{stage}/{_KNOWN}", memoryview(sink.getvalue()).cast("B"))


def now(storage: Storage, stage: str) -> int:
    """Ask the storage for the time; clocks of machines are apart."""
    key = f"{stage}/_now-{uuid.uuid4().hex}"
    storage.put(key, b"-")
    try:
        return storage.head(key).mtime_ns
    finally:
        storage.delete([key])


def many(
    call: Callable[[Item], Result], items: Iterable[Item], at_once: int = _READ_AT_ONCE
) -> Iterator[Result]:
    """Do something that mostly waits for many items; gives results in order, as they come."""
    rest = iter(items)
    with ThreadPoolExecutor(at_once, thread_name_prefix="dedup") as pool:
        waiting = deque(pool.submit(call, item) for item in islice(rest, 2 * at_once))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(call, item) for item in islice(rest, 1))
        finally:
            for future in waiting:
                future.cancel()
