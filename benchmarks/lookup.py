"""Looking images up against indexing them: lookup FOLDER [--rounds N] [--json FILE].

`index`, `compare` and `query` of the same images, in turn in each round, so that all three see the
same load; the ratio of a round is that of its own rates, and the median of them is given. Nothing
is known beforehand: `compare` and `query` ask a collection of one other image. Of `compare` only
reading and embedding count, by its progress; what follows is the comparison itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from machine import add_json_option, describe, record

from dedup.collection import Collection
from dedup.images.scan import scan


def main() -> None:
    """Measure the three, and print what they come to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    add_json_option(parser)
    options = parser.parse_args()
    print(describe())
    found = [options.folder / os.fsdecode(one.path) for one in scan(options.folder).files]
    step = max(1, len(found) // options.images)
    chosen = found[::step][: options.images]
    rates: dict[str, list[float]] = {"index": [], "compare": [], "query": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "new").mkdir()
        for number, path in enumerate(chosen):
            shutil.copy(path, folder / "new" / f"{number:05}{path.suffix}")
        (folder / "other").mkdir()
        noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
        cv2.imwrite(os.fspath(folder / "other" / "noise.png"), noise)
        for number in range(options.rounds):
            for what, values in rates.items():
                values.append(len(chosen) / seconds(what, folder, number))
    print(f"{len(chosen)} images of {options.folder.name}, {options.rounds} rounds\n")
    columns = ["", "images/s", "of index's rate", "lowest", "highest"]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    rows: list[list[str | float]] = []
    for what, values in rates.items():
        ratios = [value / one for value, one in zip(values, rates["index"], strict=True)]
        shown = (statistics.median(ratios), min(ratios), max(ratios))
        rows.append([what, round(statistics.median(values), 1), *(round(one, 2) for one in shown)])
        print("| " + " | ".join(map(str, rows[-1])) + " |")
    if options.json:
        title = f"Looking up {len(chosen)} photographs, none of them known"
        rounds = f"median of {options.rounds} rounds, and the extremes; ratios of one round each"
        record("speed", "lookup", title, columns, rows, statistic=rounds)


def seconds(what: str, folder: Path, number: int) -> float:
    """Time one of the three; the model is loaded before."""
    last = 0.0

    def report(stage: str, done: int, total: int) -> None:
        nonlocal last
        if stage in {"Reading images", "Indexing"} and done == total:
            last = time.perf_counter()

    with Collection.create(folder / f"{what}-{number}") as collection:
        collection.index(folder / "other")
        begun = time.perf_counter()
        if what == "index":
            collection.index(folder / "new", report)
        elif what == "compare":
            collection.compare(folder / "new", tier="near", progress=report)
        else:
            collection.query(folder / "new", k=1, progress=report)
        return last - begun


if __name__ == "__main__":
    main()
