"""Fit the weights that tell drawn overlays from moved content.

    python benchmarks/overlays.py PHOTOS [--groups groups.json] [--pictures 200] > table.py

Half of the photographs fit, the other half checks; the table that is printed is fitted on all.
The figures of the check go to stderr.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from proof import DRAWING_SIDE, SUFFIXES, bounded, load
from shots import SHOTS, appeared, moved

from dedup.edits.catalogue import EDITS, edit
from dedup.proof import Features, describe
from dedup.proof.geometry import placings
from dedup.proof.overlay import figures
from dedup.proof.verify import align, differing

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]
    Row = tuple[str, bool, int, Doubles]

OVERLAYS = ("text", "sticker", "watermark", "crop+text+jpeg")
LOSSES = (("jpeg", 50), ("jpeg", 75), ("jpeg", 90), ("filter", 0.4), ("resize", 0.5), ("jpeg", 100))
MORE = ("document", "same app", "parallax")
SMALLEST = 0.0003  # share of changed content from which the proof asks
RIDGE = 4.0


def seen(first: Features, second: Features, tag: str, place: int, *, drawn: bool) -> list[Row]:
    """Figures of a pair: of the overlay's side, or of both where nothing is drawn."""
    fit = next(placings(first, second), None)
    aligned = align(first, second, fit) if fit else None
    if aligned is None:
        return []
    change = differing(aligned)
    if change.share < SMALLEST or change.share > 0.35:
        return []
    table = figures(aligned.raster, change, aligned.owner.grey, aligned.other.grey)
    if table is None:
        return []
    if drawn:
        return [(tag, True, place, table[0 if aligned.coarse else 1])]
    return [(tag, False, place, row) for row in table]


def from_picture(job: tuple[int, Path, Path]) -> list[Row]:
    """Overlays on an image, and other shots of it."""
    place, path, beside = job
    cv2.setNumThreads(1)
    pixels, more = (bounded(load(side), DRAWING_SIDE) for side in (path, beside))
    first = describe(bounded(pixels))
    rows: list[Row] = []
    for index, kind in enumerate(OVERLAYS):
        for grade, strength in enumerate(EDITS[kind].strengths):
            rng = np.random.default_rng((place, index, grade))
            copy = edit(kind, strength, pixels, rng)
            loss, how = LOSSES[rng.integers(len(LOSSES))]
            copy = edit(loss, how, copy, rng)
            rows += seen(first, describe(bounded(copy)), kind, place, drawn=True)
    makers = {f"moved {share}": moved(share) for share in (0.005, 0.015, 0.05, 0.1)}
    makers |= {f"appeared {share}": appeared(share) for share in (0.005, 0.015, 0.05, 0.1)}
    makers |= {name: make for name, make in SHOTS.items() if name.startswith(MORE)}
    for index, (name, make) in enumerate(makers.items()):
        pair = make(pixels, more, np.random.default_rng((place, 100 + index)))
        one, two = (describe(bounded(shot)) for shot in pair)
        rows += seen(one, two, name, place, drawn=False)
    return rows


def expanded(rows: Doubles) -> Doubles:
    """Constant, figures, and all their products."""
    count = rows.shape[1]
    products = [rows[:, i] * rows[:, j] for i in range(count) for j in range(i, count)]
    return np.column_stack([np.ones(len(rows)), rows, *products])


def fitted(rows: Doubles, drawn: npt.NDArray[np.bool_]) -> Doubles:
    """Ridge logistic regression by Newton's method."""
    weights = np.zeros(rows.shape[1])
    ridge = np.full(rows.shape[1], RIDGE)
    ridge[0] = 1e-6
    for _ in range(30):
        odds = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (odds - drawn) + ridge * weights
        curve = (rows * (odds * (1 - odds))[:, None]).T @ rows + np.diag(ridge)
        weights -= np.linalg.solve(curve, slope)
    return weights


def _printed(values: npt.NDArray[np.float64]) -> str:
    return ", ".join(f"{value:.3g}" for value in values) + ","


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--groups", type=Path)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    paths = [p for p in sorted(options.photos.rglob("*")) if p.suffix.lower() in SUFFIXES]
    order = np.random.default_rng(12345).permutation(len(paths))[: options.pictures]
    chosen = [paths[place] for place in order]
    jobs = [(place, path, chosen[place - 1]) for place, path in enumerate(chosen)]
    with ProcessPoolExecutor(options.jobs) as pool:
        rows = list(itertools.chain.from_iterable(pool.map(from_picture, jobs)))
    groups = json.loads(options.groups.read_text()) if options.groups else []
    for group in groups:
        if group["set"] == "video":
            described = [describe(bounded(load(options.photos / m))) for m in group["members"]]
            for one, two in itertools.combinations(described, 2):
                found = seen(one, two, "video", 0, drawn=False)
                rows += [row for row in found if row[3][9] < np.log(0.15)]
    data = np.array([row[3] for row in rows])
    drawn = np.array([row[1] for row in rows])
    half = np.array([row[2] % 2 == 0 for row in rows])
    middles, spreads = data.mean(axis=0), data.std(axis=0)
    scaled = expanded((data - middles) / spreads)
    checked = np.where(
        half,
        scaled @ fitted(scaled[~half], drawn[~half]),
        scaled @ fitted(scaled[half], drawn[half]),
    )
    for tag in dict.fromkeys(row[0] for row in rows):
        odds = checked[[row[0] == tag for row in rows]]
        shares = " ".join(f"{(odds > limit).mean():.2f}" for limit in (0, 1, 2, 3))
        print(f"{tag:24s} {len(odds):5d} above 0 1 2 3: {shares}", file=sys.stderr)
    weights = fitted(scaled, drawn)
    count = data.shape[1]
    print(f"MIDDLES = ({_printed(middles)})\nSPREADS = ({_printed(spreads)})")
    print(f"BIAS = {weights[0]:.3g}\nLINEAR = ({_printed(weights[1 : count + 1])})\nPRODUCTS = (")
    at = count + 1
    for index in range(count):
        print(f"    ({_printed(weights[at : at + count - index])}),")
        at += count - index
    print(")")


if __name__ == "__main__":
    main()
