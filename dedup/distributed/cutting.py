"""Which chunk each family is in: that of before if nothing about it changed, else a new one.

So a join that follows another has only the chunks of changed families proven and grouped, however
these are spread among the others.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from dedup.distributed.commits import committed, done_of, read
from dedup.distributed.schemas import PLACED
from dedup.search.pairs import MIXING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from dedup.distributed.commits import Done
    from dedup.distributed.pieces import Piece
    from dedup.distributed.storage import Storage

    Ids = npt.NDArray[np.int64]
    Numbers = npt.NDArray[np.int32]

CHUNK_FILES: Final = 1024
"""Files of a chunk, where its families are not larger."""
CHUNK_PAIRS: Final = 2048
CHUNK_FAMILIES: Final = 32
PROVEN_AT_ONCE: Final = 2048
"""Pairs of a family that is too large for one task, that one task proves."""
_ROUNDS: Final = 2  # so that sums of what is mixed tell sets of neighbouring ids apart
_NARROW: Final = 0.5  # of a full chunk: up to which one is cut again


class Chunk(NamedTuple):
    """Where the parts of a chunk are.

    Parameters
    ----------
    number : of the chunk in its join
    name : a digest of its files and pairs
    pieces : its rows
    edges : the block that has its pairs; None where only copies join its files
    known : commits of verdicts and of measurements that were made before
    """

    number: int
    name: str
    pieces: tuple[Piece, ...]
    edges: Done | None
    known: tuple[tuple[Done, Done], ...] = ()


class Families(NamedTuple):
    """Families, by their lowest files.

    Parameters
    ----------
    heads : (F,) int64, rising
    files, pairs : (F,) how many each has
    names : (F,) int64, a digest of these
    """

    heads: Ids
    files: Ids
    pairs: Ids
    names: Ids


class Former(NamedTuple):
    """Where the families of a join were, as `schemas.PLACED`, and the names of its chunks."""

    ids: Ids
    chunk: Numbers
    family: Ids
    chunks: list[str]


def digests(count: int, of: Sequence[tuple[Ids, Sequence[npt.NDArray[Any]]]]) -> Ids:
    """Give each family a digest of its rows of some tables, in whatever order these are.

    Parameters
    ----------
    count : F
    of : of each table the (R,) families of its rows, and its (R,) columns, of whole numbers
    """
    found = np.zeros(count, np.uint64)
    for family, columns in of:
        mixed = np.full(len(family), MIXING)
        for column in columns:
            mixed ^= column.astype(np.uint64)
            for _ in range(_ROUNDS):
                mixed *= MIXING
                mixed ^= mixed >> np.uint64(32)
        np.add.at(found, family, mixed)
    return found.view(np.int64)


def read_former(storage: Storage, join: str) -> Former:
    """Read where the families of a join are, its files rising; "": none is anywhere."""
    parts = committed(storage, f"{join}/placed").values() if join else ()
    table = pa.concat_tables([PLACED.empty_table(), *(read(storage, done) for done in parts)])
    ids, chunk, family = (table[name].to_numpy() for name in PLACED.names)
    return Former(ids, chunk, family, chunk_names(storage, join) if join else [])


def chunk_names(storage: Storage, join: str) -> list[str]:
    """Read the digests of the chunks of a join."""
    found: list[str] = read(storage, done_of(storage, f"{join}/chunks", "0"))["digest"].to_pylist()
    return found


def place(families: Families, former: Former) -> tuple[Numbers, list[str]]:
    """Choose the chunk of each family.

    Those of the former join that still have families come first.

    Returns
    -------
    (F,) chunks, and the names of those that were there before.
    """
    shares = np.maximum(
        np.maximum(families.files / CHUNK_FILES, families.pairs / CHUNK_PAIRS), 1 / CHUNK_FAMILIES
    )
    home = _homes(families, former)
    old = home >= 0
    full = np.zeros(len(former.chunks))
    np.add.at(full, home[old], shares[old])
    home[np.isin(home, _narrow(full, float(shares[~old].sum())))] = -1
    old = home >= 0
    left, at = np.unique(home[old], return_inverse=True)
    chunk = np.empty(len(home), np.int32)
    chunk[old] = at
    chunk[~old] = len(left) + cut(shares[~old])
    return chunk, [former.chunks[number] for number in left.tolist()]


def _homes(families: Families, former: Former) -> Numbers:
    """(F,) the chunk of the former join that has a family as it is; -1: none."""
    home = np.full(len(families.heads), -1, np.int32)
    if len(former.ids):
        at = np.searchsorted(former.ids, families.heads).clip(max=len(former.ids) - 1)
        same = (former.ids[at] == families.heads) & (former.family[at] == families.names)
        home[same] = former.chunk[at[same]]
    return home


def _narrow(full: npt.NDArray[np.float64], new: float) -> Ids:
    """List the chunks to be cut again: those that are not fuller than what joins them.

    So there are never many that hold little, and a family is moved a few times at most.

    Parameters
    ----------
    full : (C,) how full each is
    new : how many chunks what is new fills
    """
    order = np.argsort(full, kind="stable")
    order = order[(full[order] > 0) & (full[order] <= _NARROW)]
    sizes = full[order]
    joins = sizes <= new + np.cumsum(sizes) - sizes
    return order[: len(order) if joins.all() else int(np.argmin(joins))]


def cut(shares: npt.NDArray[np.float64]) -> Numbers:
    """Cut families into chunks; one that is too large for any has a chunk of its own.

    Parameters
    ----------
    shares : (F,) of a chunk, that each takes

    Returns
    -------
    (F,) the chunk of each, rising.
    """
    chunk = np.empty(len(shares), np.int32)
    number, taken = 0, 0.0
    for family, share in enumerate(shares.tolist()):
        if taken and taken + share > 1:
            number, taken = number + 1, 0.0
        chunk[family] = number
        taken += share
    return chunk


def names_of(join: str, chunk: Numbers, names: Ids, first: int) -> list[str]:
    """Name the chunks from a number on, after their families and the join that made them.

    That of no other join is taken for one of them: what it has later may be less.
    """
    order = np.argsort(chunk, kind="stable")
    ends = np.searchsorted(chunk[order], np.arange(first, int(chunk.max(initial=-1)) + 2))
    return [
        hashlib.sha256(join.encode() + np.sort(some).tobytes()).hexdigest()[:32]
        for some in np.split(names[order], ends)[1:-1]
    ]
