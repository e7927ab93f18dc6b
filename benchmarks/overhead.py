"""What an extractor costs over a bare forward pass: overhead [OPTION]...

Seeded random weights, which take as long as trained ones. In one process, pass after pass in turn:
bare in inference mode, the same again, which says how far two equal things differ here, with one
layer, and with five. Processor time of one thread, which other programs disturb least. Figures are
medians of the rounds, of the ratios within a round as well.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from machine import add_json_option, describe, record

from dedup import Extractor
from dedup.models.loading import load_model

if TYPE_CHECKING:
    from collections.abc import Callable

FIVE = {
    "mobilenetv2_100": ("blocks.1", "blocks.3", "blocks.5", "conv_head", "global_pool"),
    "resnet18": ("layer1", "layer2", "layer3", "layer4", "global_pool"),
    "vit_tiny_patch16_224": ("blocks.2", "blocks.5", "blocks.8", "blocks.11", "global_pool"),
}


def variants(name: str, batch: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """Give what is timed; all share one model, whose hooks write nothing in others' passes."""
    loaded = load_model(name, untrained=True)

    def bare() -> Any:
        with torch.inference_mode():
            return loaded.module(batch)

    one, five = (Extractor(loaded, layers) for layers in (("global_pool",), FIVE[name]))
    return {
        "bare": bare,
        "bare again": bare,
        "one layer": lambda: one(batch),
        "five layers": lambda: five(batch),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", choices=FIVE, default=list(FIVE))
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=31)
    add_json_option(parser)
    options = parser.parse_args()
    print(describe())
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    rows: list[list[str | float]] = []
    for name in options.models:
        for images in options.batches:
            timed = variants(name, torch.randn(images, 3, 224, 224))
            taken: dict[str, list[float]] = {variant: [] for variant in timed}
            for number in range(options.rounds + 2):
                for variant in rng.permutation(list(timed)):
                    started = time.process_time()
                    timed[variant]()
                    if number > 1:  # after warming up
                        taken[variant].append(time.process_time() - started)
            cells: list[str | float] = [name, images, 1000 * statistics.median(taken["bare"])]
            for variant in list(timed)[1:]:
                pairs = zip(taken[variant], taken["bare"], strict=True)
                cells.append(100 * (statistics.median(a / b for a, b in pairs) - 1))
            rows.append([each if isinstance(each, str) else round(each, 1) for each in cells])
            print(*rows[-1], sep=" | ", flush=True)
    if options.json:
        columns = ["model", "images of a pass", "bare, ms"]
        columns += ["the same again, % more", "one layer, % more", "five layers, % more"]
        record(
            "speed",
            "overhead of layers",
            "An extractor over a bare forward pass, in torch",
            columns,
            rows,
            statistic=f"processor time of one thread; medians of {options.rounds} rounds",
            note="Vectors of all layers and the prediction are handed over on the host.",
        )


if __name__ == "__main__":
    main()
