"""A join in object storage: what cells promise and find, and what the tasks take.

    scripts/bench cluster [--rows 1000000] [--dimension 256] [--json]

Draws rows around themes of very unequal size, a twelfth of them copies at every distance, writes
them as embedded shards into a folder, joins them with the tasks of a cluster on one engine, and
compares the nearest of a sample of rows exactly. Says the longest and the median task of each
stage, and the most memory that a process had.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import faiss
import numpy as np
import pyarrow as pa
from machine import machine

from dedup.distributed.commits import commit, committed, read
from dedup.distributed.engine import Ended, Inline, Task
from dedup.distributed.joining import join
from dedup.distributed.run import Meta, Run, write_meta
from dedup.distributed.schemas import ROW_BITS, embed_schema, file_id, shard_name
from dedup.distributed.settings import Settings
from dedup.distributed.storage import Storage
from dedup.duplicates.candidates import CANDIDATES
from dedup.fingerprint import Fingerprint
from dedup.search.similarity import unit_rows
from dedup.space.space import Space
from dedup.store.vectors import pack

if TYPE_CHECKING:
    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]

RESULTS: Final = Path(__file__).parent / "results" / "cluster.json"
LAYER: Final = "global_pool"
SHARD: Final = 8192
SAMPLED: Final = 2000


def draw(count: int, dimension: int, skew: float, seed: int = 0) -> Rows:
    """Draw unit rows.

    Parameters
    ----------
    skew : share of the rows that are nearly one and the same
    """
    rng = np.random.default_rng(seed)
    themes = rng.standard_normal((max(2, count // 500), dimension), np.float32)
    popular = rng.zipf(1.6, count) % len(themes)
    rows = themes[popular] * np.float32(0.6) + rng.standard_normal((count, dimension), np.float32)
    copies = rng.permutation(count)[: count // 12]
    distance = rng.uniform(0.1, 1.2, (len(copies), 1)).astype(np.float32)
    noise = rng.standard_normal((len(copies), dimension), np.float32)
    rows[copies] = rows[rng.integers(count, size=len(copies))] + distance * noise
    viral = rng.permutation(count)[: int(count * skew)]
    rows[viral] = rows[0] + np.float32(0.05) * rng.standard_normal(
        (len(viral), dimension), np.float32
    )
    return unit_rows(rows)


def write(storage: Storage, rows: Rows) -> Run:
    """Write rows as the stage `embed`."""
    pinned = Fingerprint("drawn", "bundled", "", (LAYER,), 224, 224, "decoder")
    run = Run(storage.url, write_meta(storage, Meta(pinned.to_json(), SHARD)))
    schema = embed_schema(pinned.stored)
    for number, start in enumerate(range(0, len(rows), SHARD)):
        packed = pack(LAYER, rows[start : start + SHARD])
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
            f"vector.{LAYER}": packed.vectors, f"norm.{LAYER}": packed.norms,
        }  # fmt: skip
        commit(storage, "embed", shard_name(number), pa.table(columns, schema=schema))
    return run


class Timed(Inline):
    """Runs tasks here, and keeps what each took."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def wait(self) -> list[Ended]:
        """Run the oldest task, timed in seconds of the processor."""
        task: Task = self._waiting[0]
        began = time.process_time()
        ended = super().wait()
        self.seconds[task.function.__name__].append(time.process_time() - began)
        return ended


def exact(rows: Rows, sampled: npt.NDArray[np.int64], floor: float) -> set[tuple[int, int]]:
    """Find the nearest of sampled rows by comparing them with all."""
    centred = unit_rows(rows - rows.mean(axis=0))
    similarity, others = faiss.knn(
        centred[sampled], centred, CANDIDATES + 1, metric=faiss.METRIC_INNER_PRODUCT
    )
    found = set()
    for row, near, some in zip(sampled.tolist(), others, similarity, strict=True):
        for other, value in zip(near.tolist(), some.tolist(), strict=True):
            if other != row and value >= floor:
                found.add((min(row, other), max(row, other)))
    return found


def measure(count: int, dimension: int, skew: float) -> dict[str, Any]:
    """Join drawn rows and compare."""
    rows = draw(count, dimension, skew)
    with tempfile.TemporaryDirectory() as folder, Timed() as engine:
        run = write(Storage.at(f"file://{folder}/store"), rows)
        began = time.process_time()
        told = join(run, engine, Settings(1, 0.9, parts=False), lambda *_: None)
        spent = time.process_time() - began
        found: set[tuple[int, int]] = set()
        for done in committed(run.storage, f"{Settings(1, 0.9, parts=False).join}/best").values():
            table = read(run.storage, done)
            one, two = (
                (ids >> ROW_BITS) * SHARD + (ids & ((1 << ROW_BITS) - 1))
                for ids in (table["first"].to_numpy(), table["second"].to_numpy())
            )
            found.update(zip(one.tolist(), two.tolist(), strict=True))
    floor = Space(run.meta.pinned).near_floors[1]
    stored = rows.astype(np.float16).astype(np.float32)
    sampled = np.sort(np.random.default_rng(1).permutation(count)[:SAMPLED])
    pairs = exact(unit_rows(stored), sampled, floor)
    return {
        "rows": count, "dimension": dimension, "skew": skew, "cells": told.cells,
        "overlap": told.overlap, "told": round(told.recall, 5), "of": told.pairs,
        "seen": round(len(pairs & found) / max(1, len(pairs)), 5), "compared": len(pairs),
        "cpu_seconds": round(spent, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "tasks": {
            name: {"count": len(each), "median": round(float(np.median(each)), 3),
                   "longest": round(max(each), 3)}
            for name, each in engine.seconds.items()
        },
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--skew", type=float, default=0.0)
    parser.add_argument("--json", action="store_true", help="keep the results")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = measure(asked.rows, asked.dimension, asked.skew)
    print(json.dumps(found, indent=1))
    if asked.json:
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        kept.setdefault("join", {})[f"{asked.rows} {asked.skew:g}"] = found
        RESULTS.write_text(json.dumps({**machine(), **kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
