"""Refuting the pairs of families that are too large for a task, so that these fall apart.

A few pairs by chance join thousands of images to one family. Those whose parts do not agree are
refuted before families are cut, by the first step of a proof (`proof.prover`), from parts alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from dedup.descriptors.parts import unpack
from dedup.distributed.commits import Done, commit, committed, done_of, read
from dedup.distributed.cutting import CHUNK_PAIRS
from dedup.distributed.engine import Named
from dedup.distributed.families import (
    SHARDS_PER_PART,
    Edges,
    among,
    commit_parts,
    components,
    last_join,
    read_folded,
    shards_of_parts,
)
from dedup.distributed.pieces import Piece, Pieces, commit_pieces, cut_by, read_pieces
from dedup.distributed.schemas import ASKED, ROW_BITS, SIFTED, SIMILAR, VERDICTS, WANTED, row_of
from dedup.distributed.stages import Given, run_shards
from dedup.parallel.workers import one_blas_thread
from dedup.records import VERIFIER
from dedup.store.pairs import content_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from dedup.descriptors.parts import Parts
    from dedup.distributed.engine import Engine
    from dedup.distributed.run import Run
    from dedup.distributed.storage import Storage

    Ids = npt.NDArray[np.int64]
    Report = Callable[[str, int, int], None]

ASKED_AT_ONCE: Final = 2048
"""Pairs that one task sifts; with the parts of some thousand images, of 9 kB."""

_PARTED: Final = pa.schema([("id", pa.int64()), ("digest", pa.binary(32)), ("parts", pa.binary())])


_ASK, _GATHER, _SIFT = (Named("sifting", name) for name in ("ask", "gather_parts", "sift"))


def sift_families(run: Run, engine: Engine, join: str, report: Report) -> None:
    """Sift the pairs of large families, as far as no earlier join has.

    Parameters
    ----------
    join : J
    """
    storage = run.storage
    one = {"0": (join, last_join(storage, join))}
    run_shards(engine, run, f"{join}/asking", "Joining pairs to families", _ASK, one, report)
    blocks: int = done_of(storage, f"{join}/asking", "0").extra["blocks"]
    if not blocks:
        return
    shards = shards_of_parts(committed(storage, "embed"))
    given = {
        f"{part}-{some[0]}": (join, part, some)
        for part in _done(storage, join, "wanted")
        for some in shards[int(part)]
    }
    run_shards(engine, run, f"{join}/parted", "Gathering parts", _GATHER, given, report)
    rows = Pieces(storage, _done(storage, join, "parted").values())
    asked = _done(storage, join, "asked")
    todo = Given(asked, lambda name: (join, name, asked[name], rows.of(int(name))))
    run_shards(engine, run, f"{join}/sifted", "Comparing parts", _SIFT, todo, report)


def _done(storage: Storage, join: str, stage: str) -> dict[str, Done]:
    return committed(storage, f"{join}/{stage}")


def ask(run: Run, join: str, before: str) -> Done | None:
    """Choose the pairs that are to be sifted; one task.

    Writes `asked`, `wanted`, what the join before knows of them as a block of `sifted`, and commits
    `asking/0` last.

    Parameters
    ----------
    before : the join before this one; "": there is none
    """
    storage = run.storage
    folded, edges, copies = read_folded(storage, join)
    first, second = _pairs_of_large(edges, copies)
    # Of a class of several images, the parts of one say nothing of the others.
    images, counts = np.unique(np.unique(folded[1:], axis=1)[1], return_counts=True)
    alone = folded[0][np.isin(folded[2], images[counts == 1])]
    some = np.isin(first, alone) & np.isin(second, alone)
    pairs = np.unique(np.stack([first[some], second[some]], axis=1), axis=0)
    # What another version of the proof refused, this one may not.
    same = before and done_of(storage, f"{before}/asking", "0").extra.get("verifier") == VERIFIER
    known = sifted(storage, before) if same else SIFTED.empty_table()
    done = np.stack([known[side].to_numpy() for side in ("first", "second")], axis=1)
    old = among(done, pairs)
    if old.any():
        commit(storage, f"{join}/sifted", "before", known.filter(pa.array(old)))
        pairs = pairs[~among(pairs, done)]
    block = (np.arange(len(pairs)) // ASKED_AT_ONCE).astype(np.int32)
    asked = pa.table([block, pairs[:, 0], pairs[:, 1]], schema=ASKED)
    commit_parts(storage, f"{join}/asked", block, asked)
    wanted = np.unique(
        np.concatenate([np.stack([pairs[:, side], block], axis=1) for side in (0, 1)]), axis=0
    )
    placed = pa.table([wanted[:, 0], wanted[:, 1].astype(np.int32)], schema=WANTED)
    commit_parts(storage, f"{join}/wanted", (wanted[:, 0] >> ROW_BITS) // SHARDS_PER_PART, placed)
    # Written down, since what is made of families has to be the same when it is begun again.
    former = last_join(storage, join, alike=True)
    facts = {"blocks": len(np.unique(block)), "former": former, "verifier": VERIFIER}
    return commit(storage, f"{join}/asking", "0", pa.table({}), facts)


def _pairs_of_large(edges: Edges, copies: tuple[Ids, Ids]) -> tuple[Ids, Ids]:
    """Choose the pairs to prove that are in families of more than a task's worth."""
    ids, roots = components(
        np.concatenate([edges.first, copies[0]]), np.concatenate([edges.second, copies[1]])
    )
    root = roots[np.searchsorted(ids, edges.first)]
    _, number, pairs = np.unique(root, return_inverse=True, return_counts=True)
    some = (pairs[number] > CHUNK_PAIRS) & (edges.kind != SIMILAR)
    return edges.first[some], edges.second[some]


def gather_parts(run: Run, join: str, part: str, shards: Sequence[str]) -> Done | None:
    """Sort the parts of the images in some embed shards by the block that wants them.

    Parameters
    ----------
    part : of `wanted`
    shards : of `embed`, some of the part
    """
    storage = run.storage
    wanted = read(storage, done_of(storage, f"{join}/wanted", part))
    ids, blocks = wanted["id"].to_numpy(), wanted["chunk"].to_numpy()

    def by_block() -> Iterator[tuple[int, pa.Table]]:
        for shard in shards:
            table = read(storage, done_of(storage, "embed", shard), _PARTED.names)
            mine = np.flatnonzero(ids >> ROW_BITS == int(shard))
            order = mine[np.argsort(blocks[mine], kind="stable")]
            for number, some in cut_by(blocks[order], pa.table({"row": row_of(ids[order])})):
                yield number, table.take(some["row"])

    return commit_pieces(storage, f"{join}/parted", f"{part}-{shards[0]}", by_block())


def sift(run: Run, join: str, block: str, asked: Done, wanted: tuple[Piece, ...]) -> Done | None:
    """Tell which pairs of a block are refuted since their parts do not agree; writes `sifted`.

    Parameters
    ----------
    asked : the pairs of the block
    wanted : the parts of their images
    """
    from dedup.descriptors.agreement import promising

    rows = read_pieces(run.storage, wanted, _PARTED)
    digest = dict(zip(rows["id"].to_pylist(), rows["digest"].to_pylist(), strict=True))
    packed = dict(zip(rows["digest"].to_pylist(), rows["parts"].to_pylist(), strict=True))
    parts: dict[bytes, Parts] = {}
    found = []
    with one_blas_thread():
        for row in read(run.storage, asked).select(["first", "second"]).to_pylist():
            pair = content_pair(digest[row["first"]], digest[row["second"]])
            refuted = False
            if None not in (packed[pair[0]], packed[pair[1]]):
                for one in set(pair).difference(parts):
                    parts[one] = unpack(packed[one])
                refuted = promising(parts[pair[0]], parts[pair[1]]) is None
            found.append({**row, "refuted": refuted, "one": pair[0], "two": pair[1]})
    table = pa.Table.from_pylist(found, schema=SIFTED)
    return commit(run.storage, f"{join}/sifted", block, table)


def sifted(storage: Storage, join: str) -> pa.Table:
    """Read the pairs that were sifted for a join."""
    done = _done(storage, join, "sifted").values()
    return pa.concat_tables([SIFTED.empty_table(), *(read(storage, one) for one in done)])


def refutations(storage: Storage, join: str) -> pa.Table:
    """Give what was refuted for a join as verdicts, in the columns of `schemas.VERDICTS`."""
    from dedup.proof import NO_COMMON_PARTS

    table = sifted(storage, join)
    table = table.filter(table["refuted"])
    words = pa.array([NO_COMMON_PARTS] * table.num_rows, pa.string())
    columns = {
        "first": table["one"], "second": table["two"],
        "verifier": pa.array([VERIFIER] * table.num_rows, pa.string()),
        "tier": pa.nulls(table.num_rows, pa.string()),
        "derived": pa.array([0] * table.num_rows, pa.int8()),
        "evidence": words, "backwards": words,
    }  # fmt: skip
    return pa.table(columns, schema=VERDICTS)
