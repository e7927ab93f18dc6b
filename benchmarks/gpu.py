"""Indexing and pairing on a GPU against its limits: gpu [FOLDER] [OPTION]...

Images are drawn, or photographs from FOLDER resized, to 500 × 375, and multiplied to the number
asked for by a few bytes behind their end: contents of their own, each decoded in full. Medians.
With few cores: taskset -c 0-3 python benchmarks/gpu.py ... --index-only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from growth import THRESHOLD, planted
from machine import add_json_option, describe, record
from speed import draw, preparing, seconds

from dedup.collection import Collection
from dedup.fingerprint import CONTENT
from dedup.images.scan import scan
from dedup.models.loading import load_model
from dedup.parallel.workers import Workers
from dedup.preparation import Preparation
from dedup.runtimes.torch_runtime import TorchRuntime
from dedup.search.join import predicted_seconds, self_join
from dedup.spec import ModelSpec, Runtime

DRAWN = 200
BATCH = 256
THREADS = 2  # that embed while indexing
PASSES = 40  # batches of each thread that a rate is measured by
STARTED = 0.1  # of the images, from which on a run counts as going


def multiply(folder: Path, count: int) -> None:
    """Make copies of a folder's images, each with a digest of its own."""
    contents = [path.read_bytes() for path in sorted(folder.iterdir())]
    for number in range(len(contents), count):
        data = contents[number % len(contents)] + number.to_bytes(8, "little")
        (folder / f"{number:07}.jpg").write_bytes(data)


def forward_rate(runtime: TorchRuntime, batch: int) -> float:
    """Images a second, from the host's memory to embeddings there, by the threads of indexing."""
    images = np.random.default_rng(0).integers(0, 256, (batch, *runtime.input_hw, 3), np.uint8)

    def work(passes: int) -> None:
        for _ in range(passes):
            runtime.embed(images)

    def all_threads(passes: int) -> None:
        threads = [threading.Thread(target=work, args=(passes,)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    all_threads(3)
    return THREADS * PASSES * batch / seconds(lambda: all_threads(PASSES), 3)


def decode_rate(paths: list[str], hw: tuple[int, int], *, processes: bool) -> float:
    """Images a second, read and decoded by every core and then dropped."""
    begin = partial(preparing, Preparation(*hw))
    workers: Workers[str, int] = Workers(begin, processes=processes)
    with workers:
        list(workers.run(paths[:512], 512, 8))
        return len(paths) / seconds(lambda: list(workers.run(paths, 512, 8)), 3)


def note(told: list[tuple[float, int]], _stage: str, done: int, _total: int) -> None:
    """Keep when a run had handled so many files."""
    told.append((time.perf_counter(), done))


def reached(told: list[tuple[float, int]], since: float) -> tuple[float, int]:
    """When a run that `note` was told of had handled so many files, and how many it then had."""
    return next(each for each in told if each[1] >= since)


def going(told: list[tuple[float, int]], since: float) -> float:
    """Files a second of a run that `note` was told of, once so many were handled."""
    begun = reached(told, since)
    ended = told[-1]
    return (ended[1] - begun[1]) / (ended[0] - begun[0])


def forward_rates(model: str) -> tuple[float, tuple[int, int]]:
    """Print images a second of a model; gives them and its input."""
    with TorchRuntime(load_model(model, untrained=True), ["global_pool"], "cuda") as runtime:
        rate = forward_rate(runtime, BATCH)
        print(f"forward alone: {rate:.0f}/s in batches of {BATCH}", flush=True)
        print(*runtime.notes, flush=True)
        return rate, runtime.input_hw


def decode_rates(folder: Path, hw: tuple[int, int]) -> float:
    """Print images a second by the host's cores; gives the rate of processes."""
    paths = [os.fspath(folder / os.fsdecode(file.path)) for file in scan(folder).files[:20_000]]
    rate = 0.0
    for processes in (False, True):
        some = paths if processes else paths[:4000]
        rate = decode_rate(some, hw, processes=processes)
        kind = "processes" if processes else "threads"
        print(f"decode alone in {kind}: {rate:.0f}/s", flush=True)
    return rate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="photographs to resize")
    parser.add_argument("--model", default="efficientnet_b0")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the self-join")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--index-only", action="store_true", help="leave the limits out")
    add_json_option(parser)
    options = parser.parse_args()
    print(f"{describe()}, {torch.cuda.get_device_name()}\n", flush=True)
    source = []
    if options.folder is not None:
        source = [options.folder / os.fsdecode(file.path) for file in scan(options.folder).files]

    shown: list[list[str]] = []
    slower, hw = float("inf"), (0, 0)
    if not options.index_only:
        slower, hw = forward_rates(options.model)
        shown.append(["forward pass, host memory to host memory", f"{slower:.0f}/s"])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "pictures")
        draw(folder, 500, 375, DRAWN, source)
        multiply(folder, options.pictures)
        if not options.index_only:
            decoded = decode_rates(folder, hw)
            shown.append(["decode alone of 500×375 JPEGs in processes", f"{decoded:.0f}/s"])
            slower = min(slower, decoded)
        rows, once = [], []
        for number in range(options.rounds):
            told: list[tuple[float, int]] = []
            with Collection.create(
                Path(place, f"store{number}"),
                ModelSpec(options.model, untrained=True, views=CONTENT),
                runtime=Runtime("cuda"),
            ) as collection:
                summary = collection.index(folder, partial(note, told))
            rows.append(summary.indexed / summary.seconds)
            once.append(going(told, STARTED * options.pictures))
            tenth, _ = reached(told, STARTED * options.pictures)
            print(
                f"index: {rows[-1]:.0f}/s, {once[-1]:.0f}/s once going, a tenth after "
                f"{tenth - told[0][0]:.1f} s {summary.stages}",
                flush=True,
            )
        for name, rates in (("with its start", rows), ("once going", once)):
            middle = statistics.median(rates)
            of = "" if options.index_only else f", {middle / slower:.0%} of the slower"
            shown.append([f"index {name}", f"{middle:.0f}/s{of}"])
            print(": ".join(shown[-1]), flush=True)
    if not options.index_only:
        taken = join(options.rows, options.rounds)
        shown.append([f"exact pairs of {options.rows:,} × 256 above .9", f"{taken:.2f} s"])
    if options.json:
        record(
            "gpu",
            "limits",
            f"One GPU against its limits, {options.model}",
            ["what", "rate or time"],
            shown,
            statistic=f"medians of {options.rounds} rounds",
            device=torch.cuda.get_device_name(),
        )


def join(rows: int, rounds: int) -> float:
    """Print how long a self-join takes; gives the median seconds."""
    vectors, _ = planted(rows, 256)
    print(f"pairs of {rows:,} × 256, predicted {predicted_seconds(*vectors.shape):.1f} s:")
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        found = self_join(vectors, THRESHOLD)
        taken.append(time.perf_counter() - started)
    print(f"{len(found):,} pairs in {statistics.median(taken):.2f} s", flush=True)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
