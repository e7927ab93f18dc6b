"""What files are duplicates, chunk by chunk: the code of one machine on a small collection.

A task takes the rows of some families, makes an ordinary collection of them in a temporary folder,
and lets the code of one machine prove and group what the join proposed. So verdicts, keepers and
words are those of one machine.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.distributed.commits import commit, read
from dedup.distributed.cutting import PROVEN_AT_ONCE
from dedup.distributed.images import reading
from dedup.distributed.importing import Known, add_known, known_of, make_catalog
from dedup.distributed.pieces import read_pieces
from dedup.distributed.schemas import (
    EDGES,
    GROUPS,
    MEASURED,
    NEAR,
    PARTS,
    SIMILAR,
    VERDICTS,
    embed_schema,
)
from dedup.duplicates.find import described, fresh_groups
from dedup.duplicates.gallery import Gallery, read_gallery
from dedup.duplicates.given import GivenCandidates
from dedup.duplicates.groups import left_alone, row_families
from dedup.duplicates.pairs import row_pair
from dedup.duplicates.relate import relate
from dedup.duplicates.rounds import keepers_tell
from dedup.freshness import Lookout
from dedup.policy import KeepPolicy
from dedup.proof.prover import Prover
from dedup.records import TRAITS, VERIFIER
from dedup.results import Grouping, Tier
from dedup.search.pairs import Pairs
from dedup.space.space import Space
from dedup.store.pairs import content_pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dedup.distributed.commits import Done
    from dedup.distributed.cutting import Chunk
    from dedup.distributed.images import Images
    from dedup.distributed.run import Run
    from dedup.distributed.settings import Settings
    from dedup.duplicates.pairs import RowPair
    from dedup.store.catalog import Catalog
    from dedup.store.gallery import GalleryImages

_TOLD: Final = ("root", "key", "etag", "version", "mtime_ns", "family")


def group_chunk(run: Run, settings: Settings, chunk: Chunk) -> Done | None:
    """Prove and group the files of a chunk.

    Writes `verdicts`, `measured` and, last, the stage of the groups.
    """
    storage, name = run.storage, f"{settings.answer}-{chunk.name}"
    with _small(run, chunk) as (catalog, rows, images):
        space = Space.of(catalog)
        gallery = _gallery(catalog, space, settings, rows, _edges(run, chunk))
        tiers = frozenset(map(Tier, settings.tiers))
        lookout, how = Lookout(catalog.roots()), Grouping(settings.group)
        few, keep = keepers_tell(tiers, how), KeepPolicy.of(settings.keep)
        related = relate(gallery, tiers, settings.threshold, _silent, keep, few=few)
        found, _ = fresh_groups(gallery, related, tiers, how, lookout)
        row_of = gallery.files.row.tolist()
        alone: list[int] = []
        if how is not Grouping.COMPONENT:
            alone = left_alone(found, row_of, related.relations, tiers)
        families = row_families(gallery.order, row_of, related.relations, tiers)
        best = _best(gallery, families)
        etags = _Tags(rows)
        columns: list[dict[str, Any]] = []
        for told in described(found, gallery, related, lookout):
            group = found[told.number - 1]
            head = {
                "group": told.number, "family": etags.of(told.keeper)["family"],
                **best[row_of[group.keeper]], "keeper": told.keeper,
                "keeper_etag": etags.of(told.keeper)["etag"],
                "kept_because": told.kept_because, "min_similarity": told.min_similarity,
            }  # fmt: skip
            for one in told.duplicates:
                tags = etags.of(one.path)
                columns.append(head | {
                    "member": one.path, "member_etag": tags["etag"],
                    "member_version": tags["version"], "member_mtime_ns": tags["mtime_ns"],
                    "tier": one.tier.value, "similarity": one.similarity, "bytes": one.bytes,
                    "evidence": one.evidence, "is_original": one.is_original,
                })  # fmt: skip
        known = known_of(catalog, VERIFIER, TRAITS)
        paths = {
            "alone": [gallery.files.path[file] for file in alone],
            "gone": [path for one in images for path in one.missing],
        }
    commit(storage, "measured", name, known.measured)  # first: whoever finds verdicts reads both
    commit(storage, "verdicts", name, known.verdicts)
    # A family each: one that changes has them counted anew.
    facts: dict[str, Any] = {
        what: [etags.of(os.fsdecode(path))["family"] for path in some]
        for what, some in paths.items()
    }
    facts |= {"families": pc.count_distinct(rows["family"]).as_py(), "files": rows.num_rows}
    table = pa.Table.from_pylist(columns, schema=GROUPS)
    return commit(storage, settings.groups, chunk.name, table, facts)


def prove_pairs(run: Run, settings: Settings, chunk: Chunk, part: int) -> Done | None:
    """Prove some pairs of a family that is too large for one task; writes `verdicts`.

    Parameters
    ----------
    part : which of the `PROVEN_AT_ONCE` pairs of the chunk
    """
    edges = _edges(run, chunk)
    edges = edges.filter(pc.not_equal(edges["kind"], SIMILAR))
    edges = edges.slice(part * PROVEN_AT_ONCE, PROVEN_AT_ONCE)
    name = f"{settings.answer}-{chunk.name}-{part:05d}"
    with _small(run, chunk, edges) as (catalog, rows, _images):
        digest = dict(zip(rows["id"].to_pylist(), rows["digest"].to_pylist(), strict=True))
        pairs = [
            content_pair(digest[one], digest[two])
            for one, two in zip(
                edges["first"].to_pylist(), edges["second"].to_pylist(), strict=True
            )
        ]
        sources: dict[bytes, list[bytes]] = {}
        for row in rows.select(["root", "key", "digest"]).to_pylist():
            sources.setdefault(row["digest"], []).append(os.fsencode(f"{row['root']}/{row['key']}"))
        with Prover(catalog, sources, _silent) as prover:
            prover.prove_copies(pairs)
            prover.prove(pairs)
        known = known_of(catalog, VERIFIER, TRAITS)
    commit(run.storage, "measured", name, known.measured)
    return commit(run.storage, "verdicts", name, known.verdicts)


@contextmanager
def _small(
    run: Run, chunk: Chunk, only: pa.Table | None = None
) -> Iterator[tuple[Catalog, pa.Table, list[Images]]]:
    """Make a small collection of a chunk's rows; of those of some pairs where they are given."""
    storage = run.storage
    schema = embed_schema(run.meta.pinned.stored)
    rows = read_pieces(storage, chunk.pieces, schema).sort_by("id")
    if only is not None:
        wanted = pa.chunked_array([*only["first"].chunks, *only["second"].chunks], pa.int64())
        rows = rows.filter(pc.is_in(rows["id"], wanted.unique()))
    roots = rows["root"].unique().to_pylist()
    with (
        tempfile.TemporaryDirectory(prefix="dedup-") as folder,
        reading(roots, Path(folder)) as images,
        closing(make_catalog(Path(folder) / "chunk", run.meta.pinned, [rows])) as catalog,
    ):
        known = [
            _relevant(read(storage, verdicts), read(storage, measured), rows)
            for verdicts, measured in chunk.known
        ]
        if known:
            add_known(catalog, Known(*map(pa.concat_tables, zip(*known, strict=True))))
        known.clear()
        rows = rows.select(["id", "digest", *_TOLD])  # the catalog has the rest, ten times as much
        yield catalog, rows, images


def _relevant(verdicts: pa.Table, measured: pa.Table, rows: pa.Table) -> Known:
    here = rows["digest"].unique()
    both = pc.and_(pc.is_in(verdicts["first"], here), pc.is_in(verdicts["second"], here))
    return Known(
        verdicts.filter(both).cast(VERDICTS),
        measured.filter(pc.is_in(measured["digest"], here)).cast(MEASURED),
    )


def _edges(run: Run, chunk: Chunk) -> pa.Table:
    if chunk.edges is None:
        return pa.Table.from_pylist([], schema=EDGES)
    table = read(run.storage, chunk.edges)
    return table.filter(pc.equal(table["chunk"], chunk.number))


def _gallery(
    catalog: Catalog, space: Space, settings: Settings, rows: pa.Table, edges: pa.Table
) -> Gallery:
    """Read the small collection, with the candidates that the join found."""
    gallery = read_gallery(catalog, space, companions=settings.companions, parts=settings.parts)
    images = gallery.images
    row_of_digest = {digest: row for row, digest in enumerate(images.digest)}
    digests = zip(rows["id"].to_pylist(), rows["digest"].to_pylist(), strict=True)
    row_of = {file: row_of_digest[digest] for file, digest in digests}
    class_of = _classes(images)
    pairs = {kind: edges.filter(pc.equal(edges["kind"], kind)) for kind in (NEAR, SIMILAR, PARTS)}
    given = GivenCandidates(
        images,
        similar=_pairs(pairs[SIMILAR], row_of, class_of),
        near=_pairs(pairs[NEAR], row_of, class_of),
        shared=_shared(pairs[PARTS], row_of),
    )
    return gallery.with_given(given)


def _classes(images: GalleryImages) -> dict[int, int]:
    from dedup.duplicates.candidates import group_identical_inputs

    members = group_identical_inputs(images)
    return {row: number for number, rows in enumerate(members) for row in rows}


def _pairs(edges: pa.Table, row_of: dict[int, int], class_of: dict[int, int]) -> Pairs:
    """Name pairs of classes as a small collection numbers them."""
    one, two = (
        np.array([class_of[row_of[file]] for file in edges[name].to_pylist()], np.int32)
        for name in ("first", "second")
    )
    similarity = edges["similarity"].to_numpy()
    return Pairs.joined([Pairs(np.minimum(one, two), np.maximum(one, two), similarity)])


def _shared(edges: pa.Table, row_of: dict[int, int]) -> frozenset[RowPair]:
    pairs = zip(edges["first"].to_pylist(), edges["second"].to_pylist(), strict=True)
    return frozenset(row_pair(row_of[one], row_of[two]) for one, two in pairs)


def _best(gallery: Gallery, families: Sequence[Sequence[int]]) -> dict[int, dict[str, Any]]:
    """Give for each row what the best file of its family is sorted by among all files."""
    images, files = gallery.images, gallery.files
    first: dict[int, int] = {}
    for file in reversed(gallery.order):
        first[int(files.row[file])] = file
    rank = {file: place for place, file in enumerate(gallery.order)}
    best = dict(first)
    for rows in families:
        chief = min((first[row] for row in rows), key=rank.__getitem__)
        best.update(dict.fromkeys(rows, chief))
    return {
        row: {
            "damaged": bool(images.damaged[int(files.row[file])]),
            "pixels": int(images.width[int(files.row[file])])
            * int(images.height[int(files.row[file])]),
            "size": int(files.size[file]),
            "mtime_ns": int(files.mtime_ns[file]),
            "path": files.path[file],
        }
        for row, file in best.items()
    }


class _Tags:
    """What conditional requests need to know of files, and their families, by URL."""

    def __init__(self, rows: pa.Table) -> None:
        self._of: dict[str, dict[str, Any]] = {
            f"{row['root']}/{row['key']}": row for row in rows.select([*_TOLD]).to_pylist()
        }

    def of(self, url: str) -> dict[str, Any]:
        return self._of[url]


def _silent(_stage: str, _done: int, _total: int) -> None:
    """Take progress, of which only whole tasks are told."""
