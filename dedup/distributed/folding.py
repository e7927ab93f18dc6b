"""Which files are one image, and which images one class; and a file of each class to compare.

Sorted by the first bytes of the digest of the decoded input, which files of one content share, so
that ranges are independent of each other.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.distributed.commits import commit, done_of, read
from dedup.distributed.pieces import commit_pieces, cut_by, read_pieces
from dedup.distributed.schemas import FOLD, KEYS, ROW_BITS

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.distributed.commits import Done
    from dedup.distributed.pieces import Piece
    from dedup.distributed.run import Run

REPS: Final = pa.schema([("id", pa.int64())])


def keys_of_shard(run: Run, shard: str) -> Done | None:
    """Sort what says which files are one image by ranges; writes `keys`."""
    done = done_of(run.storage, "embed", shard)
    columns = [*KEYS.names, "reason"]
    table = read(run.storage, done, columns)
    table = table.filter(pc.is_null(table["reason"])).select(KEYS.names).combine_chunks()
    ranges = _ranges(table)
    order = np.argsort(ranges, kind="stable")
    return commit_pieces(run.storage, "keys", shard, cut_by(ranges[order], table.take(order)))


def _ranges(table: pa.Table) -> npt.NDArray[np.uint8]:
    first = b"".join(digest[:1] for digest in table["input_digest"].to_pylist())
    return np.frombuffer(first, np.uint8)


def fold(run: Run, join: str, number: str, wanted: tuple[Piece, ...], gone: str) -> Done | None:
    """Find the images and classes of the files of a range.

    Writes `reps`, `former` and, last, `fold`. Classes of which no file is there any more are in
    cells all the same: one that comes back, by another file of its content, is there then.

    Parameters
    ----------
    number : of the range
    wanted : its pieces of `keys`
    gone : key of the ids of files that are gone, int64 as NumPy saves them; "" where none is
    """
    storage = run.storage
    table = read_pieces(storage, wanted, KEYS).sort_by("id").combine_chunks()
    ids = table["id"].to_numpy()
    image = ids[_first_with(table["digest"])]
    group = image[_first_with(table["input_digest"])]
    lost = np.load(io.BytesIO(storage.get(gone).data)) if gone else np.empty(0, np.int64)
    alive = np.isin(ids, lost, invert=True)
    trivial = np.array(table["trivial"].to_pylist(), bool)
    found = pa.table([ids, image, group, trivial], schema=FOLD)
    names = np.unique(group[alive & ~trivial])
    former = np.setdiff1d(group[~trivial], names)
    for stage, some in (("reps", names), ("former", former)):
        parts = cut_by(some >> ROW_BITS, pa.table([some], schema=REPS))
        commit_pieces(storage, f"{join}/{stage}", number, parts)
    facts = {
        "images": len(np.unique(image[alive])),
        "files": int(alive.sum()),
        "classes": len(names),
    }
    return commit(storage, f"{join}/fold", number, found.filter(pa.array(alive)), facts)


def _first_with(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Give for each row the first row that has its value."""
    codes = column.combine_chunks().dictionary_encode().indices.to_numpy()
    _, first = np.unique(codes, return_index=True)
    found: npt.NDArray[np.int64] = first[codes]
    return found
