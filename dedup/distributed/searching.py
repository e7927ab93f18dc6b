"""The nearest images to some vectors, of which little is read from object storage.

Of the cells nearest to a query the codes are read (`dedup.search.codes`), and of the classes that
are nearest by these the vectors, each by its range: a bounded number of bytes, however many images
there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.distributed.commits import committed, done_of, many, read
from dedup.distributed.dividing import read_coder, vectors_of
from dedup.distributed.divisions import READ, divisions
from dedup.distributed.listing import gone_ids, shards
from dedup.distributed.schemas import ROW_BITS, shard_name
from dedup.distributed.serving import ID_BYTES
from dedup.search.codes import CODE_BYTES
from dedup.search.similarity import pair_similarities, unit_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from dedup.distributed.run import Run
    from dedup.distributed.settings import Settings
    from dedup.distributed.storage import Storage

    Rows = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

_MOST_FILES: Final = 5_000_000  # up to which copies of what was found are named as well

ENOUGH: Final = 0.99
"""Share of the near images of sampled ones that the cells which a query reads have to hold."""

MOST_CELLS: Final = READ[-1]
MOST_ROWS: Final = 400_000
"""Rows whose codes a query reads: 29 MB."""

READ_WHOLE: Final = 128
MORE: Final = 8
"""Vectors that a query reads, and for each image that it asks for, the nearest by their codes."""


class Near(NamedTuple):
    """Files or classes near one query, nearest first.

    Parameters
    ----------
    ids : (K,) int64
    similarity : (K,) float32
    """

    ids: Ids
    similarity: npt.NDArray[np.float32]


class Searched(NamedTuple):
    """What was found, and where it was looked for.

    Parameters
    ----------
    near : per query
    cells : that were read for a query, at most; 0: all files were compared
    share : of the near images of sampled ones that are at home in so many cells
    """

    near: list[Near]
    cells: int = 0
    share: float = 1.0


def nearest(run: Run, queries: Rows, k: int) -> Searched:
    """Find the files, or classes of files, that are nearest to each query.

    Parameters
    ----------
    queries : (Q, D) float32, unit rows as they are compared
    k : how many
    """
    division = _division(run.storage)
    if division is not None:
        return Cells(run, division).nearest(queries, k)
    best = [_NOTHING for _ in queries]
    for ids, rows in _every(run):
        best = [
            _merged(near, query, ids, rows, k) for near, query in zip(best, queries, strict=True)
        ]
    return Searched(best)


_NOTHING: Final = Near(np.empty(0, np.int64), np.empty(0, np.float32))


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
    """Name the newest division that queries can read; None: there are no cells, or not yet."""
    names = [name for name, made in divisions(storage) if made is not None]
    return next((name for name in reversed(names) if committed(storage, f"{name}/places")), None)


def _every(run: Run) -> Iterator[tuple[Ids, Rows]]:
    """Give all files that are there, a shard at a time."""
    gone = pa.array(gone_ids(run.storage))
    names = [f"vector.{name}" for name in run.meta.pinned.compared]
    for done in committed(run.storage, "embed").values():
        table = read(run.storage, done, ["id", "reason", *names])
        there = pc.and_not(pc.is_null(table["reason"]), pc.is_in(table["id"], gone))
        table = table.filter(there).combine_chunks()
        if table.num_rows:
            yield table["id"].to_numpy(), vectors_of(run, table)


class Cells:
    """The cells of a division, as queries read them."""

    def __init__(self, run: Run, division: str) -> None:
        self._run, storage = run, run.storage
        made = committed(storage, f"{division}/places")
        newest = made[max(made)]
        self._widths: list[int] = newest.extra["widths"]
        places = read(storage, newest)
        self._cell, self._start, self._rows = (
            places[name].to_numpy().astype(np.int64) for name in ("cell", "start", "rows")
        )
        self._key = places["key"].to_pylist()
        self._coder, self._centres = read_coder(storage, division)
        self._told = done_of(storage, f"{division}/divided", "0").extra["read"]

    def nearest(self, queries: Rows, k: int) -> Searched:
        """Find the classes that are nearest to each query; as the function `nearest`."""
        chosen = [self._chosen(query) for query in queries]
        near = [
            self._nearest(query, parts, k)
            for query, (_, parts) in zip(queries, chosen, strict=True)
        ]
        cells = min((count for count, _ in chosen), default=1)
        share = max((share for count, share in self._told if count <= cells), default=0.0)
        return Searched(near, cells, share)

    def _chosen(self, query: Rows) -> tuple[int, Ids]:
        """Choose the cells that a query reads, the nearest first: how many, and their places."""
        products = self._centres @ unit_rows((query - self._coder.mean)[None])[0]
        cells = next((count for count, share in self._told if share >= ENOUGH), MOST_CELLS)
        parts, rows = list[int](), 0
        for number, cell in enumerate(np.argsort(-products)[:cells].tolist()):
            for part in range(*np.searchsorted(self._cell, [cell, cell + 1]).tolist()):
                rows += int(self._rows[part])
                if parts and rows > MOST_ROWS:
                    return max(1, number), np.array(parts)
                parts.append(part)
        return min(cells, len(products)), np.array(parts, np.int64)

    def _nearest(self, query: Rows, parts: Ids, k: int) -> Near:
        if not len(parts):
            return _NOTHING
        counts = self._rows[parts].tolist()
        heads = self._read(parts, self._start[parts], (ID_BYTES + CODE_BYTES) * self._rows[parts])
        pairs = [
            np.split(np.frombuffer(head, np.uint8), [ID_BYTES * count])
            for head, count in zip(heads, counts, strict=True)
        ]
        ids = np.concatenate([one.view("<i8") for one, _ in pairs])
        codes = np.concatenate([one for _, one in pairs]).reshape(-1, CODE_BYTES)
        some = self._coder.nearest(query, codes, max(READ_WHOLE, MORE * k))
        return _merged(_NOTHING, query, ids[some], self._vectors(parts, some), k)

    def _vectors(self, parts: Ids, some: Ids) -> Rows:
        """Read the vectors of some of the rows of parts, which are counted through."""
        ends = np.cumsum(self._rows[parts])
        which = np.searchsorted(ends, some, "right")
        row, part = some - (ends - self._rows[parts])[which], parts[which]
        begin = self._start[part] + (ID_BYTES + CODE_BYTES) * self._rows[part]
        width = sum(self._widths)
        data = self._read(part, begin + row * width, np.full(len(part), width))
        names = self._run.meta.pinned.compared
        cuts = [0, *np.cumsum(self._widths).tolist()]
        columns = {
            f"vector.{name}": [one[first:last] for one in data]
            for name, first, last in zip(names, cuts[:-1], cuts[1:], strict=True)
        }
        return vectors_of(self._run, pa.table(columns))

    def _read(self, parts: Ids, starts: Ids, lengths: Ids) -> list[bytes]:
        """Read a stretch of the object of each part, many at a time."""
        storage = self._run.storage
        keys = (self._key[part] for part in parts.tolist())
        wanted = zip(keys, starts.tolist(), lengths.tolist(), strict=True)
        return list(many(lambda one: storage.get_ranges(one[0], [one[1]], [one[2]])[0], wanted))


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


def searched_notes(found: Searched) -> list[str]:
    """Say where was looked, if it was not everywhere."""
    notes = []
    if found.cells:
        notes.append(
            f"Looked for in the {found.cells} cells nearest to each query, where {found.share:.1%} "
            "of what is near to sampled images is: weak matches may be missed"
        )
    return notes
