"""Commands as whole processes: --help, index of an unchanged tree, list, query.

Makes a tree of 20,000 drawn thumbnails and a collection with 10,000 seeded embeddings, 5 % of them
near copies, then times each command, median of the rounds. For queries of a new image there are
collections of 100,000 seeded embeddings of `copies-2`, with details and without; these are also
queried again and again in one process.
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
from machine import add_json_option, describe, record

from dedup.binding import prepare
from dedup.collection import Collection
from dedup.descriptors.vlad import DIMENSION
from dedup.fingerprint import CONTENT, DETAILS
from dedup.records import FileEntry, ImageFacts
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog
from dedup.store.changes import Batch
from dedup.store.vectors import pack

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


def fill_catalog(store: Path, choice: ModelSpec, count: int, dimension: int) -> None:
    """Store embeddings that no image gave: a background of random rows and near copies."""
    rng = np.random.default_rng(0)
    fingerprint = prepare(choice).fingerprint
    catalog = Catalog.create(store, fingerprint)
    copies = frozenset(rng.choice(np.arange(1, count), count // 20, replace=False).tolist())
    sizes = {fingerprint.layers[0]: dimension}
    if DETAILS in fingerprint.views:
        sizes[DETAILS] = DIMENSION
    before = {name: np.zeros(size, np.float32) for name, size in sizes.items()}
    (root,) = catalog.add_roots([b"/nowhere"])
    for number in range(count):
        row = {
            name: before[name] + rng.standard_normal(size, np.float32) * np.float32(0.01)
            if number in copies
            else rng.standard_normal(size, np.float32)
            for name, size in sizes.items()
        }
        before = row
        digest = hashlib.sha256(b"%d" % number).digest()
        facts = ImageFacts(digest, "JPEG", 640, 480 + number, 1, False, digest)
        packed = {name: pack(name, row[name][None]) for name in row}
        file = FileEntry(b"%06d.jpg" % number, 1, 1, 1, number)
        catalog.commit(Batch([facts], packed, [(root, file, digest)]))
    catalog.close()


def queries(
    place: Path, count: int, views: tuple[str, ...], rounds: int
) -> list[tuple[str, float]]:
    """Time queries of an image that is not indexed: in new processes, and in one."""
    store = place / "-".join(views)
    fill_catalog(store, ModelSpec(model="copies-2", views=views), count, 256)
    image = os.fspath(place / "new.jpg")
    coarse = np.random.default_rng(9).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    cv2.imwrite(image, cv2.resize(coarse, (500, 375), interpolation=cv2.INTER_CUBIC))
    cold = timed([*DEDUP, "query", image, "-s", os.fspath(store)], rounds)
    with Collection.open(store) as collection:
        collection.query(image)
        warm = []
        for _ in range(3 * rounds):
            started = time.perf_counter()
            collection.query(image)
            warm.append(time.perf_counter() - started)
    what = f"{count:,} indexed, {' and '.join(views)}"
    return [
        (f"dedup query of a new image, {what}", cold),
        (f"the same in one process, {what}", statistics.median(warm)),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--embeddings", type=int, default=10_000)
    parser.add_argument("--dimension", type=int, default=1280)
    parser.add_argument("--queried", type=int, default=100_000)
    add_json_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        tree, store, stored = (os.path.join(place, name) for name in ("tree", "store", "stored"))
        make_tree(Path(tree), options.files)
        make = [*DEDUP, "index", tree, "-s", store, "--untrained", "--model"]
        subprocess.run([*make, "mobilenetv3_small_050"], check=True, capture_output=True)
        untrained = ModelSpec(model="mobilenetv2_100", untrained=True, views=(CONTENT,))
        fill_catalog(Path(stored), untrained, options.embeddings, options.dimension)
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
        for views in ((CONTENT,), (CONTENT, DETAILS)):
            rows += queries(Path(place), options.queried, views, options.rounds)
    print(describe() + f"\n\nMedians of {options.rounds}, whole processes:\n")
    print("| command | seconds |\n|---|---|")
    for what, seconds in rows:
        print(f"| {what} | {seconds:.3f} |")
    if options.json:
        record(
            "speed",
            "startup",
            "Whole commands, seconds",
            ["command", "seconds"],
            [[what, round(seconds, 3)] for what, seconds in rows],
            statistic=f"medians of {options.rounds} ({3 * options.rounds} in one process)",
        )


if __name__ == "__main__":
    main()
