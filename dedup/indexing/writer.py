"""Batches go into the catalog in a thread of their own, one transaction each, in order.

SQLite lets go of Python's lock while it works, so that the next batches are collected and embedded
meanwhile. The thread has a connection of its own, because one belongs to one thread.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from dedup.images.header import read_epoch
from dedup.indexing.reader import Fresh, Known, Unreadable
from dedup.results import Skip
from dedup.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future
    from pathlib import Path

    from dedup.indexing.forward import Embedded
    from dedup.indexing.worklist import Work
    from dedup.store.records import Root


@dataclass(slots=True)
class Batch:
    """What becomes one forward pass and one transaction.

    Parameters
    ----------
    fresh : what the model is to see, by the SHA-256 of the file
    at : the place of each of these in the shelf; None: its pixels are with it
    """

    fresh: dict[bytes, Fresh] = field(default_factory=dict)
    at: list[int | None] = field(default_factory=list)
    files: list[tuple[Work, Fresh | Known]] = field(default_factory=list)
    unreadable: list[tuple[Work, Unreadable]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.files) + len(self.unreadable)


class Storing:
    """Commits batches; a context manager, whose end waits for those it was given.

    Attributes
    ----------
    indexed, reused, vanished : files, counted
    skips : what gave no picture
    remarks : what a person should know about pictures that were indexed, counted
    done : files by root and state
    unsettled : roots with files that are worth another try

    All of them are complete once every batch is through.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._opened: Catalog | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self.indexed = 0
        self.reused = 0
        self.vanished = 0
        self.skips: list[Skip] = []
        self.remarks: Counter[str] = Counter()
        self.done: Counter[tuple[Root, str]] = Counter()
        self.unsettled: set[Root] = set()

    def submit(self, batch: Batch, embedded: Embedded | None) -> Future[None]:
        """Begin to store a batch.

        Parameters
        ----------
        embedded : of its fresh pictures, in their order; None where there are none

        Returns
        -------
        Done once it is committed; raises what the catalog raises.
        """
        return self._thread.submit(self._commit, batch, embedded)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._close)
        self._thread.shutdown()

    @property
    def _catalog(self) -> Catalog:
        if self._opened is None:
            self._opened = Catalog.open(self._store)
        return self._opened

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _commit(self, batch: Batch, embedded: Embedded | None) -> None:
        with self._catalog.transaction():
            images = {} if embedded is None else self._store_images(batch.fresh.values(), embedded)
            self._store_files(batch, images)
            for work, unreadable in batch.unreadable:
                self._store_unreadable(work, unreadable)
            self._catalog.gallery_changed()

    def _store_images(self, fresh: Iterable[Fresh], embedded: Embedded) -> dict[bytes, int]:
        pairs = zip(fresh, embedded.finite.tolist(), strict=True)
        seen = [reading for reading, finite in pairs if finite]
        ids = self._catalog.add_images([reading.facts for reading in seen], embedded.packed)
        self.indexed += len(seen)
        self.remarks.update(reading.note for reading in seen if reading.note)
        return {reading.facts.digest: image for reading, image in zip(seen, ids, strict=True)}

    def _store_files(self, batch: Batch, images: dict[bytes, int]) -> None:
        indexed = []
        for work, reading in batch.files:
            digest = reading.facts.digest if isinstance(reading, Fresh) else reading.digest
            image = images.get(digest) or self._catalog.image_with(digest)
            if image is None:
                reason = "the model gave no finite embedding"
                self._store_unreadable(work, Unreadable(reason, transient=False))
                continue
            indexed.append((work.root, work.file, image))
            self.done[work.root, "indexed"] += 1
            if batch.fresh.get(digest) is not reading:
                self.reused += 1
        self._catalog.record_indexed(indexed)

    def _store_unreadable(self, work: Work, unreadable: Unreadable) -> None:
        if unreadable.transient:
            self.unsettled.add(work.root)
        if unreadable.vanished:
            self.vanished += 1
            known = self._catalog.file_id(work.root, work.file.path)
            self._catalog.mark_gone([] if known is None else [known])
            return
        tried_with = None if unreadable.transient else read_epoch()
        self._catalog.record_skipped(work.root, work.file, unreadable.reason, tried_with)
        self.done[work.root, "skipped"] += 1
        self.skips.append(Skip(os.fsdecode(work.path), unreadable.reason))
