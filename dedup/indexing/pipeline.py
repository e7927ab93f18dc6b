"""Read ahead on every core, embed in batches, commit batch by batch.

Results are handled in the order of the work list, so that two runs number images alike. What waits
between the stages is bounded by `_AHEAD` pictures of input size. The model is loaded when the first
picture needs it, and not at all when none does.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dedup.images.header import read_epoch
from dedup.indexing.reading import Fresh, Known, Reading, Unreadable, file_reader, lost
from dedup.results import IndexSummary, Skip
from dedup.views import embed, preparation
from dedup.workers import WORTH_PROCESSES, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from dedup.indexing.changes import Changes, Work
    from dedup.store.catalog import Catalog
    from dedup.views import Embedder

BATCH = 32
"""Pictures per forward pass: beyond 16 the rate on CPUs is flat, and memory is not."""

_AHEAD = 4 * BATCH
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
    writer = _Writer(catalog, embedder)
    tell = progress or (lambda *_: None)
    total = len(changes.work)
    tell(0, total)
    readings = _read_ahead(catalog, changes.work)
    for done, (work, reading) in enumerate(zip(changes.work, readings, strict=True), start=1):
        if writer.take(work, reading):
            tell(done, total)
    writer.flush()
    tell(total, total)
    writer.finish(changes.gone)
    skips = sorted([*writer.skips, *changes.unreadable], key=lambda skip: os.fsencode(skip.path))
    return replace(
        writer.summary(),
        unchanged=changes.unchanged,
        still_skipped=changes.still_skipped,
        gone=len(changes.gone) + writer.vanished,
        hard_links=changes.hard_links,
        new_skips=tuple(skips),
        notes=(*changes.notes, *writer.notes()),
        seconds=time.perf_counter() - started,
    )


def _read_ahead(catalog: Catalog, work: list[Work]) -> Iterator[Reading]:
    """Yield what reading gave, in order, with a bounded number of pictures waiting."""
    if not work:
        return
    wanted = preparation(catalog)
    described = wanted.details is not None
    begin = partial(file_reader, catalog.store, wanted.height, wanted.width, details=described)
    # Decoding alone leaves Python's lock alone; describing details does not.
    processes = described and len(work) >= WORTH_PROCESSES
    workers: Workers[Work, Reading] = Workers(begin, processes=processes, lost=lost)
    with workers:
        yield from workers.run(work, _AHEAD)


class _Writer:
    """Collects readings into batches; each batch is one forward pass and one transaction."""

    def __init__(self, catalog: Catalog, embedder: Callable[[], Embedder]) -> None:
        self._catalog = catalog
        self._make_embedder = embedder
        self._embedder: Embedder | None = None
        self._fresh: dict[bytes, Fresh] = {}
        self._files: list[tuple[Work, Fresh | Known]] = []
        self._unreadable: list[tuple[Work, Unreadable]] = []
        self._remarks: Counter[str] = Counter()
        self.skips: list[Skip] = []
        self.indexed = 0
        self.reused = 0
        self.vanished = 0

    def take(self, work: Work, reading: Reading) -> bool:
        """Add a reading; True when that completed a batch, which then has been committed."""
        match reading:
            case Unreadable():
                self._unreadable.append((work, reading))
            case Known():
                self._files.append((work, reading))
            case Fresh():
                self._files.append((work, reading))
                self._fresh.setdefault(reading.facts.digest, reading)
        full = len(self._fresh) >= BATCH
        if full or len(self._files) + len(self._unreadable) >= _COMMIT_EVERY:
            self.flush()
            return True
        return False

    def flush(self) -> None:
        """Embed what waits and commit it."""
        if not self._files and not self._unreadable:
            return
        fresh = list(self._fresh.values())
        embeddings = self._embed(fresh)
        with self._catalog.transaction():
            images = self._store(fresh, embeddings)
            for work, reading in self._files:
                self._store_file(work, reading, images)
            for work, unreadable in self._unreadable:
                self._store_unreadable(work, unreadable)
            self._catalog.gallery_changed()
        self._fresh.clear()
        self._files.clear()
        self._unreadable.clear()

    def _embed(self, fresh: list[Fresh]) -> Mapping[str, npt.NDArray[np.float32]]:
        if not fresh:
            return {}
        pictures = [reading.picture for reading in fresh]
        return embed(self._catalog.fingerprint, self._model, pictures)

    def _model(self) -> Embedder:
        if self._embedder is None:
            self._embedder = self._make_embedder()
        return self._embedder

    def _store(
        self, fresh: list[Fresh], embeddings: Mapping[str, npt.NDArray[np.float32]]
    ) -> dict[bytes, int]:
        images = {}
        for row, reading in enumerate(fresh):
            vectors = {layer: values[row] for layer, values in embeddings.items()}
            if all(np.isfinite(vector).all() for vector in vectors.values()):
                images[reading.facts.digest] = self._catalog.add_image(reading.facts, vectors)
                self.indexed += 1
                if reading.note:
                    self._remarks[reading.note] += 1
        return images

    def _store_file(self, work: Work, reading: Fresh | Known, images: dict[bytes, int]) -> None:
        digest = reading.facts.digest if isinstance(reading, Fresh) else reading.digest
        image = images.get(digest) or self._catalog.image_with(digest)
        if image is None:
            reason = "the model gave no finite embedding"
            self._store_unreadable(work, Unreadable(reason, transient=False))
            return
        self._catalog.record_indexed(work.root, work.file, image)
        if self._fresh.get(digest) is not reading:
            self.reused += 1

    def _store_unreadable(self, work: Work, unreadable: Unreadable) -> None:
        if unreadable.vanished:
            self.vanished += 1
            known = self._catalog.file_id(work.root, work.file.path)
            self._catalog.mark_gone([] if known is None else [known])
            return
        tried_with = None if unreadable.transient else read_epoch()
        self._catalog.record_skipped(work.root, work.file, unreadable.reason, tried_with)
        self.skips.append(Skip(os.fsdecode(work.path), unreadable.reason))

    def finish(self, gone: list[int]) -> None:
        """Record what is gone and that the run ended."""
        with self._catalog.transaction():
            if gone:
                self._catalog.mark_gone(gone)
                self._catalog.gallery_changed()
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
