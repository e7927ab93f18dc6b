"""A join in object storage: what cells promise and find, and what the tasks take.

    scripts/bench cluster [--rows 1000000] [--skew 0.1] [--recall 0.99] [--cells]
                          [--blocks 60] [--keep FOLDER] [--json]
    scripts/bench cluster --photos FOLDER [--images 5000] [--engines processes,ray] [--json]

Draws rows around themes of very unequal size, a twelfth of them copies at every distance, writes
them as embedded shards into a folder, joins them with the tasks of a cluster on one engine, and
compares the nearest of a sample of rows exactly. Says the longest and the median task of each
stage, and the most memory that a task took beyond what the process had before. With --keep, the
collection stays, as one of the bundled model's, for `scripts/bench cluster_query`. With --cells it
ends before pairs are looked for, and a pair counts as seen where its rows share a cell; --blocks
runs some of the tasks that look for them, drawn at random, and a fifth as many, the largest.

With --photos, indexes and lists a folder on one machine and in object storage, each in programs of
their own, whose processes are looked at four times a second. --images fills a folder of that many:
the photographs, edited copies of them, and a sixth as many that are copies to the byte.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from machine import add_json_option, record

from dedup import binding
from dedup.distributed.blocks import Blocks, Groups, Limits
from dedup.distributed.chunks import TO_READ, Written
from dedup.distributed.commits import Done, commit, commit_bytes, committed, done_of, read
from dedup.distributed.engine import Ended, Inline, Named, Task
from dedup.distributed.joining import join
from dedup.distributed.listing import STAGE, Generation
from dedup.distributed.pairing import pair_block
from dedup.distributed.pieces import Piece, Pieces, read_pieces
from dedup.distributed.run import Meta, Run, write_meta
from dedup.distributed.schemas import ROW_BITS, assign_schema, embed_schema, file_id, shard_name
from dedup.distributed.settings import RECALL, Settings
from dedup.distributed.storage import Storage
from dedup.duplicates.tiers import CANDIDATES
from dedup.edits.catalogue import EDITS, edit
from dedup.images.decode import decode_bounded, read_file
from dedup.images.encode import as_jpeg
from dedup.images.scan import scan
from dedup.search.similarity import unit_rows
from dedup.space.space import Space
from dedup.spec import ModelSpec
from dedup.store.vectors import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]

DIMENSION: Final = 256
SHARD: Final = 8192
LONGEST: Final = 4000
SAMPLED: Final = 2000
BLOCK: Final = 16384
OF_SHARD: Final = 128
CLEAR: Final = Path("/proc/self/clear_refs")


def draw(count: int, dimension: int, skew: float, seed: int = 0) -> Rows:
    """Draw unit rows.

    Parameters
    ----------
    skew : share of the rows that are nearly one and the same
    """
    rng = np.random.default_rng(seed)
    themes = unit_rows(rng.standard_normal((max(64, count // 2000), dimension), np.float32))
    popular = 1 / np.arange(1, len(themes) + 1) ** 0.9
    theme = rng.choice(len(themes), count, p=popular / popular.sum())
    rows = unit_rows(rng.standard_normal((count, dimension), np.float32))
    rows = unit_rows(rows + np.float32(0.4) * themes[theme])
    order = rng.permutation(count)
    viral, copies = order[: int(count * skew)], order[int(count * skew) :][: count // 12]
    originals = order[len(viral) + len(copies) :]
    of = rows[originals[rng.integers(len(originals), size=len(copies))]]
    noise = rng.standard_normal((len(copies), dimension), np.float32)
    noise = unit_rows(noise - (noise * of).sum(axis=1, keepdims=True) * of)
    cosine = 0.35 + 0.64 * rng.beta(4, 1.6, (len(copies), 1)).astype(np.float32)
    rows[copies] = cosine * of + np.sqrt(1 - cosine**2) * noise
    noise = unit_rows(rng.standard_normal((len(viral), dimension), np.float32))
    rows[viral] = rows[originals[0]] + np.float32(0.05) * noise
    return unit_rows(rows)


def write(storage: Storage, rows: Rows) -> Run:
    """Write rows as the stages `list` and `embed`, of the bundled model's content alone."""
    pinned = binding.prepare(ModelSpec(views=("content",))).fingerprint
    (layer,) = pinned.compared
    run = Run(storage.url, write_meta(storage, Meta(pinned.to_json(), SHARD)))
    schema, listed = embed_schema(pinned.stored), list[Done]()
    for number, start in enumerate(range(0, len(rows), SHARD)):
        packed = pack(layer, rows[start : start + SHARD])
        digests = [hashlib.sha256(b"%d" % row).digest() for row in range(start, start + SHARD)]
        count = len(packed.norms)
        columns: dict[str, Any] = {
            "id": [file_id(number, at) for at in range(count)], "root": ["s3://b/p"] * count,
            "key": [str(start + at) for at in range(count)], "size": [1] * count,
            "mtime_ns": [0] * count, "etag": [""] * count, "version": [""] * count,
            "reason": [None] * count, "transient": [None] * count, "digest": digests[:count],
            "format": ["PNG"] * count, "width": [64] * count, "height": [64] * count,
            "frames": [1] * count, "trivial": [False] * count,
            "input_digest": [one[:16] for one in digests[:count]], "damaged": [False] * count,
            "remark": [None] * count, "parts": [None] * count,
            f"vector.{layer}": packed.vectors, f"norm.{layer}": packed.norms,
        }  # fmt: skip
        table = pa.table(columns, schema=schema)
        commit(storage, "embed", shard_name(number), table)
        columns = {name: table[name] for name in TO_READ.names if name != "reason"}
        shard = pa.table({**columns, "reason": [""] * count}, schema=TO_READ)
        listed.append(Written(storage, "list/000000").put(shard_name(number), shard))
    found = Generation(
        0, ("s3://b/p",), shards=tuple(listed), next_shard=len(listed), files=len(rows)
    )
    facts = {"shards": len(listed)}
    commit_bytes(storage, STAGE, shard_name(0), found.to_json(), "json", len(rows), facts)
    return run


class PairsNextError(Exception):
    """Pairs would be looked for next."""


class Timed(Inline):
    """Runs tasks here, and keeps what each took.

    Parameters
    ----------
    cells : whether to end before pairs are looked for
    """

    def __init__(self, *, cells: bool = False) -> None:
        super().__init__()
        self.cells = cells
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.mib: dict[str, int] = defaultdict(int)

    def wait(self) -> list[Ended]:
        """Run the oldest task, timed in seconds of the processor."""
        task: Task = self._waiting[0]
        called: Any = task.function
        name = called.name if isinstance(called, Named) else called.__name__
        if self.cells and name == "pair_block":
            raise PairsNextError
        CLEAR.write_text("5")  # the highest so far is what it is now
        before, began = _kib("VmRSS"), time.process_time()
        ended = super().wait()
        self.seconds[name].append(time.process_time() - began)
        self.mib[name] = max(self.mib[name], (_kib("VmHWM") - before) >> 10)
        return ended


def _kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def exact(rows: Rows, sampled: npt.NDArray[np.int64], floor: float) -> set[tuple[int, int]]:
    """Find the nearest of sampled rows by comparing them with all."""
    mean, found = rows.mean(axis=0), set[tuple[int, int]]()
    asking = unit_rows(rows[sampled] - mean)
    best: list[tuple[Any, Any]] = []
    for start in range(0, len(rows), BLOCK):
        products = asking @ unit_rows(rows[start : start + BLOCK] - mean).T
        some = np.argpartition(-products, CANDIDATES, axis=1)[:, : CANDIDATES + 1]
        best.append((np.take_along_axis(products, some, axis=1), some + start))
    similarity, others = (np.concatenate(side, axis=1) for side in zip(*best, strict=True))
    order = np.argsort(-similarity, axis=1)[:, : CANDIDATES + 1]
    for row, near, at in zip(sampled.tolist(), similarity, order, strict=True):
        number = int(np.searchsorted(sampled, row))
        for other, value in zip(others[number, at].tolist(), near[at].tolist(), strict=True):
            if other != row and value >= floor:
                found.add((min(row, other), max(row, other)))
    return found


def compared(run: Run, settings: Settings) -> set[tuple[int, int]]:
    """Read the pairs that a join found."""
    found: set[tuple[int, int]] = set()
    for done in committed(run.storage, f"{settings.join}/best").values():
        table = read(run.storage, done)
        one, two = (_rows(table[side].to_numpy()) for side in ("first", "second"))
        found.update(zip(one.tolist(), two.tolist(), strict=True))
    return found


def sharing(run: Run, pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Choose the pairs of which both rows are in one cell."""
    wanted = {row for pair in pairs for row in pair}
    cells: dict[int, set[int]] = {}
    schema = assign_schema(list(run.meta.pinned.compared))
    for done in committed(run.storage, "division/000/assign").values():
        found = Pieces(run.storage, [done])
        homes = [one for number in found.numbers if number % 2 == 0 for one in found.of(number)]
        table = read_pieces(run.storage, homes, schema)
        for row, every in zip(
            _rows(table["class"].to_numpy()).tolist(), table["cells"], strict=True
        ):
            if row in wanted:
                cells[row] = set(every.as_py())
    return {(one, two) for one, two in pairs if cells[one] & cells[two]}


def _rows(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return (ids >> ROW_BITS) * SHARD + (ids & ((1 << ROW_BITS) - 1))


def pair_some(run: Run, engine: Timed, count: int) -> int:
    """Run some of the tasks that look for pairs; gives how many there are."""
    assigned = committed(run.storage, "division/000/assign").values()
    groups = Groups(run.storage, assigned)
    every = [*Blocks(groups, frozenset(done.key for done in assigned), "000000").values()]
    size = [
        rows_of(block.first) * (rows_of(block.second) if block.second else rows_of(block.first) / 2)
        for block in every
    ]
    largest = np.argsort(size)[-max(1, count // 5) :].tolist()
    drawn = np.random.default_rng(3).permutation(len(every))[:count].tolist()
    limits = Limits(Space(run.meta.pinned).near_floors[1])
    for at in sorted({*largest, *drawn}):
        block = every[at]
        engine.submit(Task(pair_block, (run, "division/000", limits, block), block.name))
        for ended in engine.wait():
            if isinstance(ended.result, BaseException):
                raise ended.result
    return len(every)


def rows_of(some: Sequence[Piece]) -> int:
    """Count the rows of pieces."""
    return sum(piece.rows for piece in some)


def measure(
    rows: Rows, settings: Settings, place: Path, *, cells: bool, some: int = 0
) -> tuple[dict[str, Any], list[list[Any]]]:
    """Join rows in a folder, and compare."""
    with Timed(cells=cells) as engine:
        run = write(Storage.at(f"file://{place}/store"), rows)
        began = time.process_time()
        with suppress(PairsNextError):
            join(run, engine, settings, lambda *_: None)
        spent = time.process_time() - began
        engine.cells = False
        every = pair_some(run, engine, some) if some else 0
    floor = Space(run.meta.pinned).near_floors[1]
    stored = rows.astype(np.float16).astype(np.float32)
    sampled = np.sort(np.random.default_rng(1).permutation(len(rows))[:SAMPLED])
    pairs = exact(unit_rows(stored), sampled, floor)
    seen = sharing(run, pairs) if cells else pairs & compared(run, settings)
    told = done_of(run.storage, "division/000/divided", "0").extra
    made = done_of(run.storage, "division/000/centres", "0").extra
    facts = {
        "rows": len(rows), "values of a row": DIMENSION, "cells": made["cells"],
        "cells of a row": told["overlap"], "recall wanted": settings.recall,
        "recall told": f"{told['recall']:.5f}",
        "recall seen": f"{len(seen) / max(1, len(pairs)):.5f}", "of pairs": len(pairs),
        "CPU s": round(spent),
    }  # fmt: skip
    if some:
        facts["tasks that compare, of which some were run"] = every
    table = [
        [name, len(each), float(np.median(each)), max(each), engine.mib[name]]
        for name, each in engine.seconds.items()
    ]
    return facts, table


class Spent(NamedTuple):
    """What a command and all processes that it started took; memory in MiB."""

    wall: float
    cpu: float
    driver: int
    worker: int
    output: bytes


def watched(*arguments: str) -> Spent:
    """Run the command line and watch its processes."""
    began, cpu, memory = time.perf_counter(), dict[int, float](), dict[int, int]()
    with tempfile.TemporaryFile() as output:
        running = subprocess.Popen([sys.executable, "-m", "dedup", *arguments], stdout=output)
        while running.poll() is None:
            for process, (seconds, mib, name) in _family(running.pid).items():
                cpu[process] = seconds
                if process == running.pid or name.startswith(("python", "ray::", "loky")):
                    memory[process] = max(memory.get(process, 0), mib)
            time.sleep(0.25)
        wall = time.perf_counter() - began
        if running.returncode:
            raise SystemExit(f"dedup {' '.join(arguments)} ended with {running.returncode}")
        output.seek(0)
        driver = memory.pop(running.pid, 0)
        return Spent(
            wall, sum(cpu.values()), driver, max(memory.values(), default=0), output.read()
        )


def _family(root: int) -> dict[int, tuple[float, int, str]]:
    """Give a process and all that it started: seconds of the processor, MiB and name."""
    found, parents = dict[int, tuple[float, int, str]](), dict[int, int]()
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = path.read_text("utf-8").partition("(")[2].rpartition(")")
            values = rest.split()
            process = int(path.parent.name)
            parents[process] = int(values[1])
            seconds = (int(values[11]) + int(values[12])) / tick
            found[process] = seconds, int(values[21]) * page >> 20, name
    mine = {root}
    while more := {one for one, of in parents.items() if of in mine} - mine:
        mine |= more
    return {one: found[one] for one in mine if one in found}


def fill(photos: Path, folder: Path, count: int, copies: float = 0.0) -> None:
    """Fill a folder with photographs and copies of them.

    Parameters
    ----------
    copies : least share of copies
    """
    paths = [os.fsdecode(file.path) for file in scan(photos).files]
    rng, kinds = np.random.default_rng(0), sorted(EDITS)
    if len(paths) > count * (1 - copies):
        paths = [paths[at] for at in rng.permutation(len(paths))[: round(count * (1 - copies))]]
    for number, path in enumerate(paths):
        shutil.copy(photos / path, folder / f"{number:05}{Path(path).suffix}")
    for number in range(len(paths), count):
        chosen = photos / paths[rng.integers(len(paths))]
        if number % 7 == 0:
            shutil.copy(chosen, folder / f"{number:05}{chosen.suffix}")
            continue
        kind, turn = kinds[number % len(kinds)], number // len(kinds)
        strengths = EDITS[kind].strengths
        pixels = decode_bounded(read_file(os.fspath(chosen)), LONGEST)
        copy = edit(kind, strengths[turn % len(strengths)], pixels, rng)
        (folder / f"{number:05}.jpg").write_bytes(as_jpeg(copy, 90))


def compare(folder: Path, engines: list[str]) -> list[list[Any]]:
    """Index and list on one machine and in object storage."""
    images = f"file://{folder.resolve()}"
    rows, base, lines = list[list[Any]](), list[Spent](), b""
    for kind in ["one machine", *engines]:
        with tempfile.TemporaryDirectory() as place:
            store, more = (
                (place, [])
                if kind == "one machine"
                else (f"file://{place}/store", ["--engine", kind])
            )
            shard = ["--shard", str(OF_SHARD)] if more else []
            indexed = watched("index", images, "--store", store, *shard, *more)
            listed = watched("list", "--store", store, "--format", "jsonl", *more)
        if not base:
            base, lines = [indexed, listed], listed.output
        for what, spent, of in zip(("index", "list"), (indexed, listed), base, strict=True):
            rows.append([
                what, kind, round(spent.wall), round(spent.cpu), round(of.wall / spent.wall, 2),
                round(spent.cpu / of.cpu, 2), spent.driver, spent.worker or None,
                "yes" if listed.output == lines else _differing(lines, listed.output),
            ])  # fmt: skip
            print(*rows[-1], flush=True)
    return rows


def _differing(one: bytes, two: bytes) -> str:
    apart = set(one.splitlines()) ^ set(two.splitlines())
    for line in sorted(apart):
        print(line.decode(errors="backslashreplace"), file=sys.stderr)
    return f"no: {len(apart)} lines" if apart else "no: another order"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--skew", type=float, default=0.0)
    parser.add_argument("--recall", type=float, default=RECALL)
    parser.add_argument("--cells", action="store_true", help="end before pairs are looked for")
    parser.add_argument("--blocks", type=int, default=0, help="with --cells")
    parser.add_argument("--keep", type=Path, help="an empty folder for the collection")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--images", type=int, default=0)
    parser.add_argument("--engines", default="processes,ray")
    add_json_option(parser)
    asked = parser.parse_args()
    if asked.photos:
        with tempfile.TemporaryDirectory() as place:
            photos = asked.photos
            if asked.images:
                photos = Path(place)
                fill(asked.photos, photos, asked.images, copies=0.45)
            rows, count = compare(photos, asked.engines.split(",")), len(scan(photos).files)
        if asked.json:
            columns = ["command", "on", "s", "CPU s", "rate, of one machine's",
                       "CPU s, of one machine's", "MiB, driver", "MiB, worker",
                       "same list"]  # fmt: skip
            note = f"{OF_SHARD} images a shard; the most resident memory of a process."
            title = f"{count:,} images in object storage against one machine"
            name = f"photos-{count}"
            record("cluster", name, title, columns, rows, statistic="one run", note=note)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as place:
        kept = asked.keep or Path(place)
        drawn = draw(asked.rows, DIMENSION, asked.skew)
        settings = Settings(0, 0.9, recall=asked.recall)
        facts, rows = measure(drawn, settings, kept.resolve(), cells=asked.cells, some=asked.blocks)
    said = "; ".join(f"{name} {value}" for name, value in facts.items())
    print(said)
    for name, count, median, longest, mib in rows:
        print(f"{name:14} {count:6} {median:9.3f} {longest:9.3f} {mib:6}")
    if asked.json:
        name = f"{'cells' if asked.cells else 'join'}-{asked.rows}-{asked.skew:g}"
        what = "Division" if asked.cells else "Join"
        title = f"{what} of {asked.rows:,} rows in object storage, {asked.skew:.0%} nearly the same"
        columns = ["stage", "tasks", "median CPU s", "longest CPU s", "most MiB of a task"]
        record("cluster", name, title, columns, rows, statistic="one run", note=said)


if __name__ == "__main__":
    main()
