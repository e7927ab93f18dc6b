"""Stages of a collection in object storage, made from an ordinary one by other code than theirs."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dedup.descriptors.parts import PARTS_VERSION
from dedup.distributed.commits import commit
from dedup.distributed.run import Meta, Run, write_meta
from dedup.distributed.schemas import FOLD, PAIRS, embed_schema, file_id, shard_name
from dedup.duplicates.candidates import WithinGallery, group_identical_inputs
from dedup.duplicates.gallery import read_gallery
from dedup.duplicates.sharing import share_parts
from dedup.fingerprint import Fingerprint
from dedup.space.space import Space
from dedup.store.parts import read_parts
from dedup.store.vectors import pack

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from dedup.distributed.settings import Settings
    from dedup.distributed.storage import Storage
    from dedup.search.pairs import Pairs
    from dedup.store.catalog import Catalog


def embedded(catalog: Catalog, storage: Storage, root: str, shard: int) -> Run:
    """Write the `embed` stage of a collection of one root, `shard` files in each object."""
    meta = write_meta(storage, Meta(catalog.fingerprint.to_json(), shard))
    rows = _rows(catalog, root)
    schema = embed_schema(catalog.fingerprint.stored)
    for number in range(0, len(rows), shard):
        some = rows[number : number + shard]
        for at, row in enumerate(some):
            row["id"] = file_id(number // shard, at)
        table = pa.Table.from_pylist(some, schema=schema)
        commit(storage, "embed", shard_name(number // shard), table)
    return Run(storage.url, meta)


def _rows(catalog: Catalog, root: str) -> list[dict[str, Any]]:
    prefix = os.fsencode(root) + b"/"
    connection = catalog.connection
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM images").fetchone()
    parts = dict(read_parts(catalog, PARTS_VERSION, range(1, last + 1)))
    rows = []
    for path, size, mtime_ns, image in connection.execute(
        "SELECT path, size, mtime_ns, image FROM files WHERE state = 'indexed' ORDER BY path"
    ):
        facts = catalog.image_facts(image)
        row = {
            "root": root, "key": os.fsdecode(path.removeprefix(prefix)), "size": size,
            "mtime_ns": mtime_ns, "etag": "", "version": "", "reason": None, "transient": None,
            "parts": parts.get(image), **facts._asdict(),
        }  # fmt: skip
        for layer, vector, norm in connection.execute(
            "SELECT layer, vector, norm FROM embeddings WHERE image = ?", (image,)
        ):
            row |= {f"vector.{layer}": vector, f"norm.{layer}": norm}
        rows.append(row)
    return rows


def joined(catalog: Catalog, run: Run, settings: Settings, ids: dict[bytes, list[int]]) -> None:
    """Write the stages of a join as the code of one machine proposes pairs.

    Parameters
    ----------
    ids : of the files of each content
    """
    gallery = read_gallery(catalog, Space.of(catalog), "exact")
    images = gallery.images
    members = group_identical_inputs(images)
    image_id = [min(ids[digest]) for digest in images.digest]
    by_input: dict[bytes, int] = {}
    for row, digest in enumerate(images.input_digest):
        by_input[digest] = min(by_input.get(digest, 1 << 62), image_id[row])
    fold = [
        {"id": one, "image": image_id[row], "class": by_input[images.input_digest[row]],
         "trivial": bool(images.trivial[row])}
        for row, digest in enumerate(images.digest) for one in ids[digest]
    ]  # fmt: skip
    table = pa.Table.from_pylist(sorted(fold, key=lambda row: int(row["id"])), schema=FOLD)
    commit(run.storage, f"{settings.join}/fold", "0", table)
    source = WithinGallery(images, gallery.raw, gallery.vectors, "exact", lambda *_: None)
    near = source.nearest(gallery.near_floors)
    named = [min(image_id[row] for row in rows) for rows in members]
    _pairs(run, f"{settings.join}/best", _named(named, near.pairs))
    if settings.has_similar:
        reach = source.reaching(settings.threshold)
        _pairs(run, f"{settings.join}/reach", _named(named, reach.pairs))
    shared, _ = share_parts(catalog, images, members, lambda *_: None)
    _pairs(run, f"{settings.join}/votes", [
        (image_id[one], image_id[two], 0.0) for one, two in sorted(shared)
    ])  # fmt: skip


def _named(names: list[int], pairs: Pairs) -> list[tuple[int, int, float]]:
    columns = pairs.first.tolist(), pairs.second.tolist(), pairs.similarity.tolist()
    return [
        (names[one], names[two], similarity) for one, two, similarity in zip(*columns, strict=True)
    ]


def _pairs(run: Run, stage: str, pairs: list[tuple[int, int, float]]) -> None:
    rows = [
        {"first": min(one, two), "second": max(one, two), "similarity": similarity}
        for one, two, similarity in pairs
    ]
    commit(run.storage, stage, "0", pa.Table.from_pylist(rows, schema=PAIRS))


def of_vectors(
    storage: Storage, vectors: npt.NDArray[np.float32], shard: int, first: int = 0
) -> Run:
    """Write the `embed` stage of images that are vectors and nothing else.

    Parameters
    ----------
    vectors : (N, D); rows that are equal have equal decoded input
    first : number of the first shard
    """
    layer = "global_pool"
    pinned = Fingerprint("m", "bundled", "", (layer,), 224, 224, "decoder")
    meta = write_meta(storage, Meta(pinned.to_json(), shard))
    schema = embed_schema(pinned.stored)
    packed = pack(layer, vectors)
    for start in range(0, len(vectors), shard):
        number = first + start // shard
        rows = range(start, min(len(vectors), start + shard))
        count = len(rows)
        names = [f"{number:06d}-{row}" for row in rows]
        digests = [hashlib.sha256(name.encode()).digest() for name in names]
        inputs = [hashlib.sha256(packed.vectors[row]).digest()[:16] for row in rows]
        columns: dict[str, Any] = {
            "id": [file_id(number, at) for at in range(count)], "root": ["s3://b/p"] * count,
            "key": names, "size": [1] * count, "mtime_ns": [0] * count, "etag": [""] * count,
            "version": [""] * count, "reason": [None] * count, "transient": [None] * count,
            "digest": digests, "format": ["PNG"] * count, "width": [64] * count,
            "height": [64] * count, "frames": [1] * count, "trivial": [False] * count,
            "input_digest": inputs, "damaged": [False] * count, "remark": [None] * count,
            "parts": [None] * count, f"vector.{layer}": [packed.vectors[row] for row in rows],
            f"norm.{layer}": [packed.norms[row] for row in rows],
        }  # fmt: skip
        commit(storage, "embed", shard_name(number), pa.table(columns, schema=schema))
    return Run(storage.url, meta)
