"""What the work on a collection will cost, from a sample that is read and embedded here.

Nothing is written. The figures of stages behind "embed" are a model (`docs/cluster.md` has its
formulas), with the processor time of comparing two rows, of unpacking one and of describing an
image measured, and the rest assumed.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np

from dedup.answer import Answer, column
from dedup.distributed import embed, listing
from dedup.distributed.chunks import TO_READ
from dedup.distributed.commits import parquet_bytes
from dedup.distributed.divisions import ASKING_ROWS, cells_of
from dedup.distributed.entries import is_same, listed_below
from dedup.distributed.pairing import find_pairs
from dedup.errors import ImageError, SourceError
from dedup.images.decode import decode_bounded
from dedup.parallel.workers import one_blas_thread
from dedup.proof.description import WORKING_SIDE, describe
from dedup.search.similarity import unit_rows
from dedup.search.tiles import TILE
from dedup.store.vectors import dimension, pack, unpack_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dedup.distributed.entries import Row
    from dedup.distributed.run import Run

SAMPLE: Final = 64
"""Images that are read."""

_SEED: Final = 20
_CORE_HOUR: Final = 0.04  # dollars, of a large cloud on demand
_MILLION_READS, _MILLION_WRITES = 0.4, 5.0  # dollars: GET; PUT and LIST
_LISTED_AT_ONCE: Final = 1000
_CELLS_EACH: Final = 4
_SKEW: Final = 1.35  # mean square of cells over the square of their mean
_CANDIDATES: Final = 0.6  # pairs to prove, an image
_WITH_CANDIDATE: Final = 0.45  # of images
_READ_AGAIN: Final = 1.3  # times that such an image is read for its proofs
_VERIFY_SECONDS: Final = 0.005
_CODED: Final = 2400  # products that making a code takes as long as
_UNPACKED_TO_DIVIDE: Final = 3  # times that a row is: to sample, to measure and to assign
_UNPACKED_TO_PAIR: Final = 2.5  # in each of its cells: by the tasks that compare parts of a group
_READ_SECONDS: Final = 8e-6  # an embedded row, each time that it is
_BYTE_SECONDS: Final = 12e-9  # of what is sorted by cell and written, as a million rows took it
_SPEED_ROWS: Final = 4 * TILE
_POINTS: Final = 64  # of a sample for each centre of a cell, ten rounds
_ROUNDS: Final = 10


@dataclass(frozen=True, slots=True)
class StageCost:
    """What a stage takes.

    Parameters
    ----------
    items : images, or pairs of "prove"
    bytes_read, bytes_written : from and to object storage
    requests : to it
    """

    stage: str
    items: int
    bytes_read: int
    bytes_written: int
    core_hours: float = field(metadata=column(decimals=6))
    requests: int
    dollars: float = field(metadata=column(decimals=4))


@dataclass(frozen=True, slots=True)
class Estimate(Answer[StageCost]):
    """What the work is estimated to cost. Iterates over its stages.

    Parameters
    ----------
    files : that are there
    bytes_listed : of them
    new : files that are to be read
    sampled : images that were read for it
    seconds_each : processor time of reading and embedding one, measured
    """

    rows_in: ClassVar[str] = "stages"
    stages: tuple[StageCost, ...]
    files: int
    bytes_listed: int
    new: int
    sampled: int
    seconds_each: float
    notes: tuple[str, ...] = field(default=(), metadata=column(None))

    @property
    def total(self) -> StageCost:
        """All stages together."""
        sums = [
            sum(getattr(stage, name) for stage in self.stages)
            for name in StageCost.__dataclass_fields__
            if name not in {"stage", "items"}
        ]
        return StageCost("all", self.files, *sums)


class _Listed(NamedTuple):
    """What a listing found, and a sample of what is new in it, drawn at random."""

    files: int
    size: int
    new: int
    new_size: int
    sample: list[Row]


class _Measured(NamedTuple):
    """What a sample took.

    Parameters
    ----------
    embed, describe : seconds of one core, an image
    row : bytes of a row of stage "embed"
    indexed : share of images that have an embedding
    values, width : that are compared, of an image, and the bytes that they take
    product, unpack : seconds of one core, of comparing two rows of so many values, and of making
        one from what is stored
    """

    sampled: int
    embed: float
    describe: float
    row: float
    indexed: float
    values: int
    width: int = 0
    product: float = 0.0
    unpack: float = 0.0


def estimate(
    run: Run,
    roots: Sequence[str],
    exclude: tuple[str, ...] | None,
    progress: Callable[[str, int, int], None],
) -> Estimate:
    """List everything, read and embed a sample, and work out what the rest will take.

    Raises
    ------
    SourceError : there is no image, or none of the sample could be read.
    """
    listed = _list(run, roots, exclude, progress)
    measured = _measure(run, listed.sample, progress)
    stages = _stages(listed, measured)
    return Estimate(
        stages,
        listed.files,
        listed.size,
        listed.new,
        measured.sampled,
        measured.embed,
        _notes(measured),
    )


def _notes(measured: _Measured) -> tuple[str, ...]:
    each, describing = measured.embed * 1000, measured.describe * 1000
    taken = (
        f"Measured on {measured.sampled} images, on one core of this machine: {each:.1f} ms an "
        f"image to read and embed it, {describing:.1f} ms to describe it for a proof."
    )
    assumed = (
        f"Assumed: {_CANDIDATES:g} pairs to prove an image, {_CELLS_EACH} cells each; an hour of a "
        f"core ${_CORE_HOUR:g}, a million reads ${_MILLION_READS:g} and "
        f"writes ${_MILLION_WRITES:g}. Storage, and traffic between regions, come on top."
    )
    return (taken, assumed) if measured.sampled else (assumed,)


def _list(
    run: Run,
    roots: Sequence[str],
    exclude: tuple[str, ...] | None,
    progress: Callable[[str, int, int], None],
) -> _Listed:
    before = listing.latest(run.storage) or listing.Generation(-1)
    patterns = before.exclude if exclude is None else exclude
    known = listing.known_rows(run.storage, before)
    files = size = new = new_size = 0
    sample: list[Row] = []
    chance = random.Random(_SEED)  # noqa: S311 - a sample is no secret
    for root in listing.settle(tuple(roots), before.roots):
        for row, is_new in _against(known, listed_below(root, run.store, patterns)):
            files += 1
            size += row.size
            if not is_new:
                continue
            new += 1
            new_size += row.size
            if len(sample) < SAMPLE:
                sample.append(row)
            elif (place := chance.randrange(new)) < SAMPLE:
                sample[place] = row
            if files % _LISTED_AT_ONCE == 0:
                progress("Listing", files, max(files, before.files))
    if not files:
        raise SourceError(listing.no_images(", ".join(roots) or ", ".join(before.roots)))
    return _Listed(files, size, new, new_size, sample)


def _against(known: Iterator[Row], listed: Iterator[Row]) -> Iterator[tuple[Row, bool]]:
    """Say of each file whether it is new or changed; both by rising root and key."""
    old = next(known, None)
    for row in listed:
        while old is not None and old[:2] < row[:2]:
            old = next(known, None)
        yield row, old is None or old[:2] != row[:2] or not is_same(old, row)


def _measure(
    run: Run, sample: Sequence[Row], progress: Callable[[str, int, int], None]
) -> _Measured:
    if not sample:
        return _Measured(0, 0.0, 0.0, 0.0, 1.0, 1)
    rows: list[dict[str, Any]] = [
        {name: getattr(row, name) for name in TO_READ.names} for row in sample
    ]
    progress("Measuring a sample", 0, len(rows))
    embed.embed_rows(run, rows[:1])  # loads the model
    began = time.process_time()
    table, counts = embed.embed_rows(run, rows)
    seconds = (time.process_time() - began) / len(rows)
    indexed = 1 - counts["skipped"] / len(rows)
    if not indexed:
        reason = next(iter(counts["reasons"]), "")
        raise SourceError(f"none of {len(rows)} images that were tried could be read: {reason}")
    progress("Measuring a sample", len(rows) // 2, len(rows))
    describe = _describe_seconds(rows[: len(rows) // 4 or 1])
    progress("Measuring a sample", len(rows), len(rows))
    values = width = 0
    for name in run.meta.pinned.compared:
        vectors = table[f"vector.{name}"].drop_null()
        values += dimension(name, size := len(vectors[0].as_py()))
        width += size
    each = (len(parquet_bytes(table)) - len(parquet_bytes(table.slice(0, 0)))) / len(rows)
    speeds = row_seconds(values)
    return _Measured(len(rows), seconds, describe, each, indexed, values, width, *speeds)


def row_seconds(values: int) -> tuple[float, float]:
    """Measure on one core, of rows of so many values, comparing two of many, and unpacking one.

    By the code of the tasks, since what it takes beside products differs from processor to
    processor.
    """
    rows = np.random.default_rng(_SEED).standard_normal((_SPEED_ROWS, values), np.float32)
    packed = pack("row", rows).vectors
    cell = np.zeros(len(rows), np.int32)
    product = unpack = float("inf")
    with one_blas_thread():
        for _ in range(3):
            began = time.process_time()
            unit = unit_rows(unit_rows(unpack_unit("row", packed)))
            after = time.process_time()
            find_pairs(unit, np.arange(len(unit)), cell, cell[:, None], None, 0.5)
            unpack = min(unpack, after - began)
            product = min(product, time.process_time() - after)
    tiles = _SPEED_ROWS // TILE
    return product / (tiles * (tiles + 1) // 2 * TILE**2), unpack / _SPEED_ROWS


def _describe_seconds(rows: Sequence[dict[str, Any]]) -> float:
    """Measure what describing an image for its proofs takes."""
    data = [one for one in embed.fetched(rows) if one.problem is None]
    described, began = 0, 0.0
    for number, one in enumerate(data):
        if number == min(1, len(data) - 1):  # the first loads what is needed
            described, began = 0, time.process_time()
        try:
            describe(decode_bounded(one.data, WORKING_SIDE, one.name, srgb=True))
        except ImageError:
            continue
        described += 1
    return (time.process_time() - began) / described if described else 0.0


def _stages(listed: _Listed, measured: _Measured) -> tuple[StageCost, ...]:
    """Work out each stage; formulas as in docs/cluster.md."""
    images = round(listed.files * measured.indexed)
    new = round(listed.new * measured.indexed)
    each = listed.size / max(1, listed.files)
    row = round(measured.row * listed.new)
    cells = cells_of(images)
    overlap = min(cells, _CELLS_EACH)
    vectors = images * overlap * (measured.width + 60)
    divide, pair = compare_seconds(images, measured.width, measured.product, measured.unpack)
    read_again = round(new * _WITH_CANDIDATE * _READ_AGAIN)
    prove = read_again * measured.describe + new * _CANDIDATES * _VERIFY_SECONDS
    shards = listed.files // 8192 + 1
    stored = round(measured.row * images)
    return (
        _cost("list", listed.files, writes=listed.files // _LISTED_AT_ONCE + 1),
        _cost(
            "embed", listed.new, listed.new_size, row,
            seconds=listed.new * measured.embed, reads=listed.new, writes=2 * shards,
        ),
        _cost(
            "assign", images, stored, vectors + images * (measured.width + 72),
            seconds=divide, reads=3 * shards, writes=4 * shards,
        ),
        _cost(
            "pair", images, 2 * vectors, images * 20,
            seconds=pair, reads=round(_UNPACKED_TO_PAIR * shards * cells), writes=6 * cells,
        ),
        _cost(
            "prove", round(new * _CANDIDATES), round(read_again * each), new * 100,
            seconds=prove, reads=read_again, writes=2 * (new // 2048 + 1),
        ),
    )  # fmt: skip


def _cost(
    stage: str,
    items: int,
    bytes_read: int = 0,
    bytes_written: int = 0,
    *,
    seconds: float = 0.0,
    reads: int = 0,
    writes: int = 0,
) -> StageCost:
    """Put a price on a stage."""
    cores = seconds / 3600
    asked = (reads * _MILLION_READS + writes * _MILLION_WRITES) / 1e6
    dollars = cores * _CORE_HOUR + asked
    return StageCost(stage, items, bytes_read, bytes_written, cores, reads + writes, dollars)


def compare_seconds(
    images: int, width: int, product: float, unpack: float, overlap: int = _CELLS_EACH
) -> tuple[float, float]:
    """Work out the seconds of one core to divide images into cells, and to compare within these.

    Parameters
    ----------
    width : bytes of the vectors of an image
    product, unpack : as `row_seconds` measures them
    overlap : cells of an image
    """
    cells = cells_of(images)
    if cells == 1:
        return images * unpack, images**2 / 2 * product + images * unpack
    trained = _ROUNDS * _POINTS * cells**2
    divide = product * (images * (cells + ASKING_ROWS + _CODED) + trained)
    products = (images * overlap) ** 2 / cells * _SKEW / 2
    pair = product * products + unpack * images * overlap * _UNPACKED_TO_PAIR
    divide += images * _UNPACKED_TO_DIVIDE * (unpack + _READ_SECONDS)
    divide += images * (overlap + 1) * (width + 60) * _BYTE_SECONDS
    return divide, pair
