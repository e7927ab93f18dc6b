"""The bare limits of this machine, the program against them, and peers: speed [FOLDER] [OPTION]...

Without a FOLDER, seeded images are drawn, saved as JPEG at 500 × 375, 1080p and 12 megapixels.
Each figure is a median of the rounds; a limit and what is held against it are measured in turn, so
that both see the same load.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from growth import THRESHOLD, planted
from machine import add_json_option, describe, record

from dedup.binding import prepare, runtime
from dedup.collection import Collection
from dedup.fingerprint import CONTENT, DETAILS
from dedup.images.decode import read_file
from dedup.images.scan import scan
from dedup.indexing.pipeline import BATCH
from dedup.indexing.readahead import ReadPolicy
from dedup.models.registry import BUNDLED
from dedup.parallel.workers import Workers
from dedup.preparation import Preparation
from dedup.search.join import self_join
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZES = {"500×375": (500, 375, 2000), "1080p": (1920, 1080, 300), "12 MP": (4000, 3000, 100)}
THREADS = os.cpu_count() or 1
SMALL = ["--untrained", "--model", "mobilenetv3_small_050"]
DEDUP = [sys.executable, "-m", "dedup"]


def seconds(action: Callable[[], object], rounds: int = 1) -> float:
    """Time an action; median."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def draw(folder: Path, width: int, height: int, count: int, source: list[Path]) -> None:
    """Write images of one size: photographs resized, or a seeded drawing with fine texture."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        image = cv2.imread(os.fspath(source[number % len(source)])) if source else None
        if image is None:
            coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        else:
            image = cv2.resize(image, (width, height))
        # Grain, so that a JPEG has the bytes of a photograph, and no two are the same.
        grain = rng.integers(-6, 7, (height // 2, width // 2, 1), dtype=np.int16)
        wide = cv2.resize(grain, (width, height))[:, :, None]
        noisy = np.clip(image + wide, 0, 255).astype(np.uint8)
        cv2.imwrite(os.fspath(folder / f"{number:04}.jpg"), noisy, [cv2.IMWRITE_JPEG_QUALITY, 88])


@contextmanager
def preparing(preparation: Preparation) -> Iterator[Callable[[str], int]]:
    """Give what reads, decodes and describes an image and keeps nothing; for `Workers`."""
    yield lambda path: preparation.prepare(read_file(os.fsencode(path))).pixels.size


def images_against_limits(
    folder: Path, model: dict[str, Any], views: tuple[str, ...], rounds: int
) -> list[str]:
    """Decode alone (and details, where they are a view), forward alone, indexing: a row's cells."""
    paths = [os.fspath(folder / os.fsdecode(file.path)) for file in scan(folder).files]
    chosen = prepare(ModelSpec(**model, views=views))
    if chosen.loaded is None:
        raise ValueError("content has to be among the views")
    ready = runtime(chosen.loaded, chosen.fingerprint)
    preparation = Preparation(*ready.input_hw, details=DETAILS in views)
    processes = ReadPolicy().uses_processes(preparation, len(paths))
    workers: Workers[str, int] = Workers(partial(preparing, preparation), processes=processes)

    def decode_all() -> None:
        list(workers.run(paths, ahead=64))

    batch = np.stack([preparation.prepare(read_file(path)).pixels for path in paths])
    ready.embed(batch[:BATCH])

    def forward_all() -> None:
        for start in range(0, len(batch), BATCH):
            ready.embed(batch[start : start + BATCH])

    def index_rate() -> float:
        with tempfile.TemporaryDirectory() as place:
            with Collection.create(
                Path(place) / "store", ModelSpec(**model, views=views)
            ) as collection:
                summary = collection.index([folder])
            return float(summary.indexed / summary.seconds)

    figures = []
    with workers:
        list(workers.run(paths[: 4 * THREADS], ahead=64))  # processes take a moment to start
        for _ in range(rounds):
            decode, forward = len(paths) / seconds(decode_all), len(paths) / seconds(forward_all)
            both = 1 / (1 / decode + 1 / forward)
            index = index_rate()
            figures.append((decode, forward, both, index, index / both))
    decode, forward, both, index, share = (
        statistics.median(column) for column in zip(*figures, strict=True)
    )
    ready.close()
    return [
        f"{decode:.0f}/s",
        f"{forward:.0f}/s",
        f"{both:.0f}/s",
        f"{index:.0f}/s",
        f"{share:.0%}",
    ]


def join_against_gemm(rows: int, dimension: int, rounds: int) -> list[str]:
    """All pairs above .9 against the rate of one large matrix product; the cells of a row."""
    vectors, _ = planted(rows, dimension)
    square = np.ones((4096, dimension), np.float32)
    room = np.empty((4096, 4096), np.float32)
    figures = []
    for _ in range(rounds):
        gemm = 2 * 4096**2 * dimension / seconds(lambda: np.matmul(square, square.T, out=room), 5)
        taken = seconds(lambda: self_join(vectors, THRESHOLD, how="exact"))
        figures.append((gemm / 1e9, taken, rows * rows * dimension / taken / gemm))
    gemm, taken, share = (statistics.median(column) for column in zip(*figures, strict=True))
    return [f"{rows:,} × {dimension}", f"{gemm:.0f} GFLOP/s", f"{taken:.1f} s", f"{share:.0%}"]


def repeat_against_stat(files: int, rounds: int) -> list[str]:
    """Index an unchanged tree against a bare walk with stat; the cells of a row."""

    def walk(folder: str) -> int:
        count = 0
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    count += walk(entry.path)
                else:
                    entry.stat()
                    count += 1
        return count

    with tempfile.TemporaryDirectory() as place:
        tree = Path(place, "tree")
        # One content under many names: the model sees one image, the scan sees them all.
        content = cv2.imencode(".jpg", np.full((36, 48, 3), 90, np.uint8))[1].tobytes()
        for number in range(files):
            folder = tree / f"{number // 1000:03}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:06}.jpg").write_bytes(content)
        command = [*DEDUP, "index", os.fspath(tree), "-s", os.path.join(place, "store")]
        subprocess.run([*command, *SMALL], check=True, capture_output=True)
        few = Path(place, "few")
        few.mkdir()
        (few / "0.jpg").write_bytes(content)
        beginning = [*DEDUP, "index", os.fspath(few), "-s", os.path.join(place, "start")]
        subprocess.run([*beginning, *SMALL], check=True, capture_output=True)
        actions: list[Callable[[], object]] = [
            lambda: walk(os.fspath(tree)),
            lambda: subprocess.run(beginning, capture_output=True, check=True),
            lambda: subprocess.run(command, capture_output=True, check=True),
        ]
        taken = [[seconds(action) for action in actions] for _ in range(rounds)]  # in turn
        bare, start, again = (statistics.median(column) for column in zip(*taken, strict=True))
    share = (again - start) / bare
    return [f"{files:,}", f"{bare:.2f} s", f"{start:.2f} s", f"{again:.2f} s", f"{share:.2f}"]


def cold_query(folder: Path, model: list[str], rounds: int) -> float:
    """Query an image that is not indexed, each time from a new process; median seconds."""
    with tempfile.TemporaryDirectory() as place:
        store = os.path.join(place, "store")
        command = [*DEDUP, "index", os.fspath(folder), "-s", store, *model]
        subprocess.run(command, check=True, capture_output=True)
        image = os.path.join(place, "new.jpg")
        rng = np.random.default_rng(9)
        cv2.imwrite(image, rng.integers(0, 256, (375, 500, 3), dtype=np.uint8))
        query = [*DEDUP, "query", image, "-s", store]
        subprocess.run(query, check=True, capture_output=True)  # writes the index
        return seconds(lambda: subprocess.run(query, check=True, capture_output=True), rounds)


def peers(folder: Path, python: str, rounds: int) -> list[list[str]]:
    """Time other tools on the same images; their names and rates."""
    script = Path(__file__).with_name("peers.py")
    command = [python, os.fspath(script), "rates", os.fspath(folder), "--rounds", f"{rounds}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line.split("\t") for line in done.stdout.splitlines() if line.count("\t") == 1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="photographs to resize")
    parser.add_argument("--weights", type=Path, help="safetensors; default: untrained or bundled")
    parser.add_argument("--model", default=None, help="default: efficientnet_b0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--join-rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=100_000, help="of the self-join")
    parser.add_argument("--files", type=int, default=100_000, help="of the unchanged tree")
    parser.add_argument("--peers", default=sys.executable, help="Python that has other tools")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of images")
    add_json_option(parser)
    options = parser.parse_args()
    model: dict[str, Any] = {"model": options.model, "weights": options.weights}
    arguments = ["--weights", os.fspath(options.weights)] if options.weights else []
    arguments += ["--model", options.model] if options.model else []
    if options.weights is None and options.model not in BUNDLED:
        model["untrained"] = True
        arguments.append("--untrained")
    source = []
    if options.folder is not None:
        files = [options.folder / os.fsdecode(file.path) for file in scan(options.folder).files]
        source = [file for file in files if file.suffix.lower() in {".jpg", ".png"}]
    print(describe() + f"\nload when started: {os.getloadavg()[0]:.1f} of {THREADS} cores\n")
    with tempfile.TemporaryDirectory() as place:
        print("| images | decode alone | forward alone | at best | index | of the best |")
        print("|---|---|---|---|---|---|")
        indexing = []
        for number, (name, (width, height, count)) in enumerate(SIZES.items()):
            folder = Path(place, str(number))
            draw(folder, width, height, max(4, round(count * options.scale)), source)
            for views in ((CONTENT,), (CONTENT, DETAILS)):
                cells = images_against_limits(folder, model, views, options.rounds)
                indexing.append([f"{name}, {' and '.join(views)}", *cells])
                print("| " + " | ".join(indexing[-1]) + " |", flush=True)
        print("\n| rows | matrix product | pairs above .9 | of the product's rate |")
        print("|---|---|---|---|")
        joins = []
        for dimension in (256, 1280):
            joins.append(join_against_gemm(options.rows, dimension, options.join_rounds))
            print("| " + " | ".join(joins[-1]) + " |", flush=True)
        print(
            "\n| unchanged files | bare walk and stat | start (index of one file) | dedup index |"
            " (index - start) / walk |\n|---|---|---|---|---|"
        )
        unchanged = repeat_against_stat(options.files, options.rounds)
        print("| " + " | ".join(unchanged) + " |")
        cold = cold_query(Path(place, "0"), arguments, options.rounds)
        print(f"\nA cold query of an image that is not indexed: {cold:.2f} s")
        print("\n| peer, on the images of 500 × 375 | rate |\n|---|---|")
        others = peers(Path(place, "0"), options.peers, options.rounds)
        for name, rate in others:
            print(f"| {name} | {rate} |")
    if options.json:
        record_all(options.rounds, indexing, joins, unchanged, others)


def record_all(
    rounds: int,
    indexing: list[list[str]],
    joins: list[list[str]],
    unchanged: list[str],
    others: list[list[str]],
) -> None:
    """Keep the tables for docs/benchmarks.md."""
    of = f"medians of {rounds} rounds in turn"
    columns = ["images, views", "decode alone", "forward alone", "both on the same cores, at best"]
    columns += ["index", "of the best"]
    record("speed", "indexing", "Indexing", columns, indexing, statistic=of)
    columns = ["rows", "matrix product", "pairs above .9", "of the product's rate"]
    record("scale", "product", "Pairing against one matrix product", columns, joins)
    columns = ["unchanged files", "bare walk and stat", "start (index of one file)", "dedup index"]
    columns += ["(index - start) / walk"]
    title = "Indexing an unchanged tree"
    record("speed", "unchanged", title, columns, [unchanged], statistic=of)
    title = "Other tools on the same JPEGs of 500×375"
    record("peers", "rates", title, ["tool", "images/s"], others, statistic=of)


if __name__ == "__main__":
    main()
