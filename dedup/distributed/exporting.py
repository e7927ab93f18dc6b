"""The embeddings of a collection in object storage, for other programs, a shard at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.distributed.commits import committed, read
from dedup.distributed.dividing import vectors_of
from dedup.distributed.listing import gone_ids
from dedup.errors import CollectionError
from dedup.report.export import FUSED, check_layers
from dedup.report.features import FeatureTable
from dedup.store.vectors import unpack_unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dedup.answer import Progress
    from dedup.distributed.run import Run


def features(
    run: Run, layers: Sequence[str], report: Progress, *, fused: bool
) -> Iterator[FeatureTable]:
    """Give the embeddings of the files that are there, by shard; one at a time is in memory.

    Parameters
    ----------
    layers, fused : as `report.export.collect` takes them

    Raises
    ------
    LayerError : a layer is not stored.
    CollectionError : there is no image.
    """
    stored = run.meta.pinned.stored
    check_layers(stored, layers, fused=fused)
    names = [*(run.meta.pinned.compared if fused else layers)] or [*stored]
    return _tables(run, names, report, fused=fused)


def _tables(
    run: Run, names: Sequence[str], report: Progress, *, fused: bool
) -> Iterator[FeatureTable]:
    facts = ["id", "reason", "root", "key", "digest", "width", "height"]
    columns = [f"{kind}.{name}" for name in names for kind in ("vector", "norm")]
    gone, found = pa.array(gone_ids(run.storage)), False
    done = committed(run.storage, "embed")
    for number, one in enumerate(done.values(), 1):
        table = read(run.storage, one, facts + columns)
        there = pc.and_not(pc.is_null(table["reason"]), pc.is_in(table["id"], gone))
        table = table.filter(there).combine_chunks()
        if table.num_rows:
            found = True
            yield _features(run, table, names, fused=fused)
        report("Reading shards", number, len(done))
    if not found:
        raise CollectionError(run.store, "holds no image. Run: dedup index URL")


def _features(run: Run, table: pa.Table, names: Sequence[str], *, fused: bool) -> FeatureTable:
    if fused:
        embeddings = {FUSED: vectors_of(run, table)}
    else:
        embeddings = {}
        for name in names:
            rows = unpack_unit(name, table[f"vector.{name}"].to_pylist())
            rows *= table[f"norm.{name}"].to_numpy().astype(np.float32)[:, None]
            embeddings[name] = rows
    roots, keys = table["root"].to_pylist(), table["key"].to_pylist()
    return FeatureTable(
        paths=[f"{root}/{key}" for root, key in zip(roots, keys, strict=True)],
        digests=[digest.hex() for digest in table["digest"].to_pylist()],
        width=table["width"].to_numpy(),
        height=table["height"].to_numpy(),
        embeddings=embeddings,
    )
