"""What a collection holds, counted from its catalog and its folder."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from dedup.answer import Answer, column
from dedup.freshness import is_absent
from dedup.search.index_file import saved_facts
from dedup.store.counts import find_damaged, layer_dimensions, remarks, totals
from dedup.store.schema import INDEX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.records import Root
    from dedup.results import Skip
    from dedup.store.catalog import Catalog


@dataclass(frozen=True, slots=True)
class RootStatus:
    """One indexed folder, or another source of images.

    Parameters
    ----------
    kind : "folder", "files" (named one by one), "archive", "remote" (by URL), "kept" (handed over
        in memory) or "names" (of vectors)
    """

    path: str
    files: int
    present: bool
    kind: str = "folder"


@dataclass(frozen=True, slots=True)
class Status(Answer[RootStatus]):
    """What a collection holds, at a glance. Iterates over `roots`.

    Parameters
    ----------
    files : indexed files that were there when last indexed
    images : of these, different contents
    trivial : of the images, blank or tiny ones
    gone : files that were indexed once and are no longer there
    views : "content", "details" or both
    layers : what is stored of each image; details are among them where they are a view
    skipped : images and videos that could not be read
    skips : how many of them for each reason, most frequent first
    updated : when the last run ended, ISO 8601 in UTC
    index : the FAISS index: "fresh", "stale" or "none" (it is rebuilt when needed)
    index_kind, index_recall : "flat" or "ivf", and the share of the ten nearest that it
        finds, measured on a sample; None without an index
    """

    rows_in: ClassVar[str] = "roots"
    path: str
    model: str
    views: tuple[str, ...]
    layers: tuple[str, ...]
    dimensions: dict[str, int]
    roots: tuple[RootStatus, ...]
    files: int
    images: int
    trivial: int
    gone: int
    skipped: int
    skips: dict[str, int] = field(default_factory=dict)
    bytes_indexed: int = 0
    bytes_catalog: int = 0
    updated: str | None = None
    index: str = "none"
    index_kind: str | None = None
    index_recall: float | None = None
    notes: tuple[str, ...] = field(default=(), metadata=column(None))


@dataclass(frozen=True, slots=True)
class RootsAnswer(Answer[RootStatus]):
    """Indexed folders, by path."""

    rows_in: ClassVar[str] = "roots"
    roots: tuple[RootStatus, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Remark:
    """What a person should know of an indexed image."""

    path: str
    remark: str


@dataclass(frozen=True, slots=True)
class RemarksAnswer(Answer[Remark]):
    """The remarks on indexed images, by path."""

    rows_in: ClassVar[str] = "remarks"
    remarks: tuple[Remark, ...]
    notes: tuple[str, ...] = ()


def root_status(catalog: Catalog, root: Root) -> RootStatus:
    """Count the files of a root and see whether it is there."""
    files = catalog.files_by_state(root).get("indexed", 0)
    present = not is_absent(root) or (not files and os.path.isdir(root.path))
    return RootStatus(os.fsdecode(root.path), files, present, root.kind.value)


def read_remarks(catalog: Catalog) -> RemarksAnswer:
    """List the remarks on live images."""
    return RemarksAnswer(
        tuple(Remark(os.fsdecode(path), remark) for path, remark in remarks(catalog))
    )


def read_status(catalog: Catalog, videos: Iterable[Skip] = ()) -> Status:
    """Count what a collection holds, and see which of its folders are there.

    Parameters
    ----------
    videos : those that could not be read, which the catalog does not know
    """
    pinned = catalog.fingerprint
    find_damaged(catalog)
    states = catalog.files_by_state()
    images, trivial, size = totals(catalog)
    skips = Counter(reason for _, reason in catalog.skips())
    films = Counter(skip.reason for skip in videos)
    saved = saved_facts(catalog.store / INDEX)
    return Status(
        path=os.fspath(catalog.store),
        model=f"{pinned.model} ({pinned.weights})" if pinned.model else "none",
        views=pinned.views,
        layers=pinned.stored,
        dimensions=layer_dimensions(catalog),
        roots=tuple(root_status(catalog, root) for root in catalog.roots()),
        files=states.get("indexed", 0),
        images=images,
        trivial=trivial,
        gone=states.get("gone", 0),
        skipped=states.get("skipped", 0) + films.total(),
        skips=dict(sorted((skips + films).items(), key=lambda item: (-item[1], item[0]))),
        bytes_indexed=size,
        bytes_catalog=sum(
            path.stat().st_size for path in catalog.store.iterdir() if path.is_file()
        ),
        updated=catalog.updated,
        index="none" if saved is None else "fresh" if saved.version == catalog.version else "stale",
        index_kind=None if saved is None else saved.kind,
        index_recall=None if saved is None else saved.recall,
    )
