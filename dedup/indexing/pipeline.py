"""Read ahead on every core, embed in batches, commit each while the next ones are embedded.

Results are handled in the order of the work list, so that two runs number images alike. What waits
between the stages is bounded by what may be read ahead and by a few batches. The model is loaded
when the first picture needs it, and not at all when none does.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict, deque
from contextlib import closing
from typing import TYPE_CHECKING, Final

from dedup.indexing.forward import AT_ONCE, BATCH, Passes
from dedup.indexing.readahead import MOST_AHEAD, ReadAhead
from dedup.indexing.reader import Fresh, Known, Unreadable
from dedup.indexing.writer import Batch, Storing
from dedup.preparation import preparation
from dedup.results import IndexSummary, Stages

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from dedup.indexing.diff import Changes
    from dedup.indexing.forward import Embedded
    from dedup.indexing.readahead import Read
    from dedup.parallel.shared_buffer import Shelf
    from dedup.runtimes.embedder import Embedder
    from dedup.store.catalog import Catalog

__all__ = ["BATCH", "run"]

_LATELY: Final = 4 * MOST_AHEAD  # more than can wait, whatever the batch size
_COMMIT_EVERY: Final = 1024  # files without a new picture (renames, skips) per transaction
_STORED_AT_ONCE: Final = 2  # batches that may wait for the catalog


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
    wanted = preparation(catalog)
    with (
        ReadAhead(catalog.store, wanted, changes.work) as reader,
        Storing(catalog.store) as storing,
        Passes(catalog.fingerprint, embedder, reader.shelf) as passes,
        closing(reader.files()) as files,
    ):
        batches = _Batches(passes, storing, reader.shelf)
        done = 0
        reading = 0.0
        while True:
            asked = time.perf_counter()
            file = next(files, None)
            reading += time.perf_counter() - asked
            if file is None:
                break
            done += 1
            if batches.take(file):
                tell(done, total)
        batches.drain()
    tell(total, total)
    _finish(catalog, changes, storing)
    skips = sorted([*storing.skips, *changes.unreadable], key=lambda skip: os.fsencode(skip.path))
    return IndexSummary(
        indexed=storing.indexed,
        reused=storing.reused,
        skipped=len(storing.skips),
        unchanged=changes.unchanged,
        still_skipped=changes.still_skipped,
        gone=len(changes.gone) + storing.vanished,
        hard_links=changes.hard_links,
        new_skips=tuple(skips),
        notes=(*changes.notes, *_notes(storing)),
        seconds=changes.seconds + time.perf_counter() - started,
        stages=Stages(
            reader.workers,
            passes.size,
            reading=reading,
            loading=passes.loading,
            embedding=batches.embedding,
            storing=batches.storing,
            disk=reader.waited / reader.took if reader.took else 0.0,
            fetches=reader.fetches,
        )
        if total
        else None,
    )


class _Batches:
    """Collects readings into batches, has them embedded, and hands them on to be stored.

    Parameters
    ----------
    shelf : where pixels lie that come with a place

    Attributes
    ----------
    embedding, storing : seconds that it waited for passes, and for the catalog
    """

    def __init__(self, passes: Passes, storing: Storing, shelf: Shelf) -> None:
        self._passes = passes
        self._storing = storing
        self._shelf = shelf
        self._batch = Batch()
        self._embedded: deque[tuple[Batch, Future[Embedded] | None]] = deque()
        self._stored: deque[Future[None]] = deque()
        # Contents that went to the model. Workers asked the catalog when they read a file, so that
        # only what came in since matters: no more than may wait between reading and the catalog.
        self._lately: OrderedDict[bytes, None] = OrderedDict()
        self.embedding = 0.0
        self.storing = 0.0

    def take(self, file: Read) -> bool:
        """Add a reading; True when that completed a batch."""
        work, reading, place = file
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
            self._embed()
            return True
        return False

    def drain(self) -> None:
        """Embed and commit what waits.

        Raises
        ------
        whatever embedding or storing raised
        """
        self._embed()
        while self._embedded:
            self._store()
        while self._stored:
            self._wait()

    def _embed(self) -> None:
        batch, self._batch = self._batch, Batch()
        future = None
        if batch.fresh:
            self._lately.update(dict.fromkeys(batch.fresh))
            while len(self._lately) > _LATELY:
                self._lately.popitem(last=False)
            pictures = [reading.inputs for reading in batch.fresh.values()]
            future = self._passes.submit(pictures, batch.at)
        if batch:
            self._embedded.append((batch, future))
        # One is worked on, and as many wait for it as are sent meanwhile.
        while len(self._embedded) > AT_ONCE:
            self._store()

    def _store(self) -> None:
        """Hand on the oldest of the batches that were given to the model."""
        batch, future = self._embedded.popleft()
        started = time.perf_counter()
        embedded = None if future is None else future.result()
        self.embedding += time.perf_counter() - started
        for place in batch.at:
            self._shelf.give_back(place)
        self._stored.append(self._storing.submit(batch, embedded))
        while len(self._stored) > _STORED_AT_ONCE:
            self._wait()

    def _wait(self) -> None:
        started = time.perf_counter()
        self._stored.popleft().result()
        self.storing += time.perf_counter() - started


def _finish(catalog: Catalog, changes: Changes, storing: Storing) -> None:
    """Record what is gone, how the roots look now, and that the run ended."""
    with catalog.transaction():
        if changes.gone:
            catalog.mark_gone(changes.gone)
            catalog.gallery_changed()
        for root, look in changes.looks.items():
            if root not in storing.unsettled:
                indexed, skipped = storing.done[root, "indexed"], storing.done[root, "skipped"]
                settled = look._replace(
                    unchanged=look.unchanged + indexed,
                    still_skipped=look.still_skipped + skipped,
                )
                catalog.settle(root, settled)
        catalog.run_ended()


def _notes(storing: Storing) -> list[str]:
    """Say what a person should know about pictures that were indexed."""
    return [
        f"{count} picture{'s' if count > 1 else ''}: {remark}"
        for remark, count in sorted(storing.remarks.items())
    ]
