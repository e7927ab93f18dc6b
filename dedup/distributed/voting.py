"""Stage "votes": the classes of which one shows a part of the other, by votes of local features.

One task, of few classes. What their features found is kept in the stage `matched`, so that a later
generation lets those of new classes alone ask and be asked, in the cells of the first.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.descriptors.parts import FEATURE_BYTES
from dedup.distributed.commits import commit, commit_bytes, done_of, read, read_bytes
from dedup.distributed.folding import REPS
from dedup.distributed.pieces import read_pieces
from dedup.distributed.schemas import PAIRS, ROW_BITS
from dedup.duplicates.sharing import MOST, features_of
from dedup.parallel.memory import give_back
from dedup.search.matching import Division
from dedup.search.votes import Asked, sharing_more

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.distributed.commits import Done
    from dedup.distributed.pieces import Piece
    from dedup.distributed.run import Run
    from dedup.distributed.storage import Storage

    Ids = npt.NDArray[np.int64]

_MOST_CHANGED: Final = 0.1
"""Share of classes that may have come and gone before all vote anew."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the votes of a join leave for the next.

    Parameters
    ----------
    ids : (K,) classes
    counts : (K,) features of each, in the order of those that asked
    pairs : (P, 2) classes of which one shows a part of the other
    first, changed : classes when all voted last, and how many have come and gone since
    """

    ids: Ids
    counts: Ids
    asked: Asked
    pairs: Ids
    first: int
    changed: int


def vote(run: Run, name: str, wanted: dict[str, tuple[Piece, ...]], before: str) -> Done | None:
    """Find the classes of which one shows a part of the other.

    Parameters
    ----------
    name, before : the join, and one whose votes are known; "": none is
    wanted : by shard its pieces of `reps`
    """
    done = _vote(run.storage, name, wanted, before)
    give_back()  # a worker does others' work next
    return done


def _vote(
    storage: Storage, name: str, wanted: dict[str, tuple[Piece, ...]], before: str
) -> Done | None:
    packed = _packed(storage, wanted)
    kept = _of_those(_read(storage, before), packed) if before else None
    old = [] if kept is None else kept.ids.tolist()
    known = set(old)
    new = [one for one in packed if one not in known]
    changed = 0 if kept is None else kept.changed + len(new)
    if kept is not None and changed > _MOST_CHANGED * kept.first:
        kept, old, new, changed = None, [], list(packed), 0
    ids = np.array([*old, *new], np.int64)
    some = [packed.pop(one) for one in ids.tolist()]
    counts = np.array([len(one or b"") // FEATURE_BYTES for one in some], np.int64)
    features = features_of(some)
    some.clear()
    give_back()  # a fifth of what is needed next
    found, asked = sharing_more(features, MOST, None if kept is None else kept.asked)
    pairs = ids[np.array(found, np.int64).reshape(-1, 2)]
    if kept is not None:
        pairs = np.concatenate([kept.pairs, pairs])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    first = len(ids) if kept is None else kept.first
    sink = io.BytesIO()
    np.savez(
        sink, ids=ids, counts=counts, near=asked.near, reach=asked.reach,
        regions=asked.division.regions, cells=asked.division.cells, ends=asked.division.ends,
    )  # fmt: skip
    facts = {"first": first, "changed": changed}
    commit_bytes(storage, f"{name}/matched", "0", sink.getbuffer(), "npz", len(ids), facts)
    columns = [pairs[:, 0], pairs[:, 1], np.zeros(len(pairs), np.float32)]
    return commit(storage, f"{name}/votes", "0", pa.table(columns, schema=PAIRS))


def _packed(storage: Storage, wanted: dict[str, tuple[Piece, ...]]) -> dict[int, bytes | None]:
    """Read the parts of classes."""
    found: dict[int, bytes | None] = {}
    pieces = (piece for some in wanted.values() for piece in some)
    names = read_pieces(storage, pieces, REPS)["id"].to_numpy()  # of all by few requests
    for shard in wanted:
        mine = names[names >> ROW_BITS == int(shard)]
        if len(mine):
            table = read(storage, done_of(storage, "embed", shard), ["id", "parts"])
            table = table.filter(pc.is_in(table["id"], pa.array(mine)))
            found.update(zip(table["id"].to_pylist(), table["parts"].to_pylist(), strict=True))
    return found


def _read(storage: Storage, name: str) -> _Kept:
    done = done_of(storage, f"{name}/matched", "0")
    table = read(storage, done_of(storage, f"{name}/votes", "0"))
    pairs = np.stack([table[side].to_numpy() for side in ("first", "second")], axis=1)
    with np.load(io.BytesIO(read_bytes(storage, done))) as found:
        division = Division(found["regions"], found["cells"], found["ends"])
        asked = Asked(division, found["near"], found["reach"])
        return _Kept(
            found["ids"], found["counts"], asked, pairs, done.extra["first"], done.extra["changed"]
        )


def _of_those(kept: _Kept, packed: dict[int, bytes | None]) -> _Kept:
    """Leave out the classes that are gone."""
    there = np.isin(kept.ids, np.fromiter(packed, np.int64, len(packed)))
    if there.all():
        return kept
    features = np.repeat(there, kept.counts)
    asked = Asked(kept.asked.division, kept.asked.near[features], kept.asked.reach[features])
    ids = kept.ids[there]
    pairs = kept.pairs[np.isin(kept.pairs, ids).all(axis=1)]
    gone = int(np.count_nonzero(~there))
    return _Kept(ids, kept.counts[there], asked, pairs, kept.first, kept.changed + gone)
