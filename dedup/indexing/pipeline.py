"""Read ahead on every core, embed in batches, commit each while the next ones are embedded.

Outcomes are handled in the order of the work list, so that two runs number images alike. What waits
between the stages is bounded by what may be read ahead and by a few batches. The model is loaded
when the first image needs it, and not at all when none does.
"""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict, deque
from contextlib import closing
from typing import TYPE_CHECKING, Final

from dedup.indexing.forward import BATCH, MAX_PASSES, Forward, embed_images
from dedup.indexing.readahead import MAX_PENDING, ReadAhead
from dedup.indexing.reader import Embeddable
from dedup.indexing.writer import Row, Writer
from dedup.preparation import preparation
from dedup.results import IndexSummary, Stages
from dedup.store.changes import Batch
from dedup.store.roots import last_file, renamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from dedup.indexing.diff import Changes
    from dedup.indexing.forward import Embedded
    from dedup.indexing.readahead import ReadPolicy
    from dedup.indexing.reader import Outcome
    from dedup.indexing.worklist import Job
    from dedup.parallel.shared_buffer import SharedBuffer
    from dedup.runtimes.embedder import Embedder
    from dedup.store.catalog import Catalog

__all__ = ["BATCH", "run"]

_log = logging.getLogger(__name__)

_MAX_UNCOMMITTED: Final = (
    4 * MAX_PENDING
)  # images between reading and the catalog, at any batch size
_COMMIT_FILES: Final = 1024  # files without a new image (renames, skips) per transaction
_MAX_COMMITS: Final = 2  # batches that may wait for the catalog


def run(
    catalog: Catalog,
    changes: Changes,
    embedder: Callable[[], Embedder],
    progress: Callable[[int, int], None] | None = None,
    policy: ReadPolicy | None = None,
) -> IndexSummary:
    """Bring the catalog up to date with what a scan found.

    Parameters
    ----------
    embedder : called once, when the first image needs it
    progress : called with (files handled, files to handle) after every batch
    policy : how files are spread over workers

    Notes
    -----
    Interrupted at any moment, the catalog holds every batch that was committed, and the next run
    goes on from there.
    """
    started = time.perf_counter()
    report = progress or (lambda *_: None)
    total = len(changes.work)
    _log_start(catalog, changes)
    before = last_file(catalog)
    if total:
        catalog.begin_run()
    report(0, total)
    with (
        ReadAhead(catalog.store, preparation(catalog), changes.work, policy) as reader,
        Writer(catalog) as writer,
        Forward(catalog.fingerprint, embedder, reader.buffer, embed_images) as forward,
        closing(reader.outcomes()) as outcomes,
    ):
        batches = _Batches(forward, writer, reader.buffer)
        batches.take_all(outcomes, lambda done: report(done, total))
    report(total, total)
    _finish(catalog, changes, writer)
    skips = sorted([*writer.skips, *changes.unreadable], key=lambda skip: os.fsencode(skip.path))
    summary = IndexSummary(
        indexed=writer.indexed,
        reused=writer.reused,
        skipped=len(writer.skips),
        unchanged=changes.unchanged,
        still_skipped=changes.still_skipped,
        gone=len(changes.gone) + writer.vanished - renamed(catalog, changes.gone, before),
        hard_links=changes.hard_links,
        new_skips=tuple(skips),
        notes=(*changes.notes, *_notes(writer)),
        seconds=changes.seconds + time.perf_counter() - started,
        stages=_stages(reader, forward, batches) if total else None,
        passed_over=dict(sorted(changes.passed_over.items())),
    )
    _log_end(catalog, summary)
    return summary


def _stages(reader: ReadAhead, forward: Forward[Embedded], batches: _Batches) -> Stages:
    return Stages(
        reader.workers,
        forward.batch_size,
        reading=batches.reading_seconds,
        loading=forward.loading_seconds,
        embedding=batches.embedding_seconds,
        storing=batches.storing_seconds,
        disk=reader.waited_seconds / reader.seconds if reader.seconds else 0.0,
        fetches=reader.prefetches,
    )


def _log_start(catalog: Catalog, changes: Changes) -> None:
    _log.info("%s: indexing, %d files to read", catalog.store, len(changes.work))
    for skip in changes.unreadable:
        _log.warning("skipped %r: %s", skip.path, skip.reason)


def _log_end(catalog: Catalog, summary: IndexSummary) -> None:
    _log.info(
        "%s: %d indexed, %d reused, %d unchanged, %d skipped, %d gone, in %.1f s",
        *(catalog.store, summary.indexed, summary.reused, summary.unchanged, summary.skipped),
        *(summary.gone, summary.seconds),
    )


class _Batches:
    """Collects outcomes into batches, has them embedded, and hands them on to be committed.

    Parameters
    ----------
    buffer : where pixels lie that are in a slot

    Attributes
    ----------
    reading_seconds, embedding_seconds, storing_seconds : that it waited for outcomes, for passes
        and for the catalog
    """

    def __init__(self, forward: Forward[Embedded], writer: Writer, buffer: SharedBuffer) -> None:
        self._forward = forward
        self._writer = writer
        self._buffer = buffer
        self._rows: list[Row] = []
        self._fresh: dict[bytes, tuple[Job, Embeddable]] = {}
        self._embedding: deque[tuple[list[Row], list[int | None], Future[Embedded] | None]] = (
            deque()
        )
        self._committing: deque[Future[None]] = deque()
        # Contents that went to the model. Workers asked the catalog when they read a file, so that
        # only what came in since matters: no more than may wait between reading and the catalog.
        self._recent: OrderedDict[bytes, None] = OrderedDict()
        self.reading_seconds = 0.0
        self.embedding_seconds = 0.0
        self.storing_seconds = 0.0

    def take_all(
        self, outcomes: Iterator[tuple[Job, Outcome]], report: Callable[[int], None]
    ) -> None:
        """Take every outcome and see it committed; reports how many there were, by the batch."""
        done = 0
        while True:
            asked = time.perf_counter()
            found = next(outcomes, None)
            self.reading_seconds += time.perf_counter() - asked
            if found is None:
                break
            done += 1
            if self.take(*found):
                report(done)
        self.drain()

    def take(self, job: Job, outcome: Outcome) -> bool:
        """Add a file; True when that completed a batch."""
        embedding = None
        if isinstance(outcome, Embeddable):
            digest = outcome.digest
            if digest in self._recent or digest in self._fresh:
                self._buffer.release(job.slot)
            else:
                embedding = len(self._fresh)
                self._fresh[digest] = job, outcome
        self._rows.append(Row(job, outcome, embedding))
        if len(self._fresh) >= self._forward.batch_size or len(self._rows) >= _COMMIT_FILES:
            self._embed()
            return True
        return False

    def drain(self) -> None:
        """Embed and commit what waits.

        Raises
        ------
        what embedding or committing raised
        """
        self._embed()
        while self._embedding:
            self._commit()
        while self._committing:
            self._wait()

    def _embed(self) -> None:
        rows, self._rows = self._rows, []
        fresh, self._fresh = self._fresh, {}
        slots = [job.slot for job, _ in fresh.values()]
        future = None
        if fresh:
            self._recent.update(dict.fromkeys(fresh))
            while len(self._recent) > _MAX_UNCOMMITTED:
                self._recent.popitem(last=False)
            future = self._forward.submit([each.inputs for _, each in fresh.values()], slots)
        if rows:
            self._embedding.append((rows, slots, future))
        while len(self._embedding) > MAX_PASSES:
            self._commit()

    def _commit(self) -> None:
        """Hand on the oldest of the batches that were given to the model."""
        rows, slots, future = self._embedding.popleft()
        started = time.perf_counter()
        embedded = None if future is None else future.result()
        self.embedding_seconds += time.perf_counter() - started
        for slot in slots:
            self._buffer.release(slot)
        self._committing.append(self._writer.commit(rows, embedded))
        while len(self._committing) > _MAX_COMMITS:
            self._wait()

    def _wait(self) -> None:
        started = time.perf_counter()
        self._committing.popleft().result()
        self.storing_seconds += time.perf_counter() - started


def _finish(catalog: Catalog, changes: Changes, writer: Writer) -> None:
    """Record what is gone, how the roots look now, and that the run ended."""
    settled = {
        root: look._replace(
            unchanged=look.unchanged + writer.files[root, "indexed"],
            still_skipped=look.still_skipped + writer.files[root, "skipped"],
        )
        for root, look in changes.looks.items()
        if root not in writer.unsettled
    }
    catalog.commit(
        Batch(gone=changes.gone, settled=settled, undated=changes.undated, ends_run=True)
    )


def _notes(writer: Writer) -> list[str]:
    """Say what a person should know about images that were indexed."""
    return [
        f"{count} image{'s' if count > 1 else ''}: {remark}"
        for remark, count in sorted(writer.remarks.items())
    ]
