"""Rates of other tools on the same images: peers FOLDER [--rounds N].

Needs nothing of dedup, so that it also runs in an environment of its own: other tools ask for
versions that dedup does not work with. What is not installed is left out, with a line.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def imagehash(folder: Path) -> None:
    """64-bit pHash of each image, one thread."""
    hashes = importlib.import_module("imagehash")
    pillow = importlib.import_module("PIL.Image")
    for path in sorted(folder.iterdir()):
        with pillow.open(path) as picture:
            hashes.phash(picture)


def imagededup(folder: Path) -> None:
    """64-bit pHash of each image, in as many processes as it chooses."""
    importlib.import_module("imagededup.methods").PHash(verbose=False).encode_images(
        os.fspath(folder)
    )


def fastdup(folder: Path) -> None:
    """Features of each image with its bundled model; no neighbours."""
    with tempfile.TemporaryDirectory() as work:
        importlib.import_module("fastdup").run(os.fspath(folder), work_dir=work, run_mode=1)


PEERS: dict[str, Callable[[Path], None]] = {
    "imagehash": imagehash,
    "imagededup": imagededup,
    "fastdup": fastdup,
}


def main() -> None:
    """Measure and print one line a tool: name, tab, images a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    count = sum(1 for _ in options.folder.iterdir())
    for name, run in PEERS.items():
        if importlib.util.find_spec(name) is None:
            print(f"{name}\tnot installed")
            continue
        rates = []
        for _ in range(options.rounds + 1):  # the first one loads what it needs
            started = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                run(options.folder)
            rates.append(count / (time.perf_counter() - started))
        print(f"{name}\t{statistics.median(rates[1:]):.0f}/s", flush=True)


if __name__ == "__main__":
    main()
