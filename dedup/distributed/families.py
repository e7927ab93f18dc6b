"""Which files candidates join, cut into chunks that a task can take; and their rows, by chunk.

A family is what pairs worth looking at join, over however many steps: nothing that is outside of it
can change its groups, so that each is given to the code of one machine as a whole.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.distributed.commits import commit, commit_bytes, committed, read
from dedup.distributed.schemas import (
    EDGES,
    FAMILY,
    NEAR,
    PARTS,
    PLACED,
    ROW_BITS,
    SIMILAR,
    shard_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt
    import pyarrow as pa

    from dedup.distributed.commits import Done
    from dedup.distributed.run import Run
    from dedup.distributed.storage import Storage

    Ids = npt.NDArray[np.int64]

CHUNK_FILES: Final = 1024
"""Files of a chunk, where its families are not larger."""
CHUNK_PAIRS: Final = 2048
CHUNKS_PER_BLOCK: Final = 256
SHARDS_PER_PART: Final = 8
"""Embed shards whose rows one task of `gather` sorts: some 65,000 rows of 5 kB."""

_KINDS: Final = (("best", NEAR), ("reach", SIMILAR), ("votes", PARTS))


class Edges(NamedTuple):
    """Pairs of classes.

    Parameters
    ----------
    kind : (E,) int8, as in `schemas`
    first, second : (E,) int64, classes
    similarity : (E,) float32
    """

    kind: npt.NDArray[np.int8]
    first: Ids
    second: Ids
    similarity: npt.NDArray[np.float32]


def components(first: Ids, second: Ids) -> tuple[Ids, Ids]:
    """Find what edges join.

    Returns
    -------
    The (V,) ids that edges have, rising, and (V,) for each the lowest that it is joined to.
    """
    ids, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    one, two = places[: len(first)], places[len(first) :]
    root = np.arange(len(ids))
    while True:
        lowest = np.minimum(root[one], root[two])
        new = root.copy()
        np.minimum.at(new, root[one], lowest)
        np.minimum.at(new, root[two], lowest)
        while not np.array_equal(jumped := new[new], new):
            new = jumped
        if np.array_equal(new, root):
            return ids, ids[root]
        root = new


def make_families(run: Run, join: str) -> Done | None:
    """Cut what candidates join into chunks; one task, in memory of some 100 bytes an edge.

    Writes the stages `family`, `edges` and `placed`, and commits `families/0` last.

    Parameters
    ----------
    join : J
    """
    import pyarrow as pa

    storage = run.storage
    edges = _edges(storage, join)
    copies = _copies(storage, join)
    ids, roots = components(
        np.concatenate([edges.first, copies[0]]), np.concatenate([edges.second, copies[1]])
    )
    order = np.lexsort((ids, roots))
    ids, roots = ids[order], roots[order]
    by_id = np.argsort(ids)
    family_of = roots[by_id]
    sorted_ids = ids[by_id]
    of_edge = family_of[np.searchsorted(sorted_ids, edges.first)]
    heads, starts = np.unique(roots, return_index=True)
    files = np.diff(np.append(starts, len(roots)))
    pairs = np.bincount(np.searchsorted(heads, of_edge), minlength=len(heads))
    chunk_of_family = cut(files, pairs)
    chunk = np.repeat(chunk_of_family, files)
    chunks = int(chunk[-1]) + 1 if len(chunk) else 0
    members = pa.table([chunk, roots, ids], schema=FAMILY)
    edge_chunk = chunk_of_family[np.searchsorted(heads, of_edge)]
    sort = np.lexsort((edges.second, edges.first, edges.kind, edge_chunk))
    found = pa.table(
        [edge_chunk[sort], *(np.asarray(column)[sort] for column in edges)], schema=EDGES
    )
    for block, part in _blocks(chunk, members):
        commit(storage, f"{join}/family", shard_name(block), part)
    for block, part in _blocks(edge_chunk[sort], found):
        commit(storage, f"{join}/edges", shard_name(block), part)
    placed = pa.table([sorted_ids, chunk[by_id]], schema=PLACED)
    part_of = (sorted_ids >> ROW_BITS) // SHARDS_PER_PART
    for number in np.unique(part_of).tolist():
        begin, end = np.searchsorted(part_of, [number, number + 1]).tolist()
        commit(storage, f"{join}/placed", shard_name(number), placed.slice(begin, end - begin))
    large = np.flatnonzero(pairs > CHUNK_PAIRS)
    facts = {
        "chunks": chunks,
        "large": {str(chunk_of_family[one]): int(pairs[one]) for one in large.tolist()},
        "families": len(heads),
        "files": len(ids),
        "pairs": len(edges.first),
    }
    return commit(storage, f"{join}/families", "0", members.slice(0, 0), facts)


def cut(files: Ids, pairs: Ids) -> npt.NDArray[np.int32]:
    """Cut families into chunks; one that is too large for any has a chunk of its own.

    Parameters
    ----------
    files, pairs : (F,) of each family

    Returns
    -------
    (F,) the chunk of each, rising
    """
    chunk = np.empty(len(files), np.int32)
    number = in_files = in_pairs = 0
    for family, (some, those) in enumerate(zip(files.tolist(), pairs.tolist(), strict=True)):
        if in_files and (in_files + some > CHUNK_FILES or in_pairs + those > CHUNK_PAIRS):
            number, in_files, in_pairs = number + 1, 0, 0
        chunk[family] = number
        in_files, in_pairs = in_files + some, in_pairs + those
    return chunk


def _edges(storage: Storage, join: str) -> Edges:
    parts: list[Edges] = []
    for stage, kind in _KINDS:
        for done in committed(storage, f"{join}/{stage}").values():
            table = read(storage, done)
            columns = (table[name].to_numpy() for name in ("first", "second", "similarity"))
            parts.append(Edges(np.full(table.num_rows, kind, np.int8), *columns))
    if not parts:
        empty = np.empty(0, np.int64)
        return Edges(np.empty(0, np.int8), empty, empty, np.empty(0, np.float32))
    return Edges(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _copies(storage: Storage, join: str) -> tuple[Ids, Ids]:
    """Pair files with their image, and images with their class, where these are others."""
    first, second = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for done in committed(storage, f"{join}/fold").values():
        table = read(storage, done)
        file, image, group = (table[name].to_numpy() for name in ("id", "image", "class"))
        for one, two in ((file, image), (image, group)):
            other = one != two
            first.append(one[other])
            second.append(two[other])
    return np.concatenate(first), np.concatenate(second)


def _blocks(chunk: npt.NDArray[np.int32], table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Cut a table that is sorted by chunk."""
    blocks = chunk // CHUNKS_PER_BLOCK
    for block in np.unique(blocks).tolist():
        begin, end = np.searchsorted(blocks, [block, block + 1]).tolist()
        yield block, table.slice(begin, end - begin)


def gather(run: Run, join: str, part: str, shards: Iterable[str]) -> Done | None:
    """Sort the rows of some embed shards that are in families by chunk.

    Writes one object of pieces, an Arrow stream for each chunk, and says where each is.

    Parameters
    ----------
    part : of `placed`
    shards : of `embed`, those of the part
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    storage = run.storage
    placed = read(storage, committed(storage, f"{join}/placed")[part])
    done = committed(storage, "embed")
    tables = []
    for shard in shards:
        table = read(storage, done[shard])
        tables.append(table.filter(pc.is_in(table["id"], placed["id"])))
    rows = pa.concat_tables(tables).combine_chunks()
    at = np.searchsorted(placed["id"].to_numpy(), rows["id"].to_numpy())
    chunk = placed["chunk"].to_numpy()[at]
    order = np.argsort(chunk, kind="stable")
    rows, chunk = rows.take(order), chunk[order]
    sink, places = io.BytesIO(), dict[str, list[int]]()
    for number in np.unique(chunk).tolist():
        begin, end = np.searchsorted(chunk, [number, number + 1]).tolist()
        start = sink.tell()
        with pa.ipc.new_stream(
            sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
        ) as writer:
            writer.write_table(rows.slice(begin, end - begin))
        places[str(number)] = [start, sink.tell() - start]
    return commit_bytes(
        storage, f"{join}/gather", part, sink.getvalue(), "arrows", len(rows), {"pieces": places}
    )


class Piece(NamedTuple):
    """Where some rows of a chunk are: an object, the first byte, and how many."""

    key: str
    start: int
    length: int


def pieces_of(gathered: Iterable[Done]) -> dict[int, list[Piece]]:
    """List the pieces of each chunk."""
    found: dict[int, list[Piece]] = {}
    for done in gathered:
        for chunk, (start, length) in done.extra["pieces"].items():
            found.setdefault(int(chunk), []).append(Piece(done.key, start, length))
    return found


def rows_of(storage: Storage, pieces: Iterable[Piece]) -> pa.Table:
    """Read the rows of a chunk, by rising id."""
    import pyarrow as pa

    tables = []
    for piece in pieces:
        (data,) = storage.get_ranges(piece.key, [piece.start], [piece.length])
        tables.append(pa.ipc.open_stream(data).read_all())
    return pa.concat_tables(tables).sort_by("id")
