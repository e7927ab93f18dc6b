"""Peak memory of indexing, as the number of images grows: memory FOLDER... --weights FILE.

Copies growing shares of the folders' images into one tree and indexes each in its own process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import add_json_option, describe, record

from dedup.images.scan import scan

CHILD = """
import resource, sys
from pathlib import Path
from dedup import Collection, ModelSpec
with Collection.create(Path(sys.argv[1]), ModelSpec(weights=sys.argv[3])) as collection:
    summary = collection.index([sys.argv[2]])
print(summary.indexed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[2000, 20000])
    parser.add_argument("--keep", type=Path, help="leave the last tree and its collection here")
    add_json_option(parser)
    options = parser.parse_args()
    paths = [
        folder / os.fsdecode(file.path) for folder in options.folders for file in scan(folder).files
    ]
    print(describe() + "\n\n| files | indexed | seconds | peak memory |\n|---|---|---|---|")
    rows = []
    for count in options.counts:
        with tempfile.TemporaryDirectory() as place:
            tree = Path(place) / "tree"
            for number, path in enumerate(paths[:: max(1, len(paths) // count)][:count]):
                target = tree / f"{number // 1000:03}" / f"{number:06}{path.suffix}"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", CHILD, Path(place) / "store", tree, options.weights],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds = time.perf_counter() - started
            indexed, peak = map(int, done.stdout.split())
            found = sum(1 for _ in tree.rglob("*.*"))
            cells = [f"{indexed:,}", f"{seconds:.0f}", f"{peak / 2**20:.2f} GiB"]
            rows.append([f"{found:,}", *cells])
            print("| " + " | ".join(rows[-1]) + " |", flush=True)
            if options.keep and count == options.counts[-1]:
                shutil.copytree(place, options.keep, dirs_exist_ok=True)
    if options.json:
        columns = ["files", "indexed", "seconds", "peak memory"]
        record("scale", "memory", "Memory while indexing", columns, rows)


if __name__ == "__main__":
    main()
