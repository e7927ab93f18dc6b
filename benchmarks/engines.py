"""Forward rate of the engines on this machine: engines [MODEL]... [--rounds N].

Each engine embeds the same batches of the same model, in turn, so that all share what else the
machine does. A model without bundled weights gets random ones, which takes as long. What the
program itself would choose is marked.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import numpy as np
from machine import add_json_option, describe, record

from dedup.binding import prepare, runtime
from dedup.fingerprint import CONTENT
from dedup.indexing.pipeline import BATCH
from dedup.models.registry import BUNDLED
from dedup.spec import ModelSpec
from dedup.spec import Runtime as Where

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.runtimes.embedder import Embedder
    from dedup.runtimes.select import Runtime

ENGINES = ("openvino", "onnxruntime", "torch")
MODELS = ("copies-2", "mobilenetv2_100", "efficientnet_b0")
SECONDS = 3.0  # of embedding that a rate is measured by


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--rounds", type=int, default=7)
    add_json_option(parser)
    options = parser.parse_args()
    print(describe() + "\n")
    print("| model | " + " | ".join(f"{engine}, images/s" for engine in ENGINES) + " | chosen |")
    print("|---" * (len(ENGINES) + 2) + "|")
    rows = []
    for model in options.models:
        rows.append(rates(model, options.rounds))
        print("| " + " | ".join(rows[-1]) + " |", flush=True)
    if options.json:
        columns = ["model", *(f"{engine}, images/s" for engine in ENGINES), "chosen"]
        of = f"medians of {options.rounds} rounds in turn"
        record("speed", "engines", "Forward pass by engine", columns, rows, statistic=of)


def rates(model: str, rounds: int) -> list[str]:
    """Give the cells of a model's row."""
    with ExitStack() as stack:
        ready = [stack.enter_context(closing(_start(model, kind))) for kind in (*ENGINES, "auto")]
        usual = ready.pop().description
        shape = (BATCH, *ready[0].input_hw, 3)
        batch = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        for embedder in ready:
            embedder.embed(batch)
        seen = [[_rate(embedder, batch) for embedder in ready] for _ in range(rounds)]
    medians = [statistics.median(column) for column in zip(*seen, strict=True)]
    return [model, *(f"{rate:,.0f}" for rate in medians), usual]


def _start(model: str, kind: str) -> Runtime:
    # Loaded anew for each: a runtime folds the layers of the network that it is given.
    chosen = prepare(ModelSpec(model=model, untrained=model not in BUNDLED, views=(CONTENT,)))
    if chosen.loaded is None:
        raise ValueError("content has to be among the views")
    return runtime(chosen.loaded, chosen.fingerprint, Where("cpu", kind))


def _rate(embedder: Embedder, batch: npt.NDArray[np.uint8]) -> float:
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        embedder.embed(batch)
        done += len(batch)
    return done / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
