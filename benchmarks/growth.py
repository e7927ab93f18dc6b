"""How pairing and indexing grow: growth [--pairs N...] [--images N...] [-o FILE.svg].

Pairs: rows of 256 seeded normal values, every twentieth a copy with a cosine of .91 to 1,
unrelated images at .22 and less: no two cells are alike there, so that cells have it as hard as
they can. Each join runs in a process of its own, so that its peak memory is its own. The exact
one is measured as long as it takes less than --patience seconds, and predicted from there on.
Recall is that of the planted pairs. Images: thumbnails drawn by code, content alone, so that what
grows is the program's share.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import add_json_option, describe, record
from startup import make_tree

from dedup.report.charts import Axis, Line, line_chart
from dedup.search.join import predicted_seconds, self_join

DIMENSION = 256
THRESHOLD = 0.9
AT_ONCE = 65536


def planted(rows: int, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Make unit rows; gives them and the (P, 2) pairs that reach the threshold."""
    rng = np.random.default_rng(0)
    vectors = np.empty((rows, dimension), np.float32)
    for start in range(0, rows, AT_ONCE):
        part = vectors[start : start + AT_ONCE]
        part[:] = rng.standard_normal(part.shape, np.float32)
    copies = np.sort(rng.choice(rows // 2, rows // 20, replace=False) * 2 + 1)
    noise = rng.uniform(0.05, 0.45, (len(copies), 1)).astype(np.float32)
    vectors[copies] = vectors[copies - 1] + noise * rng.standard_normal(
        (len(copies), dimension), np.float32
    )
    for start in range(0, rows, AT_ONCE):
        part = vectors[start : start + AT_ONCE]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    reach = np.einsum("ij,ij->i", vectors[copies], vectors[copies - 1]) >= THRESHOLD
    return vectors, np.stack([copies[reach] - 1, copies[reach]], axis=1)


def join_once(rows: int, how: str) -> None:
    """Join and print what was seen; for a process of its own."""
    import resource

    vectors, wanted = planted(rows, DIMENSION)
    predicted = predicted_seconds(*vectors.shape)
    started = time.perf_counter()
    pairs = self_join(vectors, THRESHOLD, how=how) if how != "predicted" else None
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    recall = math.nan
    if pairs is not None:
        found = pairs.first.astype(np.int64) * rows + pairs.second
        recall = float(np.isin(wanted[:, 0] * rows + wanted[:, 1], found).mean())
    print(json.dumps([seconds, peak, recall, predicted]))


def in_own_process(rows: int, how: str) -> tuple[float, float, float, float]:
    """Seconds, peak GiB, recall, and what the exact join was predicted to take."""
    command = [sys.executable, __file__, "--child", f"{rows}", how]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak, recall, predicted = json.loads(done.stdout)
    return seconds, peak, recall, predicted


def pairs(sizes: list[int], patience: float, output: Path | None) -> list[list[str]]:
    """Print the table of joins, and draw it; gives its rows."""
    print("| rows × 256 | exact | cells | recall of cells | peak memory, exact and cells |")
    print("|---|---|---|---|---|")
    rows_shown: list[list[str]] = []
    exact: list[tuple[float, float]] = []
    cells: list[tuple[float, float]] = []
    for rows in sizes:
        predicted = in_own_process(rows, "predicted")[3]
        how = f"{predicted:.0f} s (predicted)"
        memory = "–"
        seconds = predicted
        if predicted <= patience:
            seconds, peak, _, _ = in_own_process(rows, "exact")
            how, memory = f"{seconds:.1f} s", f"{peak:.2f} GiB"
        exact.append((math.log10(rows), math.log10(seconds)))
        seconds, peak, recall, _ = in_own_process(rows, "ivf")
        cells.append((math.log10(rows), math.log10(seconds)))
        cells_shown = [f"{seconds:.1f} s", f"{recall:.5f}", f"{memory}, {peak:.2f} GiB"]
        rows_shown.append([f"{rows:,}", how, *cells_shown])
        print("| " + " | ".join(rows_shown[-1]) + " |", flush=True)
    if output is not None:
        across = Axis("log10 of rows", exact[0][0], exact[-1][0])
        heights = [height for _, height in exact + cells]
        up = Axis("log10 of seconds", min(heights), max(heights))
        lines = [Line("exact", exact), Line("cells", cells)]
        output.write_text(line_chart("Pairs above .9 of rows of 256 values", across, up, lines))
    return rows_shown


def images(counts: list[int], model: str) -> list[list[str]]:
    """Print the table of indexing; gives its rows."""
    rows = []
    print("\n| thumbnails | indexed in | rate |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        for count in counts:
            tree = Path(place, f"{count}")
            make_tree(tree, count)
            store = Path(place, f"store{count}")
            command = [sys.executable, "-m", "dedup", "index", str(tree), "-s", str(store)]
            command += ["--model", model, "--views", "content"]
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds = time.perf_counter() - started
            rows.append([f"{count:,}", f"{seconds:.1f} s", f"{count / seconds:.0f}/s"])
            print("| " + " | ".join(rows[-1]) + " |", flush=True)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = [10_000, 30_000, 100_000, 300_000, 1_000_000]
    parser.add_argument("--pairs", type=int, nargs="*", default=sizes)
    parser.add_argument("--images", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--patience", type=float, default=300)
    parser.add_argument("--model", default="copies-2")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    add_json_option(parser)
    options = parser.parse_args()
    if options.child:
        join_once(int(options.child[0]), options.child[1])
        return
    print(describe() + "\n")
    if options.pairs:
        rows = pairs(options.pairs, options.patience, options.output)
        if options.json:
            columns = ["rows × 256", "exact", "cells", "recall of cells"]
            columns.append("peak memory, exact and cells")
            record("scale", "pairs", "Pairing", columns, rows, statistic="one run")
    if options.images:
        rows = images(options.images, options.model)
        if options.json:
            title = "Indexing 48 × 36 thumbnails, content, new collection"
            columns = ["images", "indexed in", "images/s"]
            record("scale", "indexing", title, columns, rows, statistic="one run")


if __name__ == "__main__":
    main()
