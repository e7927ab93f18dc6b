"""JPEGs decoded by a device instead of the host: device FOLDER [OPTION]..., without a GPU, too.

How much embeddings move: every JPEG of FOLDER that suits is decoded both ways and embedded, in
torch, on a GPU if there is one, else by the processor, which takes the same calls. What the host
has left to do: its rate with a stand-in for the device that takes no processor time.
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
from typing import TYPE_CHECKING

import numpy as np
import torch
from gpu import going, multiply, note
from machine import describe
from speed import draw

from dedup.errors import ImageError
from dedup.fingerprint import Fingerprint
from dedup.images.decode import DECODER, decode_square, read_file
from dedup.images.device import sides, suits_device
from dedup.images.header import open_image
from dedup.images.scan import scan
from dedup.indexing import batch_size, device_trial, readahead
from dedup.indexing.diff import find_changes
from dedup.indexing.pipeline import run
from dedup.models.loading import load_model
from dedup.runtimes.device_jpegs import device_jpegs
from dedup.runtimes.torch_runtime import TorchRuntime
from dedup.search.similarity import unit_rows
from dedup.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from dedup.preparation import JpegDecoder
    from dedup.runtimes.device_jpegs import Sides

SIDE = 224
DIMENSION = 1280
DECODES, PASSES = 30_000, 20_000  # pictures a second of the stand-in; an H200's are about these
TOGETHER = 64
GOING = 0.6  # of the pictures, from which on a run counts as going


class StandIn:
    """A device that takes time and no processor; what it gives is noise, pictures included."""

    name = "stand-in"
    at_once = 2

    def __init__(self, *, decodes: bool) -> None:
        self._decodes = decodes
        self._lane = threading.local()
        self._rows = np.random.default_rng(0).standard_normal((256, DIMENSION), np.float32)

    def batch_sizes(self, _: int) -> tuple[int, ...]:
        """Give what a GPU takes."""
        return (256,)

    def room(self, pictures: int) -> npt.NDArray[np.uint8]:
        """Give room for a batch, each thread its own, which stays."""
        if not hasattr(self._lane, "room"):
            noise = np.random.default_rng(0).integers(0, 256, (256, SIDE, SIDE, 3), np.uint8)
            self._lane.room = noise
        room: npt.NDArray[np.uint8] = self._lane.room[:pictures]
        return room

    def get_ready(self, _: int) -> bool:
        """Tell that it is ready."""
        return True

    def jpegs(self, _: Sides) -> JpegDecoder | None:
        """Give itself, if it decodes."""
        return self if self._decodes else None

    def decode(
        self, files: Sequence[tuple[bytes, tuple[int, int]]], _: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.bool_]:
        """Take the time for it."""
        time.sleep(len(files) / DECODES)
        return np.ones(len(files), np.bool_)

    def hasten(self) -> None:
        """Stay as it is."""

    def embed(self, batch: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        """Take the time for it."""
        time.sleep(len(batch) / PASSES)
        return {"noise": self._rows[: len(batch)]}


def pairs(
    paths: list[str], runtime: TorchRuntime
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    """Give pictures that suit, decoded by the host and by the device."""
    height, width = runtime.input_hw
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    jpegs = device_jpegs(device, partial(sides, height=height, width=width))
    if jpegs is None:
        raise SystemExit("nothing here decodes JPEGs: install torchvision or torchcodec")
    print(f"{jpegs.name} on {device.type}", flush=True)
    for start in range(0, len(paths), TOGETHER):
        files, by_host = [], []
        for path in paths[start : start + TOGETHER]:
            try:
                data = read_file(path)
                opened = open_image(data, path)
                if suits_device(opened, data, height, width):
                    by_host.append(decode_square(data, height, width).pixels)
                    files.append((data, opened[1].size))
            except ImageError:
                continue
        if files:
            out = np.empty((len(files), height, width, 3), np.uint8)
            found = jpegs.decode(files, out)
            yield np.stack(by_host)[found], out[found]


def agreement(folder: Path, model: str | None, weights: Path | None) -> None:
    """Print by how much pixels and embeddings differ."""
    paths = [os.fspath(folder / os.fsdecode(file.path)) for file in scan(folder).files]
    loaded = load_model(model, weights=weights)
    cosines, levels = [], []
    with TorchRuntime(loaded, [loaded.layer]) as runtime:
        for by_host, by_device in pairs(paths, runtime):
            rows = [unit_rows(runtime.embed(each)[loaded.layer]) for each in (by_host, by_device)]
            cosines += (rows[0] * rows[1]).sum(axis=1).tolist()
            difference = np.abs(by_host.astype(np.int16) - by_device)
            levels += difference.mean(axis=(1, 2, 3)).tolist()
    print(f"{loaded.name}: {len(cosines):,} of {len(paths):,} pictures suit")
    low, middle = np.percentile(cosines, [1, 50])
    share = np.mean(np.array(cosines) >= 0.999)
    print(
        f"cosine: middle {middle:.5f}, 1 of 100 below {low:.5f}, lowest {min(cosines):.5f}, "
        f"{share:.1%} at .999 and above; grey levels: middle {statistics.median(levels):.2f}, "
        f"highest {max(levels):.2f}",
        flush=True,
    )


def host_rate(folder: Path, *, decodes: bool, processes: bool) -> str:
    """Index with the stand-in; pictures a second once going."""
    readahead._THREADS_SUFFICE = 0 if processes else os.cpu_count() or 1  # type: ignore[misc]  # noqa: SLF001  # forced
    told: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as store:
        fingerprint = Fingerprint("noise", "none", "0" * 64, ("noise",), SIDE, SIDE, DECODER)
        catalog = Catalog.create(Path(store, "store"), fingerprint)
        summary = run(
            catalog,
            find_changes(catalog, [folder]),
            lambda: StandIn(decodes=decodes),
            partial(note, told),
        )
        catalog.close()
    rate = going(told, GOING * summary.indexed)
    stages = summary.stages
    assert stages is not None  # noqa: S101  # there was work
    return f"{rate:,.0f}/s once going, {stages.workers}, {stages.device_jpegs:,} by the device"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="photographs")
    parser.add_argument("--model", help="timm name; default copies-2, if no weights are given")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--pictures", type=int, default=24_000, help="for the host's rate; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(describe(), flush=True)
    model = options.model or (None if options.weights else "copies-2")
    agreement(options.folder, model, options.weights)
    if not options.pictures:
        return
    # The stand-in's noise agrees with nothing, and is to decode in any case.
    for module, name, value in (
        (device_trial, "_AGREEMENT", -2),
        (device_trial, "_LEAST_AGREEMENT", -2),
        (device_trial, "_PROMISING", 0),
        (batch_size, "_KEPT", 0),
    ):
        assert hasattr(module, name)  # noqa: S101
        setattr(module, name, value)
    source = [options.folder / os.fsdecode(file.path) for file in scan(options.folder).files]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "pictures")
        draw(folder, 500, 375, 1000, source)
        multiply(folder, options.pictures)
        for _ in range(options.rounds):
            for decodes in (False, True):
                for processes in (False, True):
                    print(host_rate(folder, decodes=decodes, processes=processes), flush=True)


if __name__ == "__main__":
    main()
