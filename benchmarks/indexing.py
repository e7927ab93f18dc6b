"""Indexing against its bare limits, and its memory: indexing FOLDER --weights FILE [--rounds N].

Decode alone and the forward pass alone are measured in the same process with the same settings, in
turn with the pipeline, so that all see the same load. Medians count.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from machine import add_json_option, describe, record

from dedup.collection import Collection
from dedup.errors import ImageError
from dedup.images.decode import decode_square, read_file
from dedup.images.scan import scan
from dedup.indexing.pipeline import BATCH
from dedup.models.loading import load_model
from dedup.runtimes.torch_runtime import TorchRuntime
from dedup.spec import ModelSpec


def decode_rate(paths: list[Path], side: int) -> tuple[float, np.ndarray]:
    """Read and decode in as many threads as there are cores; gives images/s and some images."""

    def decode(path: Path) -> np.ndarray | None:
        try:
            return decode_square(read_file(os.fspath(path)), side, side).pixels
        except ImageError:
            return None

    started = time.perf_counter()
    kept: list[np.ndarray] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for pixels in pool.map(decode, paths):
            if pixels is not None and len(kept) < 8 * BATCH:
                kept.append(pixels)
    return len(paths) / (time.perf_counter() - started), np.stack(kept)


def forward_rate(runtime: TorchRuntime, pictures: np.ndarray, batches: int) -> float:
    """Embed full batches that are in memory; images/s."""
    count = len(pictures) // BATCH
    started = time.perf_counter()
    for number in range(batches):
        start = number % count * BATCH
        runtime.embed(pictures[start : start + BATCH])
    return batches * BATCH / (time.perf_counter() - started)


def index_rate(folder: Path, weights: Path) -> tuple[float, float]:
    """Index a folder into a new collection; images/s without and with loading the model."""
    with tempfile.TemporaryDirectory() as store:
        began = time.perf_counter()
        spec = ModelSpec(weights=weights, views="content")
        with Collection.create(Path(store) / "store", spec) as collection:
            started = time.perf_counter()
            summary = collection.index([folder])
            ended = time.perf_counter()
    return summary.indexed / (ended - started), summary.indexed / (ended - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1024, help="for the bare limits")
    add_json_option(parser)
    options = parser.parse_args()
    paths = [options.folder / os.fsdecode(file.path) for file in scan(options.folder).files]
    sample = paths[:: max(1, len(paths) // options.images)]
    loaded = load_model(weights=options.weights)
    rows = []
    with TorchRuntime(loaded, (loaded.layer,)) as runtime:
        side = runtime.input_hw[0]
        _, pictures = decode_rate(sample, side)
        forward_rate(runtime, pictures, 4)  # warm-up
        for _ in range(options.rounds):
            decode, _ = decode_rate(sample, side)
            forward = forward_rate(runtime, pictures, len(sample) // BATCH)
            index, whole = index_rate(options.folder, options.weights)
            rows.append((decode, forward, index, whole, index / min(decode, forward)))
            print(*(f"{value:10.2f}" for value in rows[-1]), flush=True)
        description = runtime.description
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{describe()}; {description}\n")
    print(f"{len(paths):,} images of {options.folder.name}, medians of {options.rounds}:\n")
    print(
        "| decode alone | forward alone | both on the same cores, at best | index | of the slower |"
    )
    print("|---|---|---|---|---|")
    decode, forward, index, whole, share = medians
    both = 1 / (1 / decode + 1 / forward)
    print(f"| {decode:.0f}/s | {forward:.0f}/s | {both:.0f}/s | {index:.0f}/s | {share:.0%} |")
    if options.json:
        record(
            "speed",
            "torch",
            "Indexing in torch, images/s",
            ["decode alone", "forward alone", "both on the same cores, at best", "index"],
            [[round(decode), round(forward), round(both), round(index)]],
            statistic=f"medians of {options.rounds} rounds in turn",
        )
    print(f"\nWith loading the model: {whole:.0f}/s. Peak memory of this process: {peak:.2f} GiB.")


if __name__ == "__main__":
    main()
