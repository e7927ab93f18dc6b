"""Commit batches to the catalog in a thread of their own, one transaction each, in order.

SQLite releases Python's lock while it works, so that the next batches are collected and embedded
meanwhile.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, Self

from dedup.descriptors.parts import PARTS_VERSION
from dedup.images.header import read_epoch
from dedup.indexing.reader import Embeddable, Known, Skipped
from dedup.results import Skip
from dedup.store.changes import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from dedup.indexing.forward import Embedded
    from dedup.indexing.reader import Outcome
    from dedup.indexing.worklist import Job
    from dedup.records import Root
    from dedup.store.catalog import Catalog

_log = logging.getLogger(__name__)

NOT_FINITE = Skipped("the model gave no finite embedding", transient=False)


class Row(NamedTuple):
    """One file on its way into the catalog.

    Parameters
    ----------
    embedding : row of the batch's embeddings that belongs to it; None: its content is known, or
        comes with another file of the batch
    """

    job: Job
    outcome: Outcome
    embedding: int | None = None


class Writer:
    """Commits batches; a context manager, which waits for them at its end.

    Attributes
    ----------
    indexed, reused, vanished : files, counted
    skips : what gave no image
    remarks : what a person should know about images that were indexed, counted
    files : by root and state
    unsettled : roots with files that are worth another try

    All of them are complete once every batch is through.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self.indexed = 0
        self.reused = 0
        self.vanished = 0
        self.skips: list[Skip] = []
        self.remarks: Counter[str] = Counter()
        self.files: Counter[tuple[Root, str]] = Counter()
        self.unsettled: set[Root] = set()

    def commit(self, rows: Sequence[Row], embedded: Embedded | None) -> Future[None]:
        """Begin to commit a batch.

        Parameters
        ----------
        embedded : None where no row has an embedding

        Returns
        -------
        Done once it is committed; raises what the catalog raises.
        """
        return self._thread.submit(self._commit, rows, embedded)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def _commit(self, rows: Sequence[Row], embedded: Embedded | None) -> None:
        batch = Batch(embeddings={} if embedded is None else embedded.packed)
        for _, outcome, embedding in rows:
            if (
                isinstance(outcome, Embeddable)
                and embedding is not None
                and embedded is not None
                and embedded.finite[embedding]
            ):
                batch.images.append(outcome.facts)
                if outcome.inputs.parts is not None:
                    batch.parts[outcome.digest] = PARTS_VERSION, outcome.inputs.parts
                self.remarks.update([outcome.facts.remark] if outcome.facts.remark else [])
        new = {image.digest for image in batch.images}
        others = {row.outcome.digest for row in rows if not isinstance(row.outcome, Skipped)} - new
        known = self._catalog.known_contents(sorted(others)) | new
        for job, outcome, embedding in rows:
            if isinstance(outcome, Skipped):
                self._skip(batch, job, outcome)
            elif outcome.digest not in known:
                self._skip(batch, job, NOT_FINITE)
            else:
                batch.files.append((job.root, job.entry, outcome.digest))
                self.files[job.root, "indexed"] += 1
                self.reused += isinstance(outcome, Known) or embedding is None
        self._catalog.commit(batch)
        self.indexed += len(batch.images)
        _log.debug("%d files committed, %d images new in all", len(rows), self.indexed)

    def _skip(self, batch: Batch, job: Job, skipped: Skipped) -> None:
        if skipped.transient:
            self.unsettled.add(job.root)
        if skipped.vanished:
            self.vanished += 1
            batch.vanished.append((job.root, job.entry))
            return
        tried_with = None if skipped.transient else read_epoch()
        batch.skipped.append((job.root, job.entry, skipped.reason, tried_with))
        self.files[job.root, "skipped"] += 1
        skip = Skip(os.fsdecode(job.path), skipped.reason)
        _log.warning("skipped %r: %s", skip.path, skip.reason)
        self.skips.append(skip)
