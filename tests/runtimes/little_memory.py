"""Embed a batch with ever less address space; a process of its own, since limits stay."""

from __future__ import annotations

import resource
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from dedup.errors import ModelError
from dedup.models.loading import load_model
from dedup.runtimes.export import export
from dedup.runtimes.openvino_runtime import OpenVinoRuntime
from dedup.runtimes.torch_runtime import TorchRuntime

SIDE = 448


def limit(megabytes: int) -> None:
    """Leave so much beyond what is taken now."""
    taken = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (megabytes << 20), resource.RLIM_INFINITY))


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")


def main() -> None:
    """Tell whether torch gives the same in smaller batches, and OpenVINO a clear error."""
    loaded = replace(load_model("resnet18", untrained=True), input_size=(3, SIDE, SIDE))
    batch = np.random.default_rng(0).integers(0, 256, (24, SIDE, SIDE, 3), dtype=np.uint8)
    if sys.argv[1] == "torch":
        torch_runtime = TorchRuntime(loaded, ["global_pool"], "cpu")
        one = [torch_runtime.embed(batch[at : at + 1])["global_pool"] for at in range(24)]
        limit(250)
        found = torch_runtime.embed(batch)["global_pool"]
        say(
            "same" if np.allclose(found, np.concatenate(one), rtol=1e-2, atol=1e-4) else "different"
        )
        size = torch_runtime._largest_pass  # noqa: SLF001
        say("smaller" if size and size < len(batch) else f"batches of {size}")
        return
    runtime = OpenVinoRuntime(export(loaded, ["global_pool"], "openvino"))
    limit(30)
    try:
        runtime.embed(batch)
        say("went on")
    except ModelError as error:
        say("refused" if "memory ran out" in str(error) else error)


if __name__ == "__main__":
    main()
