"""Commands as whole processes: --help, index of an unchanged tree, list, query.

Makes a tree of 20,000 drawn thumbnails and a collection with 10,000 seeded embeddings, 5 % of them
near copies, then times each command, median of the rounds.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from machine import describe

from dedup.embedding import ModelChoice, prepare
from dedup.store.catalog import Catalog, FileFacts, ImageFacts

DEDUP = [sys.executable, "-m", "dedup"]


def timed(command: list[str], rounds: int) -> float:
    """Run a command a few times, after a warm-up; median of its wall seconds."""
    seconds = []
    for number in range(rounds + 1):
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        if number:
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def make_tree(folder: Path, count: int) -> None:
    """Write distinct thumbnails of 48 × 36, a thousand to a folder."""
    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"{number // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(os.fspath(place / f"{number:06}.jpg"), cv2.resize(coarse, (48, 36)))


def fill_catalog(store: Path, count: int, dimension: int) -> None:
    """Store embeddings that no picture gave: a background of random rows and near copies."""
    rng = np.random.default_rng(0)
    choice = ModelChoice(model="mobilenetv2_100", untrained=True, views=("content",))
    fingerprint = prepare(choice).fingerprint
    catalog = Catalog.create(store, fingerprint)
    rows = rng.normal(size=(count, dimension)).astype(np.float32)
    copies = rng.choice(np.arange(1, count), count // 20, replace=False)
    rows[copies] = rows[copies - 1] + rng.normal(size=(len(copies), dimension)) * 0.01
    with catalog.transaction():
        root = catalog.add_root(b"/nowhere")
        for number, row in enumerate(rows):
            digest = hashlib.sha256(b"%d" % number).digest()
            facts = ImageFacts(digest, "JPEG", 640, 480 + number, 1, False, digest)
            image = catalog.add_image(facts, {"global_pool": row})
            catalog.record_indexed(root, FileFacts(b"%06d.jpg" % number, 1, 1, 1, number), image)
        catalog.gallery_changed()
    catalog.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--embeddings", type=int, default=10_000)
    parser.add_argument("--dimension", type=int, default=1280)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        tree, store, stored = (os.path.join(place, name) for name in ("tree", "store", "stored"))
        make_tree(Path(tree), options.files)
        make = [*DEDUP, "index", tree, "-s", store, "--untrained", "--model"]
        subprocess.run([*make, "mobilenetv3_small_050"], check=True, capture_output=True)
        fill_catalog(Path(stored), options.embeddings, options.dimension)
        bare = timed([sys.executable, "-c", "pass"], options.rounds)
        rows = [
            ("python -c pass", bare),
            ("dedup --help", timed([*DEDUP, "--help"], options.rounds)),
            (
                f"dedup index, {options.files:,} unchanged files",
                timed([*DEDUP, "index", tree, "-s", store], options.rounds),
            ),
            (
                f"dedup list, {options.embeddings:,} × {options.dimension} stored embeddings",
                timed([*DEDUP, "list", "-s", stored, "--threshold", "0.9"], options.rounds),
            ),
            (
                f"dedup query of an indexed file, {options.files:,} indexed",
                timed([*DEDUP, "query", f"{tree}/000/000007.jpg", "-s", store], options.rounds),
            ),
        ]
    print(describe() + f"\n\nMedians of {options.rounds}, whole processes:\n")
    print("| command | seconds |\n|---|---|")
    for what, seconds in rows:
        print(f"| {what} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
