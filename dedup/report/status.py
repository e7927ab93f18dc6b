"""What a collection holds, counted from its catalog and its folder."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from dedup.results import RootStatus, Status
from dedup.search.index_file import saved_facts
from dedup.store.schema import INDEX

if TYPE_CHECKING:
    from dedup.store.catalog import Catalog


def read_status(catalog: Catalog) -> Status:
    """Count what a collection holds, and see which of its folders are there."""
    pinned = catalog.fingerprint
    states = catalog.files_by_state()
    images, trivial, size = catalog.totals()
    skips = Counter(reason for _, reason in catalog.skips())
    saved = saved_facts(catalog.store / INDEX)
    return Status(
        path=os.fspath(catalog.store),
        model=f"{pinned.model} ({pinned.weights})" if pinned.model else "none",
        views=pinned.views,
        layers=pinned.stored,
        dimensions=catalog.layer_dimensions(),
        roots=tuple(
            RootStatus(
                os.fsdecode(root.path),
                catalog.files_by_state(root).get("indexed", 0),
                os.path.isdir(root.path),
            )
            for root in catalog.roots()
        ),
        files=states.get("indexed", 0),
        images=images,
        trivial=trivial,
        gone=states.get("gone", 0),
        skipped=states.get("skipped", 0),
        skips=dict(sorted(skips.items(), key=lambda item: (-item[1], item[0]))),
        bytes_indexed=size,
        bytes_catalog=sum(
            path.stat().st_size for path in catalog.store.iterdir() if path.is_file()
        ),
        updated=catalog.updated,
        index="none" if saved is None else "fresh" if saved.version == catalog.version else "stale",
        index_kind=None if saved is None else saved.kind,
        index_recall=None if saved is None else saved.recall,
    )
