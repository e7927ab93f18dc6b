"""What a training run learns from: images in memory, and what a teacher saw in them."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.errors import ImageError
from dedup.images.decode import decode_bounded, decode_square, read_file
from dedup.images.scan import scan
from dedup.models.loading import load_model
from dedup.runtimes.torch_runtime import TorchRuntime
from dedup.search.similarity import unit_rows
from training.views import dead_leaves

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

LONGEST = 176
"""Images are kept at this longest side: a cut of a quarter then still has 88 pixels."""

_BATCH = 64


def list_pictures(folder: Path, every: int) -> list[Path]:
    """List every n-th image of a folder, in path order."""
    files = [folder / os.fsdecode(file.path) for file in scan(folder).files]
    return files[::every]


def read_pictures(paths: Sequence[Path]) -> list[Pixels]:
    """Decode images at `LONGEST`, in order; what cannot be decoded ends the program."""

    def read(path: Path) -> Pixels:
        try:
            return decode_bounded(read_file(os.fspath(path)), LONGEST, os.fspath(path))
        except ImageError as error:
            raise SystemExit(str(error)) from error

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(read, paths))


def draw_pictures(count: int, seed: int) -> list[Pixels]:
    """Draw images of dead leaves."""
    return [dead_leaves(128, np.random.default_rng((seed, number))) for number in range(count)]


def teach(
    weights: Path, paths: Sequence[Path], drawn: Sequence[Pixels], dimension: int, cache: Path
) -> Floats:
    """Embed clean images by a stronger model, centred and brought to few dimensions.

    Parameters
    ----------
    weights : of the teacher, read by `dedup.models.loading`
    paths, drawn : the images, files first
    dimension : strongest directions that are kept; each is scaled by its variance to the power of
        -1/4, half way to whitening, so that what tells images apart within a class counts
    cache : folder for what was computed once

    Returns
    -------
    (N, dimension) float32, unit rows
    """
    state = hashlib.sha256(weights.read_bytes())
    for path in paths:
        state.update(os.fsencode(path))
    state.update(f"{len(drawn)} {dimension}".encode())
    file = cache / f"teacher-{state.hexdigest()[:16]}.npy"
    if file.exists():
        return np.asarray(np.load(file), np.float32)
    raw = unit_rows(_embedded(weights, paths, drawn)).astype(np.float64)
    raw -= raw.mean(axis=0)
    values, vectors = np.linalg.eigh(raw.T @ raw / len(raw))
    kept = vectors[:, ::-1][:, :dimension]
    strength = np.maximum(values[::-1][:dimension], 1e-12)
    rows = unit_rows(raw @ kept * strength**-0.25)
    np.save(file, rows)
    return rows


def _embedded(weights: Path, paths: Sequence[Path], drawn: Sequence[Pixels]) -> Floats:
    parts = []
    with (
        TorchRuntime(load_model(weights=weights), ("global_pool",), "cpu") as runtime,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        height, width = runtime.input_hw

        def square(item: Path | Pixels) -> Pixels:
            if isinstance(item, Path):
                data = read_file(os.fspath(item))
                return decode_square(data, height, width, os.fspath(item)).pixels
            return np.asarray(cv2.resize(item, (width, height)), np.uint8)

        items: list[Path | Pixels] = [*paths, *drawn]
        for start in range(0, len(items), _BATCH):
            batch = np.stack(list(pool.map(square, items[start : start + _BATCH])))
            parts.append(runtime.embed(batch)["global_pool"])
    return np.concatenate(parts)
