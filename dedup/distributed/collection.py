"""A collection in object storage: one method a verb, as `dedup.collection` has them.

Nothing is ever written below the folders of the images.
"""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from dedup import binding
from dedup.arguments import callback_of, count_of, instance, path_of, strings_of
from dedup.distributed import commits, embedding, holding, listing, sweeping
from dedup.distributed.answers import SharedAnswers
from dedup.distributed.engine import Inline, run_tasks
from dedup.distributed.engines import engine_named
from dedup.distributed.entries import listed_below
from dedup.distributed.run import Meta, Run, read_meta, write_meta
from dedup.distributed.schemas import MAX_SHARD, rows_by_shard
from dedup.distributed.storage import Storage, refuse_without_conditional_puts
from dedup.errors import CollectionError, NoCollectionError, SourceError
from dedup.results import IndexSummary, SkippedAnswer
from dedup.spec import ModelSpec, Runtime

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from dedup.answer import Progress
    from dedup.distributed.commits import Done
    from dedup.distributed.cost import Estimate
    from dedup.distributed.engine import Ended, Engine
    from dedup.distributed.holding import SharedStatus
    from dedup.report.export import Written
    from dedup.report.integrity import Finding, RepairAnswer, VerifyAnswer
    from dedup.results import Skip

_TOLD_SKIPS: Final = 1000
NO_REMAKING: Final = (
    "What was listed cannot be made again: put the object back from a backup or from a version "
    "that its bucket kept, or begin a collection at another URL"
)


class SharedCollection(SharedAnswers):
    """An open collection in object storage; a context manager.

    Any number of processes and machines may work on one at a time.

    Examples
    --------
    >>> with SharedCollection.open("s3://bucket/found", create=True) as shared:  # doctest: +SKIP
    ...     shared.index("s3://bucket/photos")
    """

    def __init__(self, run: Run, engine: Callable[[], Engine], new: _New | None = None) -> None:
        self._run = run
        self._engine = engine
        self._new = new
        self.notes: tuple[str, ...] = () if new is None or not new.note else (new.note,)

    @classmethod
    def open(
        cls,
        url: str,
        spec: ModelSpec | None = None,
        *,
        create: bool = False,
        engine: str = "processes",
        address: str = "",
        shard: int = 8192,
    ) -> Self:
        """Open a collection by its URL.

        Parameters
        ----------
        spec : what it has to have been made with
        create : make it where there is none, once images were found for it
        engine : what runs the work: "inline" (this process), "processes" (the cores of this
            machine) or "ray"
        address : of the Ray cluster; "" for what RAY_ADDRESS says, else this machine
        shard : files of a task at most, of a new collection

        Raises
        ------
        NoCollectionError, FingerprintError, ExtraMissingError
        EngineError : there is no such engine.
        StorageError : there is no answer, or a newer version of dedup made it.
        """
        spec = instance(spec, ModelSpec, "spec")
        starter = partial(engine_named, engine, address)
        starter()  # which refuses what there is not
        storage = Storage.at(url)
        meta = read_meta(storage)
        new = None
        if meta is None:
            if not create:
                raise NoCollectionError(
                    storage.url,
                    f"there is no collection. Make one with: dedup index URL --store {storage.url}",
                )
            meta, new = _begun(storage, spec, count_of(shard, "shard", 1))
        binding.check(meta.pinned, storage.url, spec)
        return cls(Run(storage.url, meta), starter, new)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: an engine runs for as long as a verb needs it."""

    @property
    def run(self) -> Run:
        """What tasks are given."""
        return self._run

    @property
    def path(self) -> str:
        """The URL of the collection."""
        return self._run.store

    def index(
        self,
        urls: str | Iterable[str] = (),
        progress: Progress | None = None,
        *,
        exclude: str | Iterable[str] | None = None,
    ) -> IndexSummary:
        """List folders, and embed what is new or changed, and what an earlier run left.

        Parameters
        ----------
        urls : none means all there are
        exclude : patterns of what to leave out, by gitignore's rules, kept instead of those from
            before; "" alone takes those back; None: as before

        Returns
        -------
        Its `new_skips` are 1,000 at most.

        Raises
        ------
        SourceError : a folder holds no images.
        StorageError : there is no answer.
        FingerprintError : a node decodes by other rules than the collection's.
        """
        started = time.perf_counter()
        report = callback_of(progress)
        storage = self._run.storage
        roots = self._checked(strings_of(urls, "urls"))
        patterns = _patterns(exclude)
        refuse_without_conditional_puts(storage)
        self._create(roots, patterns or ())
        again = embedding.transient_ids(storage)
        found = listing.list_generation(self._run, roots, patterns, again, report)
        todo = commits.pending(
            every := listing.shards(storage), commits.committed(storage, embedding.STAGE)
        )
        self._embed([every[name] for name in todo], report)
        listing.sweep(storage)
        commits.sweep(storage, embedding.STAGE)
        done = commits.committed(storage, embedding.STAGE)
        mine = [done[name] for name in todo]
        still = holding.live(storage, done).skipped
        counts = {
            name: sum(one.extra[name] for one in mine) for name in ("indexed", "reused", "skipped")
        }
        still = max(0, still - counts["skipped"])
        return IndexSummary(
            **counts,
            unchanged=max(0, found.files - sum(counts.values()) - still),
            still_skipped=still,
            gone=found.lost,
            new_skips=tuple(islice(holding.read_skips(storage, mine), _TOLD_SKIPS)),
            notes=(*found.notes, *_remarks(mine)),
            seconds=time.perf_counter() - started,
        )

    def _create(self, roots: tuple[str, ...], patterns: tuple[str, ...]) -> None:
        """Write what the collection is made with, where that was not done yet."""
        if self._new is None:
            return
        for root in listing.settle(roots, ()):
            if next(listed_below(root, self.path, patterns), None) is None:
                raise SourceError(listing.no_images(root))
        from dedup.distributed.weights import put_graph, put_weights

        storage = self._run.storage
        if self._new.weights is not None:
            put_weights(storage, self._new.weights)
        put_graph(self._run)
        meta = write_meta(storage, self._run.meta)
        binding.check(meta.pinned, storage.url, self._new.spec)
        self._run, self._new = Run(storage.url, meta), None
        self.notes += (f"Created the collection {storage.url}",)

    def _embed(self, left: list[Done], report: Progress) -> None:
        if not left:
            return
        total, files = sum(one.rows for one in left), 0

        def tell(ended: Ended) -> None:
            nonlocal files
            files += ended.task.arguments[1].rows
            report("Indexing", files, total)

        report("Indexing", 0, total)
        gone = rows_by_shard(listing.gone_ids(self._run.storage).tolist())
        with self._engine() as engine:
            todo = embedding.tasks(self._run, left, gone, own=not isinstance(engine, Inline))
            run_tasks(engine, todo, tell, embedding.look_apart)

    def _checked(self, urls: tuple[str, ...]) -> tuple[str, ...]:
        roots = tuple(Storage.at(url).url for url in urls)
        for root in roots:
            if root == self.path or root.startswith(self.path + "/"):
                raise SourceError(
                    f"{root} lies in the collection {self.path}, which is written to: keep the "
                    "two apart, with --store elsewhere"
                )
        return roots

    def estimate(
        self,
        urls: str | Iterable[str] = (),
        progress: Progress | None = None,
        *,
        exclude: str | Iterable[str] | None = None,
    ) -> Estimate:
        """Say what `index`, and finding duplicates after it, will cost; nothing is written.

        Everything is listed, and 64 images that are new are read and embedded here.

        Parameters
        ----------
        urls, exclude : as in `index`
        """
        from dedup.distributed import cost

        roots = self._checked(strings_of(urls, "urls"))
        return cost.estimate(self._run, roots, _patterns(exclude), callback_of(progress))

    def status(self) -> SharedStatus:
        """Count what the collection holds, and how far each stage is."""
        return holding.read_status(self._run)

    def skipped(self) -> SkippedAnswer:
        """List the files that could not be read, and why."""
        found: list[Skip] = [*holding.skipped_now(self._run.storage)]
        return SkippedAnswer(tuple(found))

    def verify(self, *, deep: bool = False, progress: Progress | None = None) -> VerifyAnswer:
        """Check that every object is there as it was committed.

        Parameters
        ----------
        deep : whether all of them are read, and compared by their SHA-256
        """
        from dedup.report.integrity import VerifyAnswer

        report = callback_of(progress)
        findings, read = holding.check(
            self._run, lambda done, total: report("Reading objects", done, total), deep=deep
        )
        order = sorted(findings, key=lambda one: (one.kind, one.path, one.detail))
        return VerifyAnswer(tuple(order), read if deep else 0)

    def export(
        self,
        output: str | os.PathLike[str],
        layers: str | Iterable[str] = (),
        *,
        fused: bool = False,
        progress: Progress | None = None,
    ) -> Written:
        """Write the stored embeddings to a Lance data set, one row per file, a shard at a time.

        Parameters
        ----------
        output : a folder, which ends in .lance; it appears whole or not at all
        layers, fused : as in `Collection.features`

        Raises
        ------
        LayerError : a layer is not stored.
        DedupError : another ending, or it cannot be written.
        ExtraMissingError : Lance is not installed.
        """
        from dedup.distributed import exporting
        from dedup.report.export import write_parts

        names = strings_of(layers, "layers")
        parts = exporting.features(self._run, names, callback_of(progress), fused=fused)
        return write_parts(parts, path_of(output, "output"))

    def repair(self, *, progress: Progress | None = None) -> RepairAnswer:
        """Drop what is damaged, so that `index` and `duplicates` make it again; and what is old.

        Every object is read. Not while another machine works on the collection.

        Returns
        -------
        What was dropped. `notes` say what cannot be made again, and what was swept.
        """
        from dedup.report.integrity import RepairAnswer

        report = callback_of(progress)
        storage = self._run.storage
        found: list[Finding] = []
        notes: list[str] = []
        tell = partial(report, "Reading objects")
        for stage, one in [*holding.damaged(storage, tell, deep=True)]:
            if sweeping.drop(storage, stage, one):
                found.append(holding.finding_of(self._run, one))
            else:
                notes.append(f"{storage.url}/{one.key}: {one.reason}. {NO_REMAKING}")
        if not notes:
            swept = sweeping.sweep(self._run)
            if swept.objects:
                what = f"{swept.objects:,} objects, {swept.bytes / 1e6:,.1f} MB"
                notes.append(f"Deleted what nothing needs any more: {what}")
        return RepairAnswer(tuple(found), tuple(notes))


def _remarks(done: Iterable[Done]) -> list[str]:
    """Say what a person should know about images that were indexed."""
    found: Counter[str] = Counter()
    for one in done:
        found.update(one.extra["remarks"])
    return [
        f"{count:,} image{'s' if count > 1 else ''}: {remark}"
        for remark, count in sorted(found.items())
    ]


def _patterns(exclude: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if exclude is None:
        return None
    from dedup.images.scan import check_patterns

    found = tuple(filter(str.strip, (exclude,) if isinstance(exclude, str) else exclude))
    check_patterns(strings_of(found, "exclude"))
    return found


class _New(NamedTuple):
    """What a collection is to be made with.

    Parameters
    ----------
    weights : the file that goes into the store
    note : the model that was taken by default; "" where one was named
    """

    spec: ModelSpec
    weights: Path | None
    note: str


def _begun(storage: Storage, spec: ModelSpec, shard: int) -> tuple[Meta, _New]:
    """Say what a collection is to be made with; nothing is written."""
    if spec.own is not None or spec.vectors:
        raise CollectionError(
            storage.url,
            "a module or vectors of one's own cannot be sent to other machines: export the module "
            "to an ONNX file, and name that",
        )
    from dedup.distributed.weights import weights_url

    chosen = binding.prepare(spec)
    ready = binding.start(chosen, Runtime())
    if ready is not None:
        ready.close()
    weights = "" if spec.weights is None else weights_url(storage, spec.weights)
    meta = Meta(chosen.fingerprint.to_json(), min(shard, MAX_SHARD), weights)
    return meta, _New(spec, spec.weights, chosen.note)
