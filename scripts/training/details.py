"""Train what embeds an image's details: details PHOTOS -o FILE [--cache FILE] [--seed N].

Three steps, all repeatable by seed. Every image and some edited views of it are described by
local features (nearly all of the time goes here; --cache keeps them for the next run). A sample
of the descriptors gives the axes and, by k-means, the words. What all images leave over at the
words gives the projection: their spread within one image's views is whitened, then the axes
of most spread are kept, at equal spread ("learned whitening", Mikolajczyk and Matas 2007;
Radenović et al. 2018).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import faiss
import numpy as np
from safetensors.numpy import save

from dedup.descriptors.keypoints import describe
from dedup.descriptors.mirror import asymmetry, fold_mirror
from dedup.descriptors.vlad import FEWEST, SIDE, Vocabulary, grey
from dedup.edits.catalogue import EDITS, edit
from dedup.errors import ImageError
from dedup.images.decode import decode_bounded, read_file
from dedup.images.encode import as_jpeg
from dedup.images.scan import scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Halves = npt.NDArray[np.float16]
    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Tensors = dict[str, npt.NDArray[np.float16]]

VERSION = "1"
_SAMPLE = 400_000  # descriptors for axes and words
_CHUNK = 64  # images per call of a worker
_ROUNDS = 20  # of k-means


@dataclass(frozen=True)
class Described:
    """Images and their views: row p, v of `counts` says how many descriptors view v has.

    View 0 is the image itself; `descriptors` follow in order of p, then v.
    """

    counts: npt.NDArray[np.int32]
    descriptors: Halves


def main() -> None:
    """Describe, fit and write."""
    options = _options()
    cv2.setNumThreads(1)
    start = time.perf_counter()
    files = [options.photos / os.fsdecode(file.path) for file in scan(options.photos).files]
    files = files[:: options.every]
    described = _described(files, options)
    print(
        f"{len(files):,} images, {described.counts.size:,} views, "
        f"{len(described.descriptors):,} descriptors, {time.perf_counter() - start:.0f} s"
    )
    tensors = fit_vocabulary(described.descriptors, options.axes, options.words, options.seed)
    counted = count(described, Vocabulary(tensors))
    print(f"counted by {options.words} words, {time.perf_counter() - start:.0f} s")
    tensors |= fit_projection(counted, options.dimension, options.shrinkage)
    metadata = {
        "architecture": "details",
        "version": VERSION,
        "trained_on": f"{len(files)} photographs, {options.views} edited views of each",
        "seed": str(options.seed),
        "side": str(SIDE),
    }
    data = save(tensors, metadata)
    options.output.write_bytes(data)
    print(f"{options.output}: {len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")
    print(f"{time.perf_counter() - start:.0f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="keep descriptors in this file (.npz, large)")
    parser.add_argument("--every", type=int, default=1, help="take every n-th image")
    parser.add_argument("--views", type=int, default=2, help="edited views of each image")
    parser.add_argument("--axes", type=int, default=32, help="of descriptors")
    parser.add_argument("--words", type=int, default=64)
    parser.add_argument("--dimension", type=int, default=1024)
    parser.add_argument("--shrinkage", type=float, default=0.05)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def views(pixels: Pixels, count: int, rng: np.random.Generator) -> list[Pixels]:
    """Edit an image in ways drawn at random, each saved as JPEG 60 to 91 and at most `SIDE`."""
    kinds = list(EDITS)
    drawn = []
    for _ in range(count):
        kind = kinds[rng.integers(len(kinds))]
        strength = EDITS[kind].strengths[rng.integers(len(EDITS[kind].strengths))]
        copy = edit(kind, strength, pixels, rng)
        drawn.append(decode_bounded(as_jpeg(copy, int(rng.integers(60, 92))), SIDE))
    return drawn


def _described(files: Sequence[Path], options: argparse.Namespace) -> Described:
    if options.cache is not None and options.cache.exists():
        with np.load(options.cache) as kept:
            found = Described(kept["counts"], kept["descriptors"])
        if found.counts.shape != (len(files), 1 + options.views):
            raise SystemExit(f"{options.cache} is of another run; name another file")
        return found
    numbers = range(0, len(files), _CHUNK)
    work = partial(_describe_chunk, views_each=options.views, seed=options.seed)
    chunks = [(number, files[number : number + _CHUNK]) for number in numbers]
    counts, descriptors = [], []
    with ProcessPoolExecutor(options.workers) as pool:
        for done, (some, rows) in enumerate(pool.map(work, chunks)):
            counts.append(some)
            descriptors.append(rows)
            if done % 20 == 0:
                print(f"described {done * _CHUNK:,} of {len(files):,}", flush=True)
    found = Described(np.concatenate(counts), np.concatenate(descriptors))
    if options.cache is not None:
        np.savez(options.cache, counts=found.counts, descriptors=found.descriptors)
    return found


def _describe_chunk(
    chunk: tuple[int, Sequence[Path]], *, views_each: int, seed: int
) -> tuple[npt.NDArray[np.int32], Halves]:
    cv2.setNumThreads(1)
    start, files = chunk
    counts = np.zeros((len(files), 1 + views_each), np.int32)
    rows = [np.zeros((0, 128), np.float16)]
    for number, file in enumerate(files):
        rng = np.random.default_rng((seed, start + number))
        try:
            pixels = decode_bounded(read_file(str(file)), SIDE, str(file))
        except ImageError as error:
            print(f"left out: {error}", flush=True)
            continue
        for view, shown in enumerate([pixels, *views(pixels, views_each, rng)]):
            found = describe(grey(shown))
            counts[number, view] = len(found)
            rows.append(found.astype(np.float16))
    return counts, np.concatenate(rows)


def fit_vocabulary(descriptors: Halves, axes: int, words: int, seed: int) -> Tensors:
    """Fit axis of mirroring, main axes and words to a sample; rounded to what is stored."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(descriptors), min(_SAMPLE, len(descriptors)), replace=False))
    sample = descriptors[chosen].astype(np.float32)
    mirror_axis = asymmetry(sample).astype(np.float16)
    folded, _ = fold_mirror(sample, mirror_axis.astype(np.float32))
    mean = folded.mean(axis=0).astype(np.float16)
    folded -= mean
    _, main_axes = np.linalg.eigh(folded.T @ folded)
    kept = np.ascontiguousarray(main_axes[:, ::-1][:, :axes]).astype(np.float16)
    reduced = np.ascontiguousarray(folded @ kept.astype(np.float32))
    means: Any = faiss.Kmeans(
        axes, words, niter=_ROUNDS, seed=seed + 1, max_points_per_centroid=_SAMPLE
    )
    means.train(reduced)
    centroids: Floats = means.centroids
    return {
        "mirror_axis": mirror_axis,
        "mean": mean,
        "axes": kept,
        "words": centroids.astype(np.float16),
    }


def count(described: Described, vocabulary: Vocabulary) -> Halves:
    """Count every view's descriptors by the words: (P, 1 + V, K * d), zeros without texture."""
    ends = np.cumsum(described.counts)
    counted = np.zeros((described.counts.size, vocabulary.width), np.float16)
    for row, (end, number) in enumerate(zip(ends, described.counts.ravel(), strict=True)):
        if number >= FEWEST:
            some = described.descriptors[end - number : end].astype(np.float32)
            counted[row] = vocabulary.count(some)
    return counted.reshape(*described.counts.shape, vocabulary.width)


def fit_projection(counted: Halves, dimension: int, shrinkage: float) -> Tensors:
    """Fit the centre and the projection.

    Parameters
    ----------
    counted : (P, 1 + V, W), zeros where there is nothing
    shrinkage : of the spread within, towards its mean in all directions
    """
    there = np.any(counted, axis=2)
    centre = counted[there].astype(np.float32).mean(axis=0)
    width = counted.shape[2]
    within, total = np.zeros((width, width)), np.zeros((width, width))
    pairs = 0
    for start in range(0, len(counted), 1024):
        some = counted[start : start + 1024].astype(np.float32) - centre
        shown = there[start : start + 1024]
        total += some[shown].T @ some[shown]
        both = shown[:, 1:] & shown[:, :1]
        apart = (some[:, 1:] - some[:, :1])[both]
        within += apart.T @ apart
        pairs += len(apart)
    total /= there.sum()
    within /= 2 * pairs
    within[np.diag_indices(width)] += shrinkage * np.trace(within) / width
    values, vectors = np.linalg.eigh(within)
    whitening = vectors / np.sqrt(values)
    values, vectors = np.linalg.eigh(whitening.T @ total @ whitening)
    projection = whitening @ (vectors[:, ::-1] / np.sqrt(values[::-1]))[:, :dimension]
    # A common factor changes no cosine, and this one keeps fp16 away from its ends.
    projection /= np.abs(projection).max()
    return {"centre": centre.astype(np.float16), "projection": projection.astype(np.float16)}


if __name__ == "__main__":
    main()
