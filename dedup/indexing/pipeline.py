"""Read ahead on every core, embed in batches, commit each while the next is embedded.

Results are handled in the order of the work list, so that two runs number images alike. What waits
between the stages is bounded by `_AHEAD` pictures of input size. The model is loaded when the first
picture needs it, and not at all when none does.
"""

from __future__ import annotations

import os
import time
from collections import Counter, OrderedDict, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dedup.fingerprint import CONTENT
from dedup.images.header import read_epoch
from dedup.indexing.pace import Ahead, BatchSize
from dedup.indexing.reading import Fresh, Known, Timed, Unreadable, file_reader, lost
from dedup.models.details import load_details
from dedup.results import IndexSummary, Skip, Stages
from dedup.views import embed, preparation
from dedup.workers import WORTH_PROCESSES, Workers, cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor, Future

    from dedup.fingerprint import Fingerprint
    from dedup.indexing.changes import Changes, Work
    from dedup.indexing.reading import Reading
    from dedup.store.catalog import Catalog
    from dedup.store.facts import Root
    from dedup.views import Embedder, Prepared, Rows

BATCH = 32
"""Pictures per forward pass, until `BatchSize` has found out."""

_AHEAD = 16 * BATCH  # what is read while the model is loaded, too
_LATELY = 8 * _AHEAD  # more than can wait, whatever the batch size
_TOGETHER = 8  # files that a worker reads at a time
_COMMIT_EVERY = 1024  # files without a new picture (renames, skips) per transaction


def run(
    catalog: Catalog,
    changes: Changes,
    embedder: Callable[[], Embedder],
    progress: Callable[[int, int], None] | None = None,
) -> IndexSummary:
    """Bring the catalog up to date with what a scan found.

    Parameters
    ----------
    embedder : called once, when the first picture needs it
    progress : told (files handled, files to handle) after every batch

    Notes
    -----
    Interrupted at any moment, the catalog holds every batch that was committed, and the next run
    goes on from there.
    """
    started = time.perf_counter()
    tell = progress or (lambda *_: None)
    total = len(changes.work)
    tell(0, total)
    clock = _Clock()
    with ThreadPoolExecutor(1, thread_name_prefix="embed") as beside:
        writer = _Writer(catalog, embedder, beside, clock, total)
        with Ahead(changes.work) as ahead:
            readings = clock.each("reading", _read_ahead(catalog, changes.work, clock))
            for done, (work, timed) in enumerate(zip(changes.work, readings, strict=True), start=1):
                ahead.passed(timed.waited, timed.took)
                if writer.take(work, timed.reading):
                    tell(done, total)
            writer.drain()
    tell(total, total)
    writer.finish(changes)
    skips = sorted([*writer.skips, *changes.unreadable], key=lambda skip: os.fsencode(skip.path))
    return replace(
        writer.summary(),
        unchanged=changes.unchanged,
        still_skipped=changes.still_skipped,
        gone=len(changes.gone) + writer.vanished,
        hard_links=changes.hard_links,
        new_skips=tuple(skips),
        notes=(*changes.notes, *writer.notes()),
        seconds=changes.seconds + time.perf_counter() - started,
        stages=Stages(
            clock.workers,
            writer.batch_size,
            disk=ahead.waited / ahead.took if ahead.took else 0.0,
            asked_ahead=ahead.asks,
            **clock.seconds,
        )
        if total
        else None,
    )


class _Clock:
    """Sums up the seconds that each stage was waited for."""

    def __init__(self) -> None:
        self.workers = ""
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def over(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - started

    def each(self, stage: str, results: Iterator[Timed]) -> Iterator[Timed]:
        """Count what it takes to get each result."""
        while True:
            with self.over(stage):
                result = next(results, None)
            if result is None:
                return
            yield result


def _read_ahead(catalog: Catalog, work: list[Work], clock: _Clock) -> Iterator[Timed]:
    """Yield what reading gave, in order, with a bounded number of pictures waiting."""
    if not work:
        return
    wanted = preparation(catalog)
    if wanted.details:
        load_details()  # here, so that a damaged vocabulary is told before anything is read
    # Decoding alone leaves Python's lock alone; describing details does not.
    processes = wanted.details and len(work) >= WORTH_PROCESSES
    begin = partial(file_reader, catalog.store, wanted)
    workers: Workers[Work, Timed] = Workers(begin, processes=processes, lost=lost)
    clock.workers = workers.description
    with workers:
        # Few enough for every core to have its share to the end.
        together = max(1, min(_TOGETHER, len(work) // (16 * cores())))
        yield from workers.run(work, _AHEAD, together)


@dataclass(slots=True)
class _Batch:
    """What becomes one forward pass and one transaction."""

    fresh: dict[bytes, Fresh] = field(default_factory=dict)
    files: list[tuple[Work, Fresh | Known]] = field(default_factory=list)
    unreadable: list[tuple[Work, Unreadable]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.files) + len(self.unreadable)


_Embedded = tuple[dict[str, "Rows"], float]


def _embed_timed(
    fingerprint: Fingerprint, embedder: Callable[[], Embedder], pictures: list[Prepared]
) -> _Embedded:
    started = time.perf_counter()
    found = embed(fingerprint, embedder, pictures)
    return found, time.perf_counter() - started


class _Writer:
    """Collects readings into batches; commits one while the next one is embedded.

    Parameters
    ----------
    beside : a thread for the forward passes; the catalog stays in this one
    total : files of the run
    """

    def __init__(
        self,
        catalog: Catalog,
        embedder: Callable[[], Embedder],
        beside: Executor,
        clock: _Clock,
        total: int,
    ) -> None:
        self._clock = clock
        self._total = total
        self._sizes = BatchSize((), BATCH, total)
        self._catalog = catalog
        self._make_embedder = embedder
        self._embedder: Embedder | None = None
        self._beside = beside
        self._batch = _Batch()
        self._embedding: tuple[_Batch, Future[_Embedded] | None] | None = None
        # Contents that went to the model. Workers asked the catalog when they read a file, so that
        # only what came in since matters: no more than may wait between reading and here.
        self._lately: OrderedDict[bytes, None] = OrderedDict()
        self._remarks: Counter[str] = Counter()
        self._done: Counter[tuple[Root, str]] = Counter()
        self._unsettled: set[Root] = set()
        self.skips: list[Skip] = []
        self.indexed = 0
        self.reused = 0
        self.vanished = 0

    def take(self, work: Work, reading: Reading) -> bool:
        """Add a reading; True when that completed a batch, and the one before was committed."""
        match reading:
            case Unreadable():
                self._batch.unreadable.append((work, reading))
            case Known():
                self._batch.files.append((work, reading))
            case Fresh():
                self._batch.files.append((work, reading))
                if reading.facts.digest not in self._lately:
                    self._batch.fresh.setdefault(reading.facts.digest, reading)
        if len(self._batch.fresh) >= self._sizes.size or len(self._batch) >= _COMMIT_EVERY:
            self._flush()
            return True
        return False

    @property
    def batch_size(self) -> int:
        """Pictures per forward pass, as it was found out."""
        return self._sizes.size

    def drain(self) -> None:
        """Embed and commit what waits."""
        self._flush()
        self._commit()

    def _flush(self) -> None:
        batch, self._batch = self._batch, _Batch()
        future = None
        if batch.fresh:
            if CONTENT in self._catalog.fingerprint.views:
                self._model()  # loaded in this thread, which the catalog belongs to
            self._lately.update(dict.fromkeys(batch.fresh))
            while len(self._lately) > _LATELY:
                self._lately.popitem(last=False)
            pictures = [reading.picture for reading in batch.fresh.values()]
            future = self._beside.submit(
                _embed_timed, self._catalog.fingerprint, self._model, pictures
            )
        self._commit()
        self._embedding = (batch, future) if batch else None

    def _commit(self) -> None:
        """Store the batch that was given to the model before."""
        if self._embedding is None:
            return
        batch, future = self._embedding
        with self._clock.over("embedding"):
            embeddings, seconds = ({}, 0.0) if future is None else future.result()
        self._embedding = None
        self._sizes.took(len(batch.fresh), seconds)
        with self._clock.over("storing"), self._catalog.transaction():
            images = self._store(list(batch.fresh.values()), embeddings)
            self._store_files(batch, images)
            for work, unreadable in batch.unreadable:
                self._store_unreadable(work, unreadable)
            self._catalog.gallery_changed()

    def _model(self) -> Embedder:
        if self._embedder is None:
            with self._clock.over("loading"):
                self._embedder = self._make_embedder()
            self._sizes = BatchSize(self._embedder.batch_sizes, BATCH, self._total)
        return self._embedder

    def _store(self, fresh: list[Fresh], embeddings: Mapping[str, Rows]) -> dict[bytes, int]:
        pictures = []
        for row, reading in enumerate(fresh):
            vectors = {layer: values[row] for layer, values in embeddings.items()}
            if all(np.isfinite(vector).all() for vector in vectors.values()):
                pictures.append((reading.facts, vectors))
                self.indexed += 1
                if reading.note:
                    self._remarks[reading.note] += 1
        ids = self._catalog.add_images(pictures)
        return {facts.digest: image for (facts, _), image in zip(pictures, ids, strict=True)}

    def _store_files(self, batch: _Batch, images: dict[bytes, int]) -> None:
        indexed = []
        for work, reading in batch.files:
            digest = reading.facts.digest if isinstance(reading, Fresh) else reading.digest
            image = images.get(digest) or self._catalog.image_with(digest)
            if image is None:
                reason = "the model gave no finite embedding"
                self._store_unreadable(work, Unreadable(reason, transient=False))
                continue
            indexed.append((work.root, work.file, image))
            self._done[work.root, "indexed"] += 1
            if batch.fresh.get(digest) is not reading:
                self.reused += 1
        self._catalog.record_indexed(indexed)

    def _store_unreadable(self, work: Work, unreadable: Unreadable) -> None:
        if unreadable.transient:
            self._unsettled.add(work.root)
        if unreadable.vanished:
            self.vanished += 1
            known = self._catalog.file_id(work.root, work.file.path)
            self._catalog.mark_gone([] if known is None else [known])
            return
        tried_with = None if unreadable.transient else read_epoch()
        self._catalog.record_skipped(work.root, work.file, unreadable.reason, tried_with)
        self._done[work.root, "skipped"] += 1
        self.skips.append(Skip(os.fsdecode(work.path), unreadable.reason))

    def finish(self, changes: Changes) -> None:
        """Record what is gone, how the roots look now, and that the run ended."""
        with self._catalog.transaction():
            if changes.gone:
                self._catalog.mark_gone(changes.gone)
                self._catalog.gallery_changed()
            for root, look in changes.looks.items():
                if root not in self._unsettled:
                    indexed, skipped = self._done[root, "indexed"], self._done[root, "skipped"]
                    settled = look._replace(
                        unchanged=look.unchanged + indexed,
                        still_skipped=look.still_skipped + skipped,
                    )
                    self._catalog.settle(root, settled)
            self._catalog.run_ended()

    def notes(self) -> list[str]:
        """Say what a person should know about pictures that were indexed."""
        return [
            f"{count} picture{'s' if count > 1 else ''}: {remark}"
            for remark, count in sorted(self._remarks.items())
        ]

    def summary(self) -> IndexSummary:
        """Count what was done."""
        return IndexSummary(indexed=self.indexed, reused=self.reused, skipped=len(self.skips))
