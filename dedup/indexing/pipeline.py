"""Read ahead on every core, embed in batches, commit each while the next is embedded.

Results are handled in the order of the work list, so that two runs number images alike. What waits
between the stages is bounded by `AHEAD` pictures of input size. The model is loaded when the first
picture needs it, and not at all when none does.
"""

from __future__ import annotations

import os
import time
from collections import Counter, OrderedDict, deque
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from dedup.images.header import read_epoch
from dedup.indexing.pace import Ahead
from dedup.indexing.passes import BATCH, Passes
from dedup.indexing.readahead import AHEAD, ReadAhead
from dedup.indexing.reading import Fresh, Known, Unreadable
from dedup.results import IndexSummary, Skip, Stages
from dedup.views import preparation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from dedup.indexing.changes import Changes
    from dedup.indexing.passes import Embedded
    from dedup.indexing.readahead import Read
    from dedup.indexing.worklist import Work
    from dedup.shelf import Shelf
    from dedup.store.catalog import Catalog
    from dedup.store.facts import Root
    from dedup.views import Embedder

__all__ = ["BATCH", "run"]

_LATELY: Final = 8 * AHEAD  # more than can wait, whatever the batch size
_COMMIT_EVERY: Final = 1024  # files without a new picture (renames, skips) per transaction


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
    with (
        ReadAhead(catalog.store, preparation(catalog), changes.work) as reader,
        Passes(catalog.fingerprint, embedder, reader.shelf, total) as passes,
        Ahead(changes.work) as ahead,
        closing(reader.files()) as files,
    ):
        writer = _Writer(catalog, passes, reader.shelf)
        done = 0
        reading = 0.0
        while True:
            asked = time.perf_counter()
            file = next(files, None)
            reading += time.perf_counter() - asked
            if file is None:
                break
            done += 1
            ahead.passed(file.waited, file.took)
            if writer.take(file):
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
            reader.workers,
            passes.size,
            reading=reading,
            loading=passes.loading,
            embedding=writer.waiting,
            storing=writer.storing,
            disk=ahead.waited / ahead.took if ahead.took else 0.0,
            asked_ahead=ahead.asks,
        )
        if total
        else None,
    )


@dataclass(slots=True)
class _Batch:
    """What becomes one forward pass and one transaction."""

    fresh: dict[bytes, Fresh] = field(default_factory=dict)
    at: list[int | None] = field(default_factory=list)  # the place of each of these
    files: list[tuple[Work, Fresh | Known]] = field(default_factory=list)
    unreadable: list[tuple[Work, Unreadable]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.files) + len(self.unreadable)


class _Writer:
    """Collects readings into batches; commits one while the next one is embedded.

    Parameters
    ----------
    shelf : where pixels lie that come with a place

    Attributes
    ----------
    skips : what gave no picture
    indexed, reused, vanished : files, counted
    waiting, storing : seconds that it waited for passes, and that storing took
    """

    def __init__(self, catalog: Catalog, passes: Passes, shelf: Shelf) -> None:
        self._catalog = catalog
        self._passes = passes
        self._shelf = shelf
        self._batch = _Batch()
        self._under_way: deque[tuple[_Batch, Future[Embedded] | None]] = deque()
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
        self.waiting = 0.0
        self.storing = 0.0

    def take(self, file: Read) -> bool:
        """Add a reading; True when that completed a batch, and one before was committed."""
        work, reading, *_, place = file
        match reading:
            case Unreadable():
                self._batch.unreadable.append((work, reading))
            case Known():
                self._batch.files.append((work, reading))
            case Fresh():
                self._batch.files.append((work, reading))
                digest = reading.facts.digest
                if digest not in self._lately and digest not in self._batch.fresh:
                    self._batch.fresh[digest] = reading
                    self._batch.at.append(place)
                else:
                    self._shelf.give_back(place)
        if len(self._batch.fresh) >= self._passes.size or len(self._batch) >= _COMMIT_EVERY:
            self._flush()
            return True
        return False

    def drain(self) -> None:
        """Embed and commit what waits."""
        self._flush()
        while self._under_way:
            self._commit()

    def _flush(self) -> None:
        batch, self._batch = self._batch, _Batch()
        future = None
        if batch.fresh:
            self._lately.update(dict.fromkeys(batch.fresh))
            while len(self._lately) > _LATELY:
                self._lately.popitem(last=False)
            pictures = [reading.inputs for reading in batch.fresh.values()]
            future = self._passes.submit(pictures, batch.at)
        if batch:
            self._under_way.append((batch, future))
        # One is worked on, and as many wait for it as are sent meanwhile.
        while len(self._under_way) > self._passes.at_once:
            self._commit()

    def _commit(self) -> None:
        """Store the oldest of the batches that were given to the model."""
        batch, future = self._under_way.popleft()
        started = time.perf_counter()
        embedded = None if future is None else future.result()
        waited = time.perf_counter() - started
        self.waiting += waited
        for place in batch.at:
            self._shelf.give_back(place)
        self._passes.handled(embedded, len(batch), waited)
        started = time.perf_counter()
        with self._catalog.transaction():
            images = {} if embedded is None else self._store(batch.fresh.values(), embedded)
            self._store_files(batch, images)
            for work, unreadable in batch.unreadable:
                self._store_unreadable(work, unreadable)
            self._catalog.gallery_changed()
        self.storing += time.perf_counter() - started

    def _store(self, fresh: Iterable[Fresh], embedded: Embedded) -> dict[bytes, int]:
        pairs = zip(fresh, embedded.finite.tolist(), strict=True)
        seen = [reading for reading, finite in pairs if finite]
        ids = self._catalog.add_images([reading.facts for reading in seen], embedded.packed)
        self.indexed += len(seen)
        self._remarks.update(reading.note for reading in seen if reading.note)
        return {reading.facts.digest: image for reading, image in zip(seen, ids, strict=True)}

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
