"""Finding the pairs worth a look: the driver of all stages from embedded shards to a join."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from dedup.descriptors.parts import MOST_IMAGES
from dedup.distributed.blocks import Blocks, Groups, Limits, stage_of
from dedup.distributed.commits import commit, committed, done_of, names
from dedup.distributed.divisions import (
    ASKING_ROWS,
    ONE_CELL,
    TRAINING_ROWS,
    cells_of,
    division_for,
)
from dedup.distributed.engine import Named
from dedup.distributed.families import last_join
from dedup.distributed.listing import gone_ids
from dedup.distributed.pieces import Pieces
from dedup.distributed.schemas import RANGES, ROWS_OF_RANGE
from dedup.distributed.serving import serve_division
from dedup.distributed.stages import Given, run_shards
from dedup.fingerprint import DETAILS
from dedup.space.thresholds import near_floors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dedup.distributed.engine import Engine
    from dedup.distributed.pieces import Piece
    from dedup.distributed.run import Run
    from dedup.distributed.settings import Settings
    from dedup.distributed.storage import Storage

    Report = Callable[[str, int, int], None]

_KEYS, _FOLD = Named("folding", "keys_of_shard"), Named("folding", "fold")
_SAMPLE, _CENTRES, _EXACT, _DIVIDED, _ASSIGN = (
    Named("dividing", name) for name in ("sample", "centres", "exact", "divided", "assign")
)
_PAIR, _BEST, _REACH = (Named("pairing", name) for name in ("pair_block", "best", "reach"))
_VOTE = Named("voting", "vote")


class Joined(NamedTuple):
    """What a join found, in numbers.

    Parameters
    ----------
    files, images, classes : that there are
    cells, overlap : of the division, and in how many of them each class is
    recall, pairs : share of the pairs of sampled classes that share a cell, and of how many
    capped : classes that had more near ones than were kept
    notes : what a person should know
    """

    files: int
    images: int
    classes: int
    cells: int
    overlap: int
    recall: float
    pairs: int
    capped: int
    notes: tuple[str, ...] = ()


def join(run: Run, engine: Engine, settings: Settings, report: Report) -> Joined:
    """Run what is left of the stages of a join."""
    storage, name = run.storage, settings.join
    gone = _write_gone(storage, settings)
    # What is listed and embedded meanwhile is of the next join.
    every = sorted(names(storage, "embed"))
    shards = [one for one in every if settings.shards is None or int(one) < settings.shards]
    keyed = {one: (one,) for one in shards}
    run_shards(engine, run, "keys", "Sorting digests", _KEYS, keyed, report)
    _fold(run, engine, name, shards, gone, report)
    folds = committed(storage, f"{name}/fold")
    files, images, classes = (
        sum(done.extra[what] for done in folds.values()) for what in ("files", "images", "classes")
    )
    reps, former = (
        Pieces(storage, committed(storage, f"{name}/{stage}").values())
        for stage in ("reps", "former")
    )
    division = division_for(storage, classes)
    floors = near_floors(run.meta.pinned)

    def wanted(shard: str) -> tuple[Piece, ...]:
        return *reps.of(int(shard)), *former.of(int(shard))

    _divide(run, engine, settings, division, shards, wanted, classes, floors, report)
    facts = done_of(storage, f"{division}/centres", "0").extra
    near = floors[1] if facts["centred"] else floors[0]
    limits = Limits(near, settings.threshold if settings.has_similar else None)
    compared = _pair(run, engine, settings, division, limits, report)
    _best(run, engine, name, f"{division}/{stage_of(limits)}", compared, report)
    notes = _vote(run, engine, settings, shards, reps, classes, report)
    capped = sum(done.extra["capped"] for done in committed(storage, f"{name}/best").values())
    told = done_of(storage, f"{division}/divided", "0").extra
    return Joined(
        files, images, classes, facts["cells"], told["overlap"], told["recall"], told["pairs"],
        capped, tuple(notes),
    )  # fmt: skip


def _write_gone(storage: Storage, settings: Settings) -> str:
    """Write which files are gone, for `fold`; gives the key, "" where none is."""
    lost = gone_ids(storage, settings.generation)
    if not len(lost):
        return ""
    sink = io.BytesIO()
    np.save(sink, lost)
    storage.put(f"{settings.join}/gone.npy", sink.getvalue())
    return f"{settings.join}/gone.npy"


def _fold(
    run: Run, engine: Engine, name: str, shards: Sequence[str], gone: str, report: Report
) -> None:
    keys = committed(run.storage, "keys")
    found = Pieces(run.storage, (keys[shard] for shard in shards))
    ranges = min(RANGES, max(1, -(-int(found.rows.sum()) // ROWS_OF_RANGE)))

    def given(shard: str) -> tuple[Any, ...]:
        some = (one for one in found.numbers if one * ranges // RANGES == int(shard))
        return name, shard, tuple(piece for one in some for piece in found.of(one)), gone

    arguments = Given([str(number) for number in range(ranges)], given)
    run_shards(engine, run, f"{name}/fold", "Folding copies", _FOLD, arguments, report)


def _divide(
    run: Run,
    engine: Engine,
    settings: Settings,
    division: str,
    shards: Sequence[str],
    wanted: Callable[[str], tuple[Piece, ...]],
    classes: int,
    floors: tuple[float, float],
    report: Report,
) -> None:
    storage = run.storage
    if not committed(storage, f"{division}/divided"):
        share = 0.0
        if classes > ONE_CELL:
            wanted_rows = max(TRAINING_ROWS * cells_of(classes), ASKING_ROWS)
            share = min(1.0, wanted_rows / classes)
        sampled = Given(shards, lambda shard: (division, shard, wanted(shard), share))
        run_shards(engine, run, f"{division}/sample", "Sampling vectors", _SAMPLE, sampled, report)
        one = {"0": (division,)}
        run_shards(engine, run, f"{division}/centres", "Finding cells", _CENTRES, one, report)
        facts = done_of(storage, f"{division}/centres", "0").extra
        if facts["cells"] > 1:
            floor = floors[1] if facts["centred"] else floors[0]
            asked = Given(shards, lambda shard: (division, shard, wanted(shard), floor))
            run_shards(engine, run, f"{division}/exact", "Measuring recall", _EXACT, asked, report)
        last = {"0": (division, settings.recall)}
        run_shards(engine, run, f"{division}/divided", "Choosing overlap", _DIVIDED, last, report)
    assigned = Given(shards, lambda shard: (division, shard, wanted(shard)))
    run_shards(engine, run, f"{division}/assign", "Assigning cells", _ASSIGN, assigned, report)
    if done_of(storage, f"{division}/centres", "0").extra["cells"] > 1:
        serve_division(run, engine, division, f"{settings.generation:06d}", report)


def _pair(
    run: Run,
    engine: Engine,
    settings: Settings,
    division: str,
    limits: Limits,
    report: Report,
) -> set[str]:
    """Compare what no earlier join has; gives the labels of all joins whose pairs count."""
    storage, stage = run.storage, f"{division}/{stage_of(limits)}"
    compared = committed(storage, f"{stage}-compared")
    label = f"{settings.generation:06d}"
    if label not in compared:
        old = {key for done in compared.values() for key in done.extra["keys"]}
        assigned = committed(storage, f"{division}/assign")
        new = frozenset(done.key for done in assigned.values()) - old
        cut = Blocks(Groups(storage, assigned.values()), new, label)
        arguments = Given(cut, lambda name: (division, limits, cut[name]))
        run_shards(engine, run, stage, "Comparing within cells", _PAIR, arguments, report)
        facts = {"keys": sorted(new)}
        commit(storage, f"{stage}-compared", label, pa.table({}), facts)
        compared = committed(storage, f"{stage}-compared")
    return set(compared)


def _best(
    run: Run,
    engine: Engine,
    name: str,
    stage: str,
    labels: set[str],
    report: Report,
) -> None:
    """Keep the best pairs of each class, of all joins that a division served."""
    done = committed(run.storage, stage)
    found = Pieces(
        run.storage, (one for block, one in done.items() if block.partition("-")[0] in labels)
    )
    for kind, function, to in ((0, _BEST, "best"), (1, _REACH, "reach")):
        of = {str(number // 2): number for number in found.numbers if number % 2 == kind}

        def given(one: str, of: dict[str, int] = of) -> tuple[Any, ...]:
            return name, int(one), found.of(of[one])

        arguments = Given(of, given)
        run_shards(engine, run, f"{name}/{to}", "Choosing the nearest", function, arguments, report)


def _vote(
    run: Run,
    engine: Engine,
    settings: Settings,
    shards: Sequence[str],
    reps: Pieces,
    classes: int,
    report: Report,
) -> list[str]:
    if not settings.parts or DETAILS not in run.meta.pinned.views:
        return []
    if classes > MOST_IMAGES:
        from dedup.duplicates.sharing import too_many_note

        return [too_many_note()]
    wanted = {shard: reps.of(int(shard)) for shard in shards}
    before = last_join(run.storage, settings.join, "votes", alike=True)
    one = {"0": (settings.join, wanted, before)}
    run_shards(engine, run, f"{settings.join}/votes", "Looking for parts", _VOTE, one, report)
    return []
