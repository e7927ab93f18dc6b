"""Stage "embed": the files of a shard, read and embedded by the functions of one machine.

A task reads what was listed, a few objects ahead, and writes one row a file: what is known of the
image and its vectors, or the reason why it has none. An image that ends the process is found by
reading each of its shard in a process of its own. What a process has embedded lately it does not
embed again where a copy turns up in another shard.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import pyarrow as pa

from dedup.binding import load_pinned, require_decoder
from dedup.descriptors.vlad import load_details
from dedup.distributed import commits
from dedup.distributed.embedding import STAGE
from dedup.distributed.schemas import embed_schema, file_id
from dedup.distributed.storage import ChangedObjectError, MissingObjectError, Storage, StorageError
from dedup.distributed.weights import fetch_graph, put_graph, weights_file
from dedup.fingerprint import CONTENT, DETAILS
from dedup.images.decode import MAX_FILE_BYTES
from dedup.indexing.forward import BATCH, embed_images
from dedup.indexing.reader import Embeddable, Skipped, read_bytes
from dedup.indexing.writer import NOT_FINITE
from dedup.parallel.limits import ItemLimits, NeedsProcessError, limit_process
from dedup.parallel.workers import Workers, use_cores
from dedup.preparation import preparation_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from dedup.distributed.commits import Done
    from dedup.distributed.run import Run
    from dedup.fingerprint import Fingerprint
    from dedup.indexing.reader import Outcome
    from dedup.preparation import Inputs, Preparation
    from dedup.records import ImageFacts
    from dedup.runtimes.embedder import Embedder

CHANGED: Final = Skipped("changed after it was listed; index again", transient=True)
GONE: Final = Skipped("was gone when it was to be read", transient=True)

_THREADS: Final = 8  # that wait for objects
_AHEAD: Final = 16  # objects that may wait for whoever reads them
_AHEAD_BYTES: Final = 64 << 20  # of them
_ROWS_AT_ONCE: Final = 1024  # that are Python's objects before they are Arrow's
_MAX_FAILED: Final = 0.01  # of a shard's objects, for which the storage gave no answer
_TOLD_REASONS: Final = 20
_REMEMBERED: Final = 4096  # images, of 9 kB, from the shards that a process did before
_LIMITS: Final = ItemLimits()


_Result: TypeAlias = "tuple[Outcome, StorageError | None]"


class Fetched(NamedTuple):
    """An object, or why it could not be had.

    Parameters
    ----------
    failed : what the storage said instead of giving it
    """

    name: str
    data: bytes
    problem: Skipped | None = None
    failed: StorageError | None = None


def embed_shard(
    run: Run,
    listed: Done,
    own: bool,  # noqa: FBT001 - arguments of a task go by position
    gone: Sequence[int] = (),
    apart: bool = False,  # noqa: FBT001, FBT002
) -> str:
    """Read and embed the files of a shard.

    Parameters
    ----------
    listed : the shard, as a generation names it
    own : whether this process does nothing but tasks, of one core, so that it may be ended
    gone : rows of the shard that are not to be read, since a later listing has not found them
    apart : whether each image is read in a process of its own, which it may take down

    Returns
    -------
    A word on it.

    Raises
    ------
    FingerprintError : this node decodes by other rules than the collection's.
    StorageError : more than a hundredth of the objects could not be read for want of an answer.
    """
    began = time.process_time()
    if own:
        use_cores(1)
    load(run)
    loaded = time.process_time()
    rows = commits.read(run.storage, listed).to_pylist()
    for row in gone:
        rows[row]["reason"] = GONE.reason
    if own and not apart:  # from what it holds by now: Arrow alone reserves a gigabyte
        limit_process(_LIMITS.last_seconds, _LIMITS.memory)
    before = _remembered(run) if own and not apart else None
    table, counts = embed_rows(run, rows, int(listed.shard), before, apart=apart)
    extra = {
        **counts,
        "bytes": sum(row["size"] for row in rows),
        "seconds": round(time.process_time() - loaded, 3),
        "loading": round(loaded - began, 3),
    }
    done = commits.commit(run.storage, STAGE, listed.shard, table, extra)
    return "committed" if done is not None else "was there"


def embed_rows(
    run: Run,
    rows: Sequence[dict[str, Any]],
    shard: int = 0,
    before: dict[bytes, _Image] | None = None,
    *,
    apart: bool = False,
) -> tuple[pa.Table, dict[str, Any]]:
    """Read and embed files.

    Parameters
    ----------
    rows : with the columns of `chunks.TO_READ`
    shard : its number
    before : images by their digests, which are not embedded again; those of this shard come to it
    apart : as in `embed_shard`

    Returns
    -------
    The columns of `schemas.embed_schema`, and counts of what became of the files.
    """
    pinned, before = run.meta.pinned, {} if before is None else before
    found = _Shard(pinned, partial(_model, run), len(rows), before)
    preparation = preparation_of(pinned, run.store)
    begin = partial(_reading, preparation, found.known, os.getpid() if apart else 0)
    workers: Workers[Fetched, _Result] = Workers(begin, lost=_lost, limits=_LIMITS)
    with workers, closing(fetched(rows)) as objects:
        for outcome, failed in workers.run(objects, _AHEAD):
            found.take(outcome, failed)
    table = found.table(shard, rows)
    found.remember(before)
    return table, found.counts()


def load(run: Run) -> None:
    """Load what a process needs for it, and see that this node is fit.

    Raises
    ------
    FingerprintError : it decodes by other rules than the collection's.
    """
    pinned = run.meta.pinned
    require_decoder(pinned, f"{run.store}, on {socket.gethostname()}")
    if CONTENT in pinned.views:
        _model(run)
    if DETAILS in pinned.views:
        load_details()


def fetched(rows: Sequence[dict[str, Any]]) -> Generator[Fetched]:
    """Read objects as they were listed, some ahead; in order.

    Parameters
    ----------
    rows : with the columns of `chunks.TO_READ`
    """
    waiting: deque[tuple[int, Any]] = deque()
    held = 0
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch") as pool:
        try:
            for row in rows:
                while waiting and (len(waiting) >= _AHEAD or held + row["size"] > _AHEAD_BYTES):
                    size, future = waiting.popleft()
                    held -= size
                    yield future.result()
                held += row["size"]
                waiting.append((row["size"], pool.submit(_fetch, row)))
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            pool.shutdown(cancel_futures=True)


def _fetch(row: dict[str, Any]) -> Fetched:
    name = f"{row['root']}/{row['key']}"
    reason = row["reason"]
    if row["size"] > MAX_FILE_BYTES:
        reason = f"too large: a file of more than {MAX_FILE_BYTES >> 20} MB"
    if reason:
        return Fetched(name, b"", Skipped(reason, transient=False))
    try:
        data = Storage.at(row["root"]).get(row["key"], if_match=row["etag"]).data
    except (MissingObjectError, ChangedObjectError) as error:
        return Fetched(name, b"", GONE if isinstance(error, MissingObjectError) else CHANGED)
    except StorageError as error:
        reason = str(error).removeprefix(f"{name}: ")
        return Fetched(name, b"", Skipped(reason, transient=True), error)
    if len(data) != row["size"]:
        return Fetched(name, b"", CHANGED)
    return Fetched(name, data)


@contextmanager
def _reading(
    preparation: Preparation, known: Callable[[bytes], bool], isolated: int
) -> Iterator[Callable[[Fetched], _Result]]:
    """Give what reads an image, for `Workers`.

    Parameters
    ----------
    isolated : the process in which none is read; 0: they are read in any
    """

    def read(item: Fetched) -> _Result:
        if item.problem is not None:
            return item.problem, item.failed
        if os.getpid() == isolated:
            raise NeedsProcessError
        return read_bytes(item.data, item.name, preparation, known, _LIMITS), None

    yield read


def _lost(_: Fetched, cause: str) -> _Result:
    """Stand for an image whose reading ended its process each time."""
    why = cause or "its decoder failed, or memory ran out"
    return Skipped(f"reading it ended the process that did so: {why}", transient=False), None


class _Known:
    """The contents that need no reading; can be pickled, for processes that read for a shard."""

    def __init__(self, digests: Iterable[bytes]) -> None:
        self.digests = set(digests)

    def __call__(self, digest: bytes) -> bool:
        return digest in self.digests


class _Image(NamedTuple):
    """What is kept of an image.

    Parameters
    ----------
    vectors : per stored name, the vector and the norm
    """

    facts: ImageFacts
    parts: bytes | None
    vectors: dict[str, tuple[bytes, float]]


class _Shard:
    """What became of the files of a shard, in order.

    Parameters
    ----------
    size : files of it
    before : images that need no reading
    """

    def __init__(
        self,
        pinned: Fingerprint,
        model: Callable[[], Embedder],
        size: int,
        before: Mapping[bytes, _Image],
    ) -> None:
        self._pinned = pinned
        self._model = model
        self._may_fail = max(1, int(size * _MAX_FAILED))
        self._failed = 0
        self._outcomes: list[Skipped | bytes] = []
        self._fresh: list[Embeddable] = []
        self._images: dict[bytes, _Image | Skipped] = {**before}
        self.known = _Known(before)

    def take(self, outcome: Outcome, failed: StorageError | None) -> None:
        """Add what became of the next file.

        Raises
        ------
        StorageError : too many objects could not be read.
        """
        if failed is not None:
            self._failed += 1
            if self._failed > self._may_fail:
                raise StorageError(
                    f"too many files cannot be read. The last: {failed}",
                    transient=failed.transient,
                )
        if isinstance(outcome, Skipped):
            self._outcomes.append(outcome)
            return
        self._outcomes.append(outcome.digest)
        if isinstance(outcome, Embeddable) and outcome.digest not in self.known.digests:
            self.known.digests.add(outcome.digest)
            self._fresh.append(outcome)
            if len(self._fresh) == BATCH:
                self._embed()

    def _embed(self) -> None:
        fresh, self._fresh = self._fresh, []
        if not fresh:
            return
        inputs: list[Inputs] = [one.inputs for one in fresh]
        finite, packed = embed_images(self._pinned, self._model, inputs)
        row = 0
        for one, is_finite in zip(fresh, finite, strict=True):
            if not is_finite:
                self._images[one.digest] = NOT_FINITE
                continue
            vectors = {name: (each.vectors[row], each.norms[row]) for name, each in packed.items()}
            self._images[one.digest] = _Image(one.facts, one.inputs.parts, vectors)
            row += 1

    def table(self, number: int, rows: Sequence[dict[str, Any]]) -> pa.Table:
        """Give the rows of the shard, as `schemas.embed_schema` has them."""
        self._embed()
        schema = embed_schema(self._pinned.stored)
        tables = [schema.empty_table()]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            places = range(start, min(start + _ROWS_AT_ONCE, len(rows)))
            some = [
                {"id": file_id(number, at), **rows[at], **_row(self._final(self._outcomes[at]))}
                for at in places
            ]
            tables.append(pa.Table.from_pylist(some, schema))
        return pa.concat_tables(tables)

    def remember(self, before: dict[bytes, _Image]) -> None:
        """Keep the images for the shards to come, and let go of the oldest; after `table`."""
        for digest, image in self._images.items():
            if isinstance(image, _Image):
                before.setdefault(digest, image)
        for digest in [*before][: max(0, len(before) - _REMEMBERED)]:
            del before[digest]

    def counts(self) -> dict[str, Any]:
        """Count what became of the files; after `table`."""
        final = [self._final(one) for one in self._outcomes]
        skips = [one for one in final if isinstance(one, Skipped)]
        contents = len({one.facts.digest for one in final if isinstance(one, _Image)})
        reasons = Counter(one.reason for one in skips).most_common(_TOLD_REASONS)
        remarks = Counter(
            one.facts.remark for one in {id(one): one for one in final}.values()
            if isinstance(one, _Image) and one.facts.remark
        )  # fmt: skip
        return {
            "indexed": contents,
            "reused": len(final) - len(skips) - contents,
            "skipped": len(skips),
            "transient": sum(one.transient for one in skips),
            "reasons": dict(reasons),
            "remarks": dict(remarks.most_common(_TOLD_REASONS)),
        }

    def _final(self, outcome: Skipped | bytes) -> _Image | Skipped:
        return outcome if isinstance(outcome, Skipped) else self._images[outcome]


def _row(final: _Image | Skipped) -> dict[str, Any]:
    if isinstance(final, Skipped):
        return {"reason": final.reason, "transient": final.transient}
    facts = final.facts._asdict()
    for name, (vector, norm) in final.vectors.items():
        facts[f"vector.{name}"] = vector
        facts[f"norm.{name}"] = norm
    return {**facts, "parts": final.parts, "reason": None, "transient": False}


@lru_cache(1)
def _remembered(_run: Run) -> dict[bytes, _Image]:
    """Give what a process that does nothing but tasks keeps from one shard to the next."""
    return {}


@lru_cache(1)
def _model(run: Run) -> Embedder:
    """Load the model of a collection, once in a process."""
    is_here = fetch_graph(run)
    ready = load_pinned(run.meta.pinned, run.store, weights_file(run))
    if not is_here:
        put_graph(run)
    return ready
