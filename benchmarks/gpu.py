"""Indexing and pairing on a GPU against its limits: gpu [FOLDER] [OPTION]...

Pictures are drawn, or photographs from FOLDER resized, to 500 × 375, and multiplied to the number
asked for by a few bytes behind their end: contents of their own, each decoded in full. Medians.
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
from machine import describe
from speed import draw, preparing, seconds

from dedup.collection import Collection
from dedup.errors import first_line
from dedup.fingerprint import CONTENT
from dedup.images.device import side_weights
from dedup.images.scan import scan
from dedup.models.device_jpegs import device_jpegs
from dedup.models.loading import load_model
from dedup.models.runtime import TorchRuntime
from dedup.search.join import predicted_seconds, self_join
from dedup.views import Preparation
from dedup.workers import Workers

DRAWN = 200
PASSES = 40  # batches of each thread that a rate is measured by
STARTED = 0.1  # of the pictures, from which on a run counts as going


def multiply(folder: Path, count: int) -> None:
    """Make copies of a folder's pictures, each with a digest of its own."""
    contents = [path.read_bytes() for path in sorted(folder.iterdir())]
    for number in range(len(contents), count):
        data = contents[number % len(contents)] + number.to_bytes(8, "little")
        (folder / f"{number:07}.jpg").write_bytes(data)


def forward_rate(runtime: TorchRuntime, batch: int) -> float:
    """Pictures a second, from the host's memory to embeddings there, by the threads of indexing."""
    pictures = np.random.default_rng(0).integers(0, 256, (batch, *runtime.input_hw, 3), np.uint8)

    def work(passes: int) -> None:
        room = runtime.room(batch)  # each thread has its own
        np.copyto(room, pictures)
        for _ in range(passes):
            runtime.embed(room)

    def all_threads(passes: int) -> None:
        threads = [threading.Thread(target=work, args=(passes,)) for _ in range(runtime.at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    all_threads(3)
    return runtime.at_once * PASSES * batch / seconds(lambda: all_threads(PASSES), 3)


def decode_rate(paths: list[str], hw: tuple[int, int], *, processes: bool) -> float:
    """Pictures a second, read and decoded by every core and then dropped."""
    begin = partial(preparing, Preparation(*hw))
    workers: Workers[str, int] = Workers(begin, processes=processes)
    with workers:
        list(workers.run(paths[:512], 512, 8))
        return len(paths) / seconds(lambda: list(workers.run(paths, 512, 8)), 3)


def note(told: list[tuple[float, int]], done: int, _: int) -> None:
    """Keep when a run had handled so many files."""
    told.append((time.perf_counter(), done))


def going(told: list[tuple[float, int]], since: float) -> float:
    """Files a second of a run that `note` was told of, once so many were handled."""
    begun = next(each for each in told if each[1] >= since)
    ended = told[-1]
    return (ended[1] - begun[1]) / (ended[0] - begun[0])


def device_jpeg_rate(folder: Path, hw: tuple[int, int]) -> str:
    """Pictures a second by the GPU's own decoder, to the input of the model, 128 at a time."""
    jpegs = device_jpegs(torch.device("cuda"), partial(side_weights, height=hw[0], width=hw[1]))
    if jpegs is None:
        return "not to be had"
    files = [path.read_bytes() for path in sorted(folder.iterdir())[:DRAWN]]
    some = [(data, (375, 500)) for data in (files * 2)[:128]]
    out = np.empty((len(some), *hw, 3), np.uint8)
    try:
        jpegs.decode(some, out)
        rate = len(some) / seconds(lambda: jpegs.decode(some, out), 9)
    except RuntimeError as error:
        return f"{jpegs.name} failed ({first_line(error)})"
    return f"{jpegs.name} {rate:.0f}/s"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="photographs to resize")
    parser.add_argument("--model", default="efficientnet_b0")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the self-join")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{describe()}, {torch.cuda.get_device_name()}\n", flush=True)
    source = []
    if options.folder is not None:
        source = [options.folder / os.fsdecode(file.path) for file in scan(options.folder).files]

    with TorchRuntime(
        load_model(options.model, untrained=True), ["global_pool"], "cuda"
    ) as runtime:
        batch = runtime.batch_sizes[-1]
        hw = runtime.input_hw
        eager = forward_rate(runtime, batch)
        print(f"eager: {eager:.0f}/s in batches of {batch}", flush=True)
        started = time.perf_counter()
        if runtime.fuse(batch):
            compiled = time.perf_counter() - started
            fused = forward_rate(runtime, batch)
            print(f"fused: {fused:.0f}/s, compiled in {compiled:.0f} s", flush=True)
        print(*runtime.notes, flush=True)

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "pictures")
        draw(folder, 500, 375, DRAWN, source)
        print("the GPU's JPEG decoder:", device_jpeg_rate(folder, hw), flush=True)
        multiply(folder, options.pictures)
        paths = [os.fspath(folder / os.fsdecode(file.path)) for file in scan(folder).files]
        some = paths[:20_000]
        for processes in (False, True):
            rate = decode_rate(some[: len(some) if processes else 4000], hw, processes=processes)
            kind = "processes" if processes else "threads"
            print(f"decode alone in {kind}: {rate:.0f}/s", flush=True)
        rows, once = [], []
        for number in range(options.rounds):
            told: list[tuple[float, int]] = []
            with Collection.create(
                Path(place, f"store{number}"),
                model=options.model,
                untrained=True,
                views=(CONTENT,),
                device="cuda",
            ) as collection:
                summary = collection.index([folder], device="cuda", progress=partial(note, told))
            rows.append(summary.indexed / summary.seconds)
            once.append(going(told, STARTED * options.pictures))
            print(f"index: {rows[-1]:.0f}/s, {once[-1]:.0f}/s once going {summary.stages}")
            print(*(f"{at - told[0][0]:.2f}s:{done}" for at, done in told[1:6]), flush=True)
        slower = min(rate, eager)
        for name, rates in (("with its start", rows), ("once going", once)):
            middle = statistics.median(rates)
            print(f"index {name}: {middle:.0f}/s, {middle / slower:.0%} of the slower", flush=True)

    vectors, _ = planted(options.rows, 256)
    print(f"pairs of {options.rows:,} × 256, predicted {predicted_seconds(*vectors.shape):.1f} s:")
    taken = []
    for _ in range(options.rounds):
        started = time.perf_counter()
        found = self_join(vectors, THRESHOLD)
        taken.append(time.perf_counter() - started)
    print(f"{len(found):,} pairs in {statistics.median(taken):.2f} s", flush=True)


if __name__ == "__main__":
    main()
