"""A million vectors of one's own: into a collection, its graph of neighbours and its groups.

Seeded rows lie in 20,000 clusters of uneven size, within which they differ along a few directions
and a little in all, as embeddings do; every twentieth is a copy of another at .93 to 1. Each step
is a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import add_json_option, describe, record

from dedup.collection import Collection

WAYS = 24
"""Directions along which the rows of a cluster differ."""

STEPS = ("taken in", "graph of 10 neighbours", "groups at .9")


def draw(path: Path, rows: int, dimension: int) -> None:
    """Write seeded clustered rows to a .npy file, block by block."""
    rng = np.random.default_rng(0)
    large = rng.standard_normal((200, dimension), np.float32)
    small = rng.standard_normal((20_000, dimension), np.float32) * np.float32(0.8)
    ways = rng.standard_normal((200, WAYS, dimension), np.float32) / np.float32(WAYS**0.5)
    out = np.lib.format.open_memmap(path, "w+", np.float16, (rows, dimension))
    for start in range(0, rows, 20_000):
        count = min(20_000, rows - start)
        one = (len(small) * rng.random(count) ** 2).astype(np.int64)  # clusters of uneven size
        of = one % len(large)
        block = large[of] + small[one]
        along = rng.standard_normal((count, WAYS), np.float32) * np.float32(0.7)
        order = np.argsort(of, kind="stable")
        for some in np.split(order, np.flatnonzero(np.diff(of[order])) + 1):
            block[some] += along[some] @ ways[of[some[0]]]
        block += np.float32(0.2) * rng.standard_normal(block.shape, np.float32)
        copies = np.arange(0, count - 1, 20)
        noise = rng.uniform(0.05, 0.4, (len(copies), 1)).astype(np.float32)
        noise *= np.linalg.norm(block[copies], axis=1, keepdims=True) / np.float32(dimension**0.5)
        moved = noise * rng.standard_normal((len(copies), dimension), np.float32)
        block[copies + 1] = block[copies] + moved
        out[start : start + count] = block
    out.flush()


def step(name: str, vectors: Path, store: Path) -> None:
    """Run one step and print its seconds, its memory in GiB, and what it came to."""
    started = time.perf_counter()
    if name == STEPS[0]:
        rows = np.load(vectors, mmap_mode="r")
        with Collection.from_vectors(None, rows, path=store) as made:
            size = os.path.getsize(made.path / "catalog.sqlite")
            said = f"{len(rows):,} vectors, {size / 1e9:.1f} GB"
    elif name == STEPS[1]:
        with Collection.open(store) as collection:
            graph = collection.neighbours(10)
        said = f"recall {graph.recall:.4f}"
    else:
        with Collection.open(store) as collection:
            groups = collection.duplicates("similar", 0.9)
        said = f"{len(groups):,} groups; {' '.join(groups.notes)}"
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    print(f"{seconds:.1f}\t{cpu:.1f}\t{used.ru_maxrss / 2**20:.2f}\t{said}")


def main() -> None:
    """Measure all steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--folder", type=Path, help="where vectors and collection are kept")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    add_json_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        vectors, store = folder / "vectors.npy", folder / "store"
        if options.step:
            step(options.step, vectors, store)
            return
        if not vectors.exists():
            draw(vectors, options.rows, options.width)
        print(describe())
        table: list[list[str | float]] = []
        for name in STEPS:
            if name == STEPS[0] and store.exists():
                continue
            command = [sys.executable, __file__, "--step", name, "--folder", str(folder)]
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds, cpu, memory, said = run.stdout.strip().split("\t")
            table.append([name, float(seconds), float(cpu), float(memory), said])
            print(f"{name}: {seconds} s ({cpu} s of processors), {memory} GiB; {said}", flush=True)
        if options.json:
            record(
                "scale",
                "own vectors",
                f"Vectors of one's own: {options.rows:,} × {options.width}",
                ["step", "seconds", "of processors", "memory (GiB)", "what it came to"],
                table,
                statistic="one run",
            )


if __name__ == "__main__":
    main()
