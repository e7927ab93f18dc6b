"""The nearest images to some vectors, read from object storage by the cells that these fall in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.distributed.commits import committed, done_of, read
from dedup.distributed.dividing import Division, divisions, vectors_of
from dedup.distributed.listing import gone_ids, shards
from dedup.distributed.pieces import pieces, read_pieces
from dedup.distributed.schemas import ROW_BITS, assign_schema, shard_name
from dedup.search.cells import labels
from dedup.search.similarity import pair_similarities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from dedup.distributed.run import Run
    from dedup.distributed.settings import Settings
    from dedup.distributed.storage import Storage

    Rows = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

_MOST_FILES = 5_000_000  # up to which copies of what was found are named as well


class Near(NamedTuple):
    """Files or classes near one query, nearest first.

    Parameters
    ----------
    ids : (K,) int64
    similarity : (K,) float32
    """

    ids: Ids
    similarity: npt.NDArray[np.float32]


def nearest(run: Run, queries: Rows, k: int) -> tuple[list[Near], bool]:
    """Find the files, or classes of files, that are nearest to each query.

    Parameters
    ----------
    queries : (Q, D) float32, unit rows as they are compared
    k : how many

    Returns
    -------
    Per query; and whether all files were looked at, or the classes in the queries' own cells only.
    """
    division = _division(run.storage)
    best = [Near(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
    blocks = (
        _every(run, [*range(len(queries))])
        if division is None
        else _of_cells(run, division, queries)
    )
    for wanted, ids, rows in blocks:
        for number in wanted:
            best[number] = _merged(best[number], queries[number], ids, rows, k)
    return best, division is None


def _merged(near: Near, query: Rows, ids: Ids, rows: Rows, k: int) -> Near:
    products = rows @ query
    some = np.argpartition(-products, min(k, len(rows)) - 1)[:k]
    exact = pair_similarities(query[None], rows, np.zeros(len(some), np.int64), some)
    every = np.concatenate([near.ids, ids[some]])
    similarity = np.concatenate([near.similarity, exact])
    every, first = np.unique(every, return_index=True)  # a class may be in several cells
    order = np.lexsort((every, -similarity[first]))[:k]
    return Near(every[order], similarity[first][order])


def _division(storage: Storage) -> str | None:
    """Name the newest division that is ready, if it has more than one cell."""
    ready = [
        (name, done["0"])
        for name, made in divisions(storage)
        if made is not None and (done := committed(storage, f"{name}/divided"))
    ]
    return ready[-1][0] if ready and ready[-1][1].extra["groups"] > 1 else None


def _every(run: Run, every: list[int]) -> Iterator[tuple[list[int], Ids, Rows]]:
    """Give all files that are there, a shard at a time."""
    gone = pa.array(gone_ids(run.storage))
    names = [f"vector.{name}" for name in run.meta.pinned.compared]
    for done in committed(run.storage, "embed").values():
        table = read(run.storage, done, ["id", "reason", *names])
        there = pc.and_not(pc.is_null(table["reason"]), pc.is_in(table["id"], gone))
        table = table.filter(there).combine_chunks()
        if table.num_rows:
            yield every, table["id"].to_numpy(), vectors_of(run, table)


def _of_cells(run: Run, division: str, queries: Rows) -> Iterator[tuple[list[int], Ids, Rows]]:
    """Give the classes of the cells that queries fall in, a group at a time."""
    storage = run.storage
    space, facts = Division(storage, division), done_of(storage, f"{division}/divided", "0").extra
    near = labels(space.centre(queries), space.centres, facts["overlap"])
    found = pieces(committed(storage, f"{division}/assign").values())
    groups = near // facts["cells_of_group"]
    for group in np.unique(groups).tolist():
        wanted = np.flatnonzero((groups == group).any(axis=1))
        cells = pa.array(np.unique(near[wanted]))
        schema = assign_schema(list(run.meta.pinned.compared))
        table = read_pieces(storage, found.get(group, []), schema)
        table = table.filter(pc.is_in(table["cell"], cells)).combine_chunks()
        if table.num_rows:
            yield wanted.tolist(), table["class"].to_numpy(), vectors_of(run, table)


def named(run: Run, settings: Settings, found: list[Near]) -> list[list[tuple[str, float]]]:
    """Give the URLs of the live files of what was found, with their similarity.

    Parameters
    ----------
    settings : of a list that was made, whose copies are known; before it, each file is its own

    Returns
    -------
    Per query by falling similarity; files of one class by URL.
    """
    storage = run.storage
    every = np.unique(np.concatenate([near.ids for near in found] or [np.empty(0, np.int64)]))
    class_of = {one: one for one in every.tolist()}
    files = {one: [one] for one in every.tolist()}
    folds = committed(storage, f"{settings.join}/fold").values()
    if folds and sum(done.rows for done in folds) <= _MOST_FILES:
        tables = [read(storage, done, ["id", "class"]) for done in folds]
        for table in tables:
            class_of.update(_pairs(table.filter(pc.is_in(table["id"], pa.array(every)))))
        files = {one: [] for one in class_of.values()}
        wanted = pa.array(list(files), pa.int64())
        for table in tables:
            for file, group in _pairs(table.filter(pc.is_in(table["class"], wanted))):
                files[group].append(file)
    urls = _urls(storage, (file for some in files.values() for file in some))
    result = []
    for near in found:
        best = dict[int, float]()  # several files of a class may have been found
        for one, similarity in zip(near.ids.tolist(), near.similarity.tolist(), strict=True):
            best.setdefault(class_of[one], similarity)
        result.append(
            [
                (url, similarity)
                for group, similarity in best.items()
                for url in sorted(urls[file] for file in files[group] if file in urls)
            ]
        )
    return result


def _pairs(table: pa.Table) -> Iterator[tuple[int, int]]:
    return zip(table["id"].to_pylist(), table["class"].to_pylist(), strict=True)


def _urls(storage: Storage, files: Iterable[int]) -> dict[int, str]:
    """Give the URL of each file that is there."""
    gone = set(gone_ids(storage).tolist())
    listed, names = shards(storage), dict[int, str]()
    by_shard: dict[int, list[int]] = {}
    for file in files:
        if file not in gone:
            by_shard.setdefault(file >> ROW_BITS, []).append(file)
    for shard, some in by_shard.items():
        table = read(storage, listed[shard_name(shard)], ["root", "key"])
        for file in some:
            row = file & ((1 << ROW_BITS) - 1)
            names[file] = f"{table['root'][row].as_py()}/{table['key'][row].as_py()}"
    return names
