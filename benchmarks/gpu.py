"""Indexing and pairing on a GPU against its limits: gpu [FOLDER] [OPTION]...

Pictures are drawn, or photographs from FOLDER resized, to 500 × 375, and multiplied to the number
asked for by a few bytes behind their end: contents of their own, each decoded in full. Medians.
With few cores: taskset -c 0-3 python benchmarks/gpu.py ... --index-only, and again with --host.
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
from dedup.images.device import sides
from growth import THRESHOLD, planted
from machine import describe
from speed import draw, preparing, seconds

from dedup.collection import Collection
from dedup.errors import first_line
from dedup.fingerprint import CONTENT
from dedup.images.scan import scan
from dedup.indexing import device_decoding
from dedup.models.loading import load_model
from dedup.parallel.workers import Workers
from dedup.preparation import Preparation
from dedup.runtimes.device_jpegs import device_jpegs
from dedup.runtimes.torch_runtime import TorchRuntime
from dedup.search.join import predicted_seconds, self_join

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


def reached(told: list[tuple[float, int]], since: float) -> tuple[float, int]:
    """When a run that `note` was told of had handled so many files, and how many it then had."""
    return next(each for each in told if each[1] >= since)


def going(told: list[tuple[float, int]], since: float) -> float:
    """Files a second of a run that `note` was told of, once so many were handled."""
    begun = reached(told, since)
    ended = told[-1]
    return (ended[1] - begun[1]) / (ended[0] - begun[0])


def device_jpeg_rate(folder: Path, hw: tuple[int, int]) -> str:
    """Pictures a second by the GPU's own decoder, to the input of the model, 128 at a time."""
    jpegs = device_jpegs(torch.device("cuda"), partial(sides, height=hw[0], width=hw[1]))
    if jpegs is None:
        return "not to be had"
    files = [path.read_bytes() for path in sorted(folder.iterdir())[:DRAWN]]
    some = [(data, (375, 500)) for data in (files * 2)[:128]]
    out = torch.empty((len(some), *hw, 3), dtype=torch.uint8, pin_memory=True).numpy()
    try:
        jpegs.decode(some, out)
        rate = len(some) / seconds(lambda: jpegs.decode(some, out), 9)
    except RuntimeError as error:
        return f"{jpegs.name} failed ({first_line(error)})"
    return f"{jpegs.name} {rate:.0f}/s"


def forward_rates(model: str) -> tuple[float, tuple[int, int]]:
    """Print pictures a second of a model, as it is and compiled; gives the former and its input."""
    with TorchRuntime(load_model(model, untrained=True), ["global_pool"], "cuda") as runtime:
        batch = runtime.batch_sizes(10**6)[-1]
        eager = forward_rate(runtime, batch)
        print(f"eager: {eager:.0f}/s in batches of {batch}", flush=True)
        started = time.perf_counter()
        if runtime.fuse(batch):
            compiled = time.perf_counter() - started
            fused = forward_rate(runtime, batch)
            print(f"fused: {fused:.0f}/s, compiled in {compiled:.0f} s", flush=True)
        print(*runtime.notes, flush=True)
    return eager, runtime.input_hw


def decode_rates(folder: Path, hw: tuple[int, int]) -> float:
    """Print pictures a second by the GPU's decoder and by the host's cores; gives the last."""
    print("the GPU's JPEG decoder:", device_jpeg_rate(folder, hw), flush=True)
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
    parser.add_argument("--host", action="store_true", help="leave JPEGs to the host")
    options = parser.parse_args()
    print(f"{describe()}, {torch.cuda.get_device_name()}\n", flush=True)
    source = []
    if options.folder is not None:
        source = [options.folder / os.fsdecode(file.path) for file in scan(options.folder).files]

    if options.host:
        device_decoding._WORTH = float("inf")  # type: ignore[misc]  # noqa: SLF001  # forced
    slower, hw = float("inf"), (0, 0)
    if not options.index_only:
        slower, hw = forward_rates(options.model)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "pictures")
        draw(folder, 500, 375, DRAWN, source)
        multiply(folder, options.pictures)
        if not options.index_only:
            slower = min(slower, decode_rates(folder, hw))
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
            tenth, _ = reached(told, STARTED * options.pictures)
            print(
                f"index: {rows[-1]:.0f}/s, {once[-1]:.0f}/s once going, a tenth after "
                f"{tenth - told[0][0]:.1f} s {summary.stages}",
                flush=True,
            )
        for name, rates in (("with its start", rows), ("once going", once)):
            middle = statistics.median(rates)
            of = "" if options.index_only else f", {middle / slower:.0%} of the slower"
            print(f"index {name}: {middle:.0f}/s{of}", flush=True)
    if not options.index_only:
        join(options.rows, options.rounds)


def join(rows: int, rounds: int) -> None:
    """Print how long a self-join takes."""
    vectors, _ = planted(rows, 256)
    print(f"pairs of {rows:,} × 256, predicted {predicted_seconds(*vectors.shape):.1f} s:")
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        found = self_join(vectors, THRESHOLD)
        taken.append(time.perf_counter() - started)
    print(f"{len(found):,} pairs in {statistics.median(taken):.2f} s", flush=True)


if __name__ == "__main__":
    main()
